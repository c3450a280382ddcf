//! Who reads a slot without having it locked: lease queries, `xdhcpctl`.

use super::*;

/// What is read is one lease, never half of one and half of the next, and as old or new as its kind.
/// Finds: no mark while fields are written, a generation that stays when they have been, no second
/// look at the state.
#[test]
fn what_is_read_belongs_together() {
    model_of_many(|| {
        let slot = Arc::new(Slot::default());
        assert!(slot.try_lock());
        slot.close();
        slot.publish(Kind::Offered, false, &lease(1));
        let reader = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.snapshot())
        };
        // The same kind again, so that nothing but the mark and the generation tells.
        assert!(slot.try_lock());
        slot.close();
        slot.publish(Kind::Offered, false, &lease(2));
        let seen = reader.join().unwrap();
        let wholes = [1, 2].map(|client| Some((Kind::Offered, lease(client))));
        assert!(seen.is_none() || wholes.contains(&seen), "{seen:?}");
        assert_eq!(slot.snapshot(), wholes[1]);
    });
}
