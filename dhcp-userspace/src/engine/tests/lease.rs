//! Leases over time: what is on disk before it is said, and what ends when.

use std::net::Ipv4Addr;

use dhcp_common::slot::Kind;

use super::lab::*;
use crate::clock::SECOND;
use crate::config::model::Identifier;
use crate::engine::{Binding, Change, EventKind, Outcome, Refused};
use crate::journal::Kind as RecordKind;

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xb];

fn commit_of(outcome: Outcome) -> crate::engine::Commit {
    match outcome {
        Outcome::Commit(commit) => commit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_visible_before_the_record_is_durable() {
    let mut lab = Lab::small();
    let address = lab.reply(&Message::discover(A)).yiaddr();
    let mut reply = Vec::new();
    let request = Message::selecting(A, address)
        .with(12, b"node")
        .with(61, &[1, 9]);
    let commit = commit_of(lab.handle(&request, &mut reply));
    assert!(!reply.is_empty());
    let record = &commit.record;
    assert_eq!(
        (record.address, record.kind, record.mac),
        (address, RecordKind::Bound, A)
    );
    assert_eq!(
        (&record.hostname[..], &record.client_id[..]),
        (&b"node"[..], &[1, 9][..])
    );
    assert_eq!(record.since, lab.now.unix);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Offered);
    let mut again = Vec::new();
    assert!(matches!(lab.handle(&request, &mut again), Outcome::Busy));
    assert!(matches!(
        lab.handle(&Message::discover(A), &mut again),
        Outcome::Busy
    ));
    assert_ne!(
        lab.reply(&Message::discover(B).requested(address)).yiaddr(),
        address
    );
    lab.pass(SECOND);
    lab.sweep();
    lab.commit(commit);
    let lease = lab.engine.lease_at(address).unwrap();
    assert_eq!((lease.kind, lease.memo), (Kind::Bound, true));
    assert_eq!(
        (&lease.hostname[..], lease.reserved_until),
        (&b"node"[..], lab.records[0].reserved_until)
    );
}

#[test]
fn a_refused_record_leaves_the_slot_unharmed() {
    let mut lab = Lab::small();
    let address = lab.reply(&Message::discover(A)).yiaddr();
    let mut reply = Vec::new();
    let commit = commit_of(lab.handle(&Message::selecting(A, address), &mut reply));
    lab.engine.refuse(&commit.change, lab.now);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Offered);
    lab.engine.audit().unwrap();
    assert_eq!(lab.bind(A), address);
    let before = lab.engine.lease_at(address).unwrap();
    for message in [Message::release(A, address), Message::decline(A, address)] {
        let commit = commit_of(lab.handle(&message, &mut reply));
        lab.engine.refuse(&commit.change, lab.now);
        assert_eq!(lab.engine.lease_at(address).unwrap(), before);
    }
    lab.pass(LEASE - SECOND);
    lab.reply(&Message::renewing(A, address));
    lab.pass(LEASE - SECOND);
    let before = lab.engine.lease_at(address).unwrap();
    let commit = commit_of(lab.handle(&Message::renewing(A, address), &mut reply));
    lab.engine.refuse(&commit.change, lab.now);
    assert_eq!(lab.engine.lease_at(address).unwrap(), before);
    let slot = lab
        .engine
        .table()
        .slot(lab.engine.table().index(address).unwrap());
    assert!(slot.is_valid() && !slot.is_locked(), "the kernel goes on");
}

#[test]
fn a_refused_first_lease_of_a_free_address_frees_it() {
    let lab = Lab::small();
    let mut reply = Vec::new();
    let commit = commit_of(lab.handle(&Message::selecting(A, ip("10.0.1.15")), &mut reply));
    assert_eq!(lab.engine.pools()[0].free, 9);
    lab.engine.refuse(&commit.change, lab.now);
    assert_eq!(lab.engine.pools()[0].free, 10);
    assert_eq!(lab.engine.known_clients(), 0);
    assert!(lab.engine.leases().is_empty());
}

