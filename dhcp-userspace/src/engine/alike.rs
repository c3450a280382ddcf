//! Whether two configurations have the same answer to a lease's renewals. In doubt they have not:
//! a memo that is dropped without need costs one renewal through the daemon.

use std::net::Ipv4Addr;

use dhcp_common::slot::{Lease, Link};
use dhcp_common::wire::mac_bytes;
use ipnet::Ipv4Net;

use super::state::{State, SubnetId};
use crate::class::ClassId;
use crate::config::model::{Hosts, Mac, Subnet};

pub(super) struct Alike {
    old: State,
    twins: Twins,
}

/// By the new [`SubnetId`].
pub(super) struct Twins(Vec<Option<Twin>>);

/// What a subnet was before, that answers its clients alike but for their hosts and pools.
#[derive(Clone, Copy)]
struct Twin {
    id: SubnetId,
    hosts: Same,
    /// It treats those who boot as before.
    boots: bool,
}

/// What is the same of the hosts that a subnet's clients may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Same {
    All,
    /// Whatever they are, the MAC alone tells.
    Key,
    Nothing,
}

impl Twins {
    pub(super) fn of(old: &State, new: &State) -> Self {
        let (before, now) = (&old.config, &new.config);
        let whole = before.classes == now.classes && before.boot == now.boot;
        let twin = |id| twin(old, new, id).filter(|_| whole);
        Self((0..new.config.subnets.len()).map(twin).collect())
    }
}

impl Alike {
    pub(super) fn new(old: State, twins: Twins) -> Self {
        Self { old, twins }
    }

    /// Whether the client is answered as before when it boots.
    pub(super) fn boot(&self, new: &State, address: Ipv4Addr, lease: &Lease) -> bool {
        let boots = |id: SubnetId| self.twins.0[id].is_some_and(|twin| twin.boots);
        new.subnet_of(address).is_some_and(boots)
            && on_link(&self.old, lease.link).eq(on_link(new, lease.link))
            && self.are(new, address, lease)
    }

    /// Whether the lease's renewals are answered as before.
    pub(super) fn are(&self, new: &State, address: Ipv4Addr, lease: &Lease) -> bool {
        let Some(id) = new.subnet_of(address) else {
            return false;
        };
        let Some(twin) = self.twins.0[id] else {
            return false;
        };
        let pools = || {
            let (old, new) = (self.old.pool_of(twin.id, address), new.pool_of(id, address));
            old.map(|pool| (&pool.classes, &pool.level))
                == new.map(|pool| (&pool.classes, &pool.level))
        };
        let allowed = match twin.hosts {
            Same::All => {
                let pools = (&self.old.pools[twin.id], &new.pools[id]);
                pools.0.contains(address) == pools.1.contains(address)
            }
            Same::Key => {
                let mac = mac_bytes(lease.chaddr);
                is_same_host((&self.old, twin.id), (new, id), address, mac)
            }
            Same::Nothing => false,
        };
        allowed && pools()
    }
}

fn is_same_host(
    (old, before): (&State, SubnetId),
    (new, id): (&State, SubnetId),
    address: Ipv4Addr,
    mac: Mac,
) -> bool {
    let host = new.reservation(id, mac);
    let allowed = match host.and_then(|host| host.address) {
        Some(own) => own == address,
        None => new.pools[id].contains(address),
    };
    allowed && old.reservation(before, mac) == host
}

fn twin(old: &State, new: &State, id: SubnetId) -> Option<Twin> {
    let own = new.subnet(id);
    let before = old.subnet_of(own.prefix.network())?;
    let around = (old.places.around(before), new.places.around(id));
    let alike = is_alike(old.subnet(before), own)
        && network_of(old, around.0).eq(network_of(new, around.1));
    alike.then(|| Twin {
        id: before,
        boots: old.subnet(before).policy == own.policy && old.config.server == new.config.server,
        hosts: around
            .0
            .iter()
            .zip(around.1)
            .map(|(old_id, new_id)| same(&old.subnet(*old_id).hosts, &new.subnet(*new_id).hosts))
            .fold(same(&old.config.hosts, &new.config.hosts), Same::and),
    })
}

/// What a reserved address in a shared network hangs on: which subnets are there, in their order,
/// and whom each lets in.
fn network_of<'a>(
    state: &'a State,
    around: &[SubnetId],
) -> impl Iterator<Item = (Ipv4Net, &'a [ClassId])> {
    let mut ids = around.to_vec();
    ids.sort_unstable();
    let subnets = ids.into_iter().map(|id| state.subnet(id));
    subnets.map(|subnet| (subnet.prefix, &*subnet.classes))
}

/// The subnets that are on a link, by what does not change with their order in the configuration.
fn on_link(state: &State, link: Link) -> impl Iterator<Item = Ipv4Net> {
    let ids = state.places.on(link).iter();
    ids.map(|id| state.subnet(*id).prefix)
}

impl Same {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, same) | (same, Self::All) => same,
            (Self::Key, Self::Key) => Self::Key,
            _ => Self::Nothing,
        }
    }
}

fn same(old: &Hosts, new: &Hosts) -> Same {
    if old == new {
        Same::All
    } else if old.are_by_mac() && new.are_by_mac() {
        Same::Key
    } else {
        Same::Nothing
    }
}

/// Hosts and pools apart, which are looked at for each lease.
fn is_alike(old: &Subnet, new: &Subnet) -> bool {
    old.prefix == new.prefix
        && old.interface == new.interface
        && old.vlan == new.vlan
        && old.server_address == new.server_address
        && old.classes == new.classes
        && old.policy.proxy == new.policy.proxy
        && old.times == new.times
        && old.lease_bounds == new.lease_bounds
        && old.options == new.options
        && old.boot == new.boot
}
