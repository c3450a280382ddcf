//! The journal as the daemon runs it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::core::Core;
use super::ticket::{self, Ticket};
use crate::clock::{Now, SECOND, boot_id};
use crate::control::render;
use crate::engine::Engine;
use crate::journal::{Committer, Disk, JournalError, Log, Replayed, Settings, Stats, Verdict};
use crate::net::send;

/// Takes the state directory, so that nobody else uses it or what belongs to it in the kernel.
///
/// # Errors
/// If the directory cannot be made, or another daemon has it.
pub fn take(state_dir: &Path) -> anyhow::Result<Disk> {
    Ok(Disk::open(&state_dir.join("journal"))?)
}

/// Reads the journal, tells what is in it, and has the engine know. True if it lacks what it once had:
/// what the engine knows should be written once more.
///
/// # Errors
/// If it cannot be read.
pub fn open(disk: Disk, engine: &Engine, now: Now) -> anyhow::Result<(Log, bool)> {
    let boot = boot_id().context("cannot tell this boot from others")?;
    let (disk, settings) = (Arc::new(disk), Settings::default());
    let opening = Log::read(disk, settings, now, boot)?;
    let mut restoring = engine.restoring(opening.live(), now);
    let (log, replayed) = opening.hand_over(&mut |record| restoring.take(&record))?;
    let lost = restoring.finish();
    tell(&replayed);
    tracing::info!(leases = log.stats().live_records.get(), "journal read");
    let lacks = tell_of_doubt(engine, &replayed, lost, now);
    Ok((log, lacks))
}

fn tell(replayed: &Replayed) {
    for damage in &replayed.damage {
        tracing::error!("the journal is damaged: {damage}");
    }
    for file in replayed.kept.iter().chain(&replayed.superseded) {
        tracing::warn!(
            file,
            "a damaged part of the journal is kept: look at it and remove it"
        );
    }
    if replayed.torn > 0 {
        tracing::info!(
            bytes = replayed.torn,
            "the journal's last write was cut short by a crash, before any client was told of it: \
             taken away"
        );
    }
}

fn tell_of_doubt(engine: &Engine, replayed: &Replayed, lost: usize, now: Now) -> bool {
    let is_damaged = !replayed.damage.is_empty();
    if lost > 0 {
        tracing::error!(
            leases = lost,
            "the journal has lost records of leases that the pinned table still knows: kept"
        );
    }
    // The kept files outlast a restart, and with them what follows from the damage, until the
    // sweeper finds that nothing of it is missed any more.
    if is_damaged || !replayed.kept.is_empty() {
        let doubted = engine.doubt(now);
        tracing::warn!(
            lasts = render::duration(doubted.lasts.as_secs()),
            "leases may be lost with the damaged part of the journal: for so long no address is \
             offered before the network was asked for it, and clients that ask for more time are \
             believed"
        );
        if doubted.for_good {
            tracing::warn!(
                "addresses given to BOOTP clients for good may be lost too, and are in use beyond that \
                 time: make reservations for such clients"
            );
        }
    }
    is_damaged || lost > 0
}

/// Starts the threads that write it.
///
/// # Errors
/// If the system has no thread left.
pub fn start(log: Log, core: Arc<Core>) -> std::io::Result<Committer<Ticket>> {
    let mut listener = Listener::new(core, log.stats());
    Committer::start(log, Now::read, move |verdict| listener.hear(verdict))
}

/// What follows what the journal says.
pub(super) struct Listener {
    core: Arc<Core>,
    stats: Arc<Stats>,
    out: send::Batch,
    /// The disk, so that it is said once.
    is_full: bool,
}

impl Listener {
    pub(super) fn new(core: Arc<Core>, stats: Arc<Stats>) -> Self {
        Self {
            core,
            stats,
            out: send::Batch::default(),
            is_full: false,
        }
    }

    pub(super) fn hear(&mut self, verdict: Verdict<'_, Ticket>) {
        match verdict {
            Verdict::Durable(tickets) => {
                let took = self.stats.last_sync.get() as f64 / SECOND as f64;
                self.core.metrics.journal_synced(took);
                ticket::complete(&self.core, tickets, &mut self.out);
                self.says_full(false);
            }
            Verdict::Refused(tickets, error) => {
                self.says_full(true);
                for ticket in tickets.drain(..) {
                    ticket::refuse(&self.core, ticket, &error);
                }
            }
            Verdict::Failed(_, error) => give_up(&error),
            Verdict::Damaged(damage) => {
                for damage in &damage {
                    tracing::error!("the journal is damaged: {damage}");
                }
                // Not here: the queue may be full, and this thread empties it.
                self.core.rewrite.ask_after(damage.len());
            }
            Verdict::CompactionFailed(error) => {
                tracing::error!(%error, "the journal works but grows: it cannot be compacted");
            }
        }
    }

    fn says_full(&mut self, is_full: bool) {
        if is_full && !self.is_full {
            tracing::error!(
                "the disk is full: no lease is given or extended by the daemon until there is space"
            );
        }
        if self.is_full && !is_full {
            tracing::info!("the disk has space again");
        }
        self.is_full = is_full;
    }
}

/// Nobody knows what is on disk now: answering on would break promises. The service manager
/// starts the daemon again, which reads what is there; the kernel goes on meanwhile.
fn give_up(error: &JournalError) -> ! {
    tracing::error!(%error, "the journal failed: stopping at once");
    std::process::exit(1)
}
