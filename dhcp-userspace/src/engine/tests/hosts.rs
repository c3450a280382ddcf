//! Hosts: what they are known by, and what they get.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lab::*;
use crate::clock::SECOND;
use crate::config::model::{
    Config, Hosts, Identifier, Level, Mac, OptionValue, Reservation, Subnet, Times,
};
use crate::engine::Ignored;

const A: Mac = [0x52, 0x54, 0, 0, 0, 0xa];
const B: Mac = [0x52, 0x54, 0, 0, 0, 0xb];
const RELAY: &str = "172.16.0.1";
const OWN: &str = "10.0.5.5";

fn net() -> Subnet {
    subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"))
}

fn behind() -> Subnet {
    subnet("172.16.0.0/24", ("172.16.0.10", "172.16.0.19"))
}

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

fn known_by(identifier: Identifier) -> Lab {
    let mut net = net();
    net.hosts
        .insert(Reservation::new(identifier, Some(ip(OWN))));
    Lab::new(config(vec![net]))
}

fn domain(name: &str) -> Level {
    let value = OptionValue {
        data: name.as_bytes().to_vec(),
        always_send: true,
    };
    Level {
        options: BTreeMap::from([(15, Some(value))]),
        ..Level::default()
    }
}

/// DISCOVER and REQUEST with these options; the address.
fn bind_with(lab: &mut Lab, mac: Mac, options: &[(u8, &[u8])]) -> std::net::Ipv4Addr {
    let with = |message: Message| {
        let options = options.iter();
        options.fold(message, |message, (code, value)| message.with(*code, value))
    };
    let offer = lab.reply(&with(Message::discover(mac)));
    let ack = lab.reply(&with(Message::selecting(mac, offer.yiaddr())));
    assert_eq!(ack.kind(), 5);
    ack.yiaddr()
}

#[test]
fn a_host_is_known_by_whatever_it_says() {
    let uuid: Vec<u8> = (0..16).collect();
    let typed = [&[0][..], &uuid].concat();
    let rows: [(Identifier, (u8, &[u8])); 4] = [
        (Identifier::ClientId(bytes("\x00node")), (61, b"\x00node")),
        (Identifier::Uuid(uuid.clone().into()), (97, &typed)),
        (
            Identifier::CircuitId(bytes("ge-0/7")),
            (82, b"\x01\x06ge-0/7"),
        ),
        (
            Identifier::RemoteId(bytes("sw1")),
            (82, b"\x01\x01x\x02\x03sw1"),
        ),
    ];
    for (identifier, (code, value)) in rows {
        let mut lab = known_by(identifier.clone());
        assert_eq!(
            bind_with(&mut lab, A, &[(code, value)]),
            ip(OWN),
            "{identifier}"
        );
        let renewal = Message::renewing(A, ip(OWN)).with(code, value);
        assert_eq!(lab.reply(&renewal).kind(), 5);
        let mut other = value.to_vec();
        *other.last_mut().unwrap() ^= 1;
        let stranger = bind_with(&mut lab, B, &[(code, &other)]);
        assert_eq!(stranger, ip("10.0.1.10"), "{identifier}");
    }
}

#[test]
fn a_uuid_of_another_type_is_none() {
    let mut lab = known_by(Identifier::Uuid([7; 16].into()));
    let mut typed = vec![0];
    typed.extend([7; 16]);
    assert_eq!(bind_with(&mut lab, A, &[(97, &typed)]), ip(OWN));
    typed[0] = 1;
    assert_ne!(bind_with(&mut lab, B, &[(97, &typed)]), ip(OWN));
}

#[test]
fn the_mac_counts_for_more_than_other_identifiers() {
    let mut net = net();
    let by_id = Identifier::ClientId(bytes("\x00node"));
    net.hosts
        .insert(Reservation::new(by_id, Some(ip("10.0.5.6"))));
    reserve(&mut net, A, OWN, None);
    let mut lab = Lab::new(config(vec![net]));
    assert_eq!(bind_with(&mut lab, A, &[(61, b"\x00node")]), ip(OWN));
    assert_eq!(bind_with(&mut lab, B, &[(61, b"\x00node")]), ip("10.0.5.6"));
}

