//! What a reload tells and compares: differences and the fingerprint.

use dhcp_userspace::config::diff;

use crate::config;

const BEFORE: &str = "
subnets:
  - subnet: 10.0.0.0/24
    pools: [10.0.0.100-10.0.0.199]
    options: {routers: 10.0.0.1, domain-name: a.example}
    reservations:
      - {mac: 52:54:00:00:00:01, address: 10.0.0.1, hostname: one}
      - {mac: 52:54:00:00:00:02, address: 10.0.0.2}
  - subnet: 10.0.1.0/24
    pools: [10.0.1.7]
";

const FINGERPRINT: u64 = 6_666_812_972_097_258_891;

const AFTER: &str = "
interfaces: [eth0]
server: {metrics: 127.0.0.1:9547, workers: 2}
fast_path: {mode: off}
subnets:
  - subnet: 10.0.0.0/24
    interface: eth0
    vlan: [1, 2]
    pools: [10.0.0.100-10.0.0.150]
    lease_time: 2h
    options: {routers: 10.0.0.3, ntp-servers: {value: 10.0.0.3, always-send: true}}
    boot: {file: a.efi}
    reservations:
      - {mac: 52:54:00:00:00:01, address: 10.0.0.4, options: {domain-name: b.example}}
      - {mac: 52:54:00:00:00:03, address: 10.0.0.2}
  - subnet: 10.0.2.0/24
";

#[test]
fn a_difference_is_told_in_the_words_of_the_configuration() {
    assert_eq!(
        diff(&config(BEFORE), &config(AFTER)),
        [
            "interfaces: none -> eth0",
            "server.workers: auto -> 2",
            "server.metrics: none -> 127.0.0.1:9547",
            "fast_path.mode: auto -> off",
            "subnet 10.0.0.0/24: interface: none -> eth0",
            "subnet 10.0.0.0/24: vlan: none -> [1, 2]",
            "subnet 10.0.0.0/24: pool 10.0.0.100-10.0.0.199 removed",
            "subnet 10.0.0.0/24: pool 10.0.0.100-10.0.0.150 added",
            "subnet 10.0.0.0/24: lease_time: 1h -> 2h",
            "subnet 10.0.0.0/24: renew_time: 30m -> 1h",
            "subnet 10.0.0.0/24: rebind_time: 52m30s -> 1h45m",
            "subnet 10.0.0.0/24: option routers: 10.0.0.1 -> 10.0.0.3",
            "subnet 10.0.0.0/24: option domain-name: a.example -> none",
            "subnet 10.0.0.0/24: option ntp-servers: none -> 10.0.0.3 (always sent)",
            "subnet 10.0.0.0/24: boot.file: none -> a.efi",
            "subnet 10.0.0.0/24: reservation 52:54:00:00:00:01: address: 10.0.0.1 -> 10.0.0.4",
            "subnet 10.0.0.0/24: reservation 52:54:00:00:00:01: hostname: one -> none",
            "subnet 10.0.0.0/24: reservation 52:54:00:00:00:01: option domain-name: \
             the subnet's -> b.example",
            "subnet 10.0.0.0/24: reservation 52:54:00:00:00:02: removed (10.0.0.2)",
            "subnet 10.0.0.0/24: reservation 52:54:00:00:00:03: added (10.0.0.2)",
            "subnet 10.0.1.0/24: removed (pools: 10.0.1.7; reservations: 0)",
            "subnet 10.0.2.0/24: added (pools: none; reservations: 0)",
        ]
    );
}

#[test]
fn equal_configurations_do_not_differ() {
    assert_eq!(diff(&config(BEFORE), &config(BEFORE)), [""; 0]);
}

#[test]
fn what_all_hosts_of_a_subnet_inherit_is_told_once() {
    let text = |domain: &str| {
        format!(
            "subnets:
  - subnet: 10.0.0.0/24
    options: {{domain-name: {domain}}}
    reservations: [{{mac: 52:54:00:00:00:01, address: 10.0.0.1, options: {{root-path: /}}}}]
"
        )
    };
    assert_eq!(
        diff(&config(&text("a.example")), &config(&text("b.example"))),
        ["subnet 10.0.0.0/24: option domain-name: a.example -> b.example"]
    );
}

#[test]
fn the_fingerprint_is_the_same_in_every_process() {
    assert_eq!(config(BEFORE).fingerprint, FINGERPRINT);
}

#[test]
fn the_fingerprint_is_about_answers_only() {
    let mut seen = vec![config(BEFORE).fingerprint];
    for (from, to) in [
        ("a.example", "b.example"),
        ("10.0.0.199", "10.0.0.198"),
        ("hostname: one", "hostname: two"),
        ("hostname: one", "lease_time: 2h"),
        ("00:02", "00:03"),
        ("    pools: [10.0.1.7]", "    authoritative: true"),
        ("    pools: [10.0.1.7]", "    server_address: 10.0.1.1"),
        ("    pools: [10.0.1.7]", "    interface: eth0"),
        ("    pools: [10.0.1.7]", "    boot: {file: a}"),
        ("    pools: [10.0.1.7]", "    lease_time: 2h"),
        (
            "routers: 10.0.0.1",
            "routers: {value: 10.0.0.1, always-send: true}",
        ),
    ] {
        let changed = BEFORE.replace(from, to);
        assert_ne!(changed, BEFORE, "{from}");
        let fingerprint = config(&changed).fingerprint;
        assert!(!seen.contains(&fingerprint), "{from} -> {to}");
        seen.push(fingerprint);
    }
    let other =
        format!("server: {{workers: 3, metrics: 127.0.0.1:1}}\nfast_path: {{mode: off}}{BEFORE}");
    assert_eq!(config(&other).fingerprint, seen[0]);
    let (first, second) = BEFORE.split_once("  - subnet: 10.0.1.0").unwrap();
    let head = "\nsubnets:\n";
    let swapped = format!(
        "{head}  - subnet: 10.0.1.0{second}{}",
        first.strip_prefix(head).unwrap()
    );
    assert_eq!(
        config(&swapped).fingerprint,
        seen[0],
        "the order of subnets does not matter"
    );
}
