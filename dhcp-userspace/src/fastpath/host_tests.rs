//! Everything that `dhcp_common::fast` decides and writes. Not reachable on the host: `Raced`
//! (one thread cannot change a slot between two reads of it; `dhcp-common/tests/loom` does),
//! `NoRoom` and `Broken` (a `Vec` always grows, and writes stay within it).

use proptest::prelude::*;

use super::super::testing::{
    ADDRESS, IFINDEX, NOW, OURS, Reply, Request, SERVER, checksum, options, publish, publish_with,
    refusals, table, untimely,
};
use super::*;
use crate::clock::SECOND;

fn answer(table: &Table, frame: &mut Vec<u8>) -> Reason {
    answer_at(table, frame, IFINDEX, NOW)
}

fn answer_at(table: &Table, frame: &mut Vec<u8>, ifindex: u32, now: u64) -> Reason {
    let before = frame.clone();
    let mut scratch = Scratch::default();
    let mut env = HostEnv {
        table,
        frame,
        ifindex,
        now,
    };
    let forecast = env.explain(&mut scratch);
    let reason = env.answer(&mut scratch);
    assert_eq!(forecast, reason, "explain says what answer does");
    assert_eq!(
        *frame == before,
        reason != Reason::Hit,
        "unchanged unless answered"
    );
    reason
}

/// The right bytes, whatever the frame had before.
fn assert_answered(request: &Request, reply: &Reply) {
    let table = table();
    let index = publish(&table, request, reply, NOW);
    let mut frame = request.frame();
    assert_eq!(answer(&table, &mut frame), Reason::Hit);
    assert_eq!(frame, reply.frame(request), "tags {:?}", request.tags);
    let l2 = 14 + 4 * request.tags.len();
    assert_eq!(checksum(&frame[l2..l2 + 20]), 0, "of the IP header");
    assert!(frame.len() >= l2 + 28 + 300);
    let lease = table.slot(index).lease();
    assert_eq!(lease.expires, NOW + 3600 * SECOND);
    assert_eq!(lease.renewals, 1);
}

fn tagged(tags: usize) -> Request {
    let tags = [(0x88a8, 0x2064), (0x8100, 0x00c8)][2 - tags..].to_vec();
    Request {
        tags,
        ..Request::default()
    }
}

#[test]
fn a_plain_reply_under_any_tags() {
    for tags in 0..=2 {
        assert_answered(&tagged(tags), &Reply::default());
        assert_answered(&tagged(tags), &Reply::default().with_id());
    }
}

#[test]
fn every_length_of_template_and_client_part() {
    for len in 15..=90 {
        for tail in [0, 1, 2, 31, 63] {
            let reply = Reply {
                tail: vec![0x5a; tail],
                ..Reply::of_len(len)
            };
            assert_answered(&Request::default(), &reply);
            assert_answered(&tagged(1), &reply.with_id());
        }
    }
    assert_answered(&Request::default(), &Reply::of_len(507));
    assert_answered(
        &Request::default(),
        &Reply {
            tail: vec![1; 63],
            ..Reply::of_len(508)
        },
    );
}

#[test]
fn options_61_and_82_are_cut_from_wherever_they_are() {
    for before in [0usize, 1, 7, 100, 200] {
        for agent in [1u8, 30, 253] {
            let mut bytes = vec![0; before];
            let id_at = bytes.len() as u16;
            bytes.extend([61, 3, 1, 2, 3]);
            let agent_at = bytes.len() as u16;
            bytes.extend([82, agent]);
            bytes.extend((0..agent).map(|i| i ^ 0x80));
            bytes.push(255);
            let request = Request {
                options: bytes,
                ..Request::default()
            };
            let reply = Reply {
                id: (id_at, 5),
                agent: (agent_at, agent + 2),
                ..Reply::of_len(33)
            };
            assert_answered(&request, &reply);
        }
    }
}

#[test]
fn requests_shorter_and_longer_than_the_reply() {
    for padding in [0, 1, 38, 60, 250, 512 - options().len()] {
        let mut request = Request::default();
        request.options.resize(options().len() + padding, 0);
        assert_answered(&request, &Reply::default().with_id());
        assert_answered(&request, &Reply::of_len(400));
    }
}

#[test]
fn padding_of_the_frame_is_not_looked_at() {
    let (table, request, reply) = (table(), Request::default(), Reply::default());
    publish(&table, &request, &reply, NOW);
    let mut frame = request.frame();
    frame.extend([0xcc; 46]);
    assert_eq!(answer(&table, &mut frame), Reason::Hit);
    assert_eq!(frame, reply.frame(&request));
}

#[test]
fn header_fields_come_from_the_request() {
    let request = Request {
        flags: 0x8000,
        xid: 0xdead_beef,
        ..Request::default()
    };
    assert_answered(&request, &Reply::default());
    let rebinding = Request {
        to: [0xff; 6],
        destination: [255, 255, 255, 255].into(),
        ..tagged(2)
    };
    assert_answered(&rebinding, &Reply::default());
}

#[test]
fn one_thing_differs() {
    for (want, request) in refusals() {
        let table = table();
        publish(&table, &Request::default(), &Reply::default(), NOW);
        assert_eq!(answer(&table, &mut request.frame()), want);
    }
}

