use super::super::What;
use super::super::codec::Content;
use super::super::frame::{Frame, Type};
use super::super::name::Name;
use super::super::scan::{Found, Scanner};
use super::super::storage::Storage;
use super::*;

/// A snapshot and segments with 60 leases, all of other addresses.
fn full() -> Faulty {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    for address in 0..60 {
        log.append(&bound(address), NOW).unwrap();
        if address % 4 == 0 {
            log.sync().unwrap();
        }
        if address == 30 {
            compact(&log).unwrap();
        }
    }
    log.sync().unwrap();
    storage.after_kill()
}

/// Where the frames of a file are, with the addresses of leases.
fn frames(storage: &Faulty, file: &str) -> Vec<(u64, Option<u32>)> {
    let name = Name::parse(file).unwrap();
    let file = storage.open(file).unwrap();
    let mut scanner = Scanner::new(name, &*file, 0);
    let mut frames = Vec::new();
    loop {
        match scanner.next().unwrap() {
            Found::Frame(entry) => frames.push(match entry.content {
                Content::Lease(lease) => (entry.offset, Some(lease.address - 0x0a00_0000)),
                Content::Clock(_) | Content::Bounds(_) => (entry.offset, None),
            }),
            Found::End { offset, .. } => {
                frames.push((offset, None));
                return frames;
            }
            Found::Gap { .. } => panic!("no damage yet"),
        }
    }
}

fn all_files(storage: &Faulty) -> Vec<String> {
    let mut all = files(storage, ".snapshot");
    all.extend(files(storage, ".segment"));
    all
}

fn expected(lost: &[u32]) -> Vec<Record> {
    let addresses = (0..60).filter(|address| !lost.contains(address));
    addresses.map(bound).collect()
}

/// The damage is reported, survives in a file aside, and is gone from the log after compaction.
fn heals(storage: &Faulty, records: &[Record]) {
    let (mut log, _) = open(storage);
    log.append(&bound(100), NOW).unwrap();
    log.sync().unwrap();
    let (log, replayed) = open(storage);
    assert!(!replayed.damage.is_empty() && replayed.kept.is_empty());
    assert!(log.upkeep().is_due());
    compact(&log).unwrap();
    let (_, replayed) = open(storage);
    assert_eq!(replayed.damage, []);
    assert_eq!(replayed.kept, files(storage, ".damaged"));
    assert!(!replayed.kept.is_empty());
    assert_eq!(replayed.records, [records, &[bound(100)]].concat());
}

#[test]
fn a_flipped_bit_in_any_frame_costs_that_frame_only() {
    let whole = full();
    let last = all_files(&whole).pop().unwrap();
    for file in all_files(&whole) {
        let frames = frames(&whole, &file);
        for (number, pair) in frames.windows(2).enumerate() {
            let [(offset, address), (next, _)] = *pair else {
                unreachable!()
            };
            let is_tail = file == last && number == frames.len() - 2;
            let is_snapshot_end = file.ends_with("snapshot") && number == frames.len() - 2;
            for at in [
                0,
                4,
                5,
                6,
                7,
                8,
                14,
                15,
                16,
                (next - offset) / 2 + 8,
                next - offset - 1,
            ] {
                let storage = whole.after_kill();
                let mut content = storage.content(&file);
                content[(offset + at) as usize] ^= 1 << (at % 8);
                storage.set_content(&file, &content);
                let context = format!("{file}: byte {at} of frame {number} at {offset}");
                let (_, replayed) = open(&storage.after_kill());
                let lost: Vec<u32> = address.into_iter().collect();
                assert_eq!(replayed.records, expected(&lost), "{context}");
                if is_tail {
                    assert_eq!(replayed.damage, [], "{context}");
                    assert_eq!(replayed.torn, next - offset, "{context}");
                    continue;
                }
                let [damage] = &replayed.damage[..] else {
                    panic!("{context}: {:?}", replayed.damage)
                };
                assert_eq!((&damage.file, damage.offset), (&file, offset), "{context}");
                assert_eq!(damage.len, next - offset, "{context}");
                let counted = if file.ends_with("snapshot") {
                    lost.len() as u64
                } else {
                    1
                };
                assert_eq!(damage.lost, Some(counted), "{context}");
                if at == 0 && !is_snapshot_end {
                    heals(&storage, &expected(&lost));
                }
            }
        }
    }
}

