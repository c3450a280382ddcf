//! Memos that must not outlive what they were made of.

use super::lab::*;
use crate::class::ClassId;
use crate::config::model::{Class, Config, Level};
use crate::engine::Interface;

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];

fn net() -> Config {
    config(vec![subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"))])
}

fn has_memo(lab: &Lab, address: std::net::Ipv4Addr) -> bool {
    lab.engine.lease_at(address).unwrap().memo
}

#[test]
fn a_neighbour_that_opens_takes_the_memo_of_a_client_that_is_reserved_there() {
    let mut config = net();
    let mut other = subnet("10.1.0.0/16", ("10.1.1.10", "10.1.1.19"));
    reserve(&mut other, A, "10.1.5.5", None);
    other.classes = vec![ClassId(0)];
    config.subnets.push(other);
    for subnet in &mut config.subnets {
        subnet.network = Some(0);
    }
    config.networks = vec!["hall".into()];
    config.classes = vec![Class {
        name: "guests".into(),
        test: None,
        level: Level::default(),
        ignore: false,
    }];
    let mut lab = Lab::new(config);
    let address = lab.bind(A);
    assert!(has_memo(&lab, address));
    lab.reload(|config| config.subnets[1].classes.clear());
    assert!(!has_memo(&lab, address));
    assert_eq!(lab.reply(&Message::renewing(A, address)).kind(), 6);
}

#[test]
fn an_address_that_is_ours_now_has_no_memo() {
    let mut lab = Lab::new(net());
    let address = lab.bind(A);
    assert!(has_memo(&lab, address));
    let own = format!("{address}/16");
    let ports = vec![interface(3, &["10.0.0.1/16", &own])];
    lab.engine.set_interfaces(ports, lab.now);
    assert!(!has_memo(&lab, address));
    assert_eq!(lab.reply(&Message::renewing(A, address)).kind(), 6);
}

#[test]
fn a_renewal_that_names_another_address_of_ours_has_no_memo() {
    let mut lab = Lab::new(net());
    let ports = vec![interface(3, &["10.0.0.1/16", "10.9.0.2/24"])];
    lab.engine.set_interfaces(ports, lab.now);
    let address = lab.bind(A);
    let renewal = Message::renewing(A, address);
    assert_eq!(lab.reply(&renewal.clone().server(ip("10.9.0.2"))).kind(), 5);
    assert!(!has_memo(&lab, address));
    let usual = renewal.server(SERVER);
    lab.reply(&usual);
    lab.agree(&usual);
}

fn ports(mtus: [u32; 2]) -> Vec<Interface> {
    let port = |index, address, mtu| Interface {
        mtu,
        ..interface(index, &[address])
    };
    vec![
        port(3, "10.0.0.1/16", mtus[0]),
        port(4, "192.168.7.1/24", mtus[1]),
    ]
}

/// Bound, and renewed by a client that takes much.
fn large(mtus: [u32; 2], lens: [usize; 2]) -> (Lab, Message) {
    let mut config = net();
    let filler = [7; 250];
    let values = [
        (130, &filler[..lens[0]], true),
        (131, &filler[..lens[1]], true),
    ];
    config.subnets[0].options = options(&values);
    let mut lab = Lab::new(config);
    lab.engine.set_interfaces(ports(mtus), lab.now);
    let address = lab.bind(A);
    let renewal = Message::renewing(A, address).with(57, &9000u16.to_be_bytes());
    lab.reply(&renewal);
    (lab, renewal)
}

#[test]
fn a_memo_goes_when_a_link_carries_less_than_its_reply() {
    for (after, kept) in [
        ([1500, 1400], true),
        ([1500, 600], false),
        ([600, 1500], false),
    ] {
        let (mut lab, renewal) = large([1500, 1500], [150, 150]);
        assert!(has_memo(&lab, renewal.ciaddr));
        lab.engine.set_interfaces(ports(after), lab.now);
        assert_eq!(has_memo(&lab, renewal.ciaddr), kept, "{after:?}");
        lab.reply(&renewal);
    }
}

#[test]
fn a_reply_that_another_link_would_have_otherwise_has_no_memo() {
    let (lab, renewal) = large([1500, 600], [150, 150]);
    assert!(
        !has_memo(&lab, renewal.ciaddr),
        "longer than the other carries"
    );
    let (lab, renewal) = large([600, 1500], [150, 150]);
    assert!(
        !has_memo(&lab, renewal.ciaddr),
        "cut to this link's measure"
    );
    let (lab, renewal) = large([600, 600], [50, 50]);
    assert!(has_memo(&lab, renewal.ciaddr), "it fits everywhere");
}
