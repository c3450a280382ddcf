use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::log::Shared;
use super::queue::{Batch, Notice, Queue, Rejected};
use super::{Damage, JournalError, Log, Record, Stats, Upkeep};
use crate::clock::Now;

/// How much less the helper gets of a busy CPU than who answers.
const NICE: i32 = 10;
/// For so many times as long as a piece of a compaction took, nothing of it is done.
const REST: u32 = 3;
/// On a slow disk it must come to an end, too.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// The threads that write the journal.
pub struct Committer<T> {
    handle: Handle<T>,
    /// Ends a compaction early.
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Where records are handed in, by any thread.
pub struct Handle<T> {
    queue: Arc<Queue<T>>,
    stats: Arc<Stats>,
    /// The directory is another server's once the threads have ended, whoever has a handle then.
    log: Weak<Shared>,
}

/// What became of records. Called on the committer thread, while the next records queue up.
#[derive(Debug)]
pub enum Verdict<'a, T> {
    /// On disk, in the order they were appended. The vector is emptied afterwards.
    Durable(&'a mut Vec<T>),
    /// Not on disk and never will be: no space. Later ones may succeed.
    Refused(&'a mut Vec<T>, JournalError),
    /// The last call. What was appended and not told of before, these tickets and those still
    /// queued, may or may not be on disk: stop answering and exit.
    Failed(&'a mut Vec<T>, JournalError),
    /// Found by a compaction in files that were good when written. The server's memory still
    /// has what is lost here: appending all leases again makes the journal whole.
    Damaged(Vec<Damage>),
    /// The journal works but is not made shorter: until there is space, or after another error
    /// until the next start.
    CompactionFailed(JournalError),
}

impl<T: Send + 'static> Committer<T> {
    /// # Errors
    /// If a thread cannot be started.
    pub fn start<F>(log: Log, clock: fn() -> Now, on_verdict: F) -> io::Result<Self>
    where
        F: FnMut(Verdict<'_, T>) + Send + 'static,
    {
        let queue = Arc::new(Queue::new(log.encoder()));
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, woken) = sync_channel(1);
        let handle = Handle {
            queue: Arc::clone(&queue),
            stats: log.stats(),
            log: Arc::downgrade(&log.upkeep().shared),
        };
        let helper = Helper {
            upkeep: log.upkeep(),
            queue: Arc::clone(&queue),
            clock,
            stop: Arc::clone(&stop),
        };
        let worker = Worker {
            log,
            queue,
            clock,
            on_verdict,
            wake,
            sequences: Vec::new(),
        };
        let helper = spawn("journal-helper", move || helper.run(&woken))?;
        let worker = spawn("journal", move || worker.run())?;
        Ok(Self {
            handle,
            stop,
            threads: vec![worker, helper],
        })
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(run)
}

impl<T> Committer<T> {
    #[must_use]
    pub fn handle(&self) -> Handle<T> {
        self.handle.clone()
    }

    /// Takes nothing more, commits all that is queued, and returns when it is on disk and told.
    ///
    /// # Errors
    /// What [`Verdict::Failed`] said, if it did.
    pub fn shutdown(mut self) -> Result<(), JournalError> {
        self.end();
        match self.handle.queue.error() {
            None | Some(JournalError::Closed) => Ok(()),
            Some(error) => Err(error),
        }
    }

    fn end(&mut self) {
        self.handle.queue.close();
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic was printed by its thread, and who appends since gets an error.
            let _ = thread.join();
        }
    }
}

impl<T> Drop for Committer<T> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self {
            queue: Arc::clone(&self.queue),
            stats: Arc::clone(&self.stats),
            log: Weak::clone(&self.log),
        }
    }
}

impl<T> Handle<T> {
    /// Queues a record. Records go to disk in the order of these calls. The ticket comes back by
    /// [`Verdict`].
    ///
    /// # Errors
    /// With the ticket: [`JournalError::Busy`] if too much is queued, [`JournalError::TooLong`],
    /// [`JournalError::Closed`] after shutdown, and after a failure what failed.
    pub fn append(&self, record: &Record, ticket: T) -> Result<(), Rejected<T>> {
        self.queue.append(record, ticket)
    }

    /// Whether who can wait should, so that who cannot finds room.
    #[must_use]
    pub fn is_half_full(&self) -> bool {
        self.queue.is_half_full()
    }

    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// All that was lost by damage is in the journal again, or has run out: [`Upkeep::supersede`].
    ///
    /// # Errors
    /// As that has them.
    pub fn supersede(&self) -> Result<usize, JournalError> {
        let log = self.log.upgrade();
        log.map_or(Ok(0), |shared| Upkeep { shared }.supersede())
    }
}

