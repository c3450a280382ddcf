//! Offers that wait: for another server, for the client's patience, for strangers.

use std::time::Duration;

use dhcp_common::slot::Kind;
use dhcp_common::wire::mac_bits;

use super::lab::*;
use crate::clock::SECOND;
use crate::config::model::{ConflictCheck, Subnet};
use crate::engine::{EventKind, Ignored, Later, Outcome, Probe};
use crate::journal::Kind as RecordKind;

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xb];
const CHECK: ConflictCheck = ConflictCheck {
    wait: Duration::from_millis(500),
    reservations: false,
};

fn lab_with(change: impl FnOnce(&mut Subnet)) -> Lab {
    let mut subnet = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    change(&mut subnet);
    Lab::new(config(vec![subnet]))
}

fn checked(check: ConflictCheck) -> Lab {
    lab_with(|subnet| subnet.policy.conflict_check = Some(check))
}

fn later(lab: &Lab, message: &Message) -> Option<Later> {
    let mut reply = Vec::new();
    match lab.handle(message, &mut reply) {
        Outcome::Later(later) => {
            assert!(!reply.is_empty());
            Some(later)
        }
        Outcome::Reply(_) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_offer_waits_as_long_as_the_subnet_says_and_is_held_meanwhile() {
    let delay = Duration::from_secs(2);
    let mut lab = lab_with(|subnet| subnet.policy.offer_delay = delay);
    let waits = later(&lab, &Message::discover(A)).unwrap();
    assert_eq!((waits.after, waits.probe), (delay, None));
    assert_eq!(waits.event.kind, EventKind::Offer);
    let held = lab.engine.lease_at(waits.event.address).unwrap();
    assert_eq!(held.kind, Kind::Offered);
    assert_eq!(
        held.expires,
        lab.now.boot + 32 * SECOND,
        "offer_hold from when it is sent"
    );
    let other = Message::new(3, A)
        .server(ip("10.9.9.9"))
        .requested(ip("10.9.0.5"));
    assert_eq!(lab.ignored(&other), Ignored::OtherServer);
    assert_eq!(lab.engine.lease_at(waits.event.address), None, "free again");
}

#[test]
fn a_client_must_have_asked_for_long_enough() {
    let mut lab = lab_with(|subnet| subnet.policy.min_secs = 3);
    let mut discover = Message::discover(A);
    discover.secs = 2;
    assert_eq!(lab.ignored(&discover), Ignored::TooEarly);
    assert_eq!(lab.engine.open_offers(), 0);
    discover.secs = 3;
    let offer = lab.reply(&discover);
    // What the client takes is granted whatever its secs say.
    assert_eq!(lab.reply(&Message::selecting(A, offer.yiaddr())).kind(), 5);
}

#[test]
fn only_what_is_new_to_the_client_is_probed() {
    let mut lab = checked(CHECK);
    let waits = later(&lab, &Message::discover(A)).unwrap();
    let address = waits.event.address;
    let probe = Probe {
        address,
        server: SERVER,
        on_link: true,
        wait: CHECK.wait,
    };
    assert_eq!((waits.after, waits.probe), (Duration::ZERO, Some(probe)));
    assert!(
        later(&lab, &Message::discover(A)).is_some(),
        "the first probe may be on its way"
    );
    lab.reply(&Message::selecting(A, address));
    assert!(later(&lab, &Message::discover(A)).is_none(), "bound");
    lab.pass(LEASE + SECOND);
    lab.sweep();
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Expired);
    assert!(later(&lab, &Message::discover(A)).is_none(), "a moment ago");
    lab.pass(LEASE);
    lab.sweep();
    assert!(later(&lab, &Message::discover(A)).is_some(), "long ago");
    let relayed = Message::discover(B).relayed("10.0.7.7");
    assert!(!later(&lab, &relayed).unwrap().probe.unwrap().on_link);
}

#[test]
fn reserved_addresses_are_probed_if_the_subnet_says_so() {
    for reservations in [false, true] {
        let lab = lab_with(|subnet| {
            reserve(subnet, A, "10.0.2.1", None);
            subnet.policy.conflict_check = Some(ConflictCheck {
                reservations,
                ..CHECK
            });
        });
        assert_eq!(later(&lab, &Message::discover(A)).is_some(), reservations);
        assert!(later(&lab, &Message::discover(B)).is_some());
    }
}

#[test]
fn a_strangers_address_rests_and_the_client_gets_another() {
    let mut lab = checked(CHECK);
    let address = later(&lab, &Message::discover(A)).unwrap().event.address;
    let key = |mac| mac_bits(&mac, 0);
    assert!(
        lab.engine.conflict(lab.now, address, key(B)).is_none(),
        "not B's"
    );
    let commit = lab.engine.conflict(lab.now, address, key(A)).unwrap();
    assert_eq!(commit.record.kind, RecordKind::Declined);
    assert_eq!(commit.event.as_ref().unwrap().kind, EventKind::Conflict);
    assert!(
        lab.engine.conflict(lab.now, address, key(A)).is_none(),
        "its record is on its way"
    );
    lab.commit(commit);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Declined);
    let other = later(&lab, &Message::discover(A)).unwrap().event.address;
    assert_ne!(other, address);
    assert_eq!(lab.reply(&Message::selecting(A, other)).kind(), 5);
    assert!(
        lab.engine.conflict(lab.now, other, key(A)).is_none(),
        "leased by now"
    );
}

