//! A file of the journal as it stands, for people: those with damage, and those out of use. Nothing is changed,
//! and no lock is taken.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::codec::{Content, boot_tag};
use super::name::{DAMAGED, FileKind, NEW, Name, SUPERSEDED};
use super::scan::{Entry, Found, Scanner};
use super::storage::File;
use super::{JournalError, Record};

/// What stands at some offset of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Lease {
        sequence: u64,
        record: Record,
        /// The end of the promise, ns since 1970; `None`: no clock of its boot stands before it.
        until: Option<u64>,
    },
    Clock {
        sequence: u64,
        boot_id: [u8; 16],
        /// When that boot began by this clock, ns since 1970.
        booted: u64,
    },
    Bounds {
        sequence: u64,
        leases: u64,
        covered: u64,
    },
    /// Bytes that are no record, and how many records are lost with them, if that can be told.
    Damaged { len: u64, lost: Option<u64> },
    /// What is here is good, but so many records before it are gone.
    Missing { lost: u64 },
    /// Nothing but zeros up to the end of the file.
    End { unused: u64 },
}

#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error(
        "{0} is no file of a journal: those are called NUMBER-KEY.segment or NUMBER-KEY.snapshot, also with .damaged, \
         .superseded or .new behind it; without the key in the name they cannot be read"
    )]
    Name(PathBuf),
    #[error("cannot read {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Out(#[from] io::Error),
}

