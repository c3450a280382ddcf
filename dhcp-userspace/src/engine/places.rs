//! Where clients are: the subnets that a link, a relay or an address stands for.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use dhcp_common::slot::Link;
use foldhash::fast::RandomState;

use super::api::Interface;
use super::state::SubnetId;
use crate::config::Config;

type Map<K> = HashMap<K, Vec<SubnetId>, RandomState>;

#[derive(Clone, Default)]
pub(super) struct Places {
    /// By [`SubnetId`]: the subnet, then the others of its shared network.
    around: Vec<Box<[SubnetId]>>,
    /// Relays whose clients are not where their giaddr is.
    relays: Map<Ipv4Addr>,
    links: Map<Link>,
    /// By [`SubnetId`]: on how many links of ours it is.
    local: Vec<u32>,
}

impl Places {
    pub(super) fn new(config: &Config) -> Self {
        let around = around(config);
        let mut relays: Map<Ipv4Addr> = HashMap::default();
        for (id, subnet) in config.subnets.iter().enumerate() {
            for relay in &subnet.relays {
                add(relays.entry(*relay).or_default(), &around[id]);
            }
        }
        Self {
            local: vec![0; around.len()],
            links: HashMap::default(),
            relays,
            around,
        }
    }

    pub(super) fn set_interfaces(&mut self, config: &Config, interfaces: &[Interface]) {
        self.links.clear();
        self.local.fill(0);
        let served = &config.interfaces;
        let is_served = |port: &&Interface| served.is_empty() || served.contains(&port.name);
        for port in interfaces.iter().filter(is_served) {
            for (id, subnet) in config.subnets.iter().enumerate() {
                let [outer, inner] = subnet.vlan;
                let link = Link {
                    ifindex: port.index,
                    outer,
                    inner,
                };
                let on_port = match &subnet.interface {
                    Some(name) => *name == port.name,
                    None => port
                        .addresses
                        .iter()
                        .any(|net| subnet.prefix.contains(&net.addr())),
                };
                if on_port {
                    add(self.links.entry(link).or_default(), &self.around[id]);
                }
            }
        }
        for id in self.links.values().flatten() {
            self.local[*id] += 1;
        }
    }

    /// The subnets of a shared network, this one first.
    pub(super) fn around(&self, id: SubnetId) -> &[SubnetId] {
        &self.around[id]
    }

    /// The subnets of a relay's clients, if any lists it.
    pub(super) fn behind(&self, relay: Ipv4Addr) -> Option<&[SubnetId]> {
        self.relays.get(&relay).map(Vec::as_slice)
    }

    /// The subnets that are served on a link.
    pub(super) fn on(&self, link: Link) -> &[SubnetId] {
        self.links.get(&link).map_or(&[], Vec::as_slice)
    }

    pub(super) fn links(&self) -> impl Iterator<Item = Link> + '_ {
        self.links.keys().copied()
    }

    pub(super) fn is_local(&self, id: SubnetId) -> bool {
        self.local[id] != 0
    }

    /// Whether clients of this subnet reach us by several links.
    pub(super) fn is_on_several(&self, id: SubnetId) -> bool {
        self.local[id] > 1
    }
}

fn around(config: &Config) -> Vec<Box<[SubnetId]>> {
    let mut networks: Vec<Vec<SubnetId>> = vec![Vec::new(); config.networks.len()];
    for (id, subnet) in config.subnets.iter().enumerate() {
        if let Some(network) = subnet.network {
            networks[network].push(id);
        }
    }
    let subnets = config.subnets.iter().enumerate();
    let around = subnets.map(|(id, subnet)| {
        let network = subnet.network.map_or(&[][..], |at| &networks[at]);
        let others = network.iter().copied().filter(|other| *other != id);
        std::iter::once(id).chain(others).collect()
    });
    around.collect()
}

fn add(to: &mut Vec<SubnetId>, ids: &[SubnetId]) {
    for id in ids {
        if !to.contains(id) {
            to.push(*id);
        }
    }
}
