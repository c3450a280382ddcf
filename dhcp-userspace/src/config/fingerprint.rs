//! A number that tells whether two configurations answer every client alike.
//!
//! FNV-1a, because it must be the same in every process and every version.

use std::fmt::{self, Write};

use super::model::{Config, Hosts, Subnet};

pub(super) fn of(config: &Config) -> u64 {
    let mut fnv = Fnv::new();
    let mut subnets: Vec<&Subnet> = config.subnets.iter().collect();
    subnets.sort_by_key(|subnet| subnet.prefix);
    let hosts = of_hosts(&config.hosts);
    let Config {
        interfaces,
        server,
        classes,
        networks,
        ..
    } = config;
    let relays = (
        server.serve_local,
        server.serve_relayed,
        &server.allowed_relays,
    );
    // What is shown of a value tells it whole: the types of the model have no other content.
    let _ = write!(
        fnv,
        "{interfaces:?}{relays:?}{classes:?}{networks:?}{hosts}"
    );
    for subnet in subnets {
        hash_subnet(subnet, &mut fnv);
    }
    fnv.0
}

fn hash_subnet(subnet: &Subnet, fnv: &mut Fnv) {
    let known = of_hosts(&subnet.hosts);
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
        hosts: _,
    } = subnet;
    let place = (prefix, interface, vlan, server_address, network, relays);
    let terms = (policy, times, lease_bounds, options, boot);
    let _ = write!(fnv, "{place:?}{classes:?}{pools:?}{terms:?}{known}");
}

/// In whatever order they are written.
fn of_hosts(hosts: &Hosts) -> u64 {
    hosts.iter().fold(hosts.len() as u64, |sum, host| {
        let mut fnv = Fnv::new();
        let _ = write!(fnv, "{host:?}");
        sum.wrapping_add(fnv.0)
    })
}

struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}
