//! The ledger: an independent checker of the one promise that counts, *no ACK that a client has received is lost*.
//!
//! It sits on the clients' side of the wire, on packet sockets of its own, and knows nothing of the server's insides:
//! it reads packets by itself and shares no code with the server. It writes down what each client was told (address,
//! hardware address, until when) and what clients gave back (RELEASE, DECLINE), and complains of:
//!
//! - an OFFER or ACK of an address that another client holds within its time;
//! - an ACK of another address than the one asked for;
//! - a NAK to the holder of the address that it asked for, on the link that it got it on;
//! - an ACK that ends earlier than what the same client was told before, other than by rounding to seconds;
//! - an OFFER or ACK to a client that has not asked with this xid, and an ACK of an address without a lease time.
//!
//! A lease counts from when its client sent the request last before the ACK, on `CLOCK_BOOTTIME`: clients do not count
//! from an earlier time than that. A client heeds only answers to what it asked, by xid, and so does the ledger. After a fault, [`Ledger::verify`] asks the server
//! about every claim, by lease queries on the wire.
//!
//! Frames from several links are put in the order of the kernel's timestamps, which takes a moment; what asks the ledger
//! waits until all is read that was on the wire before.

pub mod answers;
pub mod asker;
pub mod book;
mod clock;
mod ear;
mod wire;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::namespace::Namespace;
use answers::Answers;
use book::Book;
use clock::MILLISECOND;
use ear::Ear;
use wire::Message;

pub use answers::Pauses;
pub use asker::{ALLOWED, Asker, Holder};
pub use book::Claim;
pub use wire::Mac;

/// A frame is stamped a moment before the socket has it; no CPU is busy in between for as long as this.
const SETTLES: u64 = 50 * MILLISECOND;
const POLL_MS: i32 = 10;

/// What came of asking the server about every claim.
#[derive(Debug, Default)]
pub struct Verified {
    /// How many were asked about.
    pub claims: usize,
    pub lost: Vec<String>,
}

/// Watches until it is dropped.
pub struct Ledger {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    written: Mutex<Written>,
    more: Condvar,
    ended: AtomicBool,
}

#[derive(Default)]
struct Written {
    book: Book,
    /// All that was on the wire before is in the book.
    up_to: u64,
    /// Nothing more will be: the last complaint says why.
    broken: bool,
}

impl Ledger {
    /// Watches these interfaces of clients, from now on.
    pub fn watch(links: &[(&Namespace, &str)]) -> Result<Self> {
        let open = |(namespace, interface): &(&Namespace, &str)| Ear::open(namespace, interface);
        let ears = links.iter().map(open).collect::<Result<Vec<_>>>()?;
        let shared = Arc::<Shared>::default();
        let reading = Arc::clone(&shared);
        let reader = thread::Builder::new().name("ledger".to_owned());
        let reader = reader.spawn(move || reading.read(&ears))?;
        Ok(Self {
            shared,
            reader: Some(reader),
        })
    }

    /// How many ACKs clients have received that gave them time.
    pub fn acks(&self) -> u64 {
        self.shared.lock().book.acks
    }

    /// Who may use which address now, in the order of the addresses.
    pub fn live(&self) -> Vec<Claim> {
        self.settled().book.live(clock::boot())
    }

    pub fn complaints(&self) -> Vec<String> {
        self.settled().book.complaints.clone()
    }

    /// An error if there is anything to complain of.
    pub fn content(&self) -> Result<()> {
        let complaints = self.complaints();
        let shown = complaints.iter().take(20).cloned().collect::<Vec<_>>();
        ensure!(
            complaints.is_empty(),
            "{} faults on the wire:\n{}",
            complaints.len(),
            shown.join("\n")
        );
        Ok(())
    }

    /// `action` changes the lease time, by a reload: what clients asked for until its end may have been granted for longer
    /// than what they ask for later, each once, but nobody gets less than `shortest`: of the times before and after.
    pub fn lease_time_changes<T>(&self, shortest: Duration, action: impl FnOnce() -> T) -> T {
        let shortest = shortest.as_nanos() as u64;
        let changed = |written: &mut Written, at| written.book.lease_time_changed(at, shortest);
        changed(&mut self.shared.lock(), u64::MAX);
        let done = action();
        changed(&mut self.settled(), clock::boot());
        done
    }

    /// How long answers took: all, renewals, and all but renewals.
    pub fn pauses(&self) -> Pauses {
        self.settled().book.answers.all()
    }

