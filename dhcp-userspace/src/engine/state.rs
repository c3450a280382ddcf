//! What reload and interface changes replace: the configuration, and what is computed from it.

use std::collections::{BTreeSet, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use dhcp_common::layout::BLOCK;
use dhcp_common::slot::Kind;
use foldhash::fast::RandomState;
use ipnet::Ipv4Net;

use super::api::Interface;
use super::meanwhile::Meanwhile;
use super::places::Places;
use super::pool::Pools;
use super::ports::Ports;
use crate::config::Config;
use crate::config::model::{Hosts, Mac, Pool, Reservation, Subnet};
use crate::lease::table::{Full, Table};

/// A subnet's place in the configuration.
pub(super) type SubnetId = usize;

pub(super) struct State {
    pub(super) config: Arc<Config>,
    pub(super) interfaces: Vec<Interface>,
    /// By [`SubnetId`].
    pub(super) pools: Vec<Pools>,
    /// Subnets by network address; they do not overlap.
    by_network: Vec<SubnetId>,
    pub(super) places: Places,
    pub(super) ports: Ports,
    /// Addresses that requests may name as their server.
    ours: HashSet<Ipv4Addr, RandomState>,
    /// The first address of each block of the table.
    bases: Vec<u32>,
    pub(super) meanwhile: Meanwhile,
}

impl State {
    /// Makes room in the table for every address that the configuration may give.
    pub(super) fn new(
        config: Arc<Config>,
        interfaces: Vec<Interface>,
        table: &Table,
    ) -> Result<Self, Full> {
        add_blocks(&config, table)?;
        let mut by_network: Vec<SubnetId> = (0..config.subnets.len()).collect();
        by_network.sort_by_key(|id| config.subnets[*id].prefix.network());
        let mut meanwhile = Meanwhile::default();
        let mut state = Self {
            pools: pools_of(&config, table, &mut meanwhile),
            by_network,
            places: Places::new(&config),
            ports: Ports::new(&config),
            ours: HashSet::default(),
            bases: bases_of(table),
            interfaces: Vec::new(),
            meanwhile,
            config,
        };
        state.set_interfaces(interfaces, table);
        Ok(state)
    }

    pub(super) fn set_interfaces(&mut self, interfaces: Vec<Interface>, table: &Table) {
        self.interfaces = interfaces;
        self.places.set_interfaces(&self.config, &self.interfaces);
        let subnets = self.config.subnets.iter();
        let addresses = self.interfaces.iter().flat_map(|port| &port.addresses);
        let ours = subnets
            .filter_map(|subnet| subnet.server_address)
            .chain(addresses.map(Ipv4Net::addr))
            .collect();
        for address in std::mem::replace(&mut self.ours, ours) {
            let index = table.index(address);
            self.mark(
                address,
                index.is_some_and(|at| table.slot(at).kind().is_taken()),
            );
        }
        for address in &self.ours {
            self.mark(*address, true);
        }
    }

    /// The subnets that only one of both has, by address.
    pub(super) fn networks_not_of_both(&self, other: &Self) -> Vec<Ipv4Net> {
        let networks = |state: &Self| -> BTreeSet<Ipv4Net> {
            let subnets = state.config.subnets.iter();
            subnets.map(|subnet| subnet.prefix.trunc()).collect()
        };
        let (one, two) = (networks(self), networks(other));
        one.symmetric_difference(&two).copied().collect()
    }

    pub(super) fn subnet(&self, id: SubnetId) -> &Subnet {
        &self.config.subnets[id]
    }

    pub(super) fn subnet_of(&self, address: Ipv4Addr) -> Option<SubnetId> {
        let after = self
            .by_network
            .partition_point(|id| self.subnet(*id).prefix.network() <= address);
        let id = self.by_network[after.checked_sub(1)?];
        self.subnet(id).prefix.contains(&address).then_some(id)
    }

    /// The subnets of the clients behind a relay: those that list it, or the one that has its
    /// address, with its shared network.
    pub(super) fn subnets_behind(&self, relay: Ipv4Addr) -> &[SubnetId] {
        let listed = self.places.behind(relay);
        let inside = || Some(self.places.around(self.subnet_of(relay)?));
        listed.or_else(inside).unwrap_or_default()
    }

    /// Whether clients that send to us past all relays are served, by the address they have. One
    /// that is on none of our links is behind a router.
    pub(super) fn serves_directly(&self, id: SubnetId) -> bool {
        let server = &self.config.server;
        if self.places.is_local(id) {
            server.serve_local
        } else {
            server.serve_relayed
        }
    }

    pub(super) fn own_addresses(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.ours.iter().copied()
    }

    pub(super) fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|port| port.index == index)
    }

    pub(super) fn is_ours(&self, server: Ipv4Addr) -> bool {
        self.ours.contains(&server)
    }

    /// The host with this MAC, in this subnet or its shared network, or anywhere.
    pub(super) fn reservation(&self, id: SubnetId, mac: Mac) -> Option<&Reservation> {
        self.host_of(id, |hosts| hosts.by_mac(&mac))
    }

    /// The host that `find` finds first: in this subnet, in another one of its shared network,
    /// or among those that are known everywhere.
    pub(super) fn host_of<'a>(
        &'a self,
        id: SubnetId,
        find: impl Fn(&'a Hosts) -> Option<&'a Reservation>,
    ) -> Option<&'a Reservation> {
        let mut around = self.places.around(id).iter();
        let here = around.find_map(|id| find(&self.subnet(*id).hosts));
        here.or_else(|| find(&self.config.hosts))
    }

    /// The pool that has this address.
    pub(super) fn pool_of(&self, id: SubnetId, address: Ipv4Addr) -> Option<&Pool> {
        let pools = &self.subnet(id).pools;
        let after = pools.partition_point(|pool| pool.first <= address);
        let pool = &pools[after.checked_sub(1)?];
        (address <= pool.last).then_some(pool)
    }

    /// Takes note of where a block stands that the table may have got since.
    pub(super) fn know_block(&mut self, index: u32, address: Ipv4Addr) {
        self.bases[(index / BLOCK) as usize] = address.to_bits() / BLOCK * BLOCK;
    }

    /// The address of a slot.
    pub(super) fn address_of(&self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.bases[(index / BLOCK) as usize] + index % BLOCK)
    }

    /// Records in the pools whether an address is taken.
    pub(super) fn mark(&self, address: Ipv4Addr, taken: bool) {
        self.meanwhile.note(address);
        let Some(id) = self.subnet_of(address) else {
            return;
        };
        if taken {
            self.pools[id].claim(address);
        } else if !self.is_ours(address) {
            self.pools[id].free(address);
        }
    }
}

