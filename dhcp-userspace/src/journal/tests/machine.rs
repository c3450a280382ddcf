//! A machine with a journal, and an account of what may be on its disk.

use std::collections::{HashMap, HashSet};

use super::super::What;
use super::super::faulty::{Fault, Random, Space};
use super::super::replay::MARGIN;
use super::*;

const DAY: u64 = 86_400 * SECOND;
pub(super) const ADDRESSES: usize = 12;

/// What may be on disk of an address, and of clocks.
#[derive(Clone, Default)]
pub(super) struct Model {
    addresses: HashMap<Ipv4Addr, Known>,
    /// By boot, how far its wall clock may be told to have been ahead.
    clocks: HashMap<[u8; 16], Vec<u64>>,
    /// Where damage was told, which is told again until the file is compacted away.
    told: HashSet<(String, u64)>,
    /// Something was handed in whose fate is open.
    is_open: bool,
    number: u64,
    pub(super) checked: u64,
}

#[derive(Clone, Default)]
struct Known {
    /// `None`: nothing, or forgotten.
    durable: Option<Entry>,
    /// What may have been written since.
    maybe: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    record: Record,
    boot: [u8; 16],
    is_acknowledged: bool,
}

impl Model {
    fn acknowledge(&mut self, entry: Entry, offset: u64) {
        self.clocks.insert(entry.boot, vec![offset]);
        let known = self.addresses.entry(entry.record.address).or_default();
        known.durable = Some(Entry {
            is_acknowledged: true,
            ..entry
        });
        known.maybe.clear();
    }

    fn may_be(&mut self, entry: Entry, offset: u64) {
        self.clocks.entry(entry.boot).or_default().push(offset);
        let known = self.addresses.entry(entry.record.address).or_default();
        known.maybe.push(entry);
        self.is_open = true;
    }

    /// Holds what was read against what may be on disk, and takes it over: what a start has read
    /// may be lost no more.
    pub(super) fn check(&mut self, replayed: &Replayed, now: Now, boot: [u8; 16], context: &str) {
        self.check_damage(replayed, context);
        let mut found = by_address(replayed);
        for (address, known) in &mut self.addresses {
            self.checked += 1;
            let there = found.remove(address);
            let read = |entry: &&Entry| match &there {
                None => entry.record.kind == Kind::Forgotten,
                Some(there) => {
                    let until = there.reserved_until;
                    let same = Record {
                        reserved_until: entry.record.reserved_until,
                        ..there.clone()
                    };
                    same == entry.record && is_time(&self.clocks, entry, until, now, boot)
                }
            };
            let candidates = known.durable.iter().chain(&known.maybe);
            let entry = candidates.clone().find(read);
            let was_unknown = known.durable.is_none() && there.is_none();
            assert!(
                entry.is_some() || was_unknown,
                "{context}: {address}: {there:?} is neither of {:?} at {now:?}",
                candidates.collect::<Vec<_>>()
            );
            known.durable = entry.filter(|_| there.is_some()).cloned();
            known.maybe.clear();
        }
        assert!(found.is_empty(), "{context}: invented {found:?}");
        self.is_open = false;
    }

    /// Damage is what a power cut makes of the last batch, which nobody was told of; nothing else.
    fn check_damage(&mut self, replayed: &Replayed, context: &str) {
        for damage in &replayed.damage {
            let place = (damage.file.clone(), damage.offset);
            let is_new = damage.what == What::LastBatch && self.is_open;
            assert!(
                is_new || self.told.contains(&place),
                "{context}: {damage:?}"
            );
            self.told.insert(place);
        }
    }
}

/// Whether a lease ends when it should, on the clock of `boot`.
fn is_time(
    clocks: &HashMap<[u8; 16], Vec<u64>>,
    entry: &Entry,
    until: u64,
    now: Now,
    boot: [u8; 16],
) -> bool {
    let recorded = entry.record.reserved_until;
    if entry.boot == boot {
        return until == recorded;
    }
    // Of a lease that nobody was told of the clock may be lost.
    !entry.is_acknowledged
        || clocks[&entry.boot]
            .iter()
            .any(|offset| until == now.to_boot(recorded + offset + MARGIN))
}

/// What happens to a journal.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Batch(Vec<u32>),
    Prepare,
    Compact,
    /// The wall clock is set.
    Step {
        days: i64,
    },
    Space(Space),
}