#[test]
fn the_same_mac_in_several_subnets_is_the_host_of_where_it_asks() {
    let (mut here, mut there) = (net(), behind());
    reserve(&mut here, A, OWN, Some("here"));
    reserve(&mut there, A, "172.16.0.50", Some("there"));
    let mut lab = Lab::new(config(vec![here, there]));
    let offer = lab.reply(&Message::discover(A).with(55, &[12]));
    assert_eq!(
        (offer.yiaddr(), offer.option(12)),
        (ip(OWN), Some(&b"here"[..]))
    );
    let offer = lab.reply(&Message::discover(A).relayed(RELAY));
    assert_eq!(
        (offer.yiaddr(), offer.option(12)),
        (ip("172.16.0.50"), Some(&b"there"[..]))
    );
}

fn everywhere() -> Config {
    let mut config = config(vec![net(), behind()]);
    let host = Reservation {
        hostname: Some("node-a".into()),
        level: Level {
            times: Some(Times::of(Duration::from_secs(600))),
            ..domain("nodes.example")
        }
        .into(),
        ..Reservation::new(Identifier::Mac(A), None)
    };
    config.hosts.insert(host);
    config
}

#[test]
fn a_host_without_an_address_gets_one_of_the_pools_and_all_else_wherever_it_is() {
    let mut lab = Lab::new(everywhere());
    for (message, address) in [
        (Message::discover(A), "10.0.1.10"),
        (Message::discover(A).relayed(RELAY), "172.16.0.10"),
    ] {
        let offer = lab.reply(&message);
        assert_eq!(offer.yiaddr(), ip(address));
        assert_eq!(offer.option(12), Some(&b"node-a"[..]));
        assert_eq!(offer.option(15), Some(&b"nodes.example"[..]));
        assert_eq!(offer.option(51), Some(&600u32.to_be_bytes()[..]));
    }
    let unknown = lab.reply(&Message::discover(B));
    assert_eq!(
        (unknown.option(12), unknown.option(51)),
        (None, Some(&3600u32.to_be_bytes()[..]))
    );
}

#[test]
fn a_host_is_known_everywhere_only_if_it_is_listed_for_all() {
    let mut lab = Lab::new(everywhere());
    let wrong = |mac| Message::init_reboot(mac, ip("192.168.7.7"));
    assert_eq!(lab.reply(&wrong(A)).kind(), 6, "known: it may hear a NAK");
    assert_eq!(lab.ignored(&wrong(B)), Ignored::Unknown);
}

#[test]
fn of_two_subnets_on_a_link_a_host_is_in_the_one_that_lists_it() {
    let mut second = subnet("10.5.0.0/24", ("10.5.0.10", "10.5.0.19"));
    second.interface = Some("eth3".into());
    second
        .hosts
        .insert(Reservation::new(Identifier::Mac(B), None));
    let mut lab = Lab::new(config(vec![net(), second]));
    assert_eq!(lab.bind(A), ip("10.0.1.10"));
    assert_eq!(lab.bind(B), ip("10.5.0.10"));
}

#[test]
fn a_reserved_address_that_is_taken_is_not_taken_away() {
    let mut lab = Lab::small();
    let taken = lab.bind(B);
    lab.reload(|config| {
        let by_id = Identifier::ClientId(bytes("\x00node"));
        let host = Reservation::new(by_id, Some(taken));
        config.subnets[0].hosts.insert(host);
    });
    let id: &[(u8, &[u8])] = &[(61, b"\x00node")];
    let meanwhile = bind_with(&mut lab, A, id);
    assert_ne!(meanwhile, taken);
    assert!(
        !lab.engine.lease_of(A)[0].memo,
        "asked again at each renewal"
    );
    let renewal = Message::renewing(A, meanwhile).with(61, b"\x00node");
    assert_eq!(lab.reply(&renewal).kind(), 5);
    assert_eq!(lab.reply(&Message::renewing(B, taken)).kind(), 6);
    lab.pass(LEASE / 2);
    assert_eq!(lab.reply(&renewal).kind(), 5, "B was told an hour");
    lab.pass(LEASE / 2 + SECOND);
    lab.sweep();
    assert_eq!(lab.reply(&renewal).kind(), 6, "it is free");
    assert_eq!(bind_with(&mut lab, A, id), taken);
}

