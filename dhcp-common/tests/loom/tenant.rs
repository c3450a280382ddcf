//! An address that goes from one holder to the next, or gets another lease of the same one.

use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::{Acquire, Release};

use super::*;

/// An address is given on only if nobody was told that he holds it; nobody gets another's data; and
/// what the next holder was told is not cut by a late run for the one before.
/// Finds: `expires` exchanged without comparing, a generation that stays, a splice or template that is
/// read after the second look.
#[test]
fn an_address_given_on_answers_nobody_with_anothers_data() {
    model_of_many(|| {
        let slot = bound(1);
        let kernels = [1, 2].map(|client| kernel(&slot, client));
        assert!(slot.try_lock());
        let freed = slot.close() <= SOON;
        if freed {
            slot.publish(Kind::Bound, true, &lease(2));
        } else {
            let kept = Lease {
                expires: UNTIL,
                ..lease(1)
            };
            slot.publish(Kind::Bound, true, &kept);
        }
        let [first, second] = kernels.map(|kernel| kernel.join().unwrap());
        assert!(
            !(freed && first),
            "freed although a client was told that it holds it"
        );
        assert!(freed || !second);
        let expires = slot.expires();
        assert!(
            !freed || expires == LONGER,
            "told {LONGER}, but the daemon believes {expires}"
        );
    });
}

/// The same client gets a lease of the same end but another reply: a run that began under the earlier
/// one is refused, or had its say before.
/// Finds: a generation that stays (nothing else in the slot's state differs), stores or loads of words
/// without order.
#[test]
fn a_lease_published_anew_does_not_look_unchanged() {
    loom::model(|| {
        let slot = bound(1);
        let kernel = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let checked = check(&slot, 1)?;
                slot.extend(&checked, NOW, UNTIL).ok()?;
                Some((checked.template, checked.splice.sum))
            })
        };
        assert!(slot.try_lock());
        let told = slot.close();
        let anew = Lease {
            expires: told,
            template: 11,
            splice: Splice {
                sum: 11,
                ..lease(1).splice
            },
            ..lease(1)
        };
        slot.publish(Kind::Bound, true, &anew);
        match kernel.join().unwrap() {
            None | Some((11, 11)) => {}
            Some((10, 1)) => assert_eq!(told, UNTIL, "the earlier reply, after the close"),
            mixed => panic!("a reply of two halves: {mixed:?}"),
        }
    });
}

/// A lease lapses by the sweeper's clock while the kernel, by a clock that is a little behind, extends
/// it: it is ended, or lives, but not both.
/// Finds: ending without looking at what `close` gives back.
#[test]
fn a_lease_is_ended_or_extended() {
    model_of_each(|client| {
        let slot = bound(1);
        let kernel = kernel(&slot, client);
        assert!(slot.try_lock());
        let ended = slot.expires() <= SOON && slot.close() <= SOON;
        if ended {
            let lapsed = Lease {
                chaddr: 1,
                expires: SOON,
                ..Lease::default()
            };
            slot.publish(Kind::Expired, false, &lapsed);
            assert!(slot.try_lock());
            slot.close();
            slot.publish(Kind::Bound, true, &lease(2));
        }
        let granted = kernel.join().unwrap();
        assert!(!granted || ended == (client == 2), "ended, and extended");
        assert!(!ended || slot.expires() == LONGER);
    });
}

/// A client gives its address back while a copy of its renewal is under way; the next one gets it. Once
/// the address was closed, the one before hears no more of it.
/// Finds: a state that stays valid while it is closed; fields written before the close.
#[test]
fn a_released_address_is_the_next_ones_alone() {
    model_of_each(|client| {
        let slot = bound(1);
        let closed = Arc::new(AtomicBool::new(false));
        let kernel = {
            let (slot, closed) = (Arc::clone(&slot), Arc::clone(&closed));
            thread::spawn(move || {
                let late = closed.load(Acquire);
                let granted = renew(&slot, client);
                assert!(!granted || !late || client == 2, "answered after the close");
            })
        };
        assert!(slot.try_lock());
        slot.close();
        closed.store(true, Release);
        let released = Lease {
            chaddr: 1,
            ..Lease::default()
        };
        slot.publish(Kind::Released, false, &released);
        assert!(slot.try_lock());
        slot.close();
        slot.publish(Kind::Bound, true, &lease(2));
        kernel.join().unwrap();
        assert_eq!(slot.expires(), LONGER, "the next one's lease was changed");
    });
}

/// A reload takes the memo, and with it the reply, but not a second of what was told.
/// Finds: fields taken along that were read before the close.
#[test]
fn a_dropped_memo_loses_no_extension() {
    model_of_many(|| {
        let slot = bound(1);
        let kernel = kernel(&slot, 1);
        assert!(slot.try_lock());
        slot.close();
        let without = Lease {
            memo: 0,
            template: 0,
            splice: Splice::default(),
            ..slot.lease()
        };
        slot.publish(Kind::Bound, true, &without);
        let granted = kernel.join().unwrap();
        let expires = slot.expires();
        assert!(!granted || expires == UNTIL, "{expires}");
        assert!(!renew(&slot, 1), "the old reply is still given");
    });
}
