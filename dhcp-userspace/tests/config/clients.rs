//! Classes, host groups and hosts.

use std::time::Duration;

use dhcp_userspace::class::{ClassId, Test, ready};
use dhcp_userspace::config::model::{Config, Hosts, Identifier, Reservation, Times};
use serde_json::json;

use crate::{config, errors};

const SUBNET: &str = "subnets: [{subnet: 10.0.0.0/24}]\n";

fn names(config: &Config) -> Vec<&str> {
    let names = config.classes.iter().map(|class| class.name.as_str());
    names.collect()
}

fn host<'a>(hosts: &'a Hosts, identifier: &str) -> &'a Reservation {
    let mut all = hosts.iter();
    let found = all.find(|host| host.identifier.to_string() == identifier);
    found.unwrap_or_else(|| panic!("no {identifier}"))
}

#[test]
fn classes_are_the_ready_made_ones_that_are_used_and_then_those_defined() {
    let config = config(
        "classes:
  - {name: ipxe, boot: {file: boot.ipxe}}
  - {name: mine, test: \"member('ipxe') and not member('bios')\", lease_time: 5m}
  - {name: given, options: {routers: []}}
  - {name: pxe, match: {vendor-class: Acme}}
  - {name: odd, ignore: true, test: \"not member('mine')\"}
subnets:
  - subnet: 10.0.0.0/24
    classes: [known, pxe]
    pools: [{range: 10.0.0.9, classes: [uefi-x64]}]
    reservations: [{mac: 52:54:00:00:00:01, classes: [given, u-boot]}]
",
    );
    assert_eq!(
        names(&config),
        [
            "uefi-x64", "u-boot", "known", "ipxe", "mine", "given", "pxe", "odd"
        ]
    );
    let test = |index: usize| config.classes[index].test.clone();
    assert_eq!(test(0), ready::test("uefi-x64"));
    assert_eq!(test(3), ready::test("ipxe"), "by its name alone");
    let text = "member('ipxe') and not member('bios')";
    let known = |name: &str| (name == "ipxe").then_some(ClassId(3));
    assert_eq!(test(4), Test::parse(text, &known, &|_| None).ok());
    assert_eq!(test(5), None, "of hosts only");
    assert_ne!(test(6), ready::test("pxe"), "a definition takes its place");
    assert_eq!(
        config.classes[4].level.times,
        Some(Times::of(Duration::from_secs(300)))
    );
    assert_eq!(config.classes[5].level.options[&3], None);
    assert!(config.classes[7].ignore);
    let subnet = &config.subnets[0];
    assert_eq!(subnet.classes, [ClassId(2), ClassId(6)]);
    assert_eq!(subnet.pools[0].classes, [ClassId(0)]);
    let own = host(&subnet.hosts, "52:54:00:00:00:01");
    assert_eq!(own.classes, [ClassId(5), ClassId(1)]);
}

#[test]
fn a_match_is_all_of_its_keys_and_any_of_their_values() {
    let config = config(
        &format!(
            "classes:
  - name: all
    match:
      arch: [7, 9]
      vendor-class: PXEClient*
      user-class: iPXE
      mac: ['52:54:00:*', 52:54:01:00:00:01]
      circuit-id: sw1/*
      remote-id: 0x00ff
      relay: [10.1.0.0/16, 10.2.0.1]
      option: {{60: x*, etherboot: exists}}
{SUBNET}"
        )
        .replace("etherboot", "175"),
    );
    let one = |test: Test| Test::any(vec![test]);
    let net = |text: &str| Test::relay(text.parse().unwrap());
    let expected = Test::all(vec![
        Test::any(vec![Test::arch(7), Test::arch(9)]),
        one(Test::vendor_class("PXEClient*")),
        one(Test::user_class("iPXE")),
        Test::any(vec![
            Test::mac("52:54:00:*").unwrap(),
            Test::mac("52:54:01:00:00:01").unwrap(),
        ]),
        one(Test::circuit_id("sw1/*").unwrap()),
        one(Test::remote_id("0x00ff").unwrap()),
        Test::any(vec![net("10.1.0.0/16"), net("10.2.0.1/32")]),
        one(Test::option(60, Some("x*")).unwrap()),
        one(Test::option(175, None).unwrap()),
    ]);
    assert_eq!(config.classes[0].test, Some(expected));
}

#[test]
fn there_are_at_most_512_classes() {
    let classes = |count: usize| {
        let each = (0..count).map(|class| format!("  - {{name: c{class}}}\n"));
        let each: String = each.collect();
        format!("classes:\n{each}subnets: [{{subnet: 10.0.0.0/24, classes: [known]}}]")
    };
    assert_eq!(config(&classes(511)).classes.len(), 512);
    assert_eq!(
        errors(&classes(512)),
        "dhcp.yaml:513:5: classes[511]: more than 512 classes, the ready-made ones included; \
         put hosts with the same settings into a host group"
    );
}

#[test]
fn a_host_is_known_by_one_of_several_things() {
    let config = config(&format!(
        "reservations:
  - {{mac: 52:54:00:00:00:01}}
  - {{client-id: text:one}}
  - {{client-id: 01:52:54:00:00:00:01}}
  - {{uuid: 00112233-4455-6677-8899-aabbccddeeff}}
  - {{circuit-id: sw1/7}}
  - {{remote-id: 0x0102}}
  - {{match: {{arch: 7}}}}
  - {{test: \"option[60].exists\"}}
{SUBNET}"
    ));
    let told = config.hosts.iter().map(|host| host.identifier.to_string());
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "52:54:00:00:00:01",
            "client-id 00:6f:6e:65",
            "client-id 01:52:54:00:00:00:01",
            "uuid 33:22:11:00:55:44:77:66:88:99:aa:bb:cc:dd:ee:ff",
            "circuit-id 73:77:31:2f:37",
            "remote-id 01:02",
            "clients that match a test",
            "clients that match a test",
        ]
    );
    let last = config.hosts.iter().last().unwrap();
    let test = Test::parse("option[60].exists", &|_| None, &|_| None).unwrap();
    assert_eq!(last.identifier, Identifier::Test(test.into()));
}

#[test]
fn hosts_belong_to_a_subnet_by_their_address_or_to_all() {
    let config = config(
        "subnets:
  - {subnet: 10.0.0.0/24, reservations: [{mac: 52:54:00:00:00:01, hostname: any}]}
  - {subnet: 10.0.1.0/24}
reservations:
  - {mac: 52:54:00:00:00:01, address: 10.0.1.7}
  - {mac: 52:54:00:00:00:01, lease_time: 5m}
  - {mac: 52:54:00:00:00:02, hostname: two}
",
    );
    let address = |hosts: &Hosts| host(hosts, "52:54:00:00:00:01").address;
    assert_eq!(address(&config.subnets[0].hosts), None, "from its pools");
    assert_eq!(
        address(&config.subnets[1].hosts),
        Some("10.0.1.7".parse().unwrap())
    );
    assert_eq!(config.hosts.len(), 2);
    let times = host(&config.hosts, "52:54:00:00:00:01").level.times;
    assert_eq!(times, Some(Times::of(Duration::from_secs(300))));
    let second = host(&config.hosts, "52:54:00:00:00:02");
    assert_eq!(second.hostname.as_deref(), Some("two"));
}

#[test]
fn host_groups_inherit_from_each_other_and_hosts_from_them() {
    let config = config(
        "classes: [{name: a}, {name: b}]
host_groups:
  - name: gpu
    group: compute
    options: {routers: [], domain-name: gpu.example}
    boot: {file: gpu.efi}
    classes: [b]
    metadata: {rack: 7, role: gpu}
    reservations:
      - {mac: 52:54:00:00:00:01, address: 10.0.0.7, metadata: {rack: 8}, boot: {file: ''}}
      - {mac: 52:54:00:00:00:02}
  - name: compute
    lease_time: 2h
    options: {routers: 10.0.0.1, ntp-servers: 10.0.0.2}
    boot: {next-server: 10.0.0.2, file: c.efi}
    classes: [a]
    metadata: {rack: 1, site: x}
subnets:
  - subnet: 10.0.0.0/24
    reservations: [{mac: 52:54:00:00:00:03, group: compute, classes: [b, a], rebind_time: 90m}]
",
    );
    let subnet = &config.subnets[0];
    let first = host(&subnet.hosts, "52:54:00:00:00:01");
    assert_eq!(first.level.options[&3], None);
    assert_eq!(
        first.level.options.keys().collect::<Vec<_>>(),
        [&3, &15, &42]
    );
    assert_eq!(first.level.boot.file.as_deref(), Some(""));
    assert!(first.level.boot.next_server.is_some());
    assert_eq!(
        first.level.times,
        Some(Times::of(Duration::from_secs(7200)))
    );
    assert_eq!(first.classes, [ClassId(0), ClassId(1)]);
    let metadata = json!(first.metadata.get());
    assert_eq!(metadata, json!({"rack": 8, "role": "gpu", "site": "x"}));
    let second = host(&config.hosts, "52:54:00:00:00:02");
    assert_eq!(second.level.boot.file.as_deref(), Some("gpu.efi"));
    let third = host(&subnet.hosts, "52:54:00:00:00:03");
    let times = third.level.times.unwrap();
    assert_eq!(
        (times.lease.as_secs(), times.rebind.as_secs()),
        (7200, 5400)
    );
    assert_eq!(third.classes, [ClassId(0), ClassId(1)]);
}

#[test]
fn metadata_is_anything() {
    let config = config(&format!(
        "reservations:
  - mac: 52:54:00:00:00:01
    metadata:
      number: 7
      text: '7'
      code: 007
      share: 0.5
      yes: true
      none: ~
      mac: 52:54:00:00:00:01
      list: [a, {{b: -1}}]
{SUBNET}"
    ));
    let metadata = json!(host(&config.hosts, "52:54:00:00:00:01").metadata.get());
    assert_eq!(
        metadata,
        json!({
            "number": 7, "text": "7", "code": "007", "share": 0.5, "yes": true, "none": null,
            "mac": "52:54:00:00:00:01", "list": ["a", {"b": -1}],
        })
    );
}
