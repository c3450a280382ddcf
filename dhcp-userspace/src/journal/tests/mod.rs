mod clock;
mod committer;
mod compaction;
mod crash;
mod damage;
mod machine;
mod power;
mod replay;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::faulty::Faulty;
use super::{Disk, JournalError, Kind, Log, Record, Replayed, Settings};
use crate::clock::{Now, SECOND};

const BOOT: [u8; 16] = [7; 16];
const NOW: Now = Now {
    boot: 1000 * SECOND,
    unix: 1_700_000_000 * SECOND,
};
const SMALL: Settings = Settings {
    segment_size: 700,
    compact_after: 2,
};

/// No two numbers make equal records.
fn record(address: u32, number: u64) -> Record {
    Record {
        address: Ipv4Addr::from_bits(0x0a00_0000 + address),
        kind: match number % 7 {
            5 => Kind::Released,
            6 => Kind::Forgotten,
            _ => Kind::Bound,
        },
        mac: [2, 0, 0, 0, 0, address as u8],
        reserved_until: 2000 * SECOND + number,
        since: number,
        client_id: vec![1; number as usize % 11],
        hostname: vec![b'h'; number as usize % 5],
        relay_agent: Vec::new(),
    }
}

fn bound(address: u32) -> Record {
    Record {
        kind: Kind::Bound,
        ..record(address, u64::from(address))
    }
}

fn open(storage: &Faulty) -> (Log, Replayed) {
    open_with(storage, SMALL).unwrap()
}

fn open_with(storage: &Faulty, settings: Settings) -> Result<(Log, Replayed), JournalError> {
    Log::open(Arc::new(storage.clone()), settings, NOW, BOOT)
}

fn compact(log: &Log) -> Result<(), JournalError> {
    let damage = log.upkeep().compact(NOW, &AtomicBool::new(false))?;
    assert_eq!(damage, []);
    Ok(())
}

fn by_address(replayed: &Replayed) -> BTreeMap<Ipv4Addr, Record> {
    let records = replayed.records.iter();
    let map: BTreeMap<_, _> = records.map(|r| (r.address, r.clone())).collect();
    assert_eq!(map.len(), replayed.records.len(), "one record per address");
    map
}

fn files(storage: &Faulty, ending: &str) -> Vec<String> {
    use super::Storage;
    let mut names = storage.list().unwrap();
    names.retain(|name| name.ends_with(ending));
    names.sort();
    names
}

#[test]
fn the_last_record_of_each_address_comes_back() {
    let storage = Faulty::default();
    let (mut log, replayed) = open(&storage);
    assert!(replayed.records.is_empty());
    for number in 0..100 {
        log.append(&record(number as u32 % 10, number), NOW)
            .unwrap();
    }
    log.sync().unwrap();
    assert_eq!(log.stats().records.get(), 100);
    let (log, replayed) = open(&storage);
    // 90, 97: forgotten.
    let expected: BTreeMap<_, _> = (90..100)
        .map(|number| record(number as u32 % 10, number))
        .filter(|record| record.kind != Kind::Forgotten)
        .map(|record| (record.address, record))
        .collect();
    assert_eq!(by_address(&replayed), expected);
    assert_eq!((replayed.damage, replayed.torn), (vec![], 0));
    assert_eq!(log.stats().live_records.get(), expected.len() as u64);
}

#[test]
fn a_prepared_segment_is_used_by_the_next_run() {
    let storage = Faulty::default();
    let (log, _) = open(&storage);
    log.upkeep().prepare(NOW).unwrap();
    let prepared = files(&storage, ".segment");
    let (mut log, _) = open(&storage);
    log.append(&bound(1), NOW).unwrap();
    log.sync().unwrap();
    assert_eq!(files(&storage, ".segment"), prepared);
    let other = Settings {
        segment_size: 900,
        ..SMALL
    };
    log.upkeep().prepare(NOW).unwrap();
    assert_eq!(files(&storage, ".segment").len(), 2);
    let (_, replayed) = open_with(&storage, other).unwrap();
    assert_eq!(replayed.records, [bound(1)]);
    assert_eq!(
        files(&storage, ".segment"),
        prepared,
        "the one of another size is gone"
    );
}

#[test]
fn a_record_longer_than_a_segment_is_refused_alone() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    let long = Record {
        hostname: vec![b'x'; 700],
        ..bound(1)
    };
    let error = log.append(&long, NOW).unwrap_err();
    assert!(matches!(error, JournalError::TooLong { .. }));
    let fits = Record {
        hostname: vec![b'x'; 700 - 40 - 16 - 37],
        client_id: vec![],
        ..bound(2)
    };
    log.append(&fits, NOW).unwrap();
    log.sync().unwrap();
    assert_eq!(open(&storage).1.records, [fits]);
}

#[test]
fn a_million_leases_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let disk = Disk::open(dir.path()).unwrap();
        let settings = Settings {
            segment_size: 16 << 20,
            ..Settings::default()
        };
        Log::open(Arc::new(disk), settings, NOW, BOOT).unwrap()
    };
    let (mut log, _) = open();
    for address in 0..1_000_000 {
        log.append(&bound(address), NOW).unwrap();
    }
    log.sync().unwrap();
    assert!(log.stats().segments.get() > 1);
    drop(log);
    let (_, replayed) = open();
    assert_eq!(replayed.records.len(), 1_000_000);
    assert_eq!(replayed.records[999_999], bound(999_999));
    assert_eq!(replayed.damage, []);
}
