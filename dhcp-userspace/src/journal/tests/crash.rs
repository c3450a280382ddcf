//! Whatever fails and whenever power goes: what was acknowledged is there, nothing is invented.

use std::collections::HashMap;
use std::io::ErrorKind;

use proptest::prelude::*;

use super::super::faulty::Fault;
use super::*;

/// What may be on disk.
#[derive(Clone, Default)]
struct Model {
    /// Per address: what was acknowledged last, and what was appended since.
    addresses: HashMap<Ipv4Addr, (Option<Record>, Vec<Record>)>,
    number: u64,
}

impl Model {
    fn appended(&mut self, record: &Record) {
        let (_, since) = self.addresses.entry(record.address).or_default();
        since.push(record.clone());
    }

    fn acknowledged(&mut self) {
        for (durable, since) in self.addresses.values_mut() {
            if let Some(last) = since.pop() {
                *durable = Some(last);
            }
            since.clear();
        }
    }

    /// Takes over what is on disk.
    fn check(&mut self, replayed: &Replayed, context: &str) {
        assert_eq!(replayed.damage, [], "{context}");
        let mut found = by_address(replayed);
        for (address, (durable, since)) in &mut self.addresses {
            let there = found.remove(address);
            let is_it = |record: &Record| match &there {
                Some(there) => there == record,
                None => record.kind == Kind::Forgotten,
            };
            let was_unknown = durable.is_none() && there.is_none();
            assert!(
                was_unknown || durable.iter().chain(&*since).any(is_it),
                "{context}: {address}: {there:?} is neither {durable:?} nor one of {since:?}"
            );
            (*durable, *since) = (there, Vec::new());
        }
        assert!(found.is_empty(), "{context}: invented {found:?}");
    }

    /// Appends, syncs, rotates and compacts until done or until something fails.
    fn run(&mut self, log: &mut Log, script: &Script) -> Result<(), JournalError> {
        for (step, batch) in script.batches.iter().enumerate() {
            for address in batch {
                let record = record(*address, self.number);
                self.number += 1;
                self.appended(&record);
                log.append(&record, NOW)?;
            }
            log.sync()?;
            self.acknowledged();
            if step % script.upkeep_every == 0 {
                log.upkeep().prepare(NOW)?;
            }
            if log.upkeep().is_due() {
                compact(log)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Script {
    batches: Vec<Vec<u32>>,
    upkeep_every: usize,
}

impl Script {
    fn fixed() -> Self {
        Self {
            batches: (0..24)
                .map(|step| (step..step + 1 + step % 4).map(|a| a % 6).collect())
                .collect(),
            upkeep_every: 3,
        }
    }
}

fn run_with(fault: Option<(usize, Fault)>) -> (Faulty, Model, Result<(), JournalError>) {
    let mut storage = Faulty::default();
    if let Some((at, fault)) = fault {
        storage = storage.with_fault(at, fault);
    }
    let mut model = Model::default();
    let result =
        open_with(&storage, SMALL).and_then(|(mut log, _)| model.run(&mut log, &Script::fixed()));
    (storage, model, result)
}

#[test]
fn the_script_does_it_all() {
    let (storage, mut model, result) = run_with(None);
    result.unwrap();
    let (log, replayed) = open(&storage.after_power_cut(1));
    model.check(&replayed, "no fault");
    assert!(log.stats().segments.get() > 1);
    assert_eq!(files(&storage, ".snapshot").len(), 1, "compacted");
    assert!(storage.operations() > 50);
}

#[test]
fn power_goes_at_every_operation() {
    for at in 0..run_with(None).0.operations() {
        let (storage, model, result) = run_with(Some((at, Fault::PowerCut)));
        assert!(result.is_err(), "operation {at}");
        for seed in 0..12 {
            let context = format!("operation {at}, seed {seed}");
            let mut model = model.clone();
            let storage = storage.after_power_cut(seed);
            let (mut log, replayed) = open(&storage);
            model.check(&replayed, &context);
            model.run(&mut log, &Script::fixed()).unwrap();
            model.check(&open(&storage.after_power_cut(seed)).1, &context);
        }
    }
}

#[test]
fn power_goes_at_every_operation_of_recovery() {
    let (storage, model, _) = run_with(None);
    let open_all =
        |storage: &Faulty| open_with(storage, SMALL).map(|(log, _)| log.upkeep().prepare(NOW));
    let fresh = storage.after_kill();
    open_all(&fresh).unwrap().unwrap();
    for at in 0..fresh.operations() {
        let cut = storage.after_kill().with_fault(at, Fault::PowerCut);
        let _ = open_all(&cut);
        for seed in 0..12 {
            let replayed = open(&cut.after_power_cut(seed)).1;
            model
                .clone()
                .check(&replayed, &format!("operation {at}, seed {seed}"));
        }
    }
}

#[test]
fn every_operation_fails_once() {
    for at in 0..run_with(None).0.operations() {
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            let (storage, model, result) = run_with(Some((at, Fault::Error(kind))));
            let context = format!("operation {at}, {kind:?}: {result:?}");
            model
                .clone()
                .check(&open(&storage.after_kill()).1, &context);
            for seed in 0..4 {
                let replayed = open(&storage.after_power_cut(seed)).1;
                model
                    .clone()
                    .check(&replayed, &format!("{context}, seed {seed}"));
            }
        }
    }
}

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

fn script() -> impl Strategy<Value = Script> {
    let batch = proptest::collection::vec(0u32..12, 1..9);
    let batches = proptest::collection::vec(batch, 1..40);
    (batches, 1usize..9).prop_map(|(batches, upkeep_every)| Script {
        batches,
        upkeep_every,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn runs_that_end_anyhow(
        runs in proptest::collection::vec((script(), 0usize..150, any::<u64>(), any::<bool>()), 1..5),
        segment_size in 200u64..3000,
        compact_after in 1usize..5,
    ) {
        let settings = Settings { segment_size, compact_after };
        let mut storage = Faulty::default();
        let mut model = Model::default();
        for (script, at, seed, is_power_cut) in runs {
            storage = storage.with_fault(at, Fault::PowerCut);
            if let Ok((mut log, replayed)) = open_with(&storage, settings) {
                model.check(&replayed, "at start");
                let _ = model.run(&mut log, &script);
            }
            storage = if is_power_cut { storage.after_power_cut(seed) } else { storage.after_kill() };
        }
        let (_, replayed) = open_with(&storage, settings).unwrap();
        model.check(&replayed, "at the end");
    }
}