#[test]
fn promises_move_ahead_of_need_and_only_for_leases_that_renew() {
    let mut lab = Lab::small();
    let renewing = lab.bind(A);
    let silent = lab.bind(B);
    lab.sweep();
    assert_eq!(lab.records.len(), 2, "fresh ones have their promise");
    lab.pass(LEASE / 2);
    lab.reply(&Message::renewing(A, renewing));
    lab.engine
        .sweep(lab.now, &|| false, &mut |swept| panic!("{swept:?}"));
    lab.sweep();
    assert_eq!(lab.records.len(), 3, "put off, not lost");
    let record = lab.records[2].clone();
    assert_eq!((record.address, record.kind), (renewing, RecordKind::Bound));
    assert_eq!(record.reserved_until, lab.now.boot + 2 * LEASE);
    assert_eq!(record.since, lab.records[0].since);
    let lease = lab.engine.lease_at(renewing).unwrap();
    assert_eq!(lease.reserved_until, record.reserved_until);
    assert!(lease.memo);
    lab.sweep();
    assert_eq!(lab.records.len(), 3, "once");
    assert_eq!(
        lab.engine.lease_at(silent).unwrap().reserved_until,
        lab.records[1].reserved_until
    );
}

#[test]
fn a_promise_in_flight_is_not_repeated_and_a_changed_slot_not_touched() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    lab.pass(LEASE / 2);
    lab.reply(&Message::renewing(A, address));
    let sweep = |lab: &Lab| {
        let mut found = Vec::new();
        lab.engine.sweep(lab.now, &|| true, &mut |swept| {
            if let crate::engine::Swept::Promise(commit) = swept {
                found.push(commit);
            }
        });
        found
    };
    let first = sweep(&lab);
    assert_eq!((first.len(), sweep(&lab).len()), (1, 0));
    let promised = lab.engine.lease_at(address).unwrap().reserved_until;
    lab.reply(&Message::renewing(A, address));
    lab.engine.complete(&first[0].change, lab.now);
    assert_eq!(
        lab.engine.lease_at(address).unwrap().reserved_until,
        promised
    );
    let second = sweep(&lab);
    assert!(matches!(second[0].change, Change::Reserve { .. }));
    lab.engine.refuse(&second[0].change, lab.now);
    assert_eq!(sweep(&lab).len(), 1, "tried again");
}

#[test]
fn what_the_kernel_granted_is_seen_once_and_outlives_the_lapse() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    let table = lab.engine.table().clone();
    let slot = table.slot(table.index(address).unwrap());
    let lease = slot.lease();
    lab.pass(LEASE / 2);
    let asked = dhcp_common::slot::Asked {
        chaddr: lease.chaddr,
        memo: Some(lease.memo),
        link: None,
    };
    let until = lab.now.boot + LEASE;
    slot.extend(&slot.check(&asked).unwrap(), lab.now.boot, until)
        .unwrap();
    lab.sweep();
    lab.sweep();
    assert_eq!(lab.seen(EventKind::KernelRenew), 1);
    lab.pass(LEASE / 2 + SECOND);
    lab.sweep();
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Bound);
    lab.pass(LEASE / 2);
    lab.sweep();
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Expired);
    lab.engine.drop_unused_boots(lab.now);
    assert_eq!(lab.engine.templates_in_use(), 0);
    lab.bind(A);
    lab.sweep();
    assert_eq!(lab.seen(EventKind::KernelRenew), 1, "counted anew");
}

#[test]
fn an_expired_address_of_another_is_given_when_no_other_is_left() {
    let mut lab = Lab::small();
    for i in 0..10 {
        lab.bind(mac(i));
    }
    lab.pass(LEASE + SECOND);
    lab.sweep();
    assert_eq!(lab.seen(EventKind::Expire), 10);
    assert_eq!(lab.engine.pools()[0].free, 10);
    for i in 10..20 {
        lab.bind(mac(i));
    }
    assert_eq!(lab.engine.known_clients(), 10);
    assert!(lab.engine.lease_of(mac(3)).is_empty());
}

