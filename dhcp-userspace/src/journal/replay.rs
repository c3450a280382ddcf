use std::io;

use super::codec::boot_tag;
use super::compact::{Files, Stored};
use super::error::is_full;
use super::frame;
use super::input::{Input, Trust};
use super::name::{DAMAGED, FileKind, NEW, Name, SUPERSEDED};
use super::spare::Segment;
use super::storage::Storage;
use super::survey::Survey;
use super::{Damage, JournalError, Record, Settings, Written};
use crate::clock::{Now, SECOND};

/// Leases of an earlier boot end so much later than the wall clocks say: the clock of that boot may have moved by a second
/// without a record of it, and a machine begins the next one with a clock that counts whole seconds.
pub(super) const MARGIN: u64 = 2 * SECOND;

/// What was on disk.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// The last record of every address, in the order they were written, with `reserved_until`
    /// on the clock of this boot. Forgotten ones are left out. Empty where they were handed over one
    /// by one.
    pub records: Vec<Record>,
    /// To be shown to the operator, each. It is reported again at every start until the damaged
    /// file is compacted away, which happens soon.
    pub damage: Vec<Damage>,
    /// Bytes at the very end that were never written whole, and never acknowledged: what a power
    /// cut or a kill leaves behind.
    pub torn: u64,
    /// Files with damage that are out of use, kept for the operator to look at and remove. What
    /// was lost with them may be missed.
    pub kept: Vec<String>,
    /// The same, but nothing is missed: see [`super::Upkeep::supersede`].
    pub superseded: Vec<String>,
}

/// Where the log goes on.
pub(super) struct State {
    pub(super) files: Files,
    pub(super) spare: Option<Segment>,
    pub(super) next_number: u64,
    pub(super) last: u64,
}

/// A journal that was read once, and of which all that counts is on disk for sure.
pub(super) struct Reading {
    inputs: Vec<Input>,
    survey: Survey,
    inventory: Inventory,
    spare: Option<Segment>,
    torn: u64,
    next_number: u64,
}

impl Reading {
    pub(super) fn of(storage: &dyn Storage, settings: Settings) -> Result<Self, JournalError> {
        let mut inventory = Inventory::take(storage)?;
        let mut survey = Survey::default();
        let mut inputs = open_all(storage, &inventory.current)?;
        for input in &mut inputs {
            survey.read(input)?;
        }
        let used = inputs.iter().rposition(|input| !input.is_empty());
        let empty = inputs.split_off(used.map_or(0, |last| last + 1));
        let torn = inputs.last().map_or(0, |last| survey.finish(last));
        let number = inputs.last().map_or(0, |last| last.name.number);
        cut_tail(storage, &mut inputs)?;
        let spare = adopt_spare(storage, settings, number + 1, empty)?;
        // The snapshot may have got its name from a server that ended before it had synced it.
        sync_dir(storage)?;
        inventory.clean_up(storage, !survey.damage.is_empty())?;
        sync_dir(storage)?;
        Ok(Self {
            next_number: number + 1 + u64::from(spare.is_some()),
            inputs,
            survey,
            inventory,
            spare,
            torn,
        })
    }

    /// Addresses that have a record.
    pub(super) fn live(&self) -> u64 {
        self.survey.latest.len()
    }

    /// Hands over the last record of each, without an allocation for any.
    pub(super) fn hand_over(
        self,
        (now, boot_id): (Now, [u8; 16]),
        each: &mut dyn FnMut(Written<'_>),
    ) -> Result<(State, Replayed), JournalError> {
        let live_bytes = hand_over(&self.inputs, &self.survey, (now, boot_id), each)?;
        let state = State {
            next_number: self.next_number,
            files: Files {
                known: self.survey.damage.clone(),
                kept: self.inventory.kept.clone(),
                ..files(&self.inputs, self.live(), live_bytes)
            },
            spare: self.spare,
            last: self.survey.last,
        };
        let replayed = Replayed {
            records: Vec::new(),
            damage: self.survey.damage,
            torn: self.torn,
            kept: self.inventory.kept,
            superseded: self.inventory.superseded,
        };
        Ok((state, replayed))
    }
}

pub(super) fn open_all(storage: &dyn Storage, names: &[Name]) -> Result<Vec<Input>, JournalError> {
    names
        .iter()
        .map(|name| Input::open(storage, *name))
        .collect()
}

/// The files of a log by what is to become of them.
struct Inventory {
    /// The newest snapshot and what came after, in order.
    current: Vec<Name>,
    /// What that snapshot stands for already.
    covered: Vec<Name>,
    unfinished: Vec<String>,
    kept: Vec<String>,
    superseded: Vec<String>,
}

impl Inventory {
    fn take(storage: &dyn Storage) -> Result<Self, JournalError> {
        let listed = storage
            .list()
            .map_err(|error| JournalError::io("list", "the journal", error))?;
        let mut names: Vec<_> = listed.iter().filter_map(|name| Name::parse(name)).collect();
        names.sort_by_key(|name| (name.number, name.kind == FileKind::Snapshot));
        let newest = names
            .iter()
            .rposition(|name| name.kind == FileKind::Snapshot);
        let current = names.split_off(newest.unwrap_or(0));
        let with = |suffix| {
            let matching = listed.iter().filter(move |name| name.ends_with(suffix));
            matching.cloned().collect()
        };
        Ok(Self {
            current,
            covered: names,
            unfinished: with(NEW),
            kept: with(DAMAGED),
            superseded: with(SUPERSEDED),
        })
    }

