//! A packet with everything that is needed to decide about it.

use std::cell::{Cell, OnceCell};
use std::net::Ipv4Addr;

use dhcp_common::wire::mac_bits;

use super::Engine;
use super::api::{Event, EventKind, Ignored, Incoming, Interface};
use super::clients::ClientKey;
use super::relay::Relay;
use super::standing::{Said, Standing};
use super::state::{State, SubnetId};
use crate::clock::Now;
use crate::config::model::{Mac, Subnet};
use crate::packet::Request;

pub(super) struct Context<'a> {
    pub(super) engine: &'a Engine,
    pub(super) state: &'a State,
    pub(super) now: Now,
    pub(super) packet: &'a Incoming<'a>,
    pub(super) request: &'a Request<'a>,
    pub(super) interface: &'a Interface,
    /// chaddr as slots have it.
    pub(super) chaddr: u64,
    pub(super) relay: Relay,
    /// The subnets that the client may be in, by where its message came from.
    pub(super) subnets: &'a [SubnetId],
    /// The subnet of the address that the client says it has.
    pub(super) own: Option<SubnetId>,
    /// What the client is in the subnet that was asked for last.
    pub(super) standing: Cell<Option<(SubnetId, Standing<'a>)>>,
    pub(super) said: OnceCell<Said<'a>>,
    /// Option 82 of the lease, where it was asked for and the request has none.
    pub(super) remembered: OnceCell<Option<Box<[u8]>>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        state: &'a State,
        now: Now,
        packet: &'a Incoming<'a>,
        request: &'a Request<'a>,
    ) -> Result<Self, Ignored> {
        let interface = state
            .interface(packet.link.ifindex)
            .ok_or(Ignored::NoSubnet)?;
        let to = packet.destination;
        if !is_broadcast(interface, to) && !state.is_ours(to) {
            // On its way through this host to another server.
            return Err(Ignored::OtherServer);
        }
        let relay = Relay::of(request);
        state.check_way(packet, request)?;
        Ok(Self {
            engine,
            state,
            now,
            packet,
            request,
            interface,
            chaddr: mac_bits(&request.mac, 0),
            subnets: state.subnets_of(packet, request, &relay)?,
            own: state.subnet_of(request.ciaddr),
            relay,
            standing: Cell::new(None),
            said: OnceCell::new(),
            remembered: OnceCell::new(),
        })
    }

    pub(super) fn is_broadcast(&self) -> bool {
        is_broadcast(self.interface, self.packet.destination)
    }

    pub(super) fn mac(&self) -> Mac {
        self.request.mac
    }

    pub(super) fn subnet(&self, id: SubnetId) -> &'a Subnet {
        self.state.subnet(id)
    }

    pub(super) fn key(&self, id: SubnetId) -> ClientKey {
        ClientKey {
            mac: self.mac(),
            network: self.subnet(id).prefix.network(),
        }
    }

    /// Whether a message that names this server in option 54 is meant for us: a relay that told
    /// the client its own address tells us again (RFC 5107).
    pub(super) fn is_for_us(&self, server: Ipv4Addr) -> bool {
        self.state.is_ours(server) || self.relay.server == Some(server)
    }

    pub(super) fn event(&self, kind: EventKind, address: Ipv4Addr) -> Event {
        Event {
            kind,
            mac: self.mac(),
            address,
            ifindex: self.packet.link.ifindex,
        }
    }
}

fn is_broadcast(interface: &Interface, to: Ipv4Addr) -> bool {
    let mut networks = interface.addresses.iter();
    // A /31 or /32 has no broadcast address (RFC 3021).
    to.is_broadcast() || networks.any(|net| net.prefix_len() < 31 && net.broadcast() == to)
}
