//! What would be made of a client, as people read it.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::duration;
use crate::control::protocol::{Explained, FreePool};

#[must_use]
pub fn explain(told: &[Explained]) -> String {
    let subnets: Vec<String> = told.iter().map(subnet).collect();
    subnets.join("\n")
}

fn subnet(told: &Explained) -> String {
    let network = told.network.as_ref();
    let network = network.map_or_else(String::new, |name| format!(" (network {name})"));
    let mut page = format!("subnet {}{network}\n", told.subnet);
    let dash = || "-".to_owned();
    let address = |address: Option<Ipv4Addr>| address.map_or_else(dash, |it| it.to_string());
    let text = |text: &str| {
        if text.is_empty() {
            dash()
        } else {
            text.to_owned()
        }
    };
    let reserved = told.host.clone().unwrap_or_else(|| "unknown".to_owned());
    for (name, value) in [
        ("host", reserved),
        ("classes", text(&told.classes.join(", "))),
        ("ready-made", text(&told.ready_made.join(", "))),
        (
            "refused",
            told.refused.clone().unwrap_or_else(|| "no".to_owned()),
        ),
        ("address", address(told.address)),
        ("pool", told.pool.clone().unwrap_or_else(dash)),
        ("free", text(&free(&told.free))),
        ("lease time", duration(told.lease_secs)),
        ("next server", address(told.next_server)),
        ("boot file", text(&told.boot_file)),
    ] {
        let _ = writeln!(page, "  {name:<12} {value}");
    }
    page
}

fn free(pools: &[FreePool]) -> String {
    let pool = |pool: &FreePool| format!("{} in {}", pool.free, pool.pool);
    let pools: Vec<String> = pools.iter().map(pool).collect();
    pools.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_for_each_subnet() {
        let plain = Explained {
            subnet: "10.0.0.0/24".parse().unwrap(),
            network: None,
            host: None,
            classes: Vec::new(),
            ready_made: vec!["pxe".into(), "unknown".into()],
            refused: Some("wrong-class".into()),
            address: None,
            pool: None,
            free: Vec::new(),
            lease_secs: 3600,
            next_server: None,
            boot_file: String::new(),
        };
        let full = Explained {
            network: Some("floor1".into()),
            host: Some("52:54:00:00:00:01".into()),
            classes: vec!["ipxe".into(), "gpu".into()],
            refused: None,
            address: Some([10, 0, 0, 7].into()),
            pool: Some("10.0.0.1-10.0.0.9".into()),
            next_server: Some([10, 0, 0, 2].into()),
            boot_file: "ipxe.efi".into(),
            ..plain.clone()
        };
        let free = |range: &str, free| FreePool {
            pool: range.into(),
            free,
        };
        let new = Explained {
            free: vec![free("10.0.0.5-10.0.0.9", 0), free("10.0.0.1-10.0.0.4", 3)],
            refused: None,
            ..plain.clone()
        };
        let want = "subnet 10.0.0.0/24 (network floor1)
  host         52:54:00:00:00:01
  classes      ipxe, gpu
  ready-made   pxe, unknown
  refused      no
  address      10.0.0.7
  pool         10.0.0.1-10.0.0.9
  free         -
  lease time   1h 0m
  next server  10.0.0.2
  boot file    ipxe.efi

subnet 10.0.0.0/24
  host         unknown
  classes      -
  ready-made   pxe, unknown
  refused      wrong-class
  address      -
  pool         -
  free         -
  lease time   1h 0m
  next server  -
  boot file    -
";
        assert_eq!(explain(&[full, plain]), want);
        let page = explain(&[new]);
        let line = "  free         0 in 10.0.0.5-10.0.0.9, 3 in 10.0.0.1-10.0.0.4\n";
        assert!(page.contains(line), "{page}");
    }
}
