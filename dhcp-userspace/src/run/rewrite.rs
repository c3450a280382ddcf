//! After damage to the journal, or when the wall clock was set: what was in it is written once more,
//! from memory.

use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard};

use super::core::Core;
use super::ticket::Ticket;
use crate::journal::{Handle, Record};

/// Records a second: the journal is for clients too.
const AT_ONCE: usize = 16384;

#[derive(Default)]
pub struct Rewrite(Mutex<Progress>);

#[derive(Default)]
struct Progress {
    /// The address to go on with, if there is something to write.
    next: Option<Ipv4Addr>,
    /// Since the journal was found damaged, or its clock wrong. From then on the record before the one that is refused
    /// may be lost, and the one that is refused may be of those written here.
    is_asked: bool,
    /// That it is all written; told once.
    is_told: bool,
}

impl Rewrite {
    /// Has the sweeper write all records once more.
    pub fn ask(&self) {
        *self.lock() = Progress {
            next: Some(Ipv4Addr::UNSPECIFIED),
            is_asked: true,
            is_told: false,
        };
    }

    /// The journal did not take a record: the disk is full, or the queue.
    pub fn refused(&self) {
        let mut progress = self.lock();
        if progress.is_asked {
            progress.next = Some(Ipv4Addr::UNSPECIFIED);
        }
    }

    /// Unless all is asked for anew.
    fn go_on_with(&self, address: Ipv4Addr) {
        self.lock().next.get_or_insert(address);
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().expect("no panics while held")
    }
}

/// Appends the next records of those that were asked for.
pub fn go_on(core: &Core, journal: &Handle<Ticket>) {
    let Some(from) = core.rewrite.lock().next.take() else {
        return;
    };
    let (mut written, mut rest) = (0, None);
    core.engine.records(from, &mut |record| {
        if written == AT_ONCE || !append(journal, &record) {
            rest = Some(record.address);
            return ControlFlow::Break(());
        }
        written += 1;
        ControlFlow::Continue(())
    });
    match rest {
        Some(address) => core.rewrite.go_on_with(address),
        None => tell(core, written),
    }
}

/// A full disk has it all written again and again.
fn tell(core: &Core, written: usize) {
    if !std::mem::replace(&mut core.rewrite.lock().is_told, true) {
        tracing::info!(
            last = written,
            "all leases are handed to the journal once more"
        );
    }
}

/// Appends one record again, if there is any: the journal writes the clock before it. Tells whether
/// the journal took it; with all slots locked, it is about to take others.
pub fn one(core: &Core, journal: &Handle<Ticket>) -> bool {
    let mut taken = true;
    core.engine.records(Ipv4Addr::UNSPECIFIED, &mut |record| {
        taken = append(journal, &record);
        ControlFlow::Break(())
    });
    taken
}

fn append(journal: &Handle<Ticket>, record: &Record) -> bool {
    let ticket = Ticket {
        change: None,
        event: None,
        reply: None,
        done: None,
    };
    journal.append(record, ticket).is_ok()
}
