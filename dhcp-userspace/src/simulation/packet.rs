//! What travels.

use std::net::Ipv4Addr;

use super::site::PLACES;
use crate::config::model::Mac;
use crate::engine::Incoming;
use crate::net::frame::{Frame, parse};

/// Where a packet comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) mac: Mac,
    /// What it asks for, if it names one.
    pub(super) address: Ipv4Addr,
    pub(super) kind: Option<u8>,
    pub(super) place: usize,
    /// When this copy was sent first.
    pub(super) sent: u64,
    /// Sent by whom it names.
    pub(super) honest: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    pub(super) origin: Origin,
    pub(super) conflicts: u8,
}

/// A reply.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) bytes: Vec<u8>,
    pub(super) origin: Origin,
    /// When the server decided about it.
    pub(super) decided: u64,
}

impl Packet {
    /// As the daemon's socket would have it.
    pub(super) fn incoming(&self) -> Incoming<'_> {
        let ifindex = PLACES[self.origin.place].link.ifindex;
        parse(&Frame::new(&self.bytes, ifindex, false)).expect("well-formed")
    }
}
