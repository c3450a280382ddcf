//! Whatever a few clients send, and whatever bytes: nothing panics, and the books balance.

use std::net::Ipv4Addr;

use dhcp_common::slot::Kind;
use proptest::prelude::*;

use super::lab::*;
use crate::clock::SECOND;
use crate::engine::{Incoming, Outcome};

fn any_address() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        8 => (8u8..22).prop_map(|last| Ipv4Addr::new(10, 0, 1, last)),
        1 => Just(SERVER),
        1 => Just(ANYONE),
        1 => any::<u32>().prop_map(Ipv4Addr::from_bits),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let kind = prop::sample::select(vec![1u8, 1, 3, 3, 3, 3, 3, 4, 7, 8]);
    let addresses = (any_address(), any_address(), any_address());
    let shape = (
        any::<[bool; 5]>(),
        0u32..5,
        prop::sample::select(vec![61u8, 12, 55, 82, 52]),
    );
    (
        kind,
        addresses,
        shape,
        prop::collection::vec(any::<u8>(), 0..5),
    )
        .prop_map(|(kind, (wish, has, relay), (with, client, code), value)| {
            let mut message = Message::new(kind, mac(client));
            if with[0] {
                message = message.requested(wish);
            }
            if with[1] {
                message = message.server(SERVER);
            }
            if with[2] {
                message.ciaddr = has;
                message.source = has;
            }
            if with[3] {
                message.destination = SERVER;
            }
            if with[4] {
                message = message.with(code, &value);
            }
            if with == [true; 5] {
                message.giaddr = relay;
            }
            message
        })
}

/// A message, or time that passes.
fn any_step() -> impl Strategy<Value = Result<(Message, bool), u64>> {
    prop_oneof![
        12 => (any_message(), prop::bool::weighted(0.9)).prop_map(Ok),
        1 => (1u64..3000).prop_map(|seconds| Err(seconds * SECOND)),
    ]
}

/// Pools, slots and counters tell the same.
fn books_balance(lab: &Lab) {
    let leases = lab.engine.leases();
    let count = |pick: &dyn Fn(Kind) -> bool| leases.iter().filter(|l| pick(l.kind)).count();
    let pool = lab.engine.pools()[0];
    assert_eq!(pool.free + count(&|kind| kind.is_taken()) as u64, pool.size);
    assert_eq!(
        lab.engine.open_offers(),
        count(&|kind| kind == Kind::Offered)
    );
    let memos = leases.iter().filter(|lease| lease.memo).count();
    let boots = lab.engine.table().boots();
    let boots = boots.filter(|entry| entry.read().is_some()).count();
    assert!(lab.engine.templates_in_use() <= memos + boots);
    for lease in leases.iter().filter(|lease| lease.kind == Kind::Bound) {
        assert!(lease.reserved_until >= lease.expires, "{lease:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_books_balance(steps in prop::collection::vec(any_step(), 1..120)) {
        let mut lab = Lab::small();
        let mut reply = Vec::new();
        for step in steps {
            match step {
                Err(time) => {
                    lab.pass(time);
                    lab.sweep();
                }
                Ok((message, durable)) => match lab.handle(&message, &mut reply) {
                    Outcome::Commit(commit) if durable => lab.commit(commit),
                    Outcome::Commit(commit) => lab.engine.refuse(&commit.change, lab.now),
                    Outcome::Busy => panic!("nobody else is here"),
                    Outcome::Reply(_) | Outcome::Later(_) | Outcome::Ignore(_) => {}
                },
            }
            books_balance(&lab);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        message in any_message(), at in 0usize..400, noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let lab = Lab::small();
        let mut payload = message.payload();
        let at = at.min(payload.len());
        let end = (at + noise.len()).min(payload.len());
        payload.splice(at..end, noise);
        let mut reply = Vec::new();
        for len in [payload.len(), at] {
            let packet = Incoming {
                link: LINK,
                l2: &message.l2,
                source: message.source,
                source_port: 68,
                destination: ALL,
                destination_port: 67,
                payload: &payload[..len],
                arrived: 0,
            };
            let _ = lab.engine.handle(lab.now, &packet, &mut reply);
        }
    }
}
