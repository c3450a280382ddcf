use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::codec::{Bounds, Clock, Lease};
use super::frame::{Frame, Type};
use super::input::{Input, Trust};
use super::log::Shared;
use super::name::{FileKind, Name};
use super::replay::{open_all, remove, rename};
use super::storage::File;
use super::survey::Survey;
use super::{Damage, JournalError};
use crate::clock::{Now, SECOND};

/// How long after a disk was found full a compaction is tried again.
const RETRY: u64 = 60 * SECOND;
/// So many closed segments are too many, however small: each restart makes one.
const MANY: usize = 64;
/// Written, and synced, at once: a commit waits behind no more than that.
const CHUNK: usize = 1 << 20;

/// The files that are not written to any more.
#[derive(Default)]
pub(super) struct Files {
    pub(super) snapshot: Option<Stored>,
    pub(super) closed: Vec<Stored>,
    pub(super) live_records: u64,
    pub(super) live_bytes: u64,
    /// Damage in these files that was reported.
    pub(super) known: Vec<Damage>,
    /// Those out of use that are cause for doubt.
    pub(super) kept: Vec<String>,
}

#[derive(Clone, Copy)]
pub(super) struct Stored {
    pub(super) name: Name,
    pub(super) len: u64,
}

impl Files {
    fn is_due(&self, compact_after: usize) -> bool {
        let bytes: u64 = self.all().map(|stored| stored.len).sum();
        let count = self.closed.len();
        let is_worth_it = count >= compact_after && bytes > 2 * self.live_bytes;
        is_worth_it || count >= MANY || (count > 0 && !self.known.is_empty())
    }

    fn all(&self) -> impl Iterator<Item = &Stored> {
        self.snapshot.iter().chain(&self.closed)
    }
}

/// What keeps the log short and ready. May run on any thread while another one appends.
#[derive(Clone)]
pub struct Upkeep {
    pub(super) shared: Arc<Shared>,
}

/// How the last compaction ended. Locked while one runs.
#[derive(Default)]
pub(super) struct Last {
    retry_at: u64,
    failed: Option<JournalError>,
}

impl Upkeep {
    /// Makes the next segment, if there is none ready, so that `append` need not.
    ///
    /// # Errors
    /// As `append` would get them.
    pub fn prepare(&self, now: Now) -> Result<(), JournalError> {
        self.shared.spare.prepare(now.boot)
    }

    /// Whether [`Self::compact`] is worth its while.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let files = self.shared.files.lock().expect("no panics while held");
        files.is_due(self.shared.settings.compact_after)
    }

    /// Replaces the snapshot and all closed segments by a new snapshot. Reads the files, not the
    /// memory of the server. Tells of damage that was not known yet. Ends early, without a
    /// change, once `stop` is true. Does nothing for a minute after the disk was full.
    ///
    /// # Errors
    /// [`JournalError::Full`] and [`JournalError::Io`]; nothing is lost by either. After the
    /// latter there is no other attempt until the next start.
    pub fn compact(&self, now: Now, stop: &AtomicBool) -> Result<Vec<Damage>, JournalError> {
        let mut damage = Vec::new();
        let go_on = &mut || !stop.load(Ordering::Relaxed);
        self.compact_in_pieces(now, go_on, &mut |found| damage = found)?;
        Ok(damage)
    }

    /// The same, with `go_on` asked after every piece, which is a file read or a MiB written. It may
    /// take its time, so that others get at the disk and the CPU, or end the compaction. `tell` hears
    /// of damage as soon as it is found, whatever becomes of the compaction: what is lost here is to be
    /// written again from memory.
    ///
    /// # Errors
    /// As [`Self::compact`].
    pub fn compact_in_pieces(
        &self,
        now: Now,
        go_on: &mut dyn FnMut() -> bool,
        tell: &mut dyn FnMut(Vec<Damage>),
    ) -> Result<(), JournalError> {
        let mut last = self.shared.compaction.lock().expect("no panics while held");
        if let Some(error) = &last.failed {
            return Err(error.clone());
        }
        if now.boot < last.retry_at {
            return Ok(());
        }
        let result = self.run(go_on, tell);
        match &result {
            Ok(_) => {}
            Err(JournalError::Full) => last.retry_at = now.boot + RETRY,
            Err(error) => last.failed = Some(error.clone()),
        }
        result
    }

    fn run(
        &self,
        go_on: &mut dyn FnMut() -> bool,
        tell: &mut dyn FnMut(Vec<Damage>),
    ) -> Result<(), JournalError> {
        let old = self.inputs();
        let Some(last) = old.iter().rfind(|name| name.kind == FileKind::Segment) else {
            return Ok(());
        };
        let mut inputs = open_all(&*self.shared.storage, &old)?;
        let mut survey = Survey::default();
        for input in &mut inputs {
            survey.read(input)?;
            if !go_on() {
                return Ok(());
            }
        }
        survey.finish_closed();
        let new = self.learn(&survey.damage);
        if !new.is_empty() {
            tell(new);
        }
        let name = Name::new(last.number, FileKind::Snapshot);
        let written = self.write(name, &inputs, &survey, go_on);
        if !matches!(written, Ok(Some(_))) {
            // Gives back the space; else the next start does.
            let _ = self.shared.storage.remove(&name.unfinished());
        }
        let Some(snapshot) = written? else {
            return Ok(());
        };
        self.publish(snapshot, survey.latest.len(), inputs.len())?;
        self.retire(&old, &survey.damage)
    }

    fn inputs(&self) -> Vec<Name> {
        let files = self.shared.files.lock().expect("no panics while held");
        files.all().map(|stored| stored.name).collect()
    }

    /// The damage that was not known; it is from now on.
    fn learn(&self, found: &[Damage]) -> Vec<Damage> {
        let mut files = self.shared.files.lock().expect("no panics while held");
        let is_known = |damage: &&Damage| {
            let same =
                |other: &Damage| (&other.file, other.offset) == (&damage.file, damage.offset);
            files.known.iter().any(same)
        };
        let new: Vec<_> = found.iter().filter(|one| !is_known(one)).cloned().collect();
        files.known.extend(new.iter().cloned());
        self.shared.stats.damage.add(new.len() as u64);
        new
    }

    /// `None`: stopped.
    fn write(
        &self,
        name: Name,
        inputs: &[Input],
        survey: &Survey,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Stored>, JournalError> {
        let created = self.shared.storage.create(&name.unfinished());
        let file = created.map_err(|e| JournalError::io_or_full("create", name.unfinished(), e))?;
        let mut writer = Writer::new(name, &*file, go_on);
        writer.frame_ends(survey)?;
        for input in inputs {
            input.live(&survey.latest, Trust::Nothing, |sequence, lease| {
                writer.lease(sequence, lease)
            })?;
        }
        if writer.is_stopped() {
            return Ok(None);
        }
        writer.frame_ends(survey)?;
        let len = writer.finish(survey.latest.len())?;
        Ok(Some(Stored { name, len }))
    }

    /// Makes the snapshot count, on disk and then here.
    fn publish(&self, new: Stored, leases: u64, inputs: usize) -> Result<(), JournalError> {
        let storage = &*self.shared.storage;
        rename(storage, &new.name.unfinished(), &new.name.to_string())?;
        storage
            .sync_dir()
            .map_err(|e| JournalError::io("sync the directory of", new.name.to_string(), e))?;
        let mut files = self.shared.files.lock().expect("no panics while held");
        let segments = inputs - usize::from(files.snapshot.is_some());
        files.closed.drain(..segments);
        files.snapshot = Some(new);
        files.live_records = leases;
        files.live_bytes = new.len;
        files.known.clear();
        drop(files);
        self.shared.stats.compactions.add(1);
        self.shared.show_files();
        Ok(())
    }

    /// Removes what the snapshot stands for. If power goes meanwhile, the next start does it.
    fn retire(&self, old: &[Name], damage: &[Damage]) -> Result<(), JournalError> {
        let damaged: HashSet<_> = damage.iter().map(|damage| damage.file.as_str()).collect();
        for name in old {
            let text = name.to_string();
            if damaged.contains(text.as_str()) {
                rename(&*self.shared.storage, &text, &name.damaged())?;
                let mut files = self.shared.files.lock().expect("no panics while held");
                files.kept.push(name.damaged());
            } else {
                remove(&*self.shared.storage, &text)?;
            }
        }
        let synced = self.shared.storage.sync_dir();
        synced.map_err(|error| JournalError::io("sync the directory of", "the journal", error))
    }
}

