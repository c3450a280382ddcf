//! A close, by one thread or two, against renewals by the kernel.

use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::SeqCst;

use super::*;

/// Either the kernel sees the closing, or the daemon sees the extension.
/// Finds: no fence in `close`, no second look at the state or none behind a full barrier in `extend`.
#[test]
fn a_grant_is_refused_or_seen_by_the_close() {
    loom::model(|| {
        let slot = bound(1);
        let kernel = kernel(&slot, 1);
        assert!(slot.try_lock());
        let expires = slot.close();
        let granted = kernel.join().unwrap();
        assert!(
            !granted || expires == UNTIL,
            "told {UNTIL}, but the daemon believes {expires}"
        );
    });
}

/// The same with two packets of the client on two CPUs.
#[test]
fn two_kernel_cpus_and_a_close() {
    model_of_many(|| {
        let slot = bound(1);
        let kernels = [kernel(&slot, 1), kernel(&slot, 1)];
        assert!(slot.try_lock());
        let expires = slot.close();
        let granted = kernels.map(|kernel| kernel.join().unwrap());
        assert!(granted == [false; 2] || expires == UNTIL);
    });
}

/// Who closes has the slot to itself until it publishes, and what one wrote the other finds.
/// Finds: `try_lock` in two steps.
#[test]
fn two_threads_that_close_take_turns() {
    loom::model(|| {
        let slot = bound(1);
        let inside = Arc::new(AtomicUsize::new(0));
        let rewrite = |slot: &Slot, inside: &AtomicUsize| {
            if !slot.try_lock() {
                return 0;
            }
            assert_eq!(inside.fetch_add(1, SeqCst), 0, "two have it locked");
            let longer = Lease {
                expires: slot.close() + 1,
                ..slot.lease()
            };
            inside.fetch_sub(1, SeqCst);
            slot.publish(Kind::Bound, true, &longer);
            1
        };
        let other = {
            let (slot, inside) = (Arc::clone(&slot), Arc::clone(&inside));
            thread::spawn(move || rewrite(&slot, &inside))
        };
        let turns = rewrite(&slot, &inside) + other.join().unwrap();
        assert!(turns >= 1, "one of two always gets the lock");
        assert_eq!(slot.expires(), SOON + turns, "what one wrote is lost");
    });
}

/// A lock alone is nothing to the kernel, and keeps daemon threads apart.
/// Finds: a second look of the kernel that minds the lock.
#[test]
fn a_lock_does_not_disturb_the_kernel_and_excludes_daemon_threads() {
    model_of_many(|| {
        let slot = bound(1);
        let threads = [(); 2].map(|()| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let got = slot.try_lock();
                if got {
                    slot.reserve(UNTIL + 1);
                    slot.unlock();
                }
                got
            })
        });
        assert!(renew(&slot, 1));
        let got = threads.map(|thread| thread.join().unwrap());
        assert!(got.contains(&true), "one of two always gets the lock");
        assert!(!slot.is_locked() && slot.is_valid());
    });
}

/// A daemon was killed that had the slot locked; the next one lifts the lock and then closes.
/// Finds: lifting by a state that was read before anybody else could write it, or that takes the
/// kernel's permission away without a close.
#[test]
fn an_adopted_slot_goes_on_being_renewed_and_closes_as_any() {
    loom::model(|| {
        let slot = bound(1);
        assert!(slot.try_lock());
        let kernel = kernel(&slot, 1);
        slot.adopt();
        assert!(slot.is_valid() && !slot.is_locked());
        assert!(slot.try_lock());
        let expires = slot.close();
        let granted = kernel.join().unwrap();
        assert!(!granted || expires == UNTIL);
    });
}

/// The same daemon was killed when it had closed: nobody is answered until the slot is made anew,
/// which starts from what the last one told.
#[test]
fn a_slot_that_was_closed_by_a_killed_daemon_answers_nobody() {
    loom::model(|| {
        let slot = bound(1);
        assert!(renew(&slot, 1));
        assert!(slot.try_lock());
        slot.close();
        let kernel = kernel(&slot, 1);
        slot.adopt();
        assert_eq!(slot.snapshot().map(|(_, lease)| lease.expires), Some(UNTIL));
        assert!(!kernel.join().unwrap());
    });
}