#[test]
fn damage_in_the_last_batch_is_told_apart() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    log.append(&bound(1), NOW).unwrap();
    log.append(&bound(2), NOW).unwrap();
    log.sync().unwrap();
    for address in 3..6 {
        log.append(&bound(address), NOW).unwrap();
    }
    log.sync().unwrap();
    let file = all_files(&storage).remove(0);
    let frames = frames(&storage, &file);
    let damaged = |frame: usize| {
        let storage = storage.after_kill();
        let mut content = storage.content(&file);
        content[frames[frame].0 as usize] ^= 1;
        storage.set_content(&file, &content);
        open(&storage).1
    };
    // Frame 0 is the clock.
    assert_eq!(damaged(1).damage[0].what, What::Changed);
    let last = damaged(4);
    assert_eq!(last.damage[0].what, What::LastBatch);
    assert_eq!(last.records, [1, 2, 3, 5].map(bound));
}

#[test]
fn large_damage_across_segments_is_counted() {
    let whole = full();
    let segments = files(&whole, ".segment");
    let storage = whole.after_kill();
    let first = frames(&storage, &segments[0]);
    let mut content = storage.content(&segments[0]);
    let from = first[3].0;
    content[from as usize..].fill(0xd1);
    storage.set_content(&segments[0], &content);
    let (_, replayed) = open(&storage);
    let lost: Vec<u32> = first[3..]
        .iter()
        .filter_map(|(_, address)| *address)
        .collect();
    assert_eq!(replayed.records, expected(&lost));
    let [damage] = &replayed.damage[..] else {
        panic!("{:?}", replayed.damage)
    };
    assert_eq!((&damage.file, damage.offset), (&segments[0], from));
    assert_eq!(damage.lost, Some(lost.len() as u64));
    heals(&storage, &expected(&lost));
}

#[test]
fn a_missing_file_is_noticed() {
    let whole = full();
    let segments = files(&whole, ".segment");
    let storage = whole.after_kill();
    let frames = frames(&storage, &segments[1]);
    storage.remove(&segments[1]).unwrap();
    let (_, replayed) = open(&storage);
    let [damage] = &replayed.damage[..] else {
        panic!("{:?}", replayed.damage)
    };
    assert_eq!((damage.what, damage.offset), (What::Missing, 0));
    assert_eq!(damage.file, segments[2]);
    assert_eq!(
        damage.lost,
        Some(frames.len() as u64 - 1),
        "its clock record too"
    );
    let storage = whole.after_kill();
    storage.remove(&files(&whole, ".snapshot")[0]).unwrap();
    let (_, replayed) = open(&storage);
    let [damage] = &replayed.damage[..] else {
        panic!("{:?}", replayed.damage)
    };
    assert_eq!((damage.what, &damage.file), (What::Missing, &segments[0]));
}

#[test]
fn a_snapshot_of_nothing_but_zeros_is_damage() {
    let storage = full();
    let snapshot = files(&storage, ".snapshot").remove(0);
    let zeros = vec![0; storage.content(&snapshot).len()];
    storage.set_content(&snapshot, &zeros);
    let (_, replayed) = open(&storage);
    let [damage] = &replayed.damage[..] else {
        panic!("{:?}", replayed.damage)
    };
    assert_eq!((&damage.file, damage.lost), (&snapshot, None));
    heals(&storage, &replayed.records);
}

