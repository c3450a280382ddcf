//! What a configuration means: defaults, levels, units, options.

use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp_userspace::config::model::{Boot, FastPathMode, Pool, Times};

use crate::config;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];

fn address(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn times(lease: u64, renew: u64, rebind: u64) -> Times {
    let [lease, renew, rebind] = [lease, renew, rebind].map(Duration::from_secs);
    Times {
        lease,
        renew,
        rebind,
    }
}

#[test]
fn a_subnet_is_all_that_is_needed() {
    let config = config("subnets: [{subnet: 10.0.0.0/24}]");
    assert_eq!(config.interfaces, [""; 0]);
    assert_eq!(config.server.workers, None);
    assert_eq!(config.server.state_dir.to_str(), Some("/var/lib/xdhcpd"));
    assert_eq!(
        config.server.control_socket.to_str(),
        Some("/run/xdhcpd/control.sock")
    );
    assert_eq!(config.server.metrics, None);
    assert_eq!(config.server.offer_hold, Duration::from_secs(10));
    assert_eq!(config.server.max_offers, 65536);
    assert_eq!(config.server.decline_hold, Duration::from_secs(86_400));
    assert_eq!(config.fast_path.mode, FastPathMode::Auto);
    assert_eq!(config.fast_path.reserve, 2.5);
    assert_eq!(
        config.fast_path.pin_dir.to_str(),
        Some("/sys/fs/bpf/xdhcpd")
    );
    assert_eq!(config.fast_path.capacity, None);
    let subnet = &config.subnets[0];
    assert_eq!(subnet.times, times(3600, 1800, 3150));
    assert!(!subnet.policy.authoritative && subnet.options.is_empty() && subnet.pools.is_empty());
    assert_eq!(
        (subnet.vlan, &subnet.interface, subnet.server_address),
        ([0, 0], &None, None)
    );
}

#[test]
fn times_come_from_the_nearest_level_and_a_lease_time_starts_anew() {
    let config = config(
        "defaults: {lease_time: 2h, renew_time: 20m}
subnets:
  - subnet: 10.0.0.0/24
    reservations:
      - {mac: 52:54:00:00:00:01, address: 10.0.0.1, rebind_time: 1h}
  - {subnet: 10.0.1.0/24, lease_time: 101s}
  - {subnet: 10.0.2.0/24, renew_time: 30m}
",
    );
    let of = |index: usize| config.subnets[index].times;
    assert_eq!(of(0), times(7200, 1200, 6300));
    assert_eq!(
        of(1),
        times(101, 50, 88),
        "rounded down, and no 20m of the defaults"
    );
    assert_eq!(of(2), times(7200, 1800, 6300));
    let host = config.subnets[0].hosts.by_mac(&MAC).unwrap();
    assert_eq!(host.level.times, Some(times(7200, 1200, 3600)));
}

#[test]
fn options_are_laid_over_those_of_the_level_around() {
    let config = config(
        "defaults: {options: {routers: 10.0.0.1, ntp-servers: [10.0.0.2, 10.0.0.3]}}
subnets:
  - subnet: 10.0.0.0/24
    options: {ntp-servers: [], domain-name: a.example}
    reservations:
      - mac: 52:54:00:00:00:01
        address: 10.0.0.1
        options: {3: 10.0.0.9, domain-search: {value: b.example, always-send: true}}
  - subnet: 10.0.1.0/24
",
    );
    let data = |options: &dhcp_userspace::config::model::Options| {
        let each = options
            .iter()
            .map(|(code, value)| (*code, value.data.clone()));
        each.collect::<Vec<_>>()
    };
    let subnet = &config.subnets[0];
    let name = (15, b"a.example".to_vec());
    assert_eq!(data(&subnet.options), [(3, vec![10, 0, 0, 1]), name]);
    let host = &subnet.hosts.by_mac(&MAC).unwrap().level.options;
    let own = |code| host[&code].as_ref().unwrap();
    assert_eq!(own(3).data, [10, 0, 0, 9]);
    assert_eq!(own(119).data, b"\x01b\x07example\0");
    assert!(own(119).always_send && !own(3).always_send);
    assert_eq!(host.len(), 2);
    let untouched = data(&config.subnets[1].options);
    assert_eq!(untouched[1], (42, vec![10, 0, 0, 2, 10, 0, 0, 3]));
}

#[test]
fn options_of_any_number_are_bytes_or_have_a_type() {
    let config = config(
        "subnets:
  - subnet: 10.0.0.0/24
    options:
      224: 0x0102
      225: 01:02
      226: {type: uint16, value: [1, 2]}
      227: {type: string, value: 1.10}
      228: {hex: 00ff}
      43: {hex: 0102, always-send: true}
      boot-file-name: x
",
    );
    let options = &config.subnets[0].options;
    assert_eq!(options[&224].data, [1, 2]);
    assert_eq!(options[&225].data, [1, 2]);
    assert_eq!(options[&226].data, [0, 1, 0, 2]);
    assert_eq!(options[&227].data, b"1.10");
    assert_eq!(options[&228].data, [0, 255]);
    assert_eq!(
        (options[&43].data.as_slice(), options[&43].always_send),
        (&[1, 2][..], true)
    );
    assert_eq!(options[&67].data, b"x");
}

#[test]
fn boot_fields_are_laid_over_one_by_one() {
    let config = config(
        "defaults: {boot: {next-server: 10.0.0.2, file: a.efi}}
subnets:
  - subnet: 10.0.0.0/24
    boot: {server-name: boot}
    reservations:
      - {mac: 52:54:00:00:00:01, address: 10.0.0.1, boot: {file: ''}}
      - {mac: 52:54:00:00:00:02, address: 10.0.0.3}
",
    );
    let boot = |file: &str| Boot {
        next_server: Some(address("10.0.0.2")),
        server_name: "boot".to_owned(),
        file: file.to_owned(),
        menu: None,
    };
    let subnet = &config.subnets[0];
    assert_eq!(subnet.boot, boot("a.efi"));
    let own = &subnet.hosts.by_mac(&MAC).unwrap().level;
    assert_eq!(subnet.boot.overridden(&own.boot), boot(""));
    let other = subnet.hosts.by_mac(&[0x52, 0x54, 0, 0, 0, 2]).unwrap();
    assert!(other.level.is_empty());
}

#[test]
fn the_place_of_a_subnet_in_the_network() {
    let config = config(
        "interfaces: [eth0]
server: {authoritative: true}
subnets:
  - {subnet: 10.0.1.0/24, authoritative: false, server_address: 192.0.2.1}
  - {subnet: 10.0.0.0/24, interface: eth0, vlan: [100, 200], server_address: 10.0.0.1}
  - {subnet: 10.0.2.0/31, interface: eth0, vlan: 5, pools: [10.0.2.0/31]}
",
    );
    let [first, second, third] = &config.subnets[..] else {
        panic!("three subnets")
    };
    assert_eq!(first.prefix.to_string(), "10.0.0.0/24", "ascending");
    assert_eq!(
        (first.vlan, first.interface.as_deref()),
        ([100, 200], Some("eth0"))
    );
    assert!(first.policy.authoritative && !second.policy.authoritative);
    assert_eq!(
        second.server_address,
        Some(address("192.0.2.1")),
        "may be relayed"
    );
    assert_eq!(third.vlan, [5, 0]);
    assert_eq!(
        third.pools,
        [Pool::open((address("10.0.2.0"), address("10.0.2.1")))]
    );
}

#[test]
fn pools_ascend_and_span_blocks_and_pages() {
    let config = config(
        "subnets:
  - subnet: 10.0.0.0/15
    pools: [10.1.0.0/23, 10.0.3.7, 10.0.0.200-10.0.2.9]
    reservations: [{mac: 52:54:00:00:00:01, address: 10.0.9.1}]
  - subnet: 10.2.0.0/24
    reservations: [{mac: 52:54:00:00:00:01, address: 10.2.0.1}]
",
    );
    let ranges: Vec<String> = config
        .addresses()
        .map(|(first, last)| format!("{first}-{last}"))
        .collect();
    assert_eq!(
        ranges,
        [
            "10.0.0.200-10.0.2.9",
            "10.0.3.7-10.0.3.7",
            "10.1.0.0-10.1.1.255",
            "10.0.9.1-10.0.9.1",
            "10.2.0.1-10.2.0.1",
        ]
    );
    assert_eq!((config.blocks(), config.pages()), (3 + 1 + 2 + 1 + 1, 3));
}

#[test]
fn a_key_without_a_value_is_as_if_it_were_not_there() {
    let bare = config("subnets: [{subnet: 10.0.0.0/24}]");
    let empty = config(
        "interfaces:
server:
  workers: ~
fast_path: {}
defaults: {options: , boot: null}
subnets:
  - {subnet: 10.0.0.0/24, pools: , vlan: , reservations: }
include:
",
    );
    assert_eq!(bare, empty);
}
