//! What the guard has to know: who is no stranger here, and which requests are this server's.

use std::net::Ipv4Addr;

use dhcp_common::slot::{Kind, Link};
use dhcp_common::wire::{mac_bits, mac_bytes};

use super::Engine;
use super::clients::ClientKey;
use super::standing::Said;
use super::state::State;
use crate::class::{ClassSet, Subject};
use crate::config::model::{Hosts, Identifier, Mac};
use crate::packet::Request;

/// Why a client is no stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It has a lease or had it last, or a reservation.
    Client,
    /// It has an offer.
    Offered,
}

impl Engine {
    /// Whether the configuration or the table has anything about this client.
    #[must_use]
    pub fn is_known(&self, mac: Mac) -> bool {
        let state = self.read();
        let mut subnets = state.config.subnets.iter();
        state.config.hosts.by_mac(&mac).is_some()
            || subnets.any(|subnet| {
                let network = subnet.prefix.network();
                subnet.hosts.by_mac(&mac).is_some() || self.has_leased(ClientKey { mac, network })
            })
    }

    /// Whether the sender of this message is a host of the configuration's, by whatever it is found:
    /// its MAC, client-id, circuit or anything else.
    #[must_use]
    pub fn is_host(&self, payload: &[u8]) -> bool {
        let Ok(request) = Request::parse(payload) else {
            return false;
        };
        let nobody = Subject {
            request: &request,
            members: &ClassSet::default(),
            known: false,
            relay_agent: None,
        };
        let (said, state) = (Said::of(&request, None), self.read());
        let keys = said.keys(request.mac);
        let subnets = state.config.subnets.iter().map(|subnet| &subnet.hosts);
        let mut hosts = subnets.chain([&state.config.hosts]);
        hosts.any(|hosts| hosts.find(&keys, |test| test.matches(&nobody)).is_some())
    }

    fn has_leased(&self, key: ClientKey) -> bool {
        let address = self.clients.address(&key);
        let index = address.and_then(|address| self.table.index(address));
        index.is_some_and(|index| {
            let slot = self.table.slot(index);
            let his = slot.lease().chaddr == mac_bits(&key.mac, 0);
            his && known_by(slot.kind()) == Some(Known::Client)
        })
    }

    /// All that are no strangers; some may come twice.
    pub fn known(&self, emit: &mut dyn FnMut(Mac, Known)) {
        let state = self.read();
        let subnets = state.config.subnets.iter().map(|subnet| &subnet.hosts);
        for mac in subnets.chain([&state.config.hosts]).flat_map(macs) {
            emit(mac, Known::Client);
        }
        drop(state);
        self.walk(|_, _, index| {
            let slot = self.table.slot(index);
            if let Some(why) = known_by(slot.kind()) {
                emit(mac_bytes(slot.lease().chaddr), why);
            }
        });
    }

    /// The links and addresses at which requests are this server's.
    #[must_use]
    pub fn places(&self) -> (Vec<Link>, Vec<Ipv4Addr>) {
        let state: &State = &self.read();
        (
            state.places.links().collect(),
            state.own_addresses().collect(),
        )
    }
}

fn known_by(kind: Kind) -> Option<Known> {
    match kind {
        Kind::Bound | Kind::Released | Kind::Expired => Some(Known::Client),
        Kind::Offered => Some(Known::Offered),
        Kind::Free | Kind::Declined => None,
    }
}

fn macs(hosts: &Hosts) -> impl Iterator<Item = Mac> {
    hosts.iter().filter_map(|host| match host.identifier {
        Identifier::Mac(mac) => Some(mac),
        _ => None,
    })
}
