//! The next segment, made and filled with zeros ahead of need: writing over existing bytes is
//! what makes fdatasync cheap, and filling them takes longer than a client should wait.

use std::sync::{Arc, Mutex};

use super::JournalError;
use super::name::{FileKind, Name};
use super::storage::{File, Storage};
use crate::clock::SECOND;

/// How long after a disk was found full it is tried again.
const RETRY: u64 = SECOND;
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
/// Synced piece by piece, lest a commit waits behind all of it.
const SYNC_EVERY: u64 = 1 << 20;

pub(super) struct Spare {
    storage: Arc<dyn Storage>,
    size: u64,
    state: Mutex<State>,
}

struct State {
    ready: Option<Segment>,
    next_number: u64,
    /// Time since boot before which a full disk is not tried again.
    retry_at: u64,
    failed: Option<JournalError>,
}

pub(super) struct Segment {
    pub(super) name: Name,
    pub(super) file: Box<dyn File>,
}

impl Spare {
    /// `ready` is an empty segment with the number before `next_number`.
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        size: u64,
        ready: Option<Segment>,
        next_number: u64,
    ) -> Self {
        let state = State {
            ready,
            next_number,
            retry_at: 0,
            failed: None,
        };
        Self {
            storage,
            size,
            state: Mutex::new(state),
        }
    }

    /// Sees to it that a segment is ready. Who needs one meanwhile waits.
    pub(super) fn prepare(&self, now: u64) -> Result<(), JournalError> {
        self.prepared(&mut self.lock(), now)
    }

    pub(super) fn take(&self, now: u64) -> Result<Segment, JournalError> {
        let mut state = self.lock();
        self.prepared(&mut state, now)?;
        state.ready.take().ok_or(JournalError::Full)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panics while held")
    }

    fn prepared(&self, state: &mut State, now: u64) -> Result<(), JournalError> {
        if state.ready.is_some() {
            return Ok(());
        }
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        if now < state.retry_at {
            return Err(JournalError::Full);
        }
        match self.make(state.next_number) {
            Ok(segment) => {
                state.next_number += 1;
                state.ready = Some(segment);
                return Ok(());
            }
            Err(JournalError::Full) => state.retry_at = now + RETRY,
            Err(error) => state.failed = Some(error),
        }
        Err(state.failed.clone().unwrap_or(JournalError::Full))
    }

    fn make(&self, number: u64) -> Result<Segment, JournalError> {
        let name = Name::new(number, FileKind::Segment);
        let made = self.fill(&name);
        if made.is_err() {
            // Gives back what space it took; else the next start removes it.
            let _ = self.storage.remove(&name.unfinished());
        }
        made
    }

    fn fill(&self, name: &Name) -> Result<Segment, JournalError> {
        let failed =
            |action| move |error| JournalError::io_or_full(action, name.to_string(), error);
        let file = self
            .storage
            .create(&name.unfinished())
            .map_err(failed("create"))?;
        let mut offset = 0;
        while offset < self.size {
            let len = (self.size - offset).min(ZEROS.len() as u64);
            file.write_at(&ZEROS[..len as usize], offset)
                .map_err(failed("preallocate"))?;
            offset += len;
            if offset % SYNC_EVERY == 0 {
                file.sync().map_err(failed("sync"))?;
            }
        }
        file.sync().map_err(failed("sync"))?;
        self.storage
            .rename(&name.unfinished(), &name.to_string())
            .map_err(failed("rename"))?;
        self.storage
            .sync_dir()
            .map_err(|error| JournalError::io("sync the directory of", name.to_string(), error))?;
        Ok(Segment { name: *name, file })
    }
}