    /// Ends what a compaction left when it was cut short. Files that may be of use to the operator
    /// are kept: those with damage, and all of them if their successor has some.
    fn clean_up(&mut self, storage: &dyn Storage, keep: bool) -> Result<(), JournalError> {
        for name in &self.unfinished {
            unless_full(remove(storage, name))?;
        }
        for name in &self.covered {
            if keep || is_damaged(storage, *name)? {
                unless_full(rename(storage, &name.to_string(), &name.damaged()))?;
                self.kept.push(name.damaged());
            } else {
                unless_full(remove(storage, &name.to_string()))?;
            }
        }
        Ok(())
    }
}

/// What a full disk leaves undone, the next start does.
fn unless_full(done: Result<(), JournalError>) -> Result<(), JournalError> {
    match done {
        Err(JournalError::Io { source, .. }) if is_full(&source) => Ok(()),
        done => done,
    }
}

fn sync_dir(storage: &dyn Storage) -> Result<(), JournalError> {
    let synced = storage.sync_dir();
    synced.map_err(|error| JournalError::io("sync the directory of", "the journal", error))
}

fn is_damaged(storage: &dyn Storage, name: Name) -> Result<bool, JournalError> {
    let mut input = Input::open(storage, name)?;
    let mut survey = Survey::default();
    survey.read(&mut input)?;
    survey.finish_closed();
    // What is missing before the file is another file's matter.
    Ok(survey.damage.iter().any(|damage| damage.len > 0))
}

/// Tells how many bytes they have.
fn hand_over(
    inputs: &[Input],
    survey: &Survey,
    (now, boot_id): (Now, [u8; 16]),
    each: &mut dyn FnMut(Written<'_>),
) -> Result<u64, JournalError> {
    let this_boot = boot_tag(&boot_id);
    let mut bytes = 0;
    for input in inputs {
        input.live(&survey.latest, Trust::Memory, |_, lease| {
            let mut record = lease.written();
            if lease.boot != this_boot {
                let offset = survey.offset(lease.boot, now.to_unix(0));
                let until = record.reserved_until.saturating_add(offset);
                record.reserved_until = now.to_boot(until.saturating_add(MARGIN));
            }
            bytes += frame::size(lease.payload.len()) as u64;
            each(record);
            Ok(())
        })?;
    }
    Ok(bytes)
}

/// Takes away what was never acknowledged, and zeros, from the segment written last.
fn cut_tail(storage: &dyn Storage, inputs: &mut Vec<Input>) -> Result<(), JournalError> {
    let Some(last) = inputs.pop_if(|last| last.name.kind == FileKind::Segment) else {
        return Ok(());
    };
    let name = last.name.to_string();
    if last.end == 0 {
        return remove(storage, &name);
    }
    let cut = || {
        if last.len > last.end {
            last.file.set_len(last.end)?;
        }
        write_again(&last)?;
        last.file.sync()
    };
    cut().map_err(|error| JournalError::io("cut the end of", &name, error))?;
    inputs.push(last);
    Ok(())
}

/// A killed server leaves its last batch in memory only. If its sync had failed by then, the
/// kernel takes these pages for written, and no other sync would write them.
fn write_again(last: &Input) -> io::Result<()> {
    let mut batch = vec![0; (last.end - last.batch) as usize];
    let len = last.file.read_at(&mut batch, last.batch)?;
    last.file.write_at(&batch[..len], last.batch)
}

/// The segment prepared by an earlier run, if it is as this run would make it.
fn adopt_spare(
    storage: &dyn Storage,
    settings: Settings,
    number: u64,
    empty: Vec<Input>,
) -> Result<Option<Segment>, JournalError> {
    let mut spare = None;
    for input in empty {
        let fits = input.name.number == number && input.len == settings.segment_size;
        if fits && input.name.kind == FileKind::Segment && spare.is_none() {
            spare = Some(Segment {
                name: input.name,
                file: input.file,
            });
        } else {
            remove(storage, &input.name.to_string())?;
        }
    }
    Ok(spare)
}

fn files(inputs: &[Input], live_records: u64, live_bytes: u64) -> Files {
    let stored = |kind| {
        let of_kind = inputs.iter().filter(move |input| input.name.kind == kind);
        of_kind.map(|input| Stored {
            name: input.name,
            len: input.end,
        })
    };
    let snapshot = stored(FileKind::Snapshot).next();
    Files {
        snapshot,
        closed: stored(FileKind::Segment).collect(),
        live_records,
        live_bytes,
        ..Files::default()
    }
}

pub(super) fn remove(storage: &dyn Storage, name: &str) -> Result<(), JournalError> {
    storage
        .remove(name)
        .map_err(|error| JournalError::io("remove", name, error))
}

pub(super) fn rename(storage: &dyn Storage, from: &str, to: &str) -> Result<(), JournalError> {
    storage
        .rename(from, to)
        .map_err(|error| JournalError::io("rename", from, error))
}