/// A snapshot on its way to disk.
struct Writer<'f> {
    name: Name,
    file: &'f dyn File,
    buffer: Vec<u8>,
    position: u64,
    leases: u64,
    go_on: &'f mut dyn FnMut() -> bool,
    stopped: bool,
}

impl<'f> Writer<'f> {
    fn new(name: Name, file: &'f dyn File, go_on: &'f mut dyn FnMut() -> bool) -> Self {
        Self {
            name,
            file,
            buffer: Vec::new(),
            position: 0,
            leases: 0,
            go_on,
            stopped: false,
        }
    }

    fn is_stopped(&mut self) -> bool {
        self.stopped = self.stopped || !(self.go_on)();
        self.stopped
    }

    /// What stands at both ends, so that no single damage takes it: the bounds and the clocks.
    fn frame_ends(&mut self, survey: &Survey) -> Result<(), JournalError> {
        let bounds = Bounds {
            leases: survey.latest.len(),
            covered: survey.last,
        };
        self.push(Type::Bounds, survey.last, &bounds.encode())?;
        let used = survey.boots.values().filter(|boot| boot.is_used);
        let mut clocks: Vec<Clock> = used.filter_map(|boot| boot.clock).collect();
        clocks.sort_by_key(|clock| clock.offset);
        for clock in clocks {
            self.push(Type::Clock, survey.last, &clock.encode())?;
        }
        Ok(())
    }

    fn lease(&mut self, sequence: u64, lease: &Lease<'_>) -> Result<(), JournalError> {
        if self.stopped {
            return Ok(());
        }
        self.leases += 1;
        self.push(Type::Lease, sequence, lease.payload)
    }

    fn push(&mut self, kind: Type, sequence: u64, payload: &[u8]) -> Result<(), JournalError> {
        let frame = Frame {
            kind,
            first: true,
            sequence,
            payload,
        };
        frame.seal(self.name.key, &mut self.buffer);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
            self.stopped = !(self.go_on)();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        self.file
            .write_at(&self.buffer, self.position)
            .map_err(|error| JournalError::io_or_full("write", self.name.unfinished(), error))?;
        self.position += self.buffer.len() as u64;
        self.buffer.clear();
        self.file
            .sync()
            .map_err(|error| JournalError::io_or_full("sync", self.name.unfinished(), error))
    }

    /// The length of the whole.
    fn finish(mut self, leases: u64) -> Result<u64, JournalError> {
        if self.leases != leases {
            let error = std::io::Error::other("the files it is made of changed meanwhile");
            return Err(JournalError::io("write", self.name.to_string(), error));
        }
        self.flush()?;
        Ok(self.position)
    }
}
