//! Rapid commit (RFC 4039).

use std::time::Duration;

use dhcp_common::slot::Kind;

use super::lab::*;
use crate::config::model::{ConflictCheck, Subnet};
use crate::engine::{EventKind, Outcome};

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];

fn lab_with(change: impl FnOnce(&mut Subnet)) -> Lab {
    let mut subnet = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    subnet.policy.rapid_commit = true;
    change(&mut subnet);
    Lab::new(config(vec![subnet]))
}

fn rapid(mac: [u8; 6]) -> Message {
    Message::discover(mac).with(80, &[])
}

#[test]
fn a_discover_is_acknowledged_once_the_record_is_durable() {
    let mut lab = lab_with(|_| {});
    let mut reply = Vec::new();
    let Outcome::Commit(commit) = lab.handle(&rapid(A), &mut reply) else {
        panic!("granted before its record");
    };
    let address = commit.record.address;
    assert_eq!(lab.engine.lease_at(address), None);
    lab.commit(commit);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Bound);
    assert!(!reply.is_empty());
    let ack = lab.reply(&rapid(A));
    assert_eq!(
        (ack.kind(), ack.yiaddr(), ack.event),
        (5, address, EventKind::Bind)
    );
    assert_eq!(ack.option(80), Some(&[][..]));
    assert_eq!(&ack.codes()[..3], [53, 54, 51]);
}

#[test]
fn option_80_is_in_that_ack_alone() {
    let mut lab = lab_with(|_| {});
    let address = lab.reply(&rapid(A)).yiaddr();
    assert!(
        !lab.engine.lease_at(address).unwrap().memo,
        "a DISCOVER tells no renewal"
    );
    let mut renewal = Message::renewing(A, address);
    renewal.options.push((80, Vec::new()));
    let ack = lab.reply(&renewal);
    assert_eq!((ack.kind(), ack.option(80)), (5, None));
    assert!(lab.engine.lease_at(address).unwrap().memo);
    assert_eq!(
        lab.reply(&Message::discover(A)).option(80),
        None,
        "not asked for"
    );
}

#[test]
fn where_the_client_must_be_able_to_choose_it_is_offered() {
    let held_back = |change: fn(&mut Subnet)| {
        let mut lab = lab_with(change);
        let mut asked = rapid(A);
        asked.secs = 4;
        let offer = lab.reply(&asked);
        assert_eq!((offer.kind(), offer.option(80)), (2, None));
        assert!(lab.records.is_empty());
    };
    held_back(|subnet| subnet.policy.rapid_commit = false);
    held_back(|subnet| subnet.policy.offer_delay = Duration::from_secs(1));
    held_back(|subnet| subnet.policy.min_secs = 3);
    held_back(|subnet| {
        subnet.policy.conflict_check = Some(ConflictCheck {
            wait: Duration::from_secs(1),
            reservations: false,
        });
    });
}

#[test]
fn a_flood_gets_half_of_the_pool() {
    let mut lab = lab_with(|_| {});
    let kinds: Vec<u8> = (0..10).map(|i| lab.reply(&rapid(mac(i))).kind()).collect();
    assert_eq!(
        kinds.iter().filter(|kind| **kind == 5).count(),
        5,
        "{kinds:?}"
    );
    assert_eq!(lab.reply(&rapid(mac(0))).kind(), 5, "known");
}
