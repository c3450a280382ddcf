//! Leases and pools as people and tools see them.

use std::net::Ipv4Addr;

use dhcp_common::memo;
use dhcp_common::slot::{Kind, Link};
use dhcp_common::wire::{mac_bits, mac_bytes};
use ipnet::Ipv4Net;

use super::Engine;
use super::clients::ClientKey;
use super::state::State;
use crate::config::model::Mac;

/// What is known of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    pub address: Ipv4Addr,
    pub mac: Mac,
    pub kind: Kind,
    /// What the client was told, ns of `CLOCK_BOOTTIME`; the end of an offer or quarantine.
    pub expires: u64,
    /// What is on disk, same clock.
    pub reserved_until: u64,
    /// When the client got the address, ns since 1970; 0: not known.
    pub since: u64,
    pub client_id: Vec<u8>,
    pub hostname: Vec<u8>,
    /// Option 82 as a relay sent it last.
    pub relay_agent: Vec<u8>,
    pub subnet: Option<Ipv4Net>,
    /// Where the client is; all zero behind a router or relay.
    pub link: Link,
    /// Renewals that the kernel has granted.
    pub renewals: u32,
    /// Whether the kernel may answer the next one.
    pub memo: bool,
}

/// How full the pools of a subnet are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolView {
    pub subnet: Ipv4Net,
    pub free: u64,
    /// Addresses that are not reserved.
    pub size: u64,
}

impl Engine {
    /// All addresses that are or were leased, offered or in quarantine.
    #[must_use]
    pub fn leases(&self) -> Vec<LeaseView> {
        let mut leases = Vec::new();
        self.walk(|state, address, index| leases.extend(self.view(state, address, index)));
        leases
    }

    #[must_use]
    pub fn lease_at(&self, address: Ipv4Addr) -> Option<LeaseView> {
        let index = self.table.index(address)?;
        self.view(&self.read(), address, index)
    }

    /// The addresses of a client, one per subnet.
    #[must_use]
    pub fn lease_of(&self, mac: Mac) -> Vec<LeaseView> {
        self.leases_of(&self.read(), mac)
    }

    pub(super) fn leases_of(&self, state: &State, mac: Mac) -> Vec<LeaseView> {
        let subnets = state.config.subnets.iter();
        let keys = subnets.map(|subnet| ClientKey {
            mac,
            network: subnet.prefix.network(),
        });
        keys.filter_map(|key| {
            let address = self.clients.address(&key)?;
            let view = self.view(state, address, self.table.index(address)?)?;
            (mac_bits(&view.mac, 0) == mac_bits(&mac, 0)).then_some(view)
        })
        .collect()
    }

    #[must_use]
    pub fn pools(&self) -> Vec<PoolView> {
        let state = self.read();
        let subnets = state.config.subnets.iter().zip(&state.pools);
        subnets
            .map(|(subnet, pools)| {
                let (free, size) = pools.counts();
                PoolView {
                    subnet: subnet.prefix,
                    free,
                    size,
                }
            })
            .collect()
    }

    pub(super) fn view(&self, state: &State, address: Ipv4Addr, index: u32) -> Option<LeaseView> {
        let (kind, lease) = self.table.look(index);
        if kind == Kind::Free {
            return None;
        }
        let client = self.client_at(state, address, lease.chaddr);
        Some(LeaseView {
            address,
            mac: mac_bytes(lease.chaddr),
            kind,
            expires: lease.expires,
            reserved_until: lease.reserved_until,
            since: client.since,
            client_id: client.client_id.into(),
            hostname: client.hostname.into(),
            relay_agent: client.relay_agent.into(),
            subnet: state.subnet_of(address).map(|id| state.subnet(id).prefix),
            link: lease.link,
            renewals: lease.renewals,
            memo: lease.memo != memo::NONE,
        })
    }
}