#[test]
fn reload_takes_memos_only_where_replies_change() {
    let mut nets = vec![
        subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19")),
        subnet("192.168.7.0/24", ("192.168.7.100", "192.168.7.109")),
    ];
    let mut lab = Lab::new(config(nets.clone()));
    let here = lab.bind(A);
    let there = ip("192.168.7.100");
    let mut request = Message::new(3, B)
        .server(ip("192.168.7.1"))
        .requested(there);
    request.link = OTHER_LINK;
    lab.reply(&request);
    let memos = |lab: &Lab| [here, there].map(|address| lab.engine.lease_at(address).unwrap().memo);
    assert_eq!(memos(&lab), [true, true]);
    nets[1].options = options(&[(3, &[192, 168, 7, 254], false)]);
    nets.swap(0, 1);
    lab.engine
        .reload(config(nets.clone()).into(), lab.now)
        .unwrap();
    assert_eq!(memos(&lab), [true, false]);
    reserve(&mut nets[1], mac(7), "10.0.1.19", None);
    lab.engine
        .reload(config(nets.clone()).into(), lab.now)
        .unwrap();
    assert_eq!(memos(&lab), [true, false], "somebody else's reservation");
    reserve(&mut nets[1], A, &here.to_string(), Some("named"));
    lab.engine
        .reload(config(nets.clone()).into(), lab.now)
        .unwrap();
    assert_eq!(memos(&lab), [false, false]);
    lab.reply(&Message::renewing(A, here));
    assert_eq!(memos(&lab), [true, false]);
    lab.engine
        .reload(config(nets[..1].to_vec()).into(), lab.now)
        .unwrap();
    assert_eq!(memos(&lab), [false, false], "the subnet is gone");
}

/// A pool loses an address whose holder comes anew, and gets it back before that holder has taken another.
#[test]
fn who_is_offered_another_address_is_known_by_the_one_it_has() {
    let mut lab = Lab::small();
    let own = lab.bind(A);
    let before = lab.engine.config();
    let mut without = (*before).clone();
    let pool = &mut without.subnets[0].pools[0];
    pool.first = Ipv4Addr::from_bits(own.to_bits() + 1);
    lab.engine.reload(without.into(), lab.now).unwrap();
    let other = lab.reply(&Message::discover(A)).yiaddr();
    assert_ne!(other, own, "of no pool any more");
    assert_eq!(lab.reply(&Message::discover(A)).yiaddr(), other, "again");
    lab.engine.reload(before, lab.now).unwrap();
    assert_eq!(lab.reply(&Message::discover(A)).yiaddr(), own);
    let known = lab.engine.lease_of(A);
    assert_eq!((known.len(), known[0].address), (1, own));
    lab.bind(A);
    lab.engine.audit().unwrap();
}

#[test]
fn a_commit_that_a_reload_overtakes_brings_no_memo() {
    let mut lab = Lab::small();
    let address = lab.reply(&Message::discover(A)).yiaddr();
    let mut reply = Vec::new();
    let commit = commit_of(lab.handle(&Message::selecting(A, address), &mut reply));
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.options = options(&[]);
    lab.engine
        .reload(config(vec![net]).into(), lab.now)
        .unwrap();
    lab.commit(commit);
    let lease = lab.engine.lease_at(address).unwrap();
    assert_eq!((lease.kind, lease.memo), (Kind::Bound, false));
    lab.engine.audit().unwrap();
    assert_eq!(lab.engine.pools()[0].free, 9);
}

#[test]
fn another_server_address_takes_the_memos() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    let unrelated = vec![
        interface(3, &["10.0.0.1/16"]),
        interface(9, &["10.99.0.1/24"]),
    ];
    lab.engine.set_interfaces(unrelated, lab.now);
    assert!(lab.engine.lease_at(address).unwrap().memo);
    lab.engine
        .set_interfaces(vec![interface(3, &["10.0.0.7/16"])], lab.now);
    assert!(!lab.engine.lease_at(address).unwrap().memo);
}

