//! Every interleaving of the kernel's grant with the daemon's close and publish.
//! `RUSTFLAGS="--cfg loom" cargo test -p dhcp-common --release --test loom`
#![cfg(loom)]

use dhcp_common::Reason;
use dhcp_common::slot::{Asked, Kind, Lease, Link, Slot, Splice};
use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

const NOW: u64 = 100;
const UNTIL: u64 = 200;
const LONGER: u64 = 1000;

/// Two threads are walked through wholly; three with at most this many preemptions, which is more
/// than any known error of this kind needs, and ends within seconds.
const PREEMPTIONS: usize = 3;

fn model_of_three(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(check);
}

/// A lease whose every field tells whose it is.
fn lease(client: u64) -> Lease {
    // The second client was told more than any renewal of the first gives.
    let expires = if client == 2 { LONGER } else { NOW + 1 };
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
    }
}

fn bound(client: u64) -> Arc<Slot> {
    let slot = Slot::default();
    assert!(slot.try_lock());
    slot.close();
    slot.publish(Kind::Bound, true, &lease(client));
    Arc::new(slot)
}

/// The kernel answers `client`; tells whether it did.
fn renew(slot: &Slot, client: u64) -> bool {
    let asked = Asked {
        chaddr: client,
        memo: client * 1000,
        link: None,
    };
    let checked = match slot.check(&asked) {
        Ok(checked) => checked,
        Err(reason) => {
            assert!(
                [Reason::NoLease, Reason::OtherClient, Reason::MemoMiss].contains(&reason),
                "{reason:?}"
            );
            return false;
        }
    };
    if slot.extend(&checked, NOW, UNTIL).is_err() {
        return false;
    }
    assert_eq!(
        u64::from(checked.template),
        client * 10,
        "another client's reply"
    );
    assert_eq!(
        u64::from(checked.splice.tail_len),
        client,
        "another client's name"
    );
    assert_eq!(
        u64::from(checked.splice.sum),
        client,
        "another client's checksum"
    );
    true
}

#[test]
fn a_grant_is_refused_or_seen_by_the_close() {
    loom::model(|| {
        let slot = bound(1);
        let kernel = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || renew(&slot, 1))
        };
        assert!(slot.try_lock());
        let expires = slot.close();
        let granted = kernel.join().unwrap();
        assert!(
            !granted || expires == UNTIL,
            "told {UNTIL}, but the daemon believes {expires}"
        );
    });
}

#[test]
fn two_kernel_cpus_and_a_close() {
    model_of_three(|| {
        let slot = bound(1);
        let kernels: Vec<_> = (0..2)
            .map(|_| {
                let slot = Arc::clone(&slot);
                thread::spawn(move || renew(&slot, 1))
            })
            .collect();
        assert!(slot.try_lock());
        let expires = slot.close();
        let granted = kernels.into_iter().any(|kernel| kernel.join().unwrap());
        assert!(!granted || expires == UNTIL);
    });
}

#[test]
fn an_address_given_on_answers_nobody_with_anothers_data() {
    model_of_three(|| {
        let slot = bound(1);
        let kernels: Vec<_> = [1, 2]
            .map(|client| {
                let slot = Arc::clone(&slot);
                thread::spawn(move || renew(&slot, client))
            })
            .into_iter()
            .collect();
        assert!(slot.try_lock());
        let freed = slot.close() <= NOW + 1;
        if freed {
            slot.publish(Kind::Bound, true, &lease(2));
        } else {
            slot.publish(
                Kind::Bound,
                true,
                &Lease {
                    expires: UNTIL,
                    ..lease(1)
                },
            );
        }
        let granted: Vec<bool> = kernels
            .into_iter()
            .map(|kernel| kernel.join().unwrap())
            .collect();
        assert!(
            !(freed && granted[0]),
            "freed although a client was told that it holds it"
        );
        assert!(freed || !granted[1]);
        let expires = slot.expires();
        assert!(
            !freed || expires == LONGER,
            "told {LONGER}, but the daemon believes {expires}"
        );
    });
}

#[test]
fn a_lock_does_not_disturb_the_kernel_and_excludes_daemon_threads() {
    model_of_three(|| {
        let slot = bound(1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let slot = Arc::clone(&slot);
                thread::spawn(move || {
                    let got = slot.try_lock();
                    if got {
                        slot.reserve(UNTIL + 1);
                        slot.unlock();
                    }
                    got
                })
            })
            .collect();
        assert!(renew(&slot, 1));
        let got = threads
            .into_iter()
            .map(|t| t.join().unwrap())
            .filter(|g| *g);
        assert!(got.count() >= 1, "one of two always gets the lock");
        assert!(!slot.is_locked() && slot.is_valid());
    });
}
