//! How much of the address space a configuration spans.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::error::Problem;
use super::model::Config;
use super::written::MAX_ADDRESSES;

/// Addresses in a block of the lease table.
pub(super) const BLOCK: u64 = dhcp_common::layout::BLOCK as u64;

impl Config {
    /// The inclusive ranges that pools and reservations span; a reservation in a pool is in both.
    pub fn addresses(&self) -> impl Iterator<Item = (Ipv4Addr, Ipv4Addr)> + '_ {
        self.subnets.iter().flat_map(|subnet| {
            let reserved = subnet.hosts.iter().filter_map(|host| host.address);
            let singles = reserved.map(|address| (address, address));
            let pools = subnet.pools.iter().map(|pool| (pool.first, pool.last));
            pools.chain(singles)
        })
    }

    /// Blocks of 256 addresses that the lease table needs.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        u32::try_from(block_count(self)).unwrap_or(u32::MAX)
    }

    /// Pages of 256 blocks that the lease table needs: the /16 networks that are touched.
    #[must_use]
    pub fn pages(&self) -> u32 {
        parts(self, 16).len() as u32
    }
}

pub(super) fn block_count(config: &Config) -> u64 {
    parts(config, 8).len() as u64
}

/// The networks of 2^`bits` addresses that are touched.
fn parts(config: &Config, bits: u32) -> BTreeSet<u32> {
    let part = |address: Ipv4Addr| address.to_bits() >> bits;
    let ranges = config.addresses();
    ranges
        .flat_map(|(first, last)| part(first)..=part(last))
        .collect()
}

pub(super) fn too_many(needed: u64) -> Problem {
    let what = format!(
        "pools and reservations span {needed} addresses in blocks of {BLOCK}, but the lease \
         table holds at most {MAX_ADDRESSES}"
    );
    Problem::new(what, "make the pools smaller")
}

pub(super) fn too_small(capacity: u32, needed: u64) -> Problem {
    let what = format!(
        "pools and reservations span {needed} addresses in blocks of {BLOCK}, but the capacity \
         is {capacity}"
    );
    Problem::new(what, format!("write {needed} or more, or auto"))
}
