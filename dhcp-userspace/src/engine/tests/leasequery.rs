//! Lease queries, single (RFC 4388, RFC 6148) and in bulk (RFC 6926).

use std::net::Ipv4Addr;

use super::lab::*;
use crate::clock::SECOND;
use crate::engine::Ignored;
use crate::engine::bulk::{Bulk, BulkStatus};

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xb];
/// Circuit 7, remote identifier "r1", relay identifier "R".
const AGENT: &[u8] = &[1, 1, 7, 2, 2, b'r', b'1', 12, 1, b'R'];
const RELAY: &str = "10.0.7.7";

fn lab() -> Lab {
    let mut all = config(vec![
        subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19")),
        subnet("192.168.7.0/24", ("192.168.7.10", "192.168.7.19")),
    ]);
    all.leasequery.allowed = vec!["10.0.7.0/24".parse().unwrap()];
    Lab::new(all)
}

/// DISCOVER to ACK behind the relay.
fn bind(lab: &mut Lab, mac: [u8; 6]) -> Ipv4Addr {
    let sent = |message: Message| {
        message
            .with(61, &[1, mac[5]])
            .relayed(RELAY)
            .with(82, AGENT)
    };
    let address = lab.reply(&sent(Message::discover(mac))).yiaddr();
    assert_eq!(lab.reply(&sent(Message::selecting(mac, address))).kind(), 5);
    address
}

fn query() -> Message {
    let mut message = Message::new(10, [0; 6]).relayed(RELAY);
    message.edit = |bytes| bytes[1..3].fill(0);
    message
}

fn by_address(address: Ipv4Addr) -> Message {
    Message {
        ciaddr: address,
        ..query()
    }
}

fn by_mac(mac: [u8; 6]) -> Message {
    Message {
        mac,
        edit: |_| {},
        ..query()
    }
}

fn secs(reply: &Reply, code: u8) -> u32 {
    u32::from_be_bytes(reply.option(code).unwrap().try_into().unwrap())
}

#[test]
fn an_active_lease_is_found_by_each_of_its_names() {
    let mut lab = lab();
    let address = bind(&mut lab, A);
    let queries = [
        by_address(address),
        by_mac(A),
        query().with(61, &[1, 0xa]),
        query().with(82, &[2, 2, b'r', b'1']),
        query().with(82, &[12, 1, b'R']),
    ];
    lab.pass(600 * SECOND);
    for query in queries {
        let reply = lab.reply(&query);
        assert_eq!((reply.kind(), reply.to()), (13, (ip(RELAY), 67)));
        assert_eq!((reply.address(12), reply.yiaddr()), (address, ANYONE));
        assert_eq!(reply.address(24), ip(RELAY));
        assert_eq!(
            (&reply.message()[..3], &reply.message()[28..34]),
            (&[2, 1, 6][..], &A[..])
        );
        assert_eq!(reply.option(54), Some(&SERVER.octets()[..]));
        assert_eq!(
            (secs(&reply, 51), secs(&reply, 58), secs(&reply, 59)),
            (3000, 1200, 2550)
        );
        assert_eq!(secs(&reply, 91), 600);
        assert_eq!(reply.option(61), Some(&[1, 0xa][..]));
        assert_eq!(reply.option(82), Some(AGENT));
        assert_eq!(reply.option(92), None);
    }
    lab.pass(1300 * SECOND);
    let reply = lab.reply(&by_address(address));
    assert_eq!(
        (reply.option(58), secs(&reply, 59)),
        (None, 1250),
        "T1 is over"
    );
}

#[test]
fn queries_that_need_a_walk_over_all_clients_are_few_in_a_second() {
    let mut lab = lab();
    let address = bind(&mut lab, A);
    let walk = query().with(61, &[1, 0xa]);
    for _ in 0..4 {
        assert_eq!(lab.reply(&walk).kind(), 13);
    }
    for walk in [&walk, &query().with(82, &[2, 2, b'r', b'1'])] {
        assert_eq!(lab.ignored(walk), Ignored::Overload);
    }
    assert_eq!(lab.reply(&by_address(address)).kind(), 13);
    lab.pass(SECOND);
    assert_eq!(lab.reply(&walk).kind(), 13);
}

