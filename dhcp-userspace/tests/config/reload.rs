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

const FINGERPRINT: u64 = 6_857_987_116_107_453_213;

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
            "subnet 10.0.0.0/24: pool 10.0.0.100-10.0.0.150 added",
            "subnet 10.0.0.0/24: pool 10.0.0.100-10.0.0.199 removed",
            "subnet 10.0.0.0/24: lease_time: 1h -> 2h",
            "subnet 10.0.0.0/24: option routers: 10.0.0.1 -> 10.0.0.3",
            "subnet 10.0.0.0/24: option domain-name: a.example -> none",
            "subnet 10.0.0.0/24: option ntp-servers: none -> 10.0.0.3 (always sent)",
            "subnet 10.0.0.0/24: boot.file: none -> a.efi",
            "subnet 10.0.0.0/24: reservation 52:54:00:00:00:01: address: 10.0.0.1 -> 10.0.0.4",
            "subnet 10.0.0.0/24: reservation 52:54:00:00:00:01: hostname: one -> none",
            "subnet 10.0.0.0/24: reservation 52:54:00:00:00:01: option domain-name: \
             inherited -> b.example",
            "subnet 10.0.0.0/24: reservation 52:54:00:00:00:02: removed (10.0.0.2)",
            "subnet 10.0.0.0/24: reservation 52:54:00:00:00:03: added (10.0.0.2)",
            "subnet 10.0.1.0/24: removed (pools: 10.0.1.7; reservations: 0)",
            "subnet 10.0.2.0/24: added (pools: none; reservations: 0)",
        ]
    );
}

/// What follows from the lease time is no line beside it; what is set is one.
#[test]
fn one_change_is_one_line() {
    let with = |times: &str| {
        let pools = "pools: [10.0.0.100-10.0.0.199]";
        config(&format!(
            "subnets: [{{subnet: 10.0.0.0/24, {pools}, {times}}}]\n"
        ))
    };
    let told = |old: &str, new: &str| diff(&with(old), &with(new));
    let hour = "lease_time: 1h";
    assert_eq!(
        told(hour, "lease_time: 2h"),
        ["subnet 10.0.0.0/24: lease_time: 1h -> 2h"]
    );
    assert_eq!(
        told(hour, "lease_time: 1h, renew_time: 10m, max_lease_time: 1d"),
        [
            "subnet 10.0.0.0/24: renew_time: half of lease_time -> 10m",
            "subnet 10.0.0.0/24: max_lease_time: lease_time -> 1d",
        ]
    );
    assert_eq!(
        told(
            "lease_time: 1h, min_lease_time: 1h",
            "lease_time: 2h, min_lease_time: 1h"
        ),
        [
            "subnet 10.0.0.0/24: lease_time: 1h -> 2h",
            "subnet 10.0.0.0/24: min_lease_time: lease_time -> 1h",
        ]
    );
}

#[test]
fn what_many_subnets_inherit_is_told_once() {
    let with = |count: u8, lease: &str| {
        let subnet = |at| format!("  - {{subnet: 10.0.{at}.0/24, pools: [10.0.{at}.9]}}\n");
        let subnets: String = (0..count).map(subnet).collect();
        config(&format!(
            "defaults: {{lease_time: {lease}}}\nsubnets:\n{subnets}"
        ))
    };
    let many = "6 subnets (10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24, ...): lease_time: 1h -> 2h";
    assert_eq!(diff(&with(6, "1h"), &with(6, "2h")), [many]);
    let few = diff(&with(5, "1h"), &with(5, "2h"));
    assert_eq!(few.len(), 5);
    assert_eq!(few[4], "subnet 10.0.4.0/24: lease_time: 1h -> 2h");
}