#[test]
fn an_operator_releases_and_binds() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    let now = lab.now;
    let binding = |mac, address| Binding {
        address,
        mac,
        expires: now.boot + 10 * SECOND,
        since: 5,
        client_id: vec![1],
        hostname: b"h".to_vec(),
        relay_agent: Vec::new(),
    };
    let refused = lab.engine.force_bind(binding(B, address), now).unwrap_err();
    assert_eq!(refused, Refused::Taken(address, A));
    assert!(refused.to_string().contains("52:54:00:00:00:0a"));
    assert_eq!(
        lab.engine.force_release(address, Some(B), now).unwrap_err(),
        Refused::Another(address, A)
    );
    let commit = lab.engine.force_release(address, Some(A), now).unwrap();
    assert_eq!(
        lab.engine.force_release(address, None, now).unwrap_err(),
        Refused::Busy(address)
    );
    lab.commit(commit);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Released);
    let commit = lab.engine.force_bind(binding(B, address), now).unwrap();
    lab.commit(commit);
    let lease = lab.engine.lease_at(address).unwrap();
    assert_eq!(
        (lease.kind, lease.mac, lease.expires, lease.since),
        (Kind::Bound, B, now.boot + 10 * SECOND, 5)
    );
    assert!(lab.engine.lease_of(A).is_empty());
    assert_eq!(lab.reply(&Message::renewing(B, address)).kind(), 5);
    let free = ip("10.0.1.18");
    assert_eq!(
        lab.engine.force_release(free, Some(A), now).unwrap_err(),
        Refused::NotLeased(free)
    );
    let outside = ip("10.77.0.1");
    assert_eq!(
        lab.engine.force_bind(binding(B, outside), now).unwrap_err(),
        Refused::Unknown(outside)
    );
    let mut past = binding(B, free);
    past.expires = now.boot;
    assert_eq!(
        lab.engine.force_bind(past, now).unwrap_err(),
        Refused::Past(free)
    );
    let declined = lab.bind(mac(5));
    lab.send(&Message::decline(mac(5), declined)).unwrap();
    let commit = lab.engine.force_release(declined, None, now).unwrap();
    assert_eq!(commit.record.kind, RecordKind::Forgotten);
    lab.commit(commit);
    assert!(lab.engine.lease_at(declined).is_none());
}

#[test]
fn a_client_beside_its_reserved_address_is_not_left_to_the_kernel() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    let mut lab = Lab::new(config(vec![net.clone()]));
    let reserved = lab.bind(B);
    reserve(&mut net, A, &reserved.to_string(), None);
    lab.engine
        .reload(config(vec![net]).into(), lab.now)
        .unwrap();
    let meanwhile = lab.bind(A);
    assert_ne!(meanwhile, reserved);
    assert!(!lab.engine.lease_at(meanwhile).unwrap().memo);
    lab.reply(&Message::renewing(A, meanwhile));
    assert!(
        !lab.engine.lease_at(meanwhile).unwrap().memo,
        "it must hear when it may move"
    );
}

#[test]
fn an_operator_binds_only_what_clients_may_get() {
    let mut net = subnet("10.0.0.0/16", ("10.0.0.0", "10.0.0.9"));
    reserve(&mut net, A, "10.0.9.9", None);
    let lab = Lab::new(config(vec![net]));
    let bind = |mac, address: &str| {
        let binding = Binding {
            address: ip(address),
            mac,
            expires: lab.now.boot + SECOND,
            since: 5,
            client_id: Vec::new(),
            hostname: Vec::new(),
            relay_agent: Vec::new(),
        };
        lab.engine.force_bind(binding, lab.now)
    };
    let reserved = ip("10.0.9.9");
    assert_eq!(
        bind(B, "10.0.9.9").unwrap_err(),
        Refused::Reserved(reserved, Identifier::Mac(A))
    );
    assert!(bind(A, "10.0.9.9").is_ok());
    assert_eq!(bind(B, "10.0.0.1").unwrap_err(), Refused::Ours(SERVER));
    let edge = bind(B, "10.0.0.0").unwrap_err();
    assert_eq!(
        edge.to_string(),
        "10.0.0.0 is the network or broadcast address of 10.0.0.0/16"
    );
    let beside = ip("10.0.0.10");
    assert_eq!(bind(B, "10.0.0.10").unwrap_err(), Refused::Unknown(beside));
    assert!(bind(B, "10.0.0.9").is_ok());
}
