//! After damage to the journal, or when the wall clock was set: what was in it is written once more,
//! from memory.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Mutex, MutexGuard};

use super::core::Core;
use super::ticket::Ticket;
use crate::clock::Now;
use crate::journal::{Handle, Record};

/// Records a second: the journal is for clients too.
const AT_ONCE: usize = 16384;

/// What becomes of a record.
pub type Outcome = Receiver<Result<(), String>>;

#[derive(Default)]
pub struct Rewrite(Mutex<Progress>);

#[derive(Default)]
struct Progress {
    /// The address to go on with, if there is something to write.
    next: Option<Ipv4Addr>,
    /// Addresses that were passed by, since somebody else had them locked.
    again: HashSet<Ipv4Addr>,
    /// Of the last record that was written.
    last: Option<Outcome>,
    /// Not all is on disk yet. Meanwhile a record that is refused may be one of those written here, and
    /// after damage the one before it may be lost.
    is_asked: bool,
    /// Of the damage that compactions found, so much is told. What was found after it is not written
    /// once more yet.
    told: u64,
    /// It all was on disk at some time, so no record is of an earlier boot any more.
    is_of_this_boot: bool,
}

impl Rewrite {
    /// Has the sweeper write all records once more.
    pub fn ask(&self) {
        let mut progress = self.lock();
        progress.is_asked = true;
        progress.begin();
    }

    /// The same, since a compaction found damage.
    pub fn ask_after(&self, damage: usize) {
        self.ask();
        self.lock().told += damage as u64;
    }

    /// The same if there are records of earlier boots, or there may be. Those of this boot follow its
    /// clock.
    pub fn ask_for_earlier_boots(&self) {
        let mut progress = self.lock();
        if !progress.is_asked && !progress.is_of_this_boot {
            progress.is_asked = true;
            progress.begin();
        }
    }

    pub fn is_under_way(&self) -> bool {
        self.lock().is_asked
    }

    /// Whether the journal has all that is known here, whatever damage compactions found.
    fn is_whole(&self, journal: &Handle<Ticket>) -> bool {
        let progress = self.lock();
        !progress.is_asked && progress.told == journal.stats().damage.get()
    }

    /// The journal did not take a record: the disk is full, or the queue.
    pub fn refused(&self) {
        let mut progress = self.lock();
        if progress.is_asked {
            progress.begin();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().expect("no panics while held")
    }
}

impl Progress {
    fn begin(&mut self) {
        self.next = Some(Ipv4Addr::UNSPECIFIED);
        self.again.clear();
    }

    /// Whether it is all on disk.
    fn is_done(&self) -> bool {
        // What a channel has said it says once.
        let is_written = |last: &Outcome| is_durable(last) == Some(true);
        self.is_asked
            && self.next.is_none()
            && self.again.is_empty()
            && self.last.as_ref().is_none_or(is_written)
    }
}

/// Appends the next records of those that were asked for.
pub fn go_on(core: &Core, journal: &Handle<Ticket>) {
    let mut progress = core.rewrite.lock();
    if progress.is_done() {
        (progress.is_asked, progress.is_of_this_boot) = (false, true);
        progress.last = None;
        tracing::info!("all leases are in the journal once more");
        return;
    }
    let (next, again) = (progress.next.take(), std::mem::take(&mut progress.again));
    drop(progress);
    if next.is_none() && again.is_empty() {
        return;
    }
    let written = write(core, journal, next, &again);
    let mut progress = core.rewrite.lock();
    // Unless all was asked for anew meanwhile.
    if progress.next.is_none() {
        (progress.next, progress.again) = (written.next, written.again);
    }
    if written.last.is_some() {
        progress.last = written.last;
    }
}

/// Files with damage are no cause for doubt at later starts once the journal has everything again, and
/// no lease runs any more that was lost before this start.
pub fn settle(core: &Core, journal: &Handle<Ticket>, now: Now) {
    if !core.rewrite.is_whole(journal) || core.engine.is_in_doubt(now) {
        return;
    }
    match journal.supersede() {
        Ok(0) => {}
        Ok(files) => tracing::info!(
            files,
            "nothing that was in damaged parts of the journal is missed any more: they are renamed to \
             `.superseded`"
        ),
        Err(error) => tracing::warn!(
            %error,
            "damaged parts of the journal keep their names: the next start asks the network for \
             every address, without need"
        ),
    }
}

#[derive(Default)]
struct Written {
    count: usize,
    next: Option<Ipv4Addr>,
    again: HashSet<Ipv4Addr>,
    last: Option<Outcome>,
}

/// Those that were passed by, and all from `next` on, as far as the journal takes them.
fn write(
    core: &Core,
    journal: &Handle<Ticket>,
    next: Option<Ipv4Addr>,
    again: &HashSet<Ipv4Addr>,
) -> Written {
    let mut written = Written::default();
    let wanted = |address| again.contains(&address) || next.is_some_and(|next| address >= next);
    core.engine.records(&wanted, &mut |address, record| {
        let Some(record) = record else {
            written.again.insert(address);
            return ControlFlow::Continue(());
        };
        let is_enough = written.count == AT_ONCE || journal.is_half_full();
        match (!is_enough).then(|| append(journal, &record)).flatten() {
            Some(outcome) => {
                written.last = Some(outcome);
                written.count += 1;
                ControlFlow::Continue(())
            }
            None => {
                written.next = Some(address);
                ControlFlow::Break(())
            }
        }
    });
    // What the walk did not reach.
    let left = |address: &&Ipv4Addr| written.next.is_some_and(|next| **address >= next);
    let left: Vec<_> = again.iter().filter(left).copied().collect();
    if next.is_none() {
        // Nothing but these is wanted behind them.
        written.next = None;
    }
    written.again.extend(left);
    written
}

/// Appends one record again, if there is any: the journal writes the clock before it. `None`: there
/// is none, or none that the journal takes now.
pub fn one(core: &Core, journal: &Handle<Ticket>) -> Option<Outcome> {
    let mut outcome = None;
    core.engine.records(&|_| true, &mut |_, record| {
        let Some(record) = record else {
            return ControlFlow::Continue(());
        };
        outcome = append(journal, &record);
        ControlFlow::Break(())
    });
    outcome
}

/// Whether that record is on disk; false if it never will be.
pub fn is_durable(outcome: &Outcome) -> Option<bool> {
    match outcome.try_recv() {
        Ok(outcome) => Some(outcome.is_ok()),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Disconnected) => Some(false),
    }
}

fn append(journal: &Handle<Ticket>, record: &Record) -> Option<Outcome> {
    let (done, outcome) = sync_channel(1);
    let ticket = Ticket {
        change: None,
        event: None,
        reply: None,
        done: Some(done),
    };
    journal.append(record, ticket).ok().map(|()| outcome)
}