const WITH_CLASSES: &str = "
server: {allowed_relays: [10.0.0.0/8]}
guard: {unknown_rate: 5000}
boot: {root: /srv/boot}
classes:
  - {name: gpu, match: {arch: 7}, lease_time: 5m}
  - {name: odd, test: \"option[60].exists\"}
  - {name: old, ignore: true}
networks:
  - {name: rack1, subnets: [{subnet: 10.0.0.0/24, pools: [{range: 10.0.0.10, classes: [gpu]}]}]}
subnets:
  - {subnet: 10.0.1.0/24, conflict_check: on, relays: [10.0.9.1]}
  - {subnet: 10.0.2.0/24, network: rack1}
host_groups:
  - name: compute
    boot: {file: a.efi}
    reservations: &hosts [{client-id: text:one}, {mac: 52:54:00:00:00:01, metadata: {rack: 7}}]
reservations: [{mac: 52:54:00:00:00:02, classes: [gpu]}]
";

const OTHER_CLASSES: &str = "
server: {serve_local: false}
guard: {enabled: false}
boot: {root: /srv/files, http: off}
leasequery: {allowed: [10.0.0.2], bulk: true}
classes:
  - {name: odd, test: \"option[61].exists\", options: {routers: []}}
  - {name: gpu, match: {arch: 7}, lease_time: 10m}
  - {name: new}
networks:
  - {name: rack2, subnets: [{subnet: 10.0.0.0/24, pools: [{range: 10.0.0.10, classes: [odd], lease_time: 1m}]}]}
subnets:
  - {subnet: 10.0.1.0/24, classes: [unknown], bootp: reserved}
  - {subnet: 10.0.2.0/24, network: rack2, boot: {menu: {timeout: 5s, items: [{text: Disk}, {text: Net, file: n.efi}]}}}
host_groups:
  - name: compute
    boot: {file: b.efi, server-name: ''}
    reservations: [{client-id: text:one}, {mac: 52:54:00:00:00:01, metadata: {rack: 8}}]
reservations: [{mac: 52:54:00:00:00:02, classes: [new]}]
";

#[test]
fn a_difference_is_told_of_every_part() {
    let told = diff(&config(WITH_CLASSES), &config(OTHER_CLASSES));
    assert_eq!(
        told,
        [
            "server.serve_local: true -> false",
            "server.allowed_relays: 10.0.0.0/8 -> all",
            "guard.enabled: true -> false",
            "guard.unknown_rate: 5000 -> auto",
            "boot.root: /srv/boot -> /srv/files",
            "boot.http: 0.0.0.0:80 -> off",
            "leasequery.allowed: nobody -> 10.0.0.2",
            "leasequery.bulk: false -> true",
            "class old removed",
            "class unknown added",
            "class odd: test changed",
            "class odd: option routers: inherited -> taken away",
            "class gpu: lease_time: 5m -> 10m",
            "class new added",
            "order of classes: gpu, odd -> odd, gpu",
            "network rack1 removed",
            "network rack2 added",
            "subnet 10.0.0.0/24: network: rack1 -> rack2",
            "subnet 10.0.0.0/24: pool 10.0.0.10: classes: gpu -> odd",
            "subnet 10.0.0.0/24: pool 10.0.0.10: lease_time: inherited -> 1m",
            "subnet 10.0.1.0/24: relays: 10.0.9.1 -> none",
            "subnet 10.0.1.0/24: classes: none -> unknown",
            "subnet 10.0.1.0/24: bootp: off -> reserved",
            "subnet 10.0.1.0/24: conflict_check: {wait: 500ms, reservations: false} -> off",
            "subnet 10.0.2.0/24: network: rack1 -> rack2",
            "subnet 10.0.2.0/24: boot.menu: none -> \"\", 5s: Disk, Net (n.efi)",
            "reservation 52:54:00:00:00:01: boot.file: a.efi -> b.efi",
            "reservation 52:54:00:00:00:01: boot.server-name: inherited -> taken away",
            "reservation 52:54:00:00:00:01: metadata: {\"rack\":7} -> {\"rack\":8}",
            "reservation 52:54:00:00:00:02: classes: gpu -> new",
            "reservation client-id 00:6f:6e:65: boot.file: a.efi -> b.efi",
            "reservation client-id 00:6f:6e:65: boot.server-name: inherited -> taken away",
        ]
    );
}

#[test]
fn what_many_hosts_change_alike_is_told_once() {
    let hosts = |count: usize, file: &str| {
        let each = (0..count).map(|host| format!("{{mac: 52:54:00:00:00:{host:02x}}}, "));
        let hosts: String = each.collect();
        config(&format!(
            "subnets: [{{subnet: 10.0.0.0/24}}]
host_groups: [{{name: all, boot: {{file: {file}}}, reservations: [{hosts}]}}]"
        ))
    };
    assert_eq!(
        diff(&hosts(30, "a.efi"), &hosts(51, "b.efi")),
        [
            "30 reservations (52:54:00:00:00:00, 52:54:00:00:00:01, 52:54:00:00:00:02, ...): \
             boot.file: a.efi -> b.efi",
            "21 reservations added (52:54:00:00:00:1e, 52:54:00:00:00:1f, 52:54:00:00:00:20, ...)",
        ]
    );
    assert_eq!(diff(&hosts(2, "a.efi"), &hosts(1, "b.efi")).len(), 2);
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

/// Changes after which some client is answered otherwise.
const ANSWERS: &[(&str, &str)] = &[
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
    ("    pools: [10.0.1.7]", "    max_lease_time: 2h"),
    ("    pools: [10.0.1.7]", "    proxy: true"),
    ("    pools: [10.0.1.7]", "    offer_delay: 50ms"),
    ("    pools: [10.0.1.7]", "    conflict_check: on"),
    ("    pools: [10.0.1.7]", "    relays: [10.0.1.1]"),
    ("    pools: [10.0.1.7]", "    classes: [known]"),
    (
        "    pools: [10.0.1.7]",
        "    pools: [{range: 10.0.1.7, lease_time: 1m}]",
    ),
    (
        "    pools: [10.0.1.7]",
        "    boot: {menu: {items: [{text: a}]}}",
    ),
    (
        "\nsubnets:",
        "\nnetworks: [{name: a, subnets: [{subnet: 10.0.9.0/24}]}]\nsubnets:",
    ),
    (
        "\nsubnets:",
        "\nclasses: [{name: a, ignore: true}]\nsubnets:",
    ),
    (
        "\nsubnets:",
        "\nreservations: [{mac: 52:54:00:00:00:09}]\nsubnets:",
    ),
    (
        "\nsubnets:",
        "\nreservations: [{mac: 52:54:00:00:00:09, metadata: {a: 1}}]\nsubnets:",
    ),
    ("\nsubnets:", "\nserver: {serve_local: false}\nsubnets:"),
    (
        "\nsubnets:",
        "\nserver: {allowed_relays: [10.0.0.1]}\nsubnets:",
    ),
    (
        "routers: 10.0.0.1",
        "routers: {value: 10.0.0.1, always-send: true}",
    ),
];

/// The same bytes are no change, whatever they are called.
#[test]
fn options_that_are_defined_are_told_by_their_names() {
    let text = |definition: &str, option: &str| {
        let definitions = format!("option_definitions: [{definition}]");
        let pool = format!("{{range: 10.0.0.9, options: {{{option}}}}}");
        let host = format!("{{mac: 52:54:00:00:00:01, options: {{{option}}}}}");
        config(&format!(
            "{definitions}\nclasses: [{{name: a, options: {{{option}}}}}]\nsubnets:\n  \
             - {{subnet: 10.0.0.0/24, options: {{{option}}}, pools: [{pool}], reservations: [{host}]}}\n"
        ))
    };
    let rack = "{code: 224, name: rack, type: [uint16, string]}";
    let old = text(rack, "rack: [7, left]");
    assert_eq!(
        diff(&old, &text(rack, "rack: [8, left]")),
        [
            "class a: option rack: 7, left -> 8, left",
            "subnet 10.0.0.0/24: pool 10.0.0.9: option rack: 7, left -> 8, left",
            "subnet 10.0.0.0/24: option rack: 7, left -> 8, left",
            "subnet 10.0.0.0/24: reservation 52:54:00:00:00:01: option rack: 7, left -> 8, left",
        ]
    );
    let renamed = "{code: 224, name: row, type: [uint16, string]}";
    let none: [&str; 0] = [];
    assert_eq!(diff(&old, &text(renamed, "row: [7, left]")), none);
    let gone = diff(&old, &text("", "domain-name: x"));
    assert!(
        gone.contains(&"class a: option rack: 7, left -> inherited".to_owned()),
        "{gone:?}"
    );
}

#[test]
fn the_fingerprint_is_about_answers_only() {
    let mut seen = vec![config(BEFORE).fingerprint];
    for (from, to) in ANSWERS {
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
