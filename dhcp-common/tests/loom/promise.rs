//! The promise: a grant never goes beyond what is on disk.

use loom::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// The promise is moved forward once the record is on disk: whoever is granted more finds it there.
/// Finds: moving it first.
#[test]
fn what_is_granted_is_on_disk() {
    model_of_many(|| {
        let short = Lease {
            reserved_until: UNTIL - 1,
            ..lease(1)
        };
        let slot = bound_with(&short);
        let disk = Arc::new(AtomicU64::new(UNTIL - 1));
        let kernels = [(); 2].map(|()| {
            let (slot, disk) = (Arc::clone(&slot), Arc::clone(&disk));
            thread::spawn(move || {
                let granted = renew(&slot, 1);
                assert!(!granted || disk.load(Ordering::Relaxed) >= UNTIL);
            })
        });
        disk.store(UNTIL, Ordering::Relaxed);
        assert!(slot.try_lock());
        slot.reserve(UNTIL);
        slot.unlock();
        for kernel in kernels {
            kernel.join().unwrap();
        }
        assert!(renew(&slot, 1), "the promise reaches now");
    });
}

/// A promise that was on its way to disk for the lease before is not the next one's: whoever moves it
/// looks whether the slot is still the one that it was made for.
/// Finds: a generation that stays.
#[test]
fn a_promise_is_moved_for_its_own_lease_alone() {
    loom::model(|| {
        let slot = bound(1);
        let generation = slot.generation();
        let mover = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                if slot.try_lock() {
                    if slot.generation() == generation {
                        slot.reserve(3 * LONGER);
                    }
                    slot.unlock();
                }
            })
        };
        let given = slot.try_lock();
        if given {
            slot.close();
            slot.publish(Kind::Bound, true, &lease(2));
        }
        mover.join().unwrap();
        assert!(!given || slot.lease().reserved_until == LONGER);
    });
}
