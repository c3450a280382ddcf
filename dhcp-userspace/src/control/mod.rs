//! How people and programs talk to the daemon: the Unix socket, `xdhcpctl`, and metrics.
//!
//! A connection carries one request, a line of JSON ([`protocol::Request`]), and lines of JSON
//! that answer it ([`protocol::Line`]): any number of items, then `done` or `error`.

pub mod cli;
pub mod client;
pub mod http;
pub mod metrics;
pub mod protocol;
pub mod render;
pub mod server;

pub use metrics::Metrics;
