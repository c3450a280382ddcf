//! What is served, to whom and how: the server, shared networks, pools, policies.

use std::time::Duration;

use dhcp_userspace::config::model::{
    Bootp, ConflictCheck, FileService, Guard, Leasequery, Menu, MenuItem, Policy, Rate, Times,
};

use crate::config;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn services_are_off_or_have_defaults() {
    let bare = config("subnets: [{subnet: 10.0.0.0/24}]");
    assert_eq!((bare.guard, bare.boot), (Guard::default(), None));
    assert_eq!(bare.leasequery, Leasequery::default());
    let set = config(
        "boot: {root: /srv/boot}
guard: {enabled: false, unknown_rate: 5000, misbehaving_threshold: 20, misbehaving_hold: 1m, \
         suspicious_hold: 2m, offers_per_circuit: 8}
leasequery: {allowed: [10.0.0.0/8, 192.0.2.1], bulk: true}
server: {serve_local: false, allowed_relays: [10.1.0.0/16, 10.2.0.1], forcerenew: false}
subnets: [{subnet: 10.0.0.0/24}]",
    );
    let service = FileService {
        root: "/srv/boot".into(),
        tftp: Some("0.0.0.0:69".parse().unwrap()),
        http: Some("0.0.0.0:80".parse().unwrap()),
        max_transfers: 4096,
    };
    assert_eq!(set.boot, Some(service));
    let guard = Guard {
        enabled: false,
        unknown_rate: Rate::PerSecond(5000),
        misbehaving_threshold: 20,
        misbehaving_hold: MINUTE,
        suspicious_hold: 2 * MINUTE,
        offers_per_circuit: 8,
    };
    assert_eq!(set.guard, guard);
    let shown = |nets: &[ipnet::Ipv4Net]| format!("{nets:?}");
    assert_eq!(shown(&set.leasequery.allowed), "[10.0.0.0/8, 192.0.2.1/32]");
    assert!(set.leasequery.bulk);
    let server = &set.server;
    assert_eq!(shown(&server.allowed_relays), "[10.1.0.0/16, 10.2.0.1/32]");
    assert!(!server.serve_local && server.serve_relayed && !server.forcerenew);
}

#[test]
fn files_are_served_where_it_is_said() {
    let boot = |keys: &str| {
        let text = format!("boot: {{root: /srv, {keys}}}\nsubnets: [{{subnet: 10.0.0.0/24}}]");
        let service = config(&text).boot.unwrap();
        let shown = |at: Option<String>| at.unwrap_or_default();
        let tftp = shown(service.tftp.map(|at| at.to_string()));
        (tftp, shown(service.http.map(|at| at.to_string())))
    };
    let both = |tftp: &str, http: &str| (tftp.to_owned(), http.to_owned());
    assert_eq!(boot("http: off"), both("0.0.0.0:69", ""));
    assert_eq!(
        boot("tftp: false, http: '[::]:8080'"),
        both("", "[::]:8080")
    );
    assert_eq!(boot("tftp: 10.0.0.2"), both("10.0.0.2:69", "0.0.0.0:80"));
}

#[test]
fn policies_come_from_the_nearest_level() {
    let config = config(
        "defaults:
  authoritative: true
  rapid_commit: true
  bootp: reserved
  offer_delay: 250ms
  conflict_check: {reservations: true}
networks:
  - name: rack1
    min_secs: 3
    bootp: off
    subnets:
      - {subnet: 10.0.0.0/24}
      - {subnet: 10.0.1.0/24, conflict_check: off, rapid_commit: false, offer_delay: 0s}
subnets:
  - {subnet: 10.0.2.0/24, network: rack1, conflict_check: {wait: 1s}}
  - {subnet: 10.0.3.0/24, conflict_check: on}
  - {subnet: 10.0.4.0/24, proxy: true}
",
    );
    let check = |milliseconds, reservations| {
        let wait = Duration::from_millis(milliseconds);
        Some(ConflictCheck { wait, reservations })
    };
    let first = Policy {
        authoritative: true,
        rapid_commit: true,
        bootp: Bootp::Off,
        offer_delay: Duration::from_millis(250),
        min_secs: 3,
        conflict_check: check(500, true),
        proxy: false,
    };
    let policy = |index: usize| config.subnets[index].policy.clone();
    assert_eq!(policy(0), first);
    let second = Policy {
        conflict_check: None,
        rapid_commit: false,
        offer_delay: Duration::ZERO,
        ..first.clone()
    };
    assert_eq!(policy(1), second);
    assert_eq!(policy(2).conflict_check, check(1000, false));
    assert_eq!(policy(3).conflict_check, check(500, false));
    assert_eq!((policy(3).bootp, policy(3).min_secs), (Bootp::Reserved, 0));
    let proxy = Policy {
        offer_delay: Duration::from_millis(250),
        proxy: true,
        ..Policy::default()
    };
    assert_eq!(policy(4), proxy, "has nothing of what is about addresses");
    let network = |index: usize| config.subnets[index].network;
    assert_eq!([0, 1, 2, 3].map(network), [Some(0), Some(0), Some(0), None]);
    assert_eq!(config.networks, ["rack1"]);
}