    pub fn renewal_pauses(&self) -> Pauses {
        self.settled().book.answers.renewals()
    }

    pub fn other_pauses(&self) -> Pauses {
        self.settled().book.answers.others()
    }

    /// How long answers took since the last call of this, or since the start.
    pub fn take_answers(&self) -> Answers {
        std::mem::take(&mut self.settled().book.answers)
    }

    /// The same, where all is to be well: tells how many were asked about.
    pub fn judge(&self, asker: &mut Asker) -> Result<usize> {
        let verified = self.verify(asker)?;
        let lost = verified.lost;
        ensure!(lost.is_empty(), "lost:\n{}", lost.join("\n"));
        self.content()?;
        Ok(verified.claims)
    }

    /// Asks the server about every live claim. What its client gives back meanwhile, or what ends, is not judged.
    pub fn verify(&self, asker: &mut Asker) -> Result<Verified> {
        let before = self.live();
        let addresses: Vec<Ipv4Addr> = before.iter().map(|claim| claim.address).collect();
        let answers = asker.ask(&addresses)?;
        let (written, now) = (self.settled(), clock::boot());
        let mut verified = Verified::default();
        for claim in &before {
            let still = written.book.claim(claim.address, now);
            if still.is_some_and(|still| (still.mac, still.since) == (claim.mac, claim.since)) {
                verified.claims += 1;
                // The question may lie before the last renewal, or behind one that was granted less after a reload.
                let until = still.map_or(claim.until, |still| still.until.min(claim.until));
                let claim = Claim { until, ..*claim };
                let fault = asker::fault(&claim, answers[&claim.address]);
                verified.lost.extend(fault);
            }
        }
        Ok(verified)
    }

    /// All that is on the wire by now is in the book.
    fn settled(&self) -> MutexGuard<'_, Written> {
        let now = clock::boot();
        let written = self.shared.lock();
        let waits = |written: &mut Written| written.up_to < now && !written.broken;
        let written = self.shared.more.wait_while(written, waits);
        written.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, ears: &[Ear]) {
        let _end = EndOfReading(self);
        let mut pending = Vec::new();
        while !self.ended.load(Ordering::Relaxed) {
            if let Err(error) = self.read_some(ears, &mut pending) {
                let what = format_args!("{error:#}");
                self.lock().book.complain(clock::boot(), what);
                return;
            }
        }
    }

    /// Hears all links; what is old enough that nothing older can follow goes into the book.
    fn read_some(&self, ears: &[Ear], pending: &mut Vec<(u64, usize, Message)>) -> Result<()> {
        wait_readable(ears)?;
        let (up_to, ahead) = (clock::boot() - SETTLES, clock::real_ahead());
        for (link, ear) in ears.iter().enumerate() {
            ear.drain(ahead, |frame| {
                let message = Message::read(frame.bytes);
                pending.extend(message.map(|message| (frame.at, link, message)));
            })?;
            let missed = ear.missed();
            ensure!(
                missed == 0,
                "the ledger missed {missed} frames: it cannot judge"
            );
        }
        // Stable: what is stamped alike on one link stays in order.
        pending.sort_by_key(|(at, ..)| *at);
        let old = pending.partition_point(|(at, ..)| *at < up_to);
        let mut written = self.lock();
        for (at, link, message) in pending.drain(..old) {
            written.book.hear(at, link, &message);
        }
        written.up_to = up_to;
        self.more.notify_all();
        Ok(())
    }
}

/// Nobody waits for a reader that has ended, not even by a panic.
struct EndOfReading<'a>(&'a Shared);

impl Drop for EndOfReading<'_> {
    fn drop(&mut self) {
        let mut written = self.0.lock();
        if thread::panicking() {
            let what = format_args!("the ledger's reader panicked");
            written.book.complain(clock::boot(), what);
        }
        written.broken = true;
        self.0.more.notify_all();
    }
}

fn wait_readable(ears: &[Ear]) -> Result<()> {
    let poll = |ear: &Ear| libc::pollfd {
        fd: ear.descriptor(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut polls: Vec<_> = ears.iter().map(poll).collect();
    // SAFETY: the pointer and the length are those of the vector, which outlives the call.
    let ready = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, POLL_MS) };
    let interrupted = std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR);
    (ready >= 0 || interrupted)
        .then_some(())
        .context("cannot wait for frames")
}
