//! Journals: one that was written, and then changed on disk in every way; and files of frames whose
//! checksums are right and whose content is anything.
//!
//! Replay never invents a record, and never loses one in silence.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dhcp_userspace::clock::{Now, SECOND};
use dhcp_userspace::journal::{JournalError, Kind, Log, Record, Replayed, Settings};

use crate::disk::Memory;
use crate::input::{halves, parts};
use crate::site::Site;

const NOW: Now = Now {
    boot: 1_000_000 * SECOND,
    unix: 1_800_000_000 * SECOND,
};
const BOOT_ID: [u8; 16] = [7; 16];
/// A few records fill a segment.
const SETTINGS: Settings = Settings {
    segment_size: 512,
    compact_after: 2,
};
/// Records, changes and frames of one input; what is behind them is left.
const MANY: usize = 256;

pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((0..=127, rest)) => damaged(rest),
        Some((_, rest)) => forged(rest),
        None => {}
    }
}

/// What was written: the last record of each address, and the one before the last sync.
#[derive(Default)]
struct Written {
    all: Vec<Record>,
    /// How many of them the last sync but one has made durable.
    before_last: usize,
}

fn damaged(data: &[u8]) {
    let (script, edits) = halves(data);
    let disk = Memory::default();
    let written = write(&disk, script);
    let is_only_changed = change(&disk, edits);
    let (mut log, replayed) = open(&disk).expect("damage is no error");
    for record in &replayed.records {
        assert!(written.all.contains(record), "invented: {record:?}");
    }
    if is_only_changed && replayed.damage.is_empty() {
        let durable = match replayed.torn {
            0 => written.all.len(),
            _ => written.before_last,
        };
        nothing_is_lost(&written, durable, &replayed);
    }
    goes_on(&disk, &mut log, &replayed);
}

/// Each byte of the script is a record or a sync.
fn write(disk: &Memory, script: &[u8]) -> Written {
    let (mut log, _) = open(disk).expect("it is empty");
    let mut written = Written::default();
    let mut synced = 0;
    for (number, op) in script.iter().take(MANY).enumerate() {
        if op & 0x80 == 0 {
            let record = record(*op, number as u64);
            log.append(&record, NOW).expect("there is room");
            written.all.push(record);
            continue;
        }
        if written.all.len() > synced {
            (written.before_last, synced) = (synced, written.all.len());
        }
        log.sync().expect("the disk works");
        if op & 0x40 != 0 {
            let compacted = log.upkeep().compact(NOW, &AtomicBool::new(false));
            assert_eq!(compacted.expect("the disk works"), []);
        }
    }
    if written.all.len() > synced {
        written.before_last = synced;
    }
    log.sync().expect("the disk works");
    written
}

/// Of one of eight addresses.
fn record(op: u8, number: u64) -> Record {
    let kind = match op >> 3 & 3 {
        0 | 1 => Kind::Bound,
        2 => Kind::Released,
        _ => Kind::Forgotten,
    };
    Record {
        address: Ipv4Addr::new(10, 0, 1, 10 + (op & 7)),
        kind,
        mac: [2, 0, 0, 0, 0, op],
        reserved_until: NOW.boot + number * SECOND,
        since: NOW.unix,
        client_id: vec![op; usize::from(op >> 5 & 1) * 7],
        hostname: vec![b'h'; usize::from(op >> 6 & 1) * 9],
        relay_agent: vec![1, 1, op],
    }
}

/// Six bytes are one change. Tells whether all of them are bytes that are others now: of files that
/// were cut or removed nobody can know what stood there last.
fn change(disk: &Memory, edits: &[u8]) -> bool {
    let mut is_only_changed = true;
    for edit in edits.chunks_exact(6).take(MANY) {
        let [file, how, high, low, len, with] = *edit else {
            continue;
        };
        let at = usize::from(u16::from_be_bytes([high, low]));
        let file = usize::from(file);
        is_only_changed &= how & 7 < 4;
        match how & 7 {
            0..4 => disk.edit(file, |bytes| flip(bytes, at, with)),
            4 => disk.edit(file, |bytes| bytes.truncate(at)),
            5 => disk.edit(file, |bytes| zero(bytes, at, len)),
            6 => disk.edit(file, |bytes| again(bytes, at, len)),
            _ => disk.remove_nth(file),
        }
    }
    is_only_changed
}

