//! What clients are found by, and how it is found anew when other subnets are served.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use dhcp_common::slot::Kind;
use dhcp_common::wire::{mac_bits, mac_bytes};
use foldhash::fast::RandomState;
use ipnet::Ipv4Net;

use super::Engine;
use super::clients::{Client, ClientKey, ClientRef};
use super::state::State;
use crate::config::model::Mac;

impl State {
    /// The client that a slot names. Where no subnet has the address, the client is kept by the
    /// address alone: a reload may bring the subnet.
    pub(super) fn key_of(&self, address: Ipv4Addr, chaddr: u64) -> ClientKey {
        let subnet = self.subnet_of(address);
        ClientKey {
            mac: mac_bytes(chaddr),
            network: subnet.map_or(address, |id| self.subnet(id).prefix.network()),
        }
    }
}

impl Engine {
    /// What is known of the client of an address beside its slot.
    pub(super) fn client_at(&self, state: &State, address: Ipv4Addr, chaddr: u64) -> Client {
        self.clients
            .get(&state.key_of(address, chaddr))
            .filter(|client| client.address == address)
            .unwrap_or_else(|| Client::offered(address))
    }

    /// Keys the clients in these networks by the subnets of now. The caller has the state to itself.
    pub(super) fn rekey_clients(&self, state: &State, networks: &[Ipv4Net]) {
        if networks.is_empty() {
            return;
        }
        let concerns = |address| networks.iter().any(|network| network.contains(&address));
        let mut old: HashMap<(Mac, Ipv4Addr), Client, RandomState> = HashMap::default();
        for (key, client) in self.clients.drain(|client| concerns(client.address)) {
            old.insert((key.mac, client.address), client);
        }
        let concerned = self
            .table
            .addresses()
            .filter(|(address, _)| concerns(*address));
        for (address, index) in concerned {
            let slot = self.table.slot(index);
            let chaddr = slot.lease().chaddr;
            if !matches!(slot.kind(), Kind::Free | Kind::Declined) {
                let known = old.remove(&(mac_bytes(chaddr), address));
                let client = known.unwrap_or_else(|| Client::offered(address));
                self.rekey(state, chaddr, &client.borrowed());
            }
        }
        // Their records are on the way to disk: the slots do not name them yet.
        for ((mac, _), client) in old {
            self.rekey(state, mac_bits(&mac, 0), &client.borrowed());
        }
    }

    /// Of a client's addresses in one subnet, the one that it has now counts, or the latest.
    pub(super) fn rekey(&self, state: &State, chaddr: u64, client: &ClientRef<'_>) {
        let key = state.key_of(client.address, chaddr);
        let rank = |it: &ClientRef<'_>| (self.is_bound_to(it.address, chaddr), it.since);
        let keep = |known: &ClientRef<'_>| rank(known) > rank(client);
        self.clients.insert_unless(key, client, keep);
    }

    /// Whether the address is leased to this client.
    pub(super) fn is_bound_to(&self, address: Ipv4Addr, chaddr: u64) -> bool {
        self.table.index(address).is_some_and(|index| {
            let slot = self.table.slot(index);
            slot.kind() == Kind::Bound && slot.lease().chaddr == chaddr
        })
    }
}
