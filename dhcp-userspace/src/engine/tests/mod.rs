//! The engine as clients and relays meet it.
mod classes;
mod fast;
mod fuzz;
mod hosts;
mod lab;
mod lease;
mod memo;
mod parallel;
mod policy;
mod proxy;
mod reply;
mod selection;
mod start;
mod terms;
