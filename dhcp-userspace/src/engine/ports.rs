//! Clients that are told apart by what a relay adds, and renew without their relay.
//!
//! A renewal goes to the server itself and says nothing of the port that it comes from. So the
//! holder of an address that is reserved for a port counts as the host at that port, and a guard
//! that looks at what relays add is not asked again until the client comes through its relay.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use foldhash::fast::RandomState;

use super::context::Context;
use super::state::SubnetId;
use crate::class::{ClassId, ClassSet};
use crate::config::Config;
use crate::config::model::{Identifier, Reservation};
use crate::packet::MessageType;

/// What of a configuration hangs on what relays add.
#[derive(Default)]
pub(super) struct Ports {
    any: bool,
    /// Addresses that are reserved for ports: the subnet, and the host's place in it.
    hosts: HashMap<Ipv4Addr, (SubnetId, usize), RandomState>,
}

impl Ports {
    pub(super) fn new(config: &Config) -> Self {
        let mut ports = Self::default();
        for (id, subnet) in config.subnets.iter().enumerate() {
            for (at, host) in subnet.hosts.iter().enumerate() {
                ports.add(host, Some((id, at)));
            }
        }
        for host in &config.hosts {
            ports.add(host, None);
        }
        ports.any |= reads_relay(config);
        ports
    }

    fn add(&mut self, host: &Reservation, place: Option<(SubnetId, usize)>) {
        let by_port = match &host.identifier {
            Identifier::CircuitId(_) | Identifier::RemoteId(_) => true,
            Identifier::Test(test) => test.reads_relay(&|_| false),
            Identifier::Mac(_) | Identifier::ClientId(_) | Identifier::Uuid(_) => false,
        };
        self.any |= by_port;
        if let (true, Some(address), Some(place)) = (by_port, host.address, place) {
            self.hosts.insert(address, place);
        }
    }
}

fn reads_relay(config: &Config) -> bool {
    let mut readers = ClassSet::default();
    for (id, class) in (0..).map(ClassId).zip(&config.classes) {
        let reads = |test: &crate::class::Test| test.reads_relay(&|other| readers.contains(other));
        if class.test.as_ref().is_some_and(reads) {
            readers.insert(id);
        }
    }
    readers != ClassSet::default()
}

impl<'a> Context<'a> {
    /// Whether the client renews here what it has, without the relay that got it the lease.
    pub(super) fn is_past_relay(&self, id: SubnetId) -> bool {
        let request = self.request;
        self.state.ports.any
            && self.own == Some(id)
            && request.message_type == MessageType::Request
            && !request.is_relayed()
            && request.relay_agent().is_none()
            && self.engine.is_bound_to(request.ciaddr, self.chaddr)
    }

    /// The host at the port that the client's address is reserved for.
    pub(super) fn host_at_port(&self) -> Option<&'a Reservation> {
        let (id, at) = self.state.ports.hosts.get(&self.request.ciaddr)?;
        self.subnet(*id).hosts.iter().nth(*at)
    }
}
