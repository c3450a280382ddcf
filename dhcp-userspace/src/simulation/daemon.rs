//! What is lost when the daemon dies: the engine's memory, and what waits in it.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicBool;

use super::packet::{Packet, Sent};
use crate::clock::Now;
use crate::config::model::Mac;
use crate::engine::{Change, Commit, Engine};
use crate::journal::{Damage, JournalError, Log, Record};

/// Records that may wait for the disk.
const ROOM: usize = 400;

pub(super) struct Daemon {
    pub(super) engine: Engine,
    log: Log,
    pub(super) queue: VecDeque<Ticket>,
    batch: Option<Batch>,
    /// Packets that wait for a record of their client, and since when.
    pub(super) held: VecDeque<(Packet, u64)>,
    /// Replies that wait.
    pub(super) later: BTreeMap<Mac, Waiting>,
    pub(super) waits: u64,
}

/// A change on its way to disk.
pub(super) struct Ticket {
    pub(super) record: Record,
    pub(super) change: Change,
    pub(super) reply: Option<Sent>,
}

impl Ticket {
    pub(super) fn of(commit: Commit, reply: Option<Sent>) -> Self {
        Self {
            record: commit.record,
            change: commit.change,
            reply,
        }
    }
}

/// A reply that waits for its time.
pub(super) struct Waiting {
    pub(super) id: u64,
    pub(super) due: u64,
    pub(super) reply: Sent,
    pub(super) packet: Packet,
    pub(super) address: Ipv4Addr,
}

/// What the disk is busy with.
struct Batch {
    tickets: Vec<Ticket>,
    /// Of the records that the journal took.
    sequences: Vec<u64>,
    appended: Result<(), JournalError>,
    /// What the sync said, once it was asked for.
    synced: Option<Result<(), JournalError>>,
}

#[derive(Default)]
pub(super) struct Written {
    pub(super) durable: Vec<Ticket>,
    pub(super) refused: Vec<Ticket>,
    pub(super) failed: bool,
}

impl Daemon {
    pub(super) fn new(engine: Engine, log: Log) -> Self {
        Self {
            queue: VecDeque::new(),
            batch: None,
            held: VecDeque::new(),
            later: BTreeMap::new(),
            waits: 0,
            engine,
            log,
        }
    }

    pub(super) fn room(&self) -> usize {
        ROOM.saturating_sub(self.queue.len())
    }

    /// Whether nothing is on its way to disk.
    pub(super) fn is_idle(&self) -> bool {
        self.batch.is_none() && self.queue.is_empty()
    }

    /// What waits.
    pub(super) fn sizes(&self) -> [(&'static str, usize); 3] {
        [
            ("records that wait", self.queue.len()),
            ("packets that wait", self.held.len()),
            ("replies that wait", self.later.len()),
        ]
    }

    /// Begins to write what has queued up; false if there is nothing, or the disk is busy. `early`:
    /// it is on disk long before the disk says so.
    pub(super) fn write(&mut self, now: Now, early: bool) -> bool {
        if self.batch.is_some() || self.queue.is_empty() {
            return false;
        }
        let mut batch = Batch {
            tickets: self.queue.drain(..).collect(),
            sequences: Vec::new(),
            appended: Ok(()),
            synced: None,
        };
        for ticket in &batch.tickets {
            match self.log.append(&ticket.record, now) {
                Ok(sequence) => batch.sequences.push(sequence),
                Err(error) => {
                    batch.appended = Err(error);
                    break;
                }
            }
        }
        if early {
            batch.synced = Some(self.log.sync());
        }
        self.batch = Some(batch);
        true
    }

    /// The disk says that it is done: as the committer's thread, see `journal/committer.rs`.
    pub(super) fn written(&mut self) -> Written {
        let Some(mut batch) = self.batch.take() else {
            return Written::default();
        };
        let result = batch.synced.unwrap_or_else(|| self.log.sync());
        let synced = self.log.synced();
        let durable = batch
            .sequences
            .partition_point(|sequence| *sequence <= synced);
        let refused = batch.tickets.split_off(durable);
        let failed = match result.and(batch.appended) {
            Ok(()) | Err(JournalError::Full) => false,
            Err(_) => true,
        };
        Written {
            durable: batch.tickets,
            // A journal that failed tells nothing of the others.
            refused: if failed { Vec::new() } else { refused },
            failed,
        }
    }

    /// What the journal's helper does, which shrugs at errors: they show where they matter. Tells of
    /// damage.
    pub(super) fn keep_up(&self, now: Now) -> Option<Damage> {
        let upkeep = self.log.upkeep();
        let _ = upkeep.prepare(now);
        if !upkeep.is_due() {
            return None;
        }
        let compacted = upkeep.compact(now, &AtomicBool::new(false));
        compacted.unwrap_or_default().into_iter().next()
    }
}