#[test]
fn two_machines_with_one_identifier_have_two_addresses() {
    let mut lab = known_by(Identifier::ClientId(bytes("\x00node")));
    let id: &[(u8, &[u8])] = &[(61, b"\x00node")];
    assert_eq!(bind_with(&mut lab, A, id), ip(OWN));
    let second = bind_with(&mut lab, B, id);
    assert_eq!(second, ip("10.0.1.10"));
    let renewal = |mac, address| Message::renewing(mac, address).with(61, b"\x00node");
    assert_eq!(lab.reply(&renewal(A, ip(OWN))).kind(), 5);
    assert_eq!(lab.reply(&renewal(B, second)).kind(), 5);
}

#[test]
fn one_address_from_firmware_to_the_running_system() {
    let mut lab = Lab::small();
    let uuid = [&[0u8][..], &[0x42; 16]].concat();
    let pxe: &[(u8, &[u8])] = &[
        (
            55,
            &[
                1, 2, 3, 4, 5, 6, 11, 12, 13, 15, 16, 17, 18, 43, 54, 60, 67, 128, 129,
            ],
        ),
        (57, &[0x05, 0xc0]),
        (97, &uuid),
        (94, &[1, 3, 0x10]),
        (93, &[0, 7]),
        (60, b"PXEClient:Arch:00007:UNDI:003016"),
    ];
    let ipxe: &[(u8, &[u8])] = &[
        (93, &[0, 7]),
        (60, b"PXEClient:Arch:00007:UNDI:003010"),
        (77, b"iPXE"),
        (61, &[1, 0x52, 0x54, 0, 0, 0, 0xa]),
        (97, &uuid),
    ];
    let networkd: &[(u8, &[u8])] = &[
        (
            61,
            &[
                0xff, 0x5f, 0x3a, 0x11, 0x9c, 0, 2, 0, 0, 0xab, 0x11, 1, 2, 3, 4, 5, 6, 7, 8,
            ],
        ),
        (55, &[1, 3, 6, 12, 15, 26, 33, 42, 119, 121]),
    ];
    let dhclient: &[(u8, &[u8])] = &[(12, b"node001"), (55, &[1, 28, 2, 3, 15, 6, 119, 12])];
    let stages = [pxe, ipxe, networkd, dhclient, pxe];
    let addresses = stages.map(|stage| bind_with(&mut lab, A, stage));
    assert_eq!(addresses, [ip("10.0.1.10"); 5]);
    assert_eq!(lab.engine.pools()[0].free, 9);
}

#[test]
fn hosts_that_are_known_otherwise_keep_their_memos_where_nothing_changed() {
    let mut lab = known_by(Identifier::ClientId(bytes("\x00node")));
    bind_with(&mut lab, A, &[(61, b"\x00node")]);
    lab.bind(B);
    let memos = |lab: &Lab| [A, B].map(|mac| lab.engine.lease_of(mac)[0].memo);
    lab.reload(|config| config.server.max_offers += 1);
    assert_eq!(memos(&lab), [true, true]);
    lab.reload(|config| {
        let mut hosts = Hosts::default();
        for host in &config.subnets[0].hosts {
            hosts.insert(Reservation {
                hostname: Some("new".into()),
                ..host.clone()
            });
        }
        config.subnets[0].hosts = hosts;
    });
    assert_eq!(
        memos(&lab),
        [false, false],
        "whose it is only its bytes tell"
    );
}

#[test]
fn a_host_that_is_known_everywhere_from_now_on_has_its_memo_dropped() {
    let mut lab = Lab::small();
    lab.bind(A);
    lab.bind(B);
    let memos = |lab: &Lab| [A, B].map(|mac| lab.engine.lease_of(mac)[0].memo);
    lab.reload(|config| {
        config
            .hosts
            .insert(Reservation::new(Identifier::Mac(A), None));
    });
    assert_eq!(memos(&lab), [false, true]);
}