#[test]
fn a_frame_hidden_in_an_option_is_not_found() {
    let storage = Faulty::default();
    let (mut log, _) = open(&storage);
    let mut hidden = Vec::new();
    let mut payload = Vec::new();
    log.encoder().encode(&bound(66), &mut payload).unwrap();
    let frame = Frame {
        kind: Type::Lease,
        first: false,
        sequence: 3,
        payload: &payload,
    };
    frame.seal(0, &mut hidden);
    let carrier = Record {
        client_id: hidden,
        ..bound(1)
    };
    log.append(&carrier, NOW).unwrap();
    log.append(&bound(2), NOW).unwrap();
    log.sync().unwrap();
    let file = all_files(&storage).remove(0);
    change(&storage, &file, 1);
    let (_, replayed) = open(&storage);
    assert_eq!(replayed.records, [bound(2)]);
    assert_eq!(replayed.damage[0].lost, Some(1));
}

/// Changes a bit in a frame.
fn change(storage: &Faulty, file: &str, frame: usize) {
    let mut content = storage.content(file);
    content[frames(storage, file)[frame].0 as usize] ^= 1;
    storage.set_content(file, &content);
}

#[test]
fn damage_found_while_running_is_told_once() {
    let storage = full();
    let (log, _) = open(&storage);
    let file = files(&storage, ".segment").remove(0);
    change(&storage, &file, 2);
    let damage = log.upkeep().compact(NOW, &AtomicBool::new(false)).unwrap();
    assert_eq!(
        (damage.len(), &damage[0].file, damage[0].lost),
        (1, &file, Some(1))
    );
    let (_, replayed) = open(&storage);
    assert_eq!(replayed.damage, []);
    assert_eq!(replayed.kept, [format!("{file}.damaged")]);
}

#[test]
fn damage_is_told_though_the_compaction_that_found_it_fails() {
    let storage = full();
    let (log, _) = open(&storage);
    let file = files(&storage, ".segment").remove(0);
    change(&storage, &file, 2);
    storage.set_full(true);
    let (upkeep, mut told) = (log.upkeep(), Vec::new());
    let mut compact = |at| {
        let tell = &mut |damage| told.push(damage);
        upkeep.compact_in_pieces(at, &mut || true, tell)
    };
    assert!(matches!(compact(NOW), Err(JournalError::Full)));
    storage.set_full(false);
    let later = Now {
        boot: NOW.boot + 60 * SECOND,
        ..NOW
    };
    compact(later).unwrap();
    assert_eq!(told.len(), 1, "and once only");
    assert_eq!((&told[0][0].file, told[0][0].lost), (&file, Some(1)));
}

#[test]
fn files_whose_loss_is_made_good_are_no_cause_for_doubt() {
    let storage = full();
    let (log, _) = open(&storage);
    let file = files(&storage, ".segment").remove(0);
    change(&storage, &file, 2);
    let upkeep = log.upkeep();
    assert_eq!(upkeep.supersede().unwrap(), 0, "none yet");
    upkeep.compact(NOW, &AtomicBool::new(false)).unwrap();
    assert_eq!(log.stats().damage.get(), 1);
    let (log, replayed) = open(&storage);
    assert_eq!(replayed.kept, [format!("{file}.damaged")]);
    assert_eq!(log.upkeep().supersede().unwrap(), 1);
    assert_eq!(log.upkeep().supersede().unwrap(), 0, "once is enough");
    let (log, replayed) = open(&storage.after_power_cut(1));
    assert_eq!(replayed.kept, [] as [String; 0]);
    assert_eq!(replayed.superseded, [format!("{file}.superseded")]);
    assert_eq!(log.upkeep().supersede().unwrap(), 0);
}

#[test]
fn a_damaged_file_may_be_removed_under_the_running_server() {
    let storage = full();
    let file = files(&storage, ".segment").remove(0);
    let damaged = format!("{file}.damaged");
    storage.create(&damaged).unwrap();
    let (log, replayed) = open(&storage);
    assert_eq!(replayed.kept, [damaged.as_str()]);
    storage.remove(&damaged).unwrap();
    assert_eq!(log.upkeep().supersede().unwrap(), 1);
}