#[test]
fn a_shared_network_stands_between_the_defaults_and_its_subnets() {
    let config = config(
        "defaults: {lease_time: 2h, options: {routers: 10.0.0.1, ntp-servers: 10.0.0.2}, boot: {file: a}}
networks:
  - name: rack1
    lease_time: 30m
    options: {ntp-servers: [], domain-name: rack1.example}
    boot: {next-server: 10.0.0.2}
    subnets:
      - {subnet: 10.0.0.0/24, options: {domain-name: []}, boot: {next-server: ''}}
      - {subnet: 10.0.1.0/24}
",
    );
    let [first, second] = &config.subnets[..] else {
        panic!("two subnets")
    };
    assert_eq!(first.options.keys().collect::<Vec<_>>(), [&3]);
    assert_eq!(second.options.keys().collect::<Vec<_>>(), [&3, &15]);
    assert_eq!(first.times, Times::of(30 * MINUTE));
    assert_eq!((first.boot.next_server, &*first.boot.file), (None, "a"));
    assert_eq!(second.boot.next_server, Some("10.0.0.2".parse().unwrap()));
}

#[test]
fn clients_may_ask_for_leases_between_bounds() {
    let config = config(
        "defaults: {max_lease_time: 1d, min_lease_time: 10m}
subnets:
  - {subnet: 10.0.0.0/24}
  - {subnet: 10.0.1.0/24, lease_time: 2d}
  - {subnet: 10.0.2.0/24, lease_time: 5m, max_lease_time: 30m}
",
    );
    let bounds = |index: usize| {
        let (shortest, longest) = config.subnets[index].lease_bounds;
        (shortest.as_secs() / 60, longest.as_secs() / 60)
    };
    assert_eq!(bounds(0), (10, 1440));
    assert_eq!(bounds(1), (10, 2880), "never less than the lease time");
    assert_eq!(bounds(2), (5, 30), "never more than the lease time");
}

#[test]
fn pools_may_be_for_some_and_say_something_of_their_own() {
    let config = config(
        "classes: [{name: gpu, match: {arch: 7}}]
subnets:
  - subnet: 10.0.0.0/16
    pools:
      - {range: 10.0.2.0/24, classes: [unknown, gpu], lease_time: 5m, options: {routers: []}}
      - 10.0.1.0-10.0.1.255
",
    );
    let [first, second] = &config.subnets[0].pools[..] else {
        panic!("two pools")
    };
    assert!(first.classes.is_empty() && first.level.is_empty());
    assert_eq!(second.first.to_string(), "10.0.2.0");
    let names = second.classes.iter();
    let names = names.map(|id| config.classes[usize::from(id.0)].name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["unknown", "gpu"]);
    assert_eq!(second.level.times, Some(Times::of(5 * MINUTE)));
    assert_eq!(second.level.options[&3], None);
}

#[test]
fn a_menu_is_inherited_whole_and_may_be_taken_away() {
    let config = config(
        "defaults:
  boot:
    menu:
      prompt: Press F8
      timeout: 5s
      items: [{text: Install, file: install.efi, server: 10.0.0.3}, {text: Local disk}]
subnets:
  - {subnet: 10.0.0.0/24}
  - {subnet: 10.0.1.0/24, boot: {menu: {items: []}}}
  - {subnet: 10.0.2.0/24, boot: {menu: {items: [{text: One, file: one.efi}]}}}
",
    );
    let menu = |index: usize| config.subnets[index].boot.menu.as_deref().cloned();
    let item = |text: &str, file: &str, server: Option<&str>| MenuItem {
        text: text.to_owned(),
        file: file.to_owned(),
        server: server.map(|server| server.parse().unwrap()),
    };
    let whole = Menu {
        prompt: "Press F8".to_owned(),
        timeout: Some(Duration::from_secs(5)),
        items: vec![
            item("Install", "install.efi", Some("10.0.0.3")),
            item("Local disk", "", None),
        ],
    };
    assert_eq!(menu(0), Some(whole));
    assert_eq!(menu(1), None);
    let small = Menu {
        prompt: String::new(),
        timeout: None,
        items: vec![item("One", "one.efi", None)],
    };
    assert_eq!(menu(2), Some(small));
}
