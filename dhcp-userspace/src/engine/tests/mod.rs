//! The engine as clients and relays meet it.
mod captures;
mod fast;
mod fuzz;
mod lab;
mod lease;
mod parallel;
mod policy;
mod proxy;
mod reply;
mod start;
