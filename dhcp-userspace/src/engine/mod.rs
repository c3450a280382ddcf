//! The engine: what the server answers, as a function of the packet, the time and the leases.
//!
//! Sans-IO: it knows no socket, clock, file or map.
mod api;
pub use api::{Change, Commit, Event, EventKind, Ignored, Incoming, Interface, Outcome};