#[test]
fn a_stranger_on_an_address_that_is_not_held_keeps_nobody_from_another() {
    let net = |prefix, pool| {
        let mut net = subnet(prefix, pool);
        (net.policy.conflict_check, net.network) = (Some(CHECK), Some(0));
        net
    };
    let mut config = config(vec![
        net("10.0.0.0/16", ("10.0.1.10", "10.0.1.10")),
        net("10.9.0.0/16", ("10.9.1.10", "10.9.1.19")),
    ]);
    config.networks = vec!["shared".into()];
    let mut lab = Lab::new(config);
    let address = later(&lab, &Message::discover(A)).unwrap().event.address;
    assert_eq!(
        (address, lab.engine.offers_not_held()),
        (ip("10.0.1.10"), 1)
    );
    let commit = lab.engine.conflict(lab.now, address, mac_bits(&A, 0));
    let commit = commit.expect("free, and a stranger has it");
    let other = later(&lab, &Message::discover(A)).unwrap().event.address;
    assert_eq!(other, ip("10.9.1.10"), "while its record is on its way");
    lab.commit(commit);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Declined);
    let other = later(&lab, &Message::discover(B)).unwrap().event.address;
    assert_ne!(other, address);
    assert_eq!(lab.reply(&Message::selecting(A, ip("10.9.1.10"))).kind(), 5);
    let leased = lab
        .engine
        .conflict(lab.now, ip("10.9.1.10"), mac_bits(&B, 0));
    assert!(leased.is_none(), "A's by now");
    lab.pass(601 * SECOND);
    lab.sweep();
    lab.engine.audit().unwrap();
}

#[test]
fn an_offer_that_is_not_held_waits_alike() {
    let delay = Duration::from_secs(5);
    for check in [None, Some(CHECK)] {
        let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
        (net.policy.offer_delay, net.policy.conflict_check) = (delay, check);
        let mut config = config(vec![net]);
        config.server.max_offers = 1;
        let lab = Lab::new(config);
        let (held, unheld) = [A, B]
            .map(|mac| later(&lab, &Message::discover(mac)).unwrap())
            .into();
        assert_eq!(lab.engine.offers_not_held(), 1);
        assert_eq!((held.after, unheld.after), (delay, delay));
        assert_eq!(unheld.probe.is_some(), check.is_some());
        let probed = unheld
            .probe
            .map_or(unheld.event.address, |probe| probe.address);
        assert_eq!(probed, unheld.event.address);
    }
}