/// The committer thread.
struct Worker<T, F: FnMut(Verdict<'_, T>)> {
    log: Log,
    queue: Arc<Queue<T>>,
    clock: fn() -> Now,
    on_verdict: F,
    wake: SyncSender<()>,
    /// Of the records of the batch.
    sequences: Vec<u64>,
}

impl<T, F: FnMut(Verdict<'_, T>)> Worker<T, F> {
    fn run(mut self) {
        let mut batch = Batch::new();
        let mut notices = Vec::new();
        while self.queue.wait(&mut batch, &mut notices) {
            for notice in notices.drain(..) {
                self.pass_on(notice);
            }
            if let Err(error) = self.commit(&mut batch) {
                self.queue.end(error.clone());
                (self.on_verdict)(Verdict::Failed(&mut batch.tickets, error));
                return;
            }
            batch.clear();
        }
    }

    fn pass_on(&mut self, notice: Notice) {
        (self.on_verdict)(match notice {
            Notice::Damaged(damage) => Verdict::Damaged(damage),
            Notice::CompactionFailed(error) => Verdict::CompactionFailed(error),
        });
    }

    /// Writes and tells. An error is final; the tickets left are those not told of.
    fn commit(&mut self, batch: &mut Batch<T>) -> Result<(), JournalError> {
        let before = self.log.segment_number();
        let written = self.write(batch);
        if written.is_err() || self.log.segment_number() != before {
            // If it is still busy, it will look again when it is done.
            let _ = self.wake.try_send(());
        }
        let synced = self.log.synced();
        let durable = self
            .sequences
            .partition_point(|sequence| *sequence <= synced);
        let mut refused = batch.tickets.split_off(durable);
        if durable > 0 {
            (self.on_verdict)(Verdict::Durable(&mut batch.tickets));
        }
        match written {
            Ok(()) => Ok(()),
            Err(error @ JournalError::Full) => {
                self.log.stats().refused.add(refused.len() as u64);
                (self.on_verdict)(Verdict::Refused(&mut refused, error));
                Ok(())
            }
            Err(error) => {
                batch.tickets = refused;
                Err(error)
            }
        }
    }

    /// After an error nothing more of the batch is tried, so what is on disk is its beginning.
    fn write(&mut self, batch: &Batch<T>) -> Result<(), JournalError> {
        let now = (self.clock)();
        self.sequences.clear();
        let mut appended = Ok(());
        for payload in batch.payloads() {
            match self.log.append_payload(payload, now) {
                Ok(sequence) => self.sequences.push(sequence),
                Err(error) => {
                    appended = Err(error);
                    break;
                }
            }
        }
        self.log.sync()?;
        let took = (self.clock)().boot.saturating_sub(now.boot);
        self.log.stats().last_sync.set(took);
        appended
    }
}

/// However the thread ends, nobody queues for it in vain.
impl<T, F: FnMut(Verdict<'_, T>)> Drop for Worker<T, F> {
    fn drop(&mut self) {
        self.queue.end(JournalError::Closed);
    }
}

/// The thread for what takes long.
struct Helper<T> {
    upkeep: Upkeep,
    queue: Arc<Queue<T>>,
    clock: fn() -> Now,
    stop: Arc<AtomicBool>,
}

impl<T> Helper<T> {
    /// Works once at start, and then whenever it is woken, until the committer is gone.
    fn run(self, woken: &Receiver<()>) {
        // Without that it works too.
        let _ = rustix::process::setpriority_process(None, NICE);
        let mut may_compact = true;
        loop {
            // An error shows again where the segment is needed.
            let _ = self.upkeep.prepare((self.clock)());
            if may_compact && self.upkeep.is_due() {
                may_compact = self.compact();
            }
            if woken.recv().is_err() {
                return;
            }
        }
    }

    /// Whether it may be tried again.
    fn compact(&self) -> bool {
        let begun = (self.clock)();
        let mut last = begun.boot;
        let go_on = &mut || self.rest(&mut last);
        let tell = &mut |damage| self.queue.notify(Notice::Damaged(damage));
        let compacted = self.upkeep.compact_in_pieces(begun, go_on, tell);
        let is_final = matches!(compacted, Err(JournalError::Io { .. }));
        if let Err(error) = compacted {
            self.queue.notify(Notice::CompactionFailed(error));
        }
        !is_final
    }

    /// After a piece of a compaction, rests for longer than the piece took: what clients wait for goes
    /// first. `last`: when it rested last. False if it is to end.
    fn rest(&self, last: &mut u64) -> bool {
        let now = (self.clock)();
        // As a compaction may take longer than a segment lasts.
        let _ = self.upkeep.prepare(now);
        let took = Duration::from_nanos(now.boot.saturating_sub(*last));
        thread::sleep(took.saturating_mul(REST).min(LONGEST_REST));
        *last = (self.clock)().boot;
        !self.stop.load(Ordering::Relaxed)
    }
}
