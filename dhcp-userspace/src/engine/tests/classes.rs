//! Classes: who is a member, who is let in, and what members get.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lab::*;
use crate::class::{ClassId, Test};
use crate::clock::SECOND;
use crate::config::model::{
    Class, Config, Identifier, Level, Mac, OptionValue, Pool, Reservation, Subnet, Times,
};
use crate::engine::Ignored;

const A: Mac = [0x52, 0x54, 0, 0, 0, 0xa];
const B: Mac = [0x52, 0x54, 0, 0, 0, 0xb];
const RELAY: &str = "172.16.0.1";
const PXE: &[u8] = b"PXEClient:Arch:00007:UNDI:003016";

fn net() -> Subnet {
    subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"))
}

/// Classes by name and expression, `-` for none.
pub(super) fn with_classes(mut config: Config, list: &[(&str, &str)]) -> Config {
    for (name, test) in list {
        let known = |wanted: &str| {
            let mut names = config.classes.iter();
            let at = names.position(|class: &Class| class.name == wanted)?;
            Some(ClassId(at as u16))
        };
        let test = (*test != "-").then(|| Test::parse(test, &known, &|_| None).unwrap());
        config.classes.push(Class {
            name: (*name).into(),
            test,
            level: Level::default(),
            ignore: false,
        });
    }
    config
}

fn minutes(minutes: u64) -> Option<Times> {
    Some(Times::of(Duration::from_secs(minutes * 60)))
}

fn says(code: u8, text: &str) -> Level {
    let value = OptionValue {
        data: text.as_bytes().to_vec(),
        always_send: true,
    };
    Level {
        options: BTreeMap::from([(code, Some(value))]),
        ..Level::default()
    }
}

fn lease_time(reply: &Reply) -> u32 {
    u32::from_be_bytes(reply.option(51).unwrap().try_into().unwrap())
}

fn guarded(first: &str, last: &str, classes: &[u16]) -> Pool {
    Pool {
        classes: classes.iter().copied().map(ClassId).collect(),
        ..Pool::open((ip(first), ip(last)))
    }
}

fn classes_of(lab: &Lab, message: &Message) -> Vec<String> {
    lab.explain(message).unwrap().remove(0).classes
}

#[test]
fn classes_are_tested_in_their_order_and_know_those_before() {
    let list = [
        ("pxe", "substring(option[60].hex, 0, 9) == 'PXEClient'"),
        ("ours", "pkt4.mac == 0x52540000000a"),
        ("both", "member('pxe') and member('ours')"),
        ("stranger", "unknown"),
        ("by-host", "-"),
    ];
    let mut config = with_classes(config(vec![net()]), &list);
    let lab = Lab::new(config.clone());
    let pxe = Message::discover(A).with(60, PXE);
    assert_eq!(classes_of(&lab, &pxe), ["pxe", "ours", "both", "stranger"]);
    let plain = Message::discover(B);
    assert_eq!(classes_of(&lab, &plain), ["stranger"]);
    config.subnets[0].hosts.insert(Reservation {
        classes: vec![ClassId(4), ClassId(0)],
        ..Reservation::new(Identifier::Mac(A), None)
    });
    let lab = Lab::new(config);
    let known = Message::discover(A);
    assert_eq!(classes_of(&lab, &known), ["pxe", "ours", "both", "by-host"]);
}

#[test]
fn a_host_may_be_known_by_a_test() {
    let mut config = with_classes(config(vec![net()]), &[("known", "known")]);
    let test = Test::parse("option[77].hex == 'lab'", &|_| None, &|_| None).unwrap();
    let host = Reservation::new(Identifier::Test(test.into()), Some(ip("10.0.5.5")));
    config.subnets[0].hosts.insert(host);
    let mut lab = Lab::new(config);
    let discover = Message::discover(A).with(77, b"lab");
    assert_eq!(lab.reply(&discover).yiaddr(), ip("10.0.5.5"));
    assert_eq!(classes_of(&lab, &discover), ["known"]);
    let other = Message::discover(B).with(77, b"den");
    assert_eq!(lab.reply(&other).yiaddr(), ip("10.0.1.10"));
}