impl Action {
    pub(super) fn random(random: &mut Random) -> Self {
        match random.below(20) {
            0..12 => {
                let count = 1 + random.below(8);
                Self::Batch((0..count).map(|_| random.below(ADDRESSES) as u32).collect())
            }
            12 | 13 => Self::Prepare,
            14 | 15 => Self::Compact,
            16 => Self::Step {
                days: if random.below(2) == 0 { 1 } else { -1 },
            },
            17 => Self::Space(Space::InPlace),
            18 => Self::Space(Space::None),
            _ => Self::Space(Space::Enough),
        }
    }
}

#[derive(Clone)]
pub(super) struct Machine {
    pub(super) storage: Faulty,
    pub(super) settings: Settings,
    pub(super) now: Now,
    pub(super) boot: [u8; 16],
    pub(super) model: Model,
}

impl Machine {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            storage: Faulty::default(),
            settings,
            now: NOW,
            boot: BOOT,
            model: Model::default(),
        }
    }

    pub(super) fn with_fault(self, at: usize, fault: Fault) -> Self {
        let storage = self.storage.with_fault(at, fault);
        Self { storage, ..self }
    }

    /// Starts, checks what is there, and does the script as far as the disk lets it.
    pub(super) fn run(&mut self, script: &[Action], context: &str) -> Result<(), JournalError> {
        let storage = Arc::new(self.storage.clone());
        let (mut log, replayed) = Log::open(storage, self.settings, self.now, self.boot)?;
        self.model.check(&replayed, self.now, self.boot, context);
        for action in script {
            self.now.boot += SECOND;
            self.now.unix += SECOND;
            self.act(&mut log, action)?;
        }
        Ok(())
    }

    fn act(&mut self, log: &mut Log, action: &Action) -> Result<(), JournalError> {
        let refused = |result| match result {
            Err(JournalError::Full) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        };
        match action {
            Action::Batch(addresses) => refused(self.commit(log, addresses)),
            // As the helper does: what fails shows again where the segment is needed.
            Action::Prepare => {
                let _ = log.upkeep().prepare(self.now);
                Ok(())
            }
            Action::Compact => {
                let compacted = log.upkeep().compact(self.now, &AtomicBool::new(false));
                assert_eq!(compacted.unwrap_or_default(), []);
                Ok(())
            }
            Action::Step { days } => {
                self.now.unix = self
                    .now
                    .unix
                    .saturating_add_signed(days * DAY.cast_signed());
                Ok(())
            }
            Action::Space(space) => {
                self.storage.set_space(*space);
                Ok(())
            }
        }
    }

    /// As the committer does it. An error other than a full disk is final.
    fn commit(&mut self, log: &mut Log, addresses: &[u32]) -> Result<(), JournalError> {
        let offset = self.now.to_unix(0);
        let (mut handed_in, mut appended) = (Vec::new(), Ok(()));
        for address in addresses {
            let record = record(*address, self.model.number);
            self.model.number += 1;
            let taken = log.append(&record, self.now);
            let sequence = taken.as_ref().map_or(u64::MAX, |sequence| *sequence);
            handed_in.push((sequence, record));
            if let Err(error) = taken {
                appended = Err(error);
                break;
            }
        }
        let written = log.sync().and(appended);
        for (sequence, record) in handed_in {
            let entry = Entry {
                record,
                boot: self.boot,
                is_acknowledged: false,
            };
            match &written {
                _ if sequence <= log.synced() => self.model.acknowledge(entry, offset),
                Ok(()) => panic!("neither written nor refused: {entry:?}"),
                // Never to be seen again.
                Err(JournalError::Full) => {}
                Err(_) => self.model.may_be(entry, offset),
            }
        }
        written
    }

    /// The process ends; the machine and its disk go on.
    pub(super) fn kill(&mut self) {
        self.storage = self.storage.after_kill();
        self.storage.set_space(Space::Enough);
    }

    /// Power goes and comes back, with another boot.
    pub(super) fn power_cut(&mut self, seed: u64) {
        self.reboot_with(self.storage.after_power_cut(seed));
    }

    pub(super) fn reboot_with(&mut self, storage: Faulty) {
        self.storage = storage;
        self.boot[0] = self.boot[0].wrapping_add(1);
        self.now = Now {
            boot: 50 * SECOND,
            unix: self.now.unix + 60 * SECOND,
        };
    }
}