fn flip(bytes: &mut [u8], at: usize, with: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= with;
    }
}

fn zero(bytes: &mut [u8], at: usize, len: u8) {
    let end = bytes.len().min(at + usize::from(len));
    if let Some(part) = bytes.get_mut(at..end) {
        part.fill(0);
    }
}

/// Some bytes stand there twice.
fn again(bytes: &mut Vec<u8>, at: usize, len: u8) {
    let end = bytes.len().min(at + usize::from(len));
    if let Some(part) = bytes.get(at..end) {
        let part = part.to_vec();
        bytes.splice(at..at, part);
    }
}

fn nothing_is_lost(written: &Written, durable: usize, replayed: &Replayed) {
    let number = |record: &Record| written.all.iter().rposition(|other| other == record);
    let mut last = HashMap::new();
    for (at, record) in written.all[..durable].iter().enumerate() {
        last.insert(record.address, (at, record.kind));
    }
    for (address, (at, kind)) in last {
        let found = replayed
            .records
            .iter()
            .find(|record| record.address == address);
        let found = found.and_then(number);
        // A later record that says "forgotten" may be there, too.
        let forgets = |record: &Record| record.address == address && record.kind == Kind::Forgotten;
        let is_known = match found {
            Some(found) => found >= at,
            None => kind == Kind::Forgotten || written.all[durable..].iter().any(forgets),
        };
        assert!(
            is_known,
            "record {at} of {address} is lost in silence: {replayed:?}"
        );
    }
}

/// What was recovered once is there again, with what is appended.
fn goes_on(disk: &Memory, log: &mut Log, replayed: &Replayed) {
    let new = Record {
        address: Ipv4Addr::new(10, 0, 1, 99),
        ..record(0, 0)
    };
    log.append(&new, NOW).expect("there is room");
    log.sync().expect("the disk works");
    let (_, again) = open(disk).expect("it was opened before");
    let mut want = replayed.records.clone();
    want.retain(|record| record.address != new.address);
    want.push(new);
    assert_eq!(sorted(again.records), sorted(want));
}

fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|record| record.address);
    records
}

/// Each part is a frame: its type, how its sequence number follows, and the payload. Type 0 begins
/// another file.
fn forged(data: &[u8]) {
    let disk = Memory::default();
    let (mut number, mut sequence, mut file) = (1u64, 0u64, Vec::new());
    for part in parts(data).take(MANY) {
        let [kind, step, payload @ ..] = part else {
            continue;
        };
        if *kind == 0 {
            put(&disk, number, *step, &mut file);
            number += u64::from(step % 3);
            continue;
        }
        sequence = sequence
            .wrapping_add(u64::from(*step))
            .wrapping_sub(u64::from(step / 128) * 250);
        seal(*kind, sequence, payload, &mut file);
    }
    put(&disk, number, 0, &mut file);
    let Ok((mut log, replayed)) = open(&disk) else {
        return;
    };
    let site = Site::default();
    site.engine.restore(replayed.records.clone(), site.now);
    site.check_books();
    if log.append(&record(0, 0), NOW).is_ok() {
        log.sync().expect("the disk works");
        let (_, again) = open(&disk).expect("it was opened before");
        assert!(again.records.len() >= replayed.records.len());
    }
}

fn put(disk: &Memory, number: u64, step: u8, file: &mut Vec<u8>) {
    let kind = match step & 0x80 {
        0 => "segment",
        _ => "snapshot",
    };
    disk.put(
        &format!("{number:016x}-00000000.{kind}"),
        std::mem::take(file),
    );
}

/// As the journal's documentation has it, with the key 0.
fn seal(kind: u8, sequence: u64, payload: &[u8], file: &mut Vec<u8>) {
    let mut frame = (payload.len() as u16).to_le_bytes().to_vec();
    frame.extend([0xd1, kind]);
    frame.extend(sequence.to_le_bytes());
    frame.extend(payload);
    file.extend(crc32fast::hash(&frame).to_le_bytes());
    file.extend(frame);
}

fn open(disk: &Memory) -> Result<(Log, Replayed), JournalError> {
    Log::open(Arc::new(disk.clone()), SETTINGS, NOW, BOOT_ID)
}