#[test]
fn members_of_an_ignored_class_hear_nothing() {
    let mut config = with_classes(
        config(vec![net()]),
        &[("printers", "option[60].hex == 'printer'")],
    );
    let mut lab = Lab::new(config.clone());
    let with = |message: Message| message.with(60, b"printer");
    let address = lab.reply(&with(Message::discover(A))).yiaddr();
    lab.reply(&with(Message::selecting(A, address)));
    assert!(lab.engine.lease_of(A)[0].memo);
    config.classes[0].ignore = true;
    config.fingerprint = 2;
    lab.engine.reload(config.into(), lab.now).unwrap();
    assert!(!lab.engine.lease_of(A)[0].memo);
    let mut inform = Message::new(8, A);
    inform.ciaddr = address;
    for message in [
        Message::discover(A),
        Message::selecting(A, address),
        Message::init_reboot(A, address),
        Message::renewing(A, address),
        Message::rebinding(A, address),
        inform,
    ] {
        assert_eq!(lab.ignored(&with(message)), Ignored::IgnoredClass);
    }
    assert_eq!(lab.bind(B), ip("10.0.1.11"));
}

#[test]
fn a_pool_is_for_members_and_they_use_it_first() {
    let mut config = with_classes(config(vec![net()]), &[("pxe", "option[60].exists")]);
    config.subnets[0]
        .pools
        .push(guarded("10.0.2.0", "10.0.2.0", &[0]));
    let mut lab = Lab::new(config);
    let pxe = |message: Message| message.with(60, PXE);
    assert_eq!(
        lab.reply(&pxe(Message::discover(A))).yiaddr(),
        ip("10.0.2.0")
    );
    assert_eq!(
        lab.reply(&pxe(Message::discover(mac(1)))).yiaddr(),
        ip("10.0.1.10"),
        "theirs is full"
    );
    let wish = Message::discover(B).requested(ip("10.0.2.0"));
    assert_eq!(lab.reply(&wish).yiaddr(), ip("10.0.1.11"));
    assert_eq!(lab.reply(&Message::selecting(B, ip("10.0.2.0"))).kind(), 6);
    let ack = lab.reply(&pxe(Message::selecting(A, ip("10.0.2.0"))));
    assert_eq!(ack.kind(), 5);
}

#[test]
fn who_is_a_member_no_more_hears_so_at_the_next_renewal() {
    let mut config = with_classes(config(vec![net()]), &[("pxe", "option[60].exists")]);
    config.subnets[0].pools = vec![guarded("10.0.2.0", "10.0.2.9", &[0])];
    let mut lab = Lab::new(config);
    let pxe = |message: Message| message.with(60, PXE);
    let address = lab.reply(&pxe(Message::discover(A))).yiaddr();
    lab.reply(&pxe(Message::selecting(A, address)));
    assert_eq!(lab.reply(&pxe(Message::renewing(A, address))).kind(), 5);
    assert_eq!(lab.reply(&Message::renewing(A, address)).kind(), 6);
    assert_eq!(lab.reply(&Message::init_reboot(A, address)).kind(), 6);
    assert_eq!(lab.ignored(&Message::discover(A)), Ignored::NoAddress);
}

#[test]
fn a_reserved_address_is_the_host_s_whatever_the_pool_is_for() {
    let mut config = with_classes(config(vec![net()]), &[("pxe", "option[60].exists")]);
    config.subnets[0].pools[0].classes = vec![ClassId(0)];
    reserve(&mut config.subnets[0], A, "10.0.1.15", None);
    let mut lab = Lab::new(config);
    assert_eq!(lab.bind(A), ip("10.0.1.15"));
    assert_eq!(lab.reply(&Message::renewing(A, ip("10.0.1.15"))).kind(), 5);
    assert_eq!(lab.ignored(&Message::discover(B)), Ignored::NoAddress);
}

#[test]
fn a_subnet_is_for_members_and_hosts_are_no_exception() {
    let mut config = with_classes(config(vec![net()]), &[("pxe", "option[60].exists")]);
    config.subnets[0].classes = vec![ClassId(0)];
    reserve(&mut config.subnets[0], A, "10.0.5.5", None);
    let mut lab = Lab::new(config);
    for mac in [A, B] {
        assert_eq!(lab.ignored(&Message::discover(mac)), Ignored::WrongClass);
    }
    let offer = lab.reply(&Message::discover(A).with(60, PXE));
    assert_eq!(offer.yiaddr(), ip("10.0.5.5"));
    lab.reply(&Message::selecting(A, ip("10.0.5.5")).with(60, PXE));
    assert_eq!(lab.reply(&Message::renewing(A, ip("10.0.5.5"))).kind(), 6);
}

