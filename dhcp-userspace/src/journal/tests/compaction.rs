use std::sync::atomic::Ordering;
use std::thread;

use super::super::faulty::Fault;
use super::*;

fn fill(log: &mut Log, numbers: std::ops::Range<u64>) {
    for number in numbers {
        log.append(&record(number as u32 % 8, number), NOW).unwrap();
    }
    log.sync().unwrap();
}

#[test]
fn leaves_one_record_per_address() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    fill(&mut log, 0..100);
    assert!(log.upkeep().is_due());
    let before = by_address(&open(&storage.after_kill()).1);
    compact(&log).unwrap();
    assert!(!log.upkeep().is_due());
    assert_eq!(files(&storage, ".snapshot").len(), 1);
    assert_eq!(files(&storage, ".segment").len(), 1, "the active one");
    let snapshot = storage.content(&files(&storage, ".snapshot")[0]);
    assert!(snapshot.len() < 8 * 80 + 200);
    fill(&mut log, 100..103);
    let (log, replayed) = open(&storage);
    assert_eq!(replayed.damage, []);
    let mut expected = before;
    for number in 100..103 {
        let record = record(number as u32 % 8, number);
        expected.insert(record.address, record);
    }
    expected.retain(|_, record| record.kind != Kind::Forgotten);
    assert_eq!(by_address(&replayed), expected);
    assert_eq!(log.stats().live_records.get(), expected.len() as u64);
}

#[test]
fn a_forgotten_address_stays_forgotten() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    log.append(&bound(1), NOW).unwrap();
    let forgotten = Record {
        kind: Kind::Forgotten,
        ..bound(1)
    };
    log.append(&forgotten, NOW).unwrap();
    log.sync().unwrap();
    let (log, replayed) = open(&storage);
    assert!(replayed.records.is_empty());
    compact(&log).unwrap();
    assert!(open(&storage).1.records.is_empty());
}

#[test]
fn goes_on_while_records_are_appended() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    let (upkeep, done) = (log.upkeep(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                upkeep.prepare(NOW).unwrap();
                assert_eq!(upkeep.compact(NOW, &AtomicBool::new(false)).unwrap(), []);
            }
        });
        for batch in 0..300 {
            fill(&mut log, batch * 10..batch * 10 + 10);
        }
        done.store(true, Ordering::Relaxed);
    });
    let (log, replayed) = open(&storage.after_power_cut(3));
    let expected: BTreeMap<_, _> = (2992..3000)
        .map(|number| record(number as u32 % 8, number))
        .filter(|record| record.kind != Kind::Forgotten)
        .map(|record| (record.address, record))
        .collect();
    assert_eq!(by_address(&replayed), expected);
    assert_eq!(replayed.damage, []);
    drop(log);
}

#[test]
fn stops_when_told_and_leaves_nothing() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    fill(&mut log, 0..100);
    let before = files(&storage, "");
    let damage = log.upkeep().compact(NOW, &AtomicBool::new(true)).unwrap();
    assert_eq!(damage, []);
    assert_eq!(files(&storage, ""), before);
    compact(&log).unwrap();
    assert_eq!(files(&storage, ".snapshot").len(), 1);
}

#[test]
fn waits_for_a_full_disk_but_not_for_a_broken_one() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    fill(&mut log, 0..100);
    storage.set_full(true);
    let at = |seconds: u64| Now {
        boot: NOW.boot + seconds * SECOND,
        ..NOW
    };
    let (upkeep, go) = (log.upkeep(), AtomicBool::new(false));
    assert!(matches!(upkeep.compact(NOW, &go), Err(JournalError::Full)));
    storage.set_full(false);
    assert_eq!(upkeep.compact(at(59), &go).unwrap(), []);
    assert!(files(&storage, ".snapshot").is_empty(), "too early");
    let sync = storage.operations() + 2;
    let _ = storage
        .clone()
        .with_fault(sync, Fault::Error(std::io::ErrorKind::Other));
    let failed = upkeep.compact(at(60), &go).unwrap_err();
    assert!(
        matches!(failed, JournalError::Io { action: "sync", .. }),
        "{failed}"
    );
    assert!(upkeep.compact(at(999), &go).is_err(), "never again");
    assert!(files(&storage, ".new").is_empty());
    fill(&mut log, 100..120);
}

#[test]
fn is_done_in_pieces_and_may_be_ended_after_each() {
    const MEBIBYTE: usize = 1 << 20;
    let storage = Faulty::default();
    let settings = Settings {
        segment_size: MEBIBYTE as u64,
        compact_after: 1,
    };
    let (mut log, _) = open_with(&storage, settings).unwrap();
    for address in 0..50_000 {
        log.append(&bound(address), NOW).unwrap();
    }
    log.sync().unwrap();
    let before = files(&storage, "");
    let written = || {
        let unfinished = files(&storage, ".new");
        unfinished
            .first()
            .map_or(0, |name| storage.content(name).len())
    };
    let mut pieces = 0;
    while files(&storage, ".snapshot").is_empty() {
        assert_eq!(files(&storage, ""), before, "ended after {pieces}");
        let (mut asked, mut last) = (0, 0);
        let go_on = &mut || {
            assert!(written() < last + MEBIBYTE + 100);
            last = written();
            asked += 1;
            asked <= pieces
        };
        let tell = &mut |damage| panic!("{damage:?}");
        log.upkeep().compact_in_pieces(NOW, go_on, tell).unwrap();
        pieces += 1;
    }
    assert!(pieces >= 4, "{pieces}: two files or more, and two MiB");
    assert_eq!(
        open_with(&storage, settings).unwrap().1.records.len(),
        50_000
    );
}