/// A byte of the untagged frame set, and what it must lead to.
fn refused_byte(want: Reason, at: usize, byte: u8) {
    let table = table();
    publish(&table, &Request::default(), &Reply::default(), NOW);
    let mut frame = Request::default().frame();
    assert_ne!(frame[at], byte, "byte {at}");
    frame[at] = byte;
    assert_eq!(answer(&table, &mut frame), want, "byte {at} set to {byte}");
}

#[test]
fn bad_headers() {
    for (at, byte) in [
        (14, 0x46),
        (14, 0x65),
        (20, 0x20),
        (21, 1),
        (38, 2),
        (16, 2),
    ] {
        refused_byte(Reason::BadHeader, at, byte);
    }
    refused_byte(Reason::NotDhcp, 12, 0x86);
    refused_byte(Reason::NotDhcp, 14 + 9, 6);
    refused_byte(Reason::NotRequest, 14 + 2, 0);
    for (at, byte) in [(0, 2), (1, 6), (2, 16), (236, 0), (239, 0)] {
        refused_byte(Reason::NotRequest, 42 + at, byte);
    }
}

#[test]
fn an_interface_that_is_not_served() {
    let table = table();
    publish(&table, &Request::default(), &Reply::default(), NOW);
    let mut frame = Request::default().frame();
    assert_eq!(
        answer_at(&table, &mut frame, IFINDEX + 1, NOW),
        Reason::NotOurs
    );
    // The same place in the list of interfaces.
    assert_eq!(
        answer_at(&table, &mut frame, IFINDEX + 256, NOW),
        Reason::NotOurs
    );
}

#[test]
fn any_changed_option_byte_misses_the_memo() {
    let table = table();
    publish(&table, &Request::default(), &Reply::default(), NOW);
    for i in 0..options().len() {
        let mut request = Request::default();
        request.options[i] ^= 0x10;
        assert_eq!(answer(&table, &mut request.frame()), Reason::MemoMiss);
    }
}

#[test]
fn a_unicast_renewal_may_come_by_any_link() {
    let table = table();
    publish(&table, &Request::default(), &Reply::default(), NOW);
    assert_eq!(answer(&table, &mut tagged(1).frame()), Reason::Hit);
}

#[test]
fn clock_and_promise() {
    let (table, request) = (table(), Request::default());
    let just = (Reason::Hit, NOW + 1, NOW + 3600 * SECOND);
    for (want, expires, reserved_until) in untimely(NOW).into_iter().chain([just]) {
        publish_with(&table, &request, &Reply::default(), |lease| {
            (lease.expires, lease.reserved_until) = (expires, reserved_until);
        });
        assert_eq!(answer(&table, &mut request.frame()), want);
    }
}

#[test]
fn a_closed_slot_is_left_alone() {
    let (table, request) = (table(), Request::default());
    let index = publish(&table, &request, &Reply::default(), NOW);
    assert!(table.slot(index).try_lock());
    let expires = table.slot(index).close();
    assert_eq!(answer(&table, &mut request.frame()), Reason::NoLease);
    assert_eq!(table.slot(index).expires(), expires);
}

#[test]
fn a_frame_cut_anywhere_is_refused_and_unchanged() {
    for tags in 0..=2 {
        let (table, request) = (table(), tagged(tags));
        publish(&table, &request, &Reply::default().with_id(), NOW);
        let whole = request.frame();
        for len in 0..whole.len() {
            let reason = answer(&table, &mut whole[..len].to_vec());
            let want = [Reason::NotDhcp, Reason::BadHeader];
            assert!(want.contains(&reason), "{len} bytes: {reason:?}");
        }
    }
}

#[test]
fn an_assumed_memo_is_for_explaining_only() {
    let (table, mut request) = (table(), Request::default());
    let index = publish(&table, &request, &Reply::default(), NOW);
    request.options[2] = 1;
    let mut frame = request.frame();
    table
        .meta()
        .assume_memo
        .store(table.slot(index).lease().memo);
    let mut env = HostEnv {
        table: &table,
        frame: &mut frame,
        ifindex: IFINDEX,
        now: NOW,
    };
    assert_eq!(env.explain(&mut Scratch::default()), Reason::Hit);
    assert_eq!(env.answer(&mut Scratch::default()), Reason::MemoMiss);
}

proptest! {
    /// Whatever comes in: no panic, and nothing is written unless it is answered.
    #[test]
    fn any_bytes(mut frame in prop::collection::vec(any::<u8>(), 0..700)) {
        let table = table();
        publish(&table, &Request::default(), &Reply::default(), NOW);
        prop_assert_ne!(answer(&table, &mut frame), Reason::Hit);
    }

    /// A few bytes changed: answered with the very reply, or left alone.
    #[test]
    fn changed_bytes(changes in prop::collection::vec((0usize..330, any::<u8>()), 1..4)) {
        let (table, request, reply) = (table(), Request::default(), Reply::default().with_id());
        publish(&table, &request, &reply, NOW);
        let mut frame = request.frame();
        for (at, byte) in changes {
            let at = at % frame.len();
            frame[at] = byte;
        }
        let came = frame.clone();
        if answer(&table, &mut frame) == Reason::Hit {
            prop_assert_eq!(&frame[14 + 16..14 + 20], &ADDRESS.octets());
            prop_assert_eq!(&frame[14 + 12..14 + 16], &SERVER.octets());
            prop_assert_eq!(&frame[..12], &[&came[6..12], &OURS].concat()[..]);
            prop_assert_eq!(&frame[46..50], &came[46..50], "the same xid");
        }
    }
}
