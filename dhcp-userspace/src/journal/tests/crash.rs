//! Failed and refused writes, and ends that were never written whole, one by one.

use std::io::ErrorKind;

use super::super::faulty::Fault;
use super::*;

#[test]
fn a_failed_sync_is_final_and_leaves_nothing_to_find() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    log.append(&bound(1), NOW).unwrap();
    log.sync().unwrap();
    log.append(&bound(2), NOW).unwrap();
    let sync = storage.operations() + 1;
    let _ = storage
        .clone()
        .with_fault(sync, Fault::Error(ErrorKind::Other));
    let first = log.sync().unwrap_err().to_string();
    assert!(
        first.contains("failed to sync 0000000000000001-"),
        "{first}"
    );
    assert_eq!(log.sync().unwrap_err().to_string(), first);
    assert_eq!(log.append(&bound(3), NOW).unwrap_err().to_string(), first);
    assert_eq!(log.synced(), 2);
    assert_eq!(
        open(&storage.after_kill()).1.records,
        [bound(1)],
        "not from the page cache"
    );
}

#[test]
fn a_full_disk_refuses_cleanly_and_heals() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    log.append(&bound(0), NOW).unwrap();
    storage.set_full(true);
    let mut taken = 1;
    let at = |seconds: u64| Now {
        boot: NOW.boot + seconds * SECOND,
        unix: NOW.unix + seconds * SECOND,
    };
    while log.append(&bound(taken), NOW).is_ok() {
        taken += 1;
    }
    assert!(taken > 5, "the segment there is used up first");
    log.sync().unwrap();
    let before = storage.operations();
    assert!(matches!(
        log.append(&bound(99), NOW),
        Err(JournalError::Full)
    ));
    assert_eq!(
        storage.operations(),
        before,
        "not tried again within a second"
    );
    storage.set_full(false);
    assert!(matches!(
        log.append(&bound(99), NOW),
        Err(JournalError::Full)
    ));
    log.append(&bound(taken), at(1)).unwrap();
    log.sync().unwrap();
    let (_, replayed) = open(&storage.after_power_cut(0));
    assert_eq!(replayed.records, (0..=taken).map(bound).collect::<Vec<_>>());
    assert_eq!(replayed.damage, []);
}

#[test]
fn a_refused_write_is_not_found_later() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    log.append(&bound(0), NOW).unwrap();
    log.sync().unwrap();
    for address in 1..6 {
        log.append(&bound(address), NOW).unwrap();
    }
    let write = storage.operations();
    let _ = storage
        .clone()
        .with_fault(write, Fault::Error(ErrorKind::StorageFull));
    assert!(matches!(log.sync(), Err(JournalError::Full)));
    assert_eq!(log.synced(), 2);
    log.append(&bound(9), NOW).unwrap();
    log.sync().unwrap();
    let (_, replayed) = open(&storage.after_power_cut(0));
    assert_eq!(replayed.records, [bound(0), bound(9)]);
    assert_eq!((replayed.damage, replayed.torn), (vec![], 0));
}

#[test]
fn an_unfinished_end_is_cut_at_every_byte() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    log.append(&bound(1), NOW).unwrap();
    log.append(&bound(2), NOW).unwrap();
    log.sync().unwrap();
    let segment = files(&storage, ".segment").remove(0);
    let content = storage.content(&segment);
    let end = content.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for cut in 0..end {
        for is_short in [false, true] {
            let storage = storage.after_kill();
            let mut torn = content.clone();
            torn[cut..].fill(0);
            torn.truncate(if is_short { cut } else { torn.len() });
            storage.set_content(&segment, &torn);
            let (mut log, replayed) = open(&storage);
            assert_eq!(replayed.damage, [], "cut at {cut}");
            let count = replayed.records.len();
            assert_eq!(replayed.records, [bound(1), bound(2)][..count]);
            log.append(&bound(3), NOW).unwrap();
            log.sync().unwrap();
            let (_, replayed) = open(&storage);
            assert_eq!(
                (replayed.records.len(), replayed.damage),
                (count + 1, vec![])
            );
            assert_eq!(replayed.torn, 0, "cut off for good");
        }
    }
}

#[test]
fn a_segment_that_never_got_a_record_does_not_come_back() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    let mut address = 0;
    while log.stats().segments.get() < 2 {
        log.append(&bound(address), NOW).unwrap();
        log.upkeep().prepare(NOW).unwrap();
        address += 1;
    }
    let segments = files(&storage, ".segment");
    assert_eq!(segments.len(), 3, "one full, one just begun, one prepared");
    let storage = storage.after_kill();
    let mut torn = storage.content(&segments[1]);
    torn[..10].fill(b'?');
    storage.set_content(&segments[1], &torn);
    let (mut log, replayed) = open(&storage);
    assert_eq!((replayed.damage, replayed.torn), (vec![], 10));
    log.append(&bound(99), NOW).unwrap();
    log.sync().unwrap();
    for seed in 0..9 {
        let (_, replayed) = open(&storage.after_power_cut(seed));
        assert_eq!(replayed.damage, []);
        assert_eq!(replayed.records.last(), Some(&bound(99)));
    }
}