fn add_blocks(config: &Config, table: &Table) -> Result<(), Full> {
    for subnet in &config.subnets {
        for pool in &subnet.pools {
            for block in pool.first.to_bits() / BLOCK..=pool.last.to_bits() / BLOCK {
                table.add(Ipv4Addr::from_bits(block * BLOCK))?;
            }
        }
        for address in reserved(subnet) {
            table.add(address)?;
        }
    }
    Ok(())
}

fn reserved(subnet: &Subnet) -> impl Iterator<Item = Ipv4Addr> {
    subnet.hosts.iter().filter_map(|host| host.address)
}

fn pools_of(config: &Config, table: &Table, meanwhile: &mut Meanwhile) -> Vec<Pools> {
    let subnets = config.subnets.iter();
    subnets
        .map(|subnet| pools_in(subnet, table, meanwhile))
        .collect()
}

fn pools_in(subnet: &Subnet, table: &Table, meanwhile: &mut Meanwhile) -> Pools {
    let reserved: HashSet<Ipv4Addr, RandomState> = reserved(subnet).collect();
    let prefix = subnet.prefix;
    // A /31 or /32 has neither (RFC 3021).
    let edges = prefix.prefix_len() < 31;
    let never = |address| {
        edges && (address == prefix.network() || address == prefix.broadcast())
            || reserved.contains(&address)
    };
    let pools = Pools::new(&subnet.pools, never);
    for pool in &subnet.pools {
        for address in pool.first.to_bits()..=pool.last.to_bits() {
            let address = Ipv4Addr::from_bits(address);
            let Some(index) = table.index(address) else {
                continue;
            };
            let kind = table.slot(index).kind();
            if kind.is_taken() {
                pools.claim(address);
            }
            if kind == Kind::Offered {
                pools.count_offer(address, true);
                meanwhile.saw_offer(address);
            }
        }
    }
    pools
}

fn bases_of(table: &Table) -> Vec<u32> {
    let mut bases = vec![0; table.size().blocks as usize];
    for (address, index) in table.addresses().step_by(BLOCK as usize) {
        if let Some(base) = bases.get_mut((index / BLOCK) as usize) {
            *base = address.to_bits();
        }
    }
    bases
}