#[test]
fn by_address_the_head_may_be_that_of_ethernet_without_a_mac() {
    let mut lab = lab();
    let address = bind(&mut lab, A);
    let mut message = by_address(address);
    message.edit = |_| {};
    assert_eq!(lab.reply(&message).kind(), 13);
    message.ciaddr = ANYONE;
    assert_eq!(lab.ignored(&message), Ignored::WrongHardware);
}

#[test]
fn a_lease_that_is_over_but_not_swept_is_told_as_expired() {
    let mut lab = lab();
    let address = bind(&mut lab, A);
    lab.now.boot += LEASE;
    lab.now.unix += LEASE;
    let mut message = bulk_message(&[]);
    message.ciaddr = address;
    assert_eq!(answers(&lab, &message), [(11, address, 3)]);
}

#[test]
fn what_is_asked_for_is_told_and_nothing_else() {
    let mut lab = lab();
    let address = bind(&mut lab, A);
    let reply = lab.reply(&by_address(address).with(55, &[6, 51, 3, 1, 51, 99]));
    assert_eq!(reply.codes(), [53, 54, 6, 51, 3, 1]);
    assert_eq!(reply.option(1), Some(&[255, 255, 0, 0][..]));
}

#[test]
fn renewals_by_the_kernel_move_the_last_transaction() {
    let mut lab = lab();
    let address = lab.bind(A);
    lab.pass(1000 * SECOND);
    let table = lab.engine.table();
    let slot = table.slot(table.index(address).unwrap());
    let lease = slot.lease();
    let asked = dhcp_common::slot::Asked {
        chaddr: lease.chaddr,
        memo: Some(lease.memo),
        link: None,
    };
    let until = lab.now.boot + LEASE;
    slot.extend(&slot.check(&asked).unwrap(), lab.now.boot, until)
        .unwrap();
    lab.pass(10 * SECOND);
    assert_eq!(secs(&lab.reply(&by_address(address)), 91), 10);
}

#[test]
fn no_lease_is_unassigned_if_ours_and_unknown_otherwise() {
    let mut lab = lab();
    let address = bind(&mut lab, A);
    let rows = [
        (by_address(ip("10.0.1.19")), 11),
        (by_address(ip("10.0.9.9")), 12),
        (by_address(ip("172.16.0.1")), 12),
        (by_mac(B), 12),
        (query().with(61, &[1, 0xb]), 12),
        (query().with(82, &[2, 2, b'r', b'2']), 12),
        (query(), 12),
    ];
    for (query, kind) in rows {
        let reply = lab.reply(&query);
        assert_eq!(
            (reply.kind(), reply.codes()),
            (kind, vec![53, 54]),
            "{query:?}"
        );
        assert_eq!(reply.address(12), query.ciaddr);
        assert_eq!(reply.message()[28..34], query.mac);
    }
    lab.pass(LEASE);
    assert_eq!(lab.reply(&by_address(address)).kind(), 11, "over");
    assert_eq!(lab.reply(&by_mac(A)).kind(), 12);
}

#[test]
fn all_addresses_of_a_client_are_told_the_latest_first() {
    let mut lab = lab();
    let first = bind(&mut lab, A);
    lab.pass(SECOND);
    let mut discover = Message::discover(A);
    discover.link = OTHER_LINK;
    let second = lab.reply(&discover).yiaddr();
    let mut select = Message::new(3, A)
        .server(ip("192.168.7.1"))
        .requested(second);
    select.link = OTHER_LINK;
    lab.reply(&select);
    let reply = lab.reply(&by_mac(A));
    assert_eq!(reply.address(12), second);
    assert_eq!(
        reply.option(92),
        Some(&[second.octets(), first.octets()].concat()[..])
    );
}

#[test]
fn only_named_relays_may_ask_and_only_by_unicast() {
    let mut lab = lab();
    let address = bind(&mut lab, A);
    let change = |change: fn(&mut Message)| {
        let mut message = by_address(address);
        change(&mut message);
        message
    };
    let denied = [
        change(|message| message.giaddr = ANYONE),
        change(|message| message.giaddr = ip("10.0.8.7")),
        change(|message| message.source = ip("10.0.8.7")),
        change(|message| message.destination = ALL),
    ];
    for message in denied {
        assert_eq!(lab.ignored(&message), Ignored::QueryDenied);
    }
    let mut nobody = (*lab.engine.config()).clone();
    nobody.leasequery.allowed.clear();
    lab.engine.reload(nobody.into(), lab.now).unwrap();
    assert_eq!(lab.ignored(&by_address(address)), Ignored::QueryDenied);
}

