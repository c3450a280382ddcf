//! A number that tells whether two configurations answer every client alike.
//!
//! FNV-1a, because it must be the same in every process.

use std::hash::{Hash, Hasher};

use super::model::{Config, Hosts, Subnet};

pub(super) fn of(config: &Config) -> u64 {
    let mut fnv = Fnv::new();
    let Config {
        interfaces,
        server,
        boot,
        classes,
        networks,
        ..
    } = config;
    (interfaces, boot, classes, networks).hash(&mut fnv);
    (server.serve_local, server.serve_relayed).hash(&mut fnv);
    (&server.allowed_relays, server.forcerenew).hash(&mut fnv);
    of_hosts(&config.hosts).hash(&mut fnv);
    let mut subnets: Vec<&Subnet> = config.subnets.iter().collect();
    subnets.sort_by_key(|subnet| subnet.prefix);
    for subnet in subnets {
        hash_subnet(subnet, &mut fnv);
    }
    fnv.finish()
}

fn hash_subnet(subnet: &Subnet, fnv: &mut Fnv) {
    let Subnet {
        prefix,
        interface,
        vlan,
        server_address,
        network,
        relays,
        classes,
        pools,
        policy,
        times,
        lease_bounds,
        options,
        boot,
        hosts,
    } = subnet;
    (prefix, interface, vlan, server_address, network, relays).hash(fnv);
    (classes, pools, policy, times, lease_bounds, options, boot).hash(fnv);
    of_hosts(hosts).hash(fnv);
}

/// In whatever order they are written.
fn of_hosts(hosts: &Hosts) -> u64 {
    hosts.iter().fold(hosts.len() as u64, |sum, host| {
        let mut fnv = Fnv::new();
        host.hash(&mut fnv);
        sum.wrapping_add(fnv.finish())
    })
}

struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

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
