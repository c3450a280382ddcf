//! Every interleaving of what the kernel, and daemon threads, do to a slot and to the guard's words.
//! `RUSTFLAGS="--cfg loom" cargo test -p dhcp-common --release --test loom`
//!
//! Each model tells the property that it proves, and which change of the code it finds: those were
//! made one at a time, and `cargo xtask test` makes them again (`xtask/src/interleavings.rs`).
#![cfg(loom)]

mod boot;
mod close;
mod guard;
mod promise;
mod reader;
mod template;
mod tenant;

use dhcp_common::Reason;
use dhcp_common::slot::{Asked, Checked, Kind, Lease, Link, Slot, Splice};
use loom::model::Builder;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

/// The kernel's clock, and what a renewal by it gives.
const NOW: u64 = 100;
const UNTIL: u64 = 200;
/// When the lease ends that the first client has.
const SOON: u64 = NOW + 1;
const LONGER: u64 = 1000;

/// Two threads of few steps are walked through wholly; more with at most this many preemptions, which is
/// what the faults of this kind that are known need, and ends within seconds.
const PREEMPTIONS: usize = 2;

fn model_of_many(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(check);
}

/// A lease whose every field tells whose it is.
fn lease(client: u64) -> Lease {
    // The second client was told more than any renewal of the first gives.
    let expires = if client == 2 { LONGER } else { SOON };
    Lease {
        chaddr: client,
        expires,
        reserved_until: LONGER,
        memo: client * 1000,
        link: Link {
            ifindex: client as u32,
            outer: 0,
            inner: 0,
        },
        template: client as u32 * 10,
        renewals: 0,
        splice: Splice {
            tail_len: client as u8,
            sum: client as u16,
            ..Splice::default()
        },
        boots: false,
    }
}

fn bound_with(lease: &Lease) -> Arc<Slot> {
    let slot = Slot::default();
    assert!(slot.try_lock());
    slot.close();
    slot.publish(Kind::Bound, true, lease);
    Arc::new(slot)
}

fn bound(client: u64) -> Arc<Slot> {
    bound_with(&lease(client))
}

const fn asked(client: u64) -> Asked {
    Asked {
        chaddr: client,
        memo: Some(client * 1000),
        link: None,
    }
}

/// The checks of a renewal of this client.
fn check(slot: &Slot, client: u64) -> Option<Checked> {
    let checked = slot.check(&asked(client));
    let known = [Reason::NoLease, Reason::OtherClient, Reason::MemoMiss];
    checked
        .inspect_err(|reason| assert!(known.contains(reason), "{reason:?}"))
        .ok()
}

/// The kernel answers `client`; tells whether it did.
fn renew(slot: &Slot, client: u64) -> bool {
    let Some(checked) = check(slot, client) else {
        return false;
    };
    if slot.extend(&checked, NOW, UNTIL).is_err() {
        return false;
    }
    let of_splice = (checked.splice.tail_len, checked.splice.sum);
    assert_eq!(u64::from(checked.template), client * 10, "another's reply");
    assert_eq!(of_splice, (client as u8, client as u16), "another's name");
    true
}

/// The same model for the one who had the address and for the next.
fn model_of_each(check: impl Fn(u64) + Clone + Sync + Send + 'static) {
    for client in [1, 2] {
        let check = check.clone();
        model_of_many(move || check(client));
    }
}

fn kernel(slot: &Arc<Slot>, client: u64) -> JoinHandle<bool> {
    let slot = Arc::clone(slot);
    thread::spawn(move || renew(&slot, client))
}
