//! A number that tells whether two configurations answer every client alike.
//!
//! FNV-1a, because it must be the same in every process and every version.

use std::hash::{Hash, Hasher};

use super::model::{Config, Mac, Reservation, Subnet, Times};

pub(super) fn of(config: &Config) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    config.interfaces.hash(&mut hasher);
    let mut subnets: Vec<&Subnet> = config.subnets.iter().collect();
    subnets.sort_by_key(|subnet| subnet.prefix);
    for subnet in subnets {
        hash_subnet(subnet, &mut hasher);
    }
    hasher.finish()
}

fn hash_subnet(subnet: &Subnet, hasher: &mut Fnv) {
    subnet.prefix.hash(hasher);
    subnet.interface.hash(hasher);
    subnet.vlan.hash(hasher);
    subnet.server_address.hash(hasher);
    subnet.pools.hash(hasher);
    subnet.authoritative.hash(hasher);
    hash_times(&subnet.times, hasher);
    subnet.options.hash(hasher);
    subnet.boot.hash(hasher);
    let mut hosts: Vec<(&Mac, &Reservation)> = subnet.reservations.iter().collect();
    hosts.sort_by_key(|(mac, _)| **mac);
    hosts.len().hash(hasher);
    for (mac, host) in hosts {
        mac.hash(hasher);
        hash_host(host, hasher);
    }
}

fn hash_host(host: &Reservation, hasher: &mut Fnv) {
    host.address.hash(hasher);
    host.hostname.hash(hasher);
    host.times.is_some().hash(hasher);
    if let Some(times) = &host.times {
        hash_times(times, hasher);
    }
    host.options.hash(hasher);
    host.boot.hash(hasher);
}

fn hash_times(times: &Times, hasher: &mut Fnv) {
    times.lease.hash(hasher);
    times.renew.hash(hasher);
    times.rebind.hash(hasher);
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