#[test]
fn option_82_is_remembered_past_a_direct_renewal_and_a_restart() {
    let mut lab = lab();
    let address = bind(&mut lab, A);
    lab.pass(LEASE / 2);
    lab.reply(&Message::renewing(A, address).with(61, &[1, 0xa]));
    assert_eq!(lab.engine.lease_at(address).unwrap().relay_agent, AGENT);
    assert_eq!(lab.records.last().unwrap().relay_agent, AGENT);
    let again = self::lab();
    again.engine.restore(lab.records.clone(), lab.now);
    assert_eq!(again.engine.lease_at(address).unwrap().relay_agent, AGENT);
    // Bound anew elsewhere, the old place counts no longer.
    assert!(lab.send(&Message::release(A, address)).is_ok());
    assert_eq!(lab.bind(A), address);
    assert_eq!(lab.engine.lease_at(address).unwrap().relay_agent, b"");
}

fn bulk(lab: &Lab, message: &Message) -> Result<Bulk, BulkStatus> {
    lab.engine.bulk_query(lab.now, &message.payload(), SERVER)
}

fn bulk_message(options: &[(u8, &[u8])]) -> Message {
    let mut message = Message::new(14, [0; 6]);
    message.edit = |bytes| bytes[1..3].fill(0);
    options
        .iter()
        .fold(message, |message, (code, value)| message.with(*code, value))
}

/// Type, address, dhcp-state of every answer.
fn answers(lab: &Lab, message: &Message) -> Vec<(u8, Ipv4Addr, u8)> {
    let bulk = bulk(lab, message).unwrap();
    let answer = |at: &Ipv4Addr| {
        let bytes = lab.engine.bulk_answer(lab.now, &bulk, *at)?;
        let frame = [vec![0; 28], bytes].concat();
        let reply = Reply::of_message(frame);
        assert!(reply.option(152).is_some() && reply.option(157) == Some(&[0]));
        Some((
            reply.kind(),
            reply.address(12),
            reply.option(156).unwrap()[0],
        ))
    };
    bulk.addresses.iter().filter_map(answer).collect()
}

#[test]
fn in_bulk_all_leases_of_a_relay_are_told() {
    let mut lab = lab();
    let a = bind(&mut lab, A);
    let b = bind(&mut lab, B);
    lab.bind(mac(9));
    assert!(lab.send(&Message::release(B, b)).is_ok());
    for agent in [&[12, 1, b'R'][..], &[2, 2, b'r', b'1']] {
        let mut all = answers(&lab, &bulk_message(&[(82, agent)]));
        all.sort();
        assert_eq!(all, [(11, b, 4), (13, a, 2)]);
    }
    assert!(answers(&lab, &bulk_message(&[(82, &[12, 1, b'X'])])).is_empty());
    let all = answers(&lab, &bulk_message(&[]));
    assert_eq!(all.len(), 20, "every address");
    assert_eq!(all.iter().filter(|answer| answer.0 == 13).count(), 2);
}

#[test]
fn in_bulk_only_what_changed_in_time_is_told() {
    let mut lab = lab();
    let start = lab.now.unix / SECOND;
    let a = bind(&mut lab, A);
    lab.pass(100 * SECOND);
    let b = bind(&mut lab, B);
    let time = |seconds: u64| ((start + seconds) as u32).to_be_bytes();
    let told = |code: u8, seconds: u64| {
        let query = bulk_message(&[(82, &[12, 1, b'R']), (code, &time(seconds))]);
        answers(&lab, &query)
            .into_iter()
            .map(|answer| answer.1)
            .collect::<Vec<_>>()
    };
    assert_eq!((told(154, 50), told(155, 50)), (vec![b], vec![a]));
    assert_eq!((told(154, 101).len(), told(154, 0).len()), (0, 2));
}

#[test]
fn a_bulk_query_that_cannot_be_answered_is_told_so() {
    let lab = lab();
    let error = |message: &Message| bulk(&lab, message).unwrap_err();
    assert_eq!(error(&Message::discover(A)), BulkStatus::MalformedQuery);
    assert_eq!(
        error(&bulk_message(&[(154, &[1])])),
        BulkStatus::MalformedQuery
    );
    assert_eq!(
        error(&bulk_message(&[(221, &[0, 1])])),
        BulkStatus::UnspecFail
    );
}
