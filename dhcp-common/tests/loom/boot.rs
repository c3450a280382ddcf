//! Boot memos, which the kernel reads while daemon threads write them.

use dhcp_common::boot::{Boot, Entry, Says};

use super::*;

/// A memo whose every field tells whose it is, but for those that stand beside the sequence.
fn boot(client: u32) -> Boot {
    Boot {
        tag: u64::from(client),
        address: client * 10,
        template: client * 100,
        splice: Splice {
            tail_len: client as u8,
            sum: 7,
            ..Splice::default()
        },
        says: Says::Ack,
        tail: 7,
    }
}

/// What is read is one memo, never half of one and half of the next.
/// Finds: no second look at the sequence, a sequence that stays while fields are written.
#[test]
fn what_is_read_belongs_together() {
    model_of_many(|| {
        let entry = Arc::new(Entry::default());
        entry.try_lock().unwrap().set(&boot(1));
        let reader = {
            let entry = Arc::clone(&entry);
            thread::spawn(move || entry.read())
        };
        entry.try_lock().unwrap().set(&boot(2));
        let seen = reader.join().unwrap();
        let wholes = [1, 2].map(|client| Some(boot(client)));
        assert!(seen.is_none() || wholes.contains(&seen), "{seen:?}");
        assert_eq!(entry.read(), wholes[1]);
    });
}

/// Of two threads that want the same place, one gets it, and nobody finds a mixture.
/// Finds: an entry that is locked in two steps.
#[test]
fn one_of_two_writers_gets_the_place() {
    model_of_many(|| {
        let entry = Arc::new(Entry::default());
        let write = |client: u32| {
            let entry = Arc::clone(&entry);
            move || {
                entry
                    .try_lock()
                    .map(|locked| locked.set(&boot(client)))
                    .is_some()
            }
        };
        let other = thread::spawn(write(1));
        let own = write(2)();
        let wrote = [own, other.join().unwrap()];
        assert!(wrote.contains(&true));
        let seen = entry.read();
        assert!(
            [1, 2].map(|client| Some(boot(client))).contains(&seen),
            "{seen:?}"
        );
    });
}