#[test]
fn in_a_shared_network_each_subnet_has_its_members() {
    let second = subnet("10.5.0.0/24", ("10.5.0.10", "10.5.0.19"));
    let mut config = with_classes(
        config(vec![net(), second]),
        &[("phone", "option[60].hex == 'phone'")],
    );
    config.networks = vec!["floor".into()];
    for subnet in &mut config.subnets {
        subnet.network = Some(0);
    }
    config.subnets[1].classes = vec![ClassId(0)];
    config.subnets[0].pools[0] = Pool::open((ip("10.0.1.10"), ip("10.0.1.10")));
    let mut lab = Lab::new(config);
    assert_eq!(lab.bind(A), ip("10.0.1.10"));
    assert_eq!(lab.ignored(&Message::discover(B)), Ignored::NoAddress);
    let phone = Message::discover(B).with(60, b"phone");
    assert_eq!(lab.reply(&phone).yiaddr(), ip("10.5.0.10"));
}

#[test]
fn short_leases_for_the_unknown_and_long_ones_for_the_known() {
    let mut config = with_classes(
        config(vec![net()]),
        &[("known", "known"), ("unknown", "unknown")],
    );
    config.classes[0].level.times = minutes(1440);
    config.classes[1].level.times = minutes(5);
    config.subnets[0].pools = vec![
        guarded("10.0.1.10", "10.0.1.14", &[0]),
        guarded("10.0.1.15", "10.0.1.19", &[1]),
    ];
    config
        .hosts
        .insert(Reservation::new(Identifier::Mac(A), None));
    let mut lab = Lab::new(config);
    let times: Vec<_> = [A, B]
        .into_iter()
        .map(|mac| {
            let address = lab.bind(mac);
            (
                address,
                lease_time(&lab.reply(&Message::renewing(mac, address))),
            )
        })
        .collect();
    assert_eq!(times, [(ip("10.0.1.10"), 86_400), (ip("10.0.1.15"), 300)]);
    lab.pass(301 * SECOND);
    lab.sweep();
    assert_eq!(
        lab.engine.lease_of(B)[0].kind,
        dhcp_common::slot::Kind::Expired
    );
    // From now on it is known.
    lab.reload(|config| {
        config
            .hosts
            .insert(Reservation::new(Identifier::Mac(B), None));
    });
    assert_eq!(lease_time(&lab.reply(&Message::discover(B))), 86_400);
}

#[test]
fn classes_see_what_the_relay_says() {
    let behind = subnet("172.16.0.0/24", ("172.16.0.10", "172.16.0.19"));
    let list = [
        ("port", "relay4[1].hex == 'ge-0/7'"),
        ("rack", "pkt4.giaddr == 172.16.0.1"),
    ];
    let mut config = with_classes(config(vec![net(), behind]), &list);
    config.classes[0].level = says(101, "port");
    config.classes[1].level = says(102, "rack");
    let mut lab = Lab::new(config);
    let offer = lab.reply(
        &Message::discover(A)
            .relayed(RELAY)
            .with(82, b"\x01\x06ge-0/7"),
    );
    assert_eq!(offer.option(101), Some(&b"port"[..]));
    assert_eq!(offer.option(102), Some(&b"rack"[..]));
}

/// A client behind the relay, at the port, with its lease.
fn at_port(config: Config) -> (Lab, std::net::Ipv4Addr) {
    let mut lab = Lab::new(config);
    let port = |message: Message| message.relayed(RELAY).with(82, b"\x01\x06ge-0/7");
    let address = lab.reply(&port(Message::discover(A))).yiaddr();
    let ack = lab.reply(&port(Message::selecting(A, address)));
    assert_eq!((ack.kind(), ack.yiaddr()), (5, address));
    (lab, address)
}

