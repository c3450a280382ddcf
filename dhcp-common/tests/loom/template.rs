//! What lies beside the slot: the tail, and the template that several slots share.

use dhcp_common::word::Word;
use loom::sync::RwLock;

use super::*;

/// A tail is rewritten only once its slot is closed, and read before the second look at the state.
/// Finds: a tail that is written before the close, or read after the grant.
#[test]
fn a_tail_is_that_of_the_lease() {
    model_of_each(|client| {
        let slot = bound(1);
        let tail: Arc<[Word; 2]> = Arc::new([Word::new(1), Word::new(1)]);
        let kernel = {
            let (slot, tail) = (Arc::clone(&slot), Arc::clone(&tail));
            thread::spawn(move || {
                let Some(checked) = check(&slot, client) else {
                    return;
                };
                let read = [tail[0].load(), tail[1].load()];
                if slot.extend(&checked, NOW, UNTIL).is_ok() {
                    assert_eq!(read, [client; 2], "another's name");
                }
            })
        };
        assert!(slot.try_lock());
        if slot.close() <= SOON {
            tail.iter().for_each(|word| word.store(2));
            slot.publish(Kind::Bound, true, &lease(2));
        }
        kernel.join().unwrap();
    });
}

/// A template is written anew once all runs are over that may have begun while a slot named it; one
/// that begins later finds no slot that does. A run is what the read lock is held for: in the kernel
/// an RCU section, whose end the daemon waits for.
/// Finds: writing it without waiting, or waiting before the slot is closed.
#[test]
fn a_template_is_reused_when_nobody_copies_it() {
    model_of_many(|| {
        let slot = bound(1);
        let template: Arc<[Word; 2]> = Arc::new([Word::new(1), Word::new(1)]);
        let runs = Arc::new(RwLock::new(()));
        let kernel = {
            let (slot, template) = (Arc::clone(&slot), Arc::clone(&template));
            let runs = Arc::clone(&runs);
            thread::spawn(move || {
                let _run = runs.read().unwrap();
                let Some(checked) = check(&slot, 1) else {
                    return;
                };
                let facts = template[0].load();
                if slot.extend(&checked, NOW, UNTIL).is_ok() {
                    assert_eq!([facts, template[1].load()], [1; 2], "another's reply");
                }
            })
        };
        assert!(slot.try_lock());
        slot.close();
        let without = Lease {
            memo: 0,
            template: 0,
            ..slot.lease()
        };
        slot.publish(Kind::Bound, true, &without);
        drop(runs.write().unwrap());
        template.iter().for_each(|word| word.store(2));
        kernel.join().unwrap();
    });
}