/// Hands over all that stands in a file, in order, with its offset.
///
/// # Errors
/// If it is no such file, cannot be read, is of a later version, or `each` fails.
pub fn inspect(
    path: &Path,
    each: &mut dyn FnMut(u64, Part) -> io::Result<()>,
) -> Result<(), InspectError> {
    let name = name_of(path).ok_or_else(|| InspectError::Name(path.into()))?;
    let failed = |source| InspectError::Open {
        path: path.into(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = file.size().map_err(failed)?;
    let mut scanner = Scanner::new(name, &file, 0);
    let mut account = Account::of(name.kind);
    loop {
        match scanner.next()? {
            Found::Frame(entry) => {
                if let Some((offset, part)) = account.before(&entry) {
                    each(offset, part)?;
                }
                each(entry.offset, account.part(&entry))?;
            }
            Found::Gap { offset, len } => account.gap = Some((offset, len)),
            Found::End { offset, garbage } => {
                if let Some(part) = account.at_end(garbage) {
                    each(offset, part)?;
                }
                let unused = size.saturating_sub(offset + garbage);
                return Ok(each(offset + garbage, Part::End { unused })?);
            }
        }
    }
}

fn name_of(path: &Path) -> Option<Name> {
    let name = path.file_name()?.to_str()?;
    let endings = [DAMAGED, SUPERSEDED, NEW];
    let stem = endings.iter().find_map(|ending| name.strip_suffix(ending));
    Name::parse(stem.unwrap_or(name))
}

/// What was read so far, as far as it says what is missing.
struct Account {
    kind: FileKind,
    last: Option<u64>,
    gap: Option<(u64, u64)>,
    /// How far the wall clock was ahead in each boot.
    clocks: HashMap<u64, u64>,
    leases: u64,
    announced: Option<u64>,
}

impl Account {
    fn of(kind: FileKind) -> Self {
        Self {
            kind,
            last: None,
            gap: None,
            clocks: HashMap::new(),
            leases: 0,
            announced: None,
        }
    }

    /// What is wrong in front of a frame. Only in segments do numbers have no gaps.
    fn before(&mut self, entry: &Entry<'_>) -> Option<(u64, Part)> {
        let last = self.last.replace(entry.sequence);
        let last = last.filter(|_| self.kind == FileKind::Segment);
        let lost = last.map(|last| entry.sequence - last - 1);
        match (self.gap.take(), lost) {
            (Some((offset, len)), lost) => Some((offset, Part::Damaged { len, lost })),
            (None, Some(1..)) => Some((entry.offset, Part::Missing { lost: lost? })),
            (None, _) => None,
        }
    }

    fn part(&mut self, entry: &Entry<'_>) -> Part {
        let sequence = entry.sequence;
        match entry.content {
            Content::Lease(lease) => {
                self.leases += 1;
                let record = Record::from(lease.written());
                let clock = self.clocks.get(&lease.boot);
                Part::Lease {
                    sequence,
                    until: clock.map(|clock| clock.wrapping_add(record.reserved_until)),
                    record,
                }
            }
            Content::Clock(clock) => {
                self.clocks.insert(boot_tag(&clock.boot_id), clock.offset);
                Part::Clock {
                    sequence,
                    boot_id: clock.boot_id,
                    booted: clock.offset,
                }
            }
            Content::Bounds(bounds) => {
                self.announced = Some(bounds.leases);
                Part::Bounds {
                    sequence,
                    leases: bounds.leases,
                    covered: bounds.covered,
                }
            }
        }
    }

    /// What is wrong behind the last frame.
    fn at_end(&self, garbage: u64) -> Option<Part> {
        let announced = self.announced;
        let lost = announced.map(|leases| leases.saturating_sub(self.leases));
        match (garbage, lost) {
            (0, Some(lost @ 1..)) => Some(Part::Missing { lost }),
            (0, _) => None,
            (len, lost) => Some(Part::Damaged { len, lost }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::clock::{Now, SECOND};
    use crate::journal::{Disk, Kind, Log, Settings};

    const NOW: Now = Now {
        boot: 1000 * SECOND,
        unix: 1_700_000_000 * SECOND,
    };
    /// Of a lease without identifiers, and of a clock: header and payload.
    const LEASE: u64 = 16 + 37;
    const CLOCK: u64 = 16 + 24;

    fn record(number: u8) -> Record {
        Record {
            address: Ipv4Addr::new(10, 0, 0, number),
            kind: Kind::Bound,
            mac: [2, 0, 0, 0, 0, number],
            reserved_until: 1600 * SECOND,
            since: NOW.unix,
            client_id: Vec::new(),
            hostname: Vec::new(),
            relay_agent: Vec::new(),
        }
    }

    fn log(directory: &Path, compact_after: usize) -> Log {
        let disk = Arc::new(Disk::open(directory).unwrap());
        let settings = Settings {
            segment_size: 1000,
            compact_after,
        };
        let (mut log, _) = Log::open(disk, settings, NOW, [7; 16]).unwrap();
        for number in 1..=5 {
            log.append(&record(number), NOW).unwrap();
        }
        log.sync().unwrap();
        log
    }

    fn only(directory: &Path, ending: &str) -> PathBuf {
        let entries = fs::read_dir(directory).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        let named = |path: &PathBuf| path.to_str().unwrap().ends_with(ending);
        paths.find(named).unwrap()
    }

    fn parts(path: &Path) -> Vec<(u64, Part)> {
        let mut all = Vec::new();
        let each = &mut |offset, part| {
            all.push((offset, part));
            Ok(())
        };
        inspect(path, each).unwrap();
        all
    }

    fn lease(number: u8) -> (u64, Part) {
        let offset = CLOCK + LEASE * u64::from(number - 1);
        let part = Part::Lease {
            sequence: u64::from(number) + 1,
            record: record(number),
            until: Some(NOW.unix + 600 * SECOND),
        };
        (offset, part)
    }

    #[test]
    fn a_damaged_segment_shows_what_is_left_and_where_something_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        drop(log(directory.path(), 9));
        let path = only(directory.path(), ".segment");
        let mut bytes = fs::read(&path).unwrap();
        bytes[(CLOCK + LEASE + 30) as usize] ^= 1;
        bytes.drain((CLOCK + LEASE * 3) as usize..(CLOCK + LEASE * 4) as usize);
        let damaged = PathBuf::from(format!("{}{DAMAGED}", path.display()));
        fs::write(&damaged, &bytes).unwrap();

        let clock = Part::Clock {
            sequence: 1,
            boot_id: [7; 16],
            booted: NOW.unix - NOW.boot,
        };
        let (_, last) = lease(5);
        let end = CLOCK + LEASE * 4;
        let len = bytes.len() as u64;
        let want = vec![
            (0, clock),
            lease(1),
            (
                CLOCK + LEASE,
                Part::Damaged {
                    len: LEASE,
                    lost: Some(1),
                },
            ),
            lease(3),
            (CLOCK + LEASE * 3, Part::Missing { lost: 1 }),
            (CLOCK + LEASE * 3, last),
            (end, Part::End { unused: len - end }),
        ];
        assert_eq!(parts(&damaged), want);
        assert_eq!(fs::read(&damaged).unwrap(), bytes, "only read");
    }

    #[test]
    fn a_snapshot_knows_how_many_leases_it_had() {
        let directory = tempfile::tempdir().unwrap();
        // Only closed segments are compacted: the second start closes the first one.
        drop(log(directory.path(), 1));
        let log = log(directory.path(), 1);
        log.upkeep().compact(NOW, &AtomicBool::new(false)).unwrap();
        let path = only(directory.path(), ".snapshot");
        let all = parts(&path);
        let leases = |parts: &[(u64, Part)]| {
            let is_lease = |part: &&(u64, Part)| matches!(part.1, Part::Lease { .. });
            parts.iter().filter(is_lease).count()
        };
        assert_eq!(leases(&all), 5);
        assert!(matches!(all[0].1, Part::Bounds { leases: 5, .. }));
        let Part::Lease { .. } = all[3].1 else {
            panic!("{all:?}");
        };
        let mut bytes = fs::read(&path).unwrap();
        let end = all[3].0 as usize;
        bytes.drain(end..end + LEASE as usize);
        fs::write(&path, &bytes).unwrap();
        let all = parts(&path);
        let missing = |part: &&(u64, Part)| part.1 == Part::Missing { lost: 1 };
        assert_eq!((leases(&all), all.iter().filter(missing).count()), (4, 1));
    }

    #[test]
    fn other_files_are_refused() {
        for name in ["lock", "1-2.segment", "leases.yaml"] {
            let error = inspect(Path::new(name), &mut |_, _| Ok(())).unwrap_err();
            assert!(matches!(error, InspectError::Name(_)), "{error}");
        }
    }
}
