use std::sync::{Arc, Mutex};

use super::codec::{self, CLOCK, Clock, Encoder};
use super::compact::{Files, Last, Stored, Upkeep};
use super::frame::{self, Frame, Type};
use super::name::Name;
use super::replay::State;
use super::spare::{Segment, Spare};
use super::storage::{File, Storage};
use super::{JournalError, Opening, Record, Replayed, Stats};
use crate::clock::{Now, SECOND};

/// A clock that moved by this much is written down again.
pub const CLOCK_STEP: u64 = SECOND / 2;

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of a segment. It bounds the longest record too.
    pub segment_size: u64,
    /// Compact when there are so many closed segments (and they hold much that is superseded).
    pub compact_after: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_size: 64 << 20,
            compact_after: 4,
        }
    }
}

/// An append log of lease records. One thread appends and syncs; [`Upkeep`] may run on another.
pub struct Log {
    shared: Arc<Shared>,
    encoder: Encoder,
    boot_id: [u8; 16],
    active: Option<Active>,
    /// Frames appended since the last sync, all for the active segment.
    buffer: Vec<u8>,
    /// Records among them.
    buffered: u64,
    payload: Vec<u8>,
    next_sequence: u64,
    /// The last sequence number that is on disk for sure.
    synced: u64,
    /// The offset of the wall clock as last written.
    clock: Option<u64>,
    failed: Option<JournalError>,
}

/// What the appending thread and the upkeep share.
pub(super) struct Shared {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) settings: Settings,
    pub(super) spare: Spare,
    pub(super) files: Mutex<Files>,
    pub(super) compaction: Mutex<Last>,
    pub(super) stats: Arc<Stats>,
}

struct Active {
    segment: Segment,
    position: u64,
}

impl Active {
    fn file(&self) -> &dyn File {
        &*self.segment.file
    }
}

impl Log {
    /// Reads what is there and goes on behind it.
    ///
    /// # Errors
    /// [`JournalError::Newer`], or [`JournalError::Io`] if something cannot be read or cleaned
    /// up. Damage is no error: it is reported in [`Replayed`]. A full disk is none either, where
    /// what is there can be written over in place.
    pub fn open(
        storage: Arc<dyn Storage>,
        settings: Settings,
        now: Now,
        boot_id: [u8; 16],
    ) -> Result<(Self, Replayed), JournalError> {
        let opening = Self::read(storage, settings, now, boot_id)?;
        let mut records = Vec::new();
        let (log, replayed) = opening.hand_over(&mut |record| records.push(record.into()))?;
        Ok((
            log,
            Replayed {
                records,
                ..replayed
            },
        ))
    }

