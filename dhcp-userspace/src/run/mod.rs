//! The daemon: starts all of it, and stops it in the opposite order.
//!
//! Threads: workers receive and answer ([`worker`]), the journal's committer makes changes
//! visible and sends what waited for them ([`ticket`]), the sweeper does what is due once a
//! second ([`sweeper`]), and the main thread waits for signals and serves the control socket and
//! metrics ([`supervise`]).

mod alert;
mod answer;
mod bulk;
mod core;
mod explain;
mod files;
mod gate;
mod guarding;
mod handler;
mod journal;
mod later;
mod leases;
pub mod logging;
mod mailbox;
mod poll;
mod ports;
pub mod privileges;
mod probe;
mod reload;
mod renew;
mod report;
mod rewrite;
mod secret;
mod shared;
mod start;
mod supervise;
mod sweeper;
#[cfg(test)]
mod tests;
mod ticket;
mod transfer;
mod wait;
mod watch;
mod why;
mod worker;

pub use start::daemon;
