//! What waits for the committer. Who appends encodes the record into the queue's own buffer; the
//! committer swaps that for an empty one, so neither allocates once the buffers have grown.

use std::sync::{Condvar, Mutex, MutexGuard};

use super::codec::Encoder;
use super::{Damage, JournalError, Record};

/// Records queued at most.
pub(super) const CAPACITY: usize = 1 << 16;
/// Bytes queued at most: options of clients can be long.
const CAPACITY_BYTES: usize = 32 << 20;

pub(super) struct Queue<T> {
    encoder: Encoder,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    batch: Batch<T>,
    notices: Vec<Notice>,
    phase: Phase,
}

enum Phase {
    Open,
    /// Takes nothing more; what is queued is still committed.
    Closing,
    Ended(JournalError),
}

/// Records in the order of their tickets.
pub(super) struct Batch<T> {
    payloads: Vec<u8>,
    lens: Vec<u32>,
    pub(super) tickets: Vec<T>,
}

/// What the helper has to say.
pub(super) enum Notice {
    Damaged(Vec<Damage>),
    CompactionFailed(JournalError),
}

/// A record that was not taken.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Rejected<T> {
    pub ticket: T,
    pub error: JournalError,
}

impl<T> Batch<T> {
    pub(super) fn new() -> Self {
        Self {
            payloads: Vec::new(),
            lens: Vec::new(),
            tickets: Vec::new(),
        }
    }

    pub(super) fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.payloads[..];
        self.lens.iter().map(move |len| {
            let (payload, behind) = rest.split_at(*len as usize);
            rest = behind;
            payload
        })
    }

    pub(super) fn clear(&mut self) {
        self.payloads.clear();
        self.lens.clear();
        self.tickets.clear();
    }

    fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    fn is_full(&self) -> bool {
        self.tickets.len() >= CAPACITY || self.payloads.len() >= CAPACITY_BYTES
    }

    fn is_half_full(&self) -> bool {
        self.tickets.len() >= CAPACITY / 2 || self.payloads.len() >= CAPACITY_BYTES / 2
    }

    fn push(&mut self, encoder: &Encoder, record: &Record) -> Result<(), JournalError> {
        if self.is_full() {
            return Err(JournalError::Busy);
        }
        let len = encoder.encode(record, &mut self.payloads)?;
        self.lens.push(len as u32);
        Ok(())
    }
}

impl<T> Queue<T> {
    pub(super) fn new(encoder: Encoder) -> Self {
        let state = State {
            batch: Batch::new(),
            notices: Vec::new(),
            phase: Phase::Open,
        };
        Self {
            encoder,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(super) fn append(&self, record: &Record, ticket: T) -> Result<(), Rejected<T>> {
        let mut state = self.lock();
        let pushed = match &state.phase {
            Phase::Open => state.batch.push(&self.encoder, record),
            Phase::Closing => Err(JournalError::Closed),
            Phase::Ended(error) => Err(error.clone()),
        };
        if let Err(error) = pushed {
            return Err(Rejected { ticket, error });
        }
        state.batch.tickets.push(ticket);
        let is_first = state.batch.tickets.len() == 1;
        drop(state);
        if is_first {
            self.changed.notify_one();
        }
        Ok(())
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.lock().batch.is_half_full()
    }

    pub(super) fn notify(&self, notice: Notice) {
        self.lock().notices.push(notice);
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Closing;
        }
        self.changed.notify_one();
    }

    /// From now on every append gets this error, or the one that was given here first.
    pub(super) fn end(&self, error: JournalError) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Ended(_)) {
            state.phase = Phase::Ended(error);
        }
    }

    pub(super) fn error(&self) -> Option<JournalError> {
        match &self.lock().phase {
            Phase::Ended(error) => Some(error.clone()),
            Phase::Open | Phase::Closing => None,
        }
    }

    /// Waits for something to do and puts it into the batch, which is empty, and the notices.
    /// False: closed, and nothing left.
    pub(super) fn wait(&self, batch: &mut Batch<T>, notices: &mut Vec<Notice>) -> bool {
        let idle = |state: &mut State<T>| {
            state.batch.is_empty() && state.notices.is_empty() && matches!(state.phase, Phase::Open)
        };
        let state = self.changed.wait_while(self.lock(), idle);
        let mut state = state.expect("no panics while held");
        std::mem::swap(&mut state.batch, batch);
        notices.append(&mut state.notices);
        !batch.is_empty() || !notices.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no panics while held")
    }
}