    /// The same for who wants to keep no copy of the records.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read(
        storage: Arc<dyn Storage>,
        settings: Settings,
        now: Now,
        boot_id: [u8; 16],
    ) -> Result<Opening, JournalError> {
        Opening::of(storage, settings, now, boot_id)
    }

    pub(super) fn over(
        storage: Arc<dyn Storage>,
        settings: Settings,
        state: State,
        boot_id: [u8; 16],
    ) -> Self {
        let size = settings.segment_size;
        let shared = Shared {
            spare: Spare::new(Arc::clone(&storage), size, state.spare, state.next_number),
            storage,
            settings,
            stats: Arc::default(),
            files: Mutex::new(state.files),
            compaction: Mutex::default(),
        };
        shared.show_files();
        let overhead = frame::size(CLOCK) + frame::HEADER;
        let room = (size as usize).saturating_sub(overhead);
        Self {
            shared: Arc::new(shared),
            encoder: Encoder {
                boot: codec::boot_tag(&boot_id),
                max: room.min(usize::from(u16::MAX)),
            },
            boot_id,
            active: None,
            buffer: Vec::new(),
            buffered: 0,
            payload: Vec::new(),
            next_sequence: state.last + 1,
            synced: state.last,
            clock: None,
            failed: None,
        }
    }

    /// Takes a record, to be written by [`Self::sync`]; tells its sequence number.
    ///
    /// # Errors
    /// [`JournalError::Full`] if a new segment is needed and the disk has no space: the record
    /// was not taken, nor may be those since the last sync (see [`Self::synced`]). The disk is
    /// tried again at most once a second. [`JournalError::TooLong`]: nothing else happened.
    /// [`JournalError::Io`] is final: whatever was not synced may or may not be on disk.
    pub fn append(&mut self, record: &Record, now: Now) -> Result<u64, JournalError> {
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        let encoded = self.encoder.encode(record, &mut payload);
        let appended = encoded.and_then(|_| self.append_payload(&payload, now));
        self.payload = payload;
        appended
    }

    pub(super) fn append_payload(&mut self, payload: &[u8], now: Now) -> Result<u64, JournalError> {
        self.check()?;
        self.make_room(payload.len(), now)?;
        let offset = now.to_unix(0);
        if self
            .clock
            .is_none_or(|last| last.abs_diff(offset) > CLOCK_STEP)
        {
            self.push_clock(offset);
        }
        self.push(Type::Lease, payload);
        self.buffered += 1;
        Ok(self.next_sequence - 1)
    }

    /// Returns once all that was appended would survive a power cut.
    ///
    /// # Errors
    /// [`JournalError::Full`] if the file system found no space even for bytes that were there
    /// before: what was appended since the last sync is taken back. [`JournalError::Io`] is
    /// final.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.check()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut synced = self.write();
        if let Err(JournalError::Full) = synced {
            synced = self.take_back().and(synced);
        }
        match &synced {
            Ok(()) => self.note_batch(),
            Err(JournalError::Full) => {}
            Err(error) => self.fail(error.clone()),
        }
        self.buffer.clear();
        self.buffered = 0;
        synced
    }

    /// The last sequence number that is on disk. Those above it are given again after
    /// [`JournalError::Full`].
    #[must_use]
    pub fn synced(&self) -> u64 {
        self.synced
    }

    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.shared.stats)
    }

    /// What should be done on another thread while this one appends.
    #[must_use]
    pub fn upkeep(&self) -> Upkeep {
        Upkeep {
            shared: Arc::clone(&self.shared),
        }
    }

    pub(super) fn encoder(&self) -> Encoder {
        self.encoder
    }

    /// Changes when the spare segment is taken, and another one should be prepared.
    pub(super) fn segment_number(&self) -> Option<u64> {
        self.active
            .as_ref()
            .map(|active| active.segment.name.number)
    }

    fn check(&self) -> Result<(), JournalError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Goes on to the next segment if a payload (and a clock record) do not fit in this one.
    fn make_room(&mut self, payload: usize, now: Now) -> Result<(), JournalError> {
        let need = self.buffer.len() + frame::size(payload) + frame::size(CLOCK);
        let fits =
            |active: &Active| active.position + need as u64 <= self.shared.settings.segment_size;
        if self.active.as_ref().is_some_and(fits) {
            return Ok(());
        }
        // Only the last segment may end in something unfinished.
        self.sync()?;
        let taken = self.shared.spare.take(now.boot);
        let segment = taken.inspect_err(|error| self.note_failure(error))?;
        let next = Active {
            segment,
            position: 0,
        };
        if let Some(full) = self.active.replace(next) {
            self.shared.close(full.segment.name, full.position);
        }
        self.clock = None;
        Ok(())
    }

    fn note_failure(&mut self, error: &JournalError) {
        if matches!(error, JournalError::Io { .. }) {
            self.failed = Some(error.clone());
        }
    }

    fn push_clock(&mut self, offset: u64) {
        let clock = Clock {
            boot_id: self.boot_id,
            offset,
        };
        self.push(Type::Clock, &clock.encode());
        self.clock = Some(offset);
    }

    fn push(&mut self, kind: Type, payload: &[u8]) {
        let key = self
            .active
            .as_ref()
            .expect("room was made")
            .segment
            .name
            .key;
        let frame = Frame {
            kind,
            first: self.buffer.is_empty(),
            sequence: self.next_sequence,
            payload,
        };
        frame.seal(key, &mut self.buffer);
        self.next_sequence += 1;
    }

    fn write(&mut self) -> Result<(), JournalError> {
        let active = self.active.as_mut().expect("there is something to write");
        let len = self.buffer.len();
        let file = || active.segment.name.to_string();
        active
            .file()
            .write_at(&self.buffer, active.position)
            .map_err(|error| JournalError::io_or_full("write to", file(), error))?;
        active
            .file()
            .sync()
            .map_err(|error| JournalError::io("sync", file(), error))?;
        active.position += len as u64;
        self.shared.stats.syncs.add(1);
        self.shared.stats.bytes.add(len as u64);
        Ok(())
    }

    fn note_batch(&mut self) {
        self.synced = self.next_sequence - 1;
        let stats = &self.shared.stats;
        stats.records.add(self.buffered);
        stats.batches.add(1);
        stats.largest_batch.raise(self.buffered);
    }

    /// The page cache may now hold what the disk does not: a server that starts again must not
    /// take it for written.
    fn fail(&mut self, error: JournalError) {
        if let Some(active) = &self.active {
            let _ = active.file().set_len(active.position);
        }
        self.failed = Some(error);
    }

    /// Before anybody hears that records were refused, nothing may be left of what was written of
    /// them: a start would take it for written, and undo what was told on the strength of the
    /// records before. The file grows again where it is cut.
    fn take_back(&mut self) -> Result<(), JournalError> {
        let active = self.active.as_ref().expect("there was something to write");
        let cut = active.file().set_len(active.position);
        cut.and_then(|()| active.file().sync()).map_err(|error| {
            JournalError::io("cut the end of", active.segment.name.to_string(), error)
        })?;
        self.next_sequence = self.synced + 1;
        self.clock = None;
        Ok(())
    }
}

impl Shared {
    fn close(&self, name: Name, len: u64) {
        let mut files = self.files.lock().expect("no panics while held");
        files.closed.push(Stored { name, len });
        drop(files);
        self.show_files();
    }

    pub(super) fn show_files(&self) {
        let files = self.files.lock().expect("no panics while held");
        self.stats.segments.set(files.closed.len() as u64 + 1);
        self.stats.live_records.set(files.live_records);
        self.stats.live_bytes.set(files.live_bytes);
    }
}
