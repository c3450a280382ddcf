//! Reads files of a log in order and keeps account: which record is the last of each address,
//! which clocks the boots had, and what is missing where.

use std::collections::BTreeMap;

use super::codec::{Bounds, Clock, Content, boot_tag};
use super::input::Input;
use super::latest::Latest;
use super::name::FileKind;
use super::scan::{Entry, Found, Scanner};
use super::{Damage, JournalError, Kind, What};

#[derive(Default)]
pub(super) struct Survey {
    pub(super) latest: Latest,
    pub(super) boots: BTreeMap<u64, Boot>,
    /// Of the lease seen last.
    last_boot: Option<u64>,
    pub(super) damage: Vec<Damage>,
    /// The highest sequence number seen.
    pub(super) last: u64,
    /// `last + 1` may be missing: where numbers go on is not known.
    is_open: bool,
    /// Damage whose `lost` and `what` show once the next frame is found.
    pending: Vec<Damage>,
    /// So many damages are followed by a batch that was written after them.
    certain: usize,
}

/// What is known of a boot of this machine.
#[derive(Default)]
pub(super) struct Boot {
    /// The last clock record: wall clocks are often wrong only until they are first set.
    pub(super) clock: Option<Clock>,
    pub(super) is_used: bool,
}

impl Survey {
    pub(super) fn read(&mut self, input: &mut Input) -> Result<(), JournalError> {
        let first = self.latest.seen();
        match input.name.kind {
            FileKind::Segment => self.read_segment(input)?,
            FileKind::Snapshot => self.read_snapshot(input)?,
        }
        input.numbers = [first, self.latest.seen()];
        Ok(())
    }

    fn read_segment(&mut self, input: &mut Input) -> Result<(), JournalError> {
        let file = input.name.to_string();
        let mut scanner = Scanner::new(input.name, &*input.file, self.last + 1);
        loop {
            match scanner.next()? {
                Found::Frame(entry) => {
                    if entry.first {
                        input.batch = entry.offset;
                    }
                    self.count(&file, &entry);
                    self.note(&entry);
                }
                Found::Gap { offset, len } => {
                    input.gaps.push((offset, len));
                    self.pending.push(damage(&file, offset, len));
                }
                Found::End { offset, garbage } => {
                    (input.end, input.garbage) = (offset, garbage);
                    break;
                }
            }
        }
        if input.garbage > 0 {
            self.pending.push(damage(&file, input.end, input.garbage));
        }
        Ok(())
    }

    /// Looks for gaps in the sequence numbers, which are without gaps as written.
    fn count(&mut self, file: &str, entry: &Entry<'_>) {
        let lost = entry.sequence - self.last - 1;
        let lost = (!self.is_open).then_some(lost);
        if self.pending.is_empty() && lost.is_some_and(|lost| lost > 0) {
            let mut missing = damage(file, entry.offset, 0);
            missing.what = What::Missing;
            self.pending.push(missing);
        }
        self.settle(lost);
        if entry.first {
            self.certain = self.damage.len();
        }
        self.is_open = false;
        self.last = entry.sequence;
    }

    /// Reports what was pending. Several places share one count, which the last one gets.
    fn settle(&mut self, lost: Option<u64>) {
        if let Some(last) = self.pending.last_mut() {
            last.lost = lost;
        }
        self.damage.append(&mut self.pending);
    }

    fn read_snapshot(&mut self, input: &mut Input) -> Result<(), JournalError> {
        let file = input.name.to_string();
        let mut scanner = Scanner::new(input.name, &*input.file, 0);
        let mut bounds: Option<Bounds> = None;
        let mut leases = 0;
        loop {
            match scanner.next()? {
                Found::Frame(entry) => {
                    match entry.content {
                        Content::Bounds(found) => bounds = Some(found),
                        Content::Lease(_) => leases += 1,
                        Content::Clock(_) => {}
                    }
                    self.note(&entry);
                    self.last = self.last.max(entry.sequence);
                }
                Found::Gap { offset, len } => {
                    input.gaps.push((offset, len));
                    self.pending.push(damage(&file, offset, len));
                }
                Found::End { offset, garbage } => {
                    (input.end, input.garbage) = (offset, garbage);
                    break;
                }
            }
        }
        let lost = bounds.map(|bounds| bounds.leases.saturating_sub(leases));
        self.check_snapshot(input, &file, lost);
        self.is_open = bounds.is_none();
        Ok(())
    }

    fn check_snapshot(&mut self, input: &Input, file: &str, lost: Option<u64>) {
        if input.garbage > 0 {
            self.pending.push(damage(file, input.end, input.garbage));
        } else if self.pending.is_empty() && lost != Some(0) {
            let mut missing = damage(file, input.end, 0);
            missing.what = What::Missing;
            self.pending.push(missing);
        }
        self.settle(lost);
        self.certain = self.damage.len();
    }

    fn note(&mut self, entry: &Entry<'_>) {
        match entry.content {
            Content::Lease(lease) => {
                let is_forgotten = lease.kind == Kind::Forgotten;
                self.latest.note(lease.address, is_forgotten);
                if self.last_boot != Some(lease.boot) {
                    self.last_boot = Some(lease.boot);
                    self.boots.entry(lease.boot).or_default().is_used = true;
                }
            }
            Content::Clock(clock) => {
                let boot = self.boots.entry(boot_tag(&clock.boot_id)).or_default();
                boot.clock = Some(clock);
            }
            Content::Bounds(_) => {}
        }
    }

    /// All files were read, the last one being the one written last.
    /// Tells how many bytes at the end were never written whole, which is no damage.
    pub(super) fn finish(&mut self, last: &Input) -> u64 {
        let file = last.name.to_string();
        let torn = self.pending.pop_if(|tail| tail.file == file);
        self.settle(None);
        for damage in &mut self.damage[self.certain..] {
            if damage.what == What::Changed && damage.file == file {
                damage.what = What::LastBatch;
            }
        }
        torn.map_or(0, |tail| tail.len)
    }

    /// All files were read, and all of them had been written and synced to the end.
    pub(super) fn finish_closed(&mut self) {
        self.settle(None);
    }

    /// How far the wall clock was ahead in a boot. If nothing says it, as far as it ever was:
    /// later than right keeps an address too long, earlier would give it to two clients.
    pub(super) fn offset(&self, boot: u64, now: u64) -> u64 {
        let clocks = || self.boots.values().filter_map(|boot| boot.clock);
        let known = self.boots.get(&boot).and_then(|boot| boot.clock);
        known.map_or_else(
            || clocks().map(|clock| clock.offset).fold(now, u64::max),
            |clock| clock.offset,
        )
    }
}

fn damage(file: &str, offset: u64, len: u64) -> Damage {
    Damage {
        file: file.into(),
        offset,
        len,
        lost: None,
        what: What::Changed,
    }
}
