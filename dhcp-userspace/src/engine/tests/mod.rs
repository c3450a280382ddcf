//! The engine as clients and relays meet it.
mod fast;
mod fuzz;
mod hosts;
mod lab;
mod lease;
mod parallel;
mod policy;
mod proxy;
mod reply;
mod selection;
mod start;
mod terms;
