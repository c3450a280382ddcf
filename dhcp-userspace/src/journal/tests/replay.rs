//! What a start reads, against a plain reading of the same files: every record into a map.

use proptest::prelude::*;

use super::super::codec::Content;
use super::super::name::{FileKind, Name};
use super::super::scan::{Found, Scanner};
use super::super::storage::Storage;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(u32, u64),
    Sync,
    Compact,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Some addresses in one block, some far apart.
    let address = prop_oneof![0..40u32, (0..20u32).prop_map(|n| n << 16)];
    let step = prop_oneof![
        30 => (address, 0..1000u64).prop_map(|(address, number)| Step::Append(address, number)),
        5 => Just(Step::Sync),
        1 => Just(Step::Compact),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..300)
}

fn written(steps: &[Step]) -> Faulty {
    let mut storage = Faulty::default();
    let (mut log, _) = open(&storage);
    for step in steps {
        match *step {
            Step::Append(address, number) => {
                log.append(&record(address, number), NOW).unwrap();
            }
            Step::Sync => log.sync().unwrap(),
            Step::Compact => compact(&log).unwrap(),
            Step::Restart => {
                storage = storage.after_kill();
                (log, _) = open(&storage);
            }
        }
    }
    log.sync().unwrap();
    storage.after_kill()
}

/// Overwrites some bytes, each part at a place of a file that is not all zeros there.
fn damage(storage: &Faulty, places: &[(prop::sample::Index, prop::sample::Index, Vec<u8>)]) {
    let all = [files(storage, ".snapshot"), files(storage, ".segment")].concat();
    // An empty journal may have no file.
    for (file, at, bytes) in places.iter().filter(|_| !all.is_empty()) {
        let file = &all[file.index(all.len())];
        let mut content = storage.content(file);
        let used = content
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        if used > 0 {
            let at = at.index(used);
            let len = bytes.len().min(used - at);
            content[at..at + len].copy_from_slice(&bytes[..len]);
            storage.set_content(file, &content);
        }
    }
}

fn plain(storage: &Faulty) -> Vec<Record> {
    let mut last: BTreeMap<Ipv4Addr, (usize, Record)> = BTreeMap::new();
    let mut names: Vec<_> = storage.list().unwrap();
    names.retain(|name| Name::parse(name).is_some());
    let mut names: Vec<_> = names.iter().filter_map(|name| Name::parse(name)).collect();
    names.sort_by_key(|name| (name.number, name.kind == FileKind::Snapshot));
    let snapshot = names
        .iter()
        .rposition(|name| name.kind == FileKind::Snapshot);
    let (mut read, mut highest) = (0, 0);
    for name in &names[snapshot.unwrap_or(0)..] {
        let file = storage.open(&name.to_string()).unwrap();
        let least = if name.kind == FileKind::Segment {
            highest + 1
        } else {
            0
        };
        let mut scanner = Scanner::new(*name, &*file, least);
        loop {
            let entry = match scanner.next().unwrap() {
                Found::Frame(entry) => entry,
                Found::Gap { .. } => continue,
                Found::End { .. } => break,
            };
            (read, highest) = (read + 1, entry.sequence.max(highest));
            if let Content::Lease(lease) = entry.content {
                let record = Record::from(lease.written());
                last.insert(record.address, (read, record));
            }
        }
    }
    let mut records: Vec<_> = last.into_values().collect();
    records.retain(|(_, record)| record.kind != Kind::Forgotten);
    records.sort_by_key(|(read, _)| *read);
    records.into_iter().map(|(_, record)| record).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn two_readings_find_what_a_plain_one_finds(
        steps in steps(),
        places in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..120)),
            0..4,
        ),
    ) {
        let storage = written(&steps);
        damage(&storage, &places);
        let expected = plain(&storage.after_kill());
        let (log, replayed) = open(&storage);
        prop_assert_eq!(log.stats().live_records.get(), expected.len() as u64);
        prop_assert_eq!(replayed.records, expected);
    }
}

#[test]
fn records_come_when_all_of_them_are_on_disk() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    for address in 0..9 {
        log.append(&bound(address), NOW).unwrap();
    }
    log.sync().unwrap();
    let storage = storage.after_kill();
    let opening = Log::read(Arc::new(storage.clone()), SMALL, NOW, BOOT).unwrap();
    assert_eq!(opening.live(), 9);
    let mut seen = 0;
    let handed = opening.hand_over(&mut |record| {
        assert_eq!(Record::from(record), bound(seen));
        assert_eq!(storage.unsynced(), 0);
        seen += 1;
    });
    let (log, replayed) = handed.unwrap();
    assert_eq!((seen, replayed.records), (9, vec![]));
    assert_eq!(log.stats().live_records.get(), 9);
}

#[test]
fn a_file_that_changes_between_the_readings_is_an_error() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    log.append(&bound(1), NOW).unwrap();
    log.append(&bound(2), NOW).unwrap();
    log.sync().unwrap();
    let storage = storage.after_kill();
    let opening = Log::read(Arc::new(storage.clone()), SMALL, NOW, BOOT).unwrap();
    let file = &files(&storage, ".segment")[0];
    let mut content = storage.content(file);
    content.truncate(content.len() - 1);
    storage.set_content(file, &content);
    let mut seen = Vec::new();
    let handed = opening.hand_over(&mut |record| seen.push(Record::from(record)));
    assert!(matches!(handed, Err(JournalError::Io { .. })));
    assert_eq!(seen, [bound(1)]);
}