fn behind() -> Subnet {
    subnet("172.16.0.0/24", ("172.16.0.10", "172.16.0.19"))
}

#[test]
fn a_guard_by_port_does_not_stop_renewals_that_go_past_the_relay() {
    let list = [
        ("port", "relay4[1].hex == 'ge-0/7'"),
        ("off", "option[60].hex == 'off'"),
    ];
    let mut config = with_classes(config(vec![net(), behind()]), &list);
    config.classes[1].ignore = true;
    config.subnets[1].classes = vec![ClassId(0)];
    config.subnets[1].pools[0].classes = vec![ClassId(0)];
    let (mut lab, address) = at_port(config);
    assert_eq!(lab.reply(&Message::renewing(A, address)).kind(), 5);
    assert!(lab.engine.lease_of(A)[0].memo);
    let moved = Message::rebinding(A, address)
        .relayed(RELAY)
        .with(82, b"\x01\x06ge-0/8\x0a\x01\x00");
    assert_eq!(lab.reply(&moved).kind(), 6, "at another port");
    let off = Message::renewing(A, address).with(60, b"off");
    assert_eq!(lab.ignored(&off), Ignored::IgnoredClass);
    assert_eq!(
        lab.ignored(&Message::renewing(B, address)),
        Ignored::Unknown
    );
}

#[test]
fn the_holder_of_a_port_s_address_is_the_host_at_the_port() {
    let mut config = config(vec![net(), behind()]);
    config.subnets[1].hosts.insert(Reservation {
        hostname: Some("rack7".into()),
        level: says(15, "racks.example").into(),
        ..Reservation::new(
            Identifier::CircuitId(b"ge-0/7"[..].into()),
            Some(ip("172.16.0.77")),
        )
    });
    let (mut lab, address) = at_port(config);
    assert_eq!(address, ip("172.16.0.77"));
    for _ in 0..2 {
        let ack = lab.reply(&Message::renewing(A, address));
        assert_eq!((ack.kind(), ack.option(12)), (5, Some(&b"rack7"[..])));
        assert_eq!(ack.option(15), Some(&b"racks.example"[..]));
    }
    assert!(lab.engine.lease_of(A)[0].memo);
    assert_eq!(
        lab.ignored(&Message::renewing(B, address)),
        Ignored::Unknown
    );
}

#[test]
fn a_class_that_changes_drops_all_memos() {
    let mut lab = Lab::new(with_classes(config(vec![net()]), &[("a", "known")]));
    lab.bind(A);
    lab.reload(|config| config.classes[0].test = None);
    assert!(!lab.engine.lease_of(A)[0].memo);
}

#[test]
fn a_packet_is_explained() {
    let mut config = with_classes(
        config(vec![net()]),
        &[("all", "member('ALL')"), ("pxe", "option[60].exists")],
    );
    config.networks = vec!["floor".into()];
    config.subnets[0].network = Some(0);
    config.classes[1].level.times = minutes(5);
    config.classes[1].level.boot.file = Some("ipxe.efi".into());
    reserve(&mut config.subnets[0], A, "10.0.1.15", None);
    let mut lab = Lab::new(config);
    let told = lab.explain(&Message::discover(A).with(60, PXE)).unwrap();
    let [told] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(told.subnet, "10.0.0.0/16".parse().unwrap());
    assert_eq!(told.network.as_deref(), Some("floor"));
    assert_eq!(told.host.as_deref(), Some("52:54:00:00:00:0a"));
    assert_eq!(told.classes, ["all", "pxe"]);
    assert_eq!((told.refused, told.address), (None, Some(ip("10.0.1.15"))));
    assert_eq!(told.pool, Some((ip("10.0.1.10"), ip("10.0.1.19"))));
    assert_eq!(told.lease_time, Duration::from_secs(300));
    assert_eq!(told.boot_file, "ipxe.efi");
    let mut elsewhere = Message::discover(A);
    elsewhere.link.ifindex = 99;
    assert_eq!(lab.explain(&elsewhere), Err(Ignored::NoSubnet));
    assert!(lab.engine.leases().is_empty(), "nothing was offered");
    lab.bind(B);
    assert_eq!(
        lab.explain(&Message::discover(B)).unwrap()[0].address,
        Some(ip("10.0.1.10"))
    );
}
