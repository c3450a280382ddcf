//! The engine as clients and relays meet it.
mod bootp;
mod delay;
mod fast;
mod forcerenew;
mod fuzz;
mod infiniband;
mod lab;
mod lease;
mod leasequery;
mod parallel;
mod policy;
mod proxy;
mod rapid;
mod refusal;
mod reply;
mod start;
