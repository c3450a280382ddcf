//! The journal: what makes a lease survive the server, the kernel and the power.
//!
//! # What is promised
//!
//! - A record whose `sync` returned (a [`Verdict::Durable`]) is there after a kill, a crash or a
//!   power cut, with the last one of each address winning. One that was not acknowledged may be
//!   there or not.
//! - Nothing is lost in silence. Every frame has a checksum and a number, numbers have no gaps, so
//!   replay knows of every record that is missing, tells where ([`Damage`]), and recovers all
//!   others. The one thing taken for normal is an unfinished end of what was written last: if
//!   somebody cuts off whole records there later, only the pinned table knows of them, and the
//!   start tells how many it has.
//! - A full disk refuses new records ([`JournalError::Full`]) and breaks nothing; the log goes on
//!   by itself when there is space, which it tries at most once a second. What was refused is gone
//!   from the disk before anybody hears of it, and no start finds it.
//! - A failed fdatasync is final: nobody knows what the disk has, and asking again would tell
//!   nothing (the kernel may have dropped the pages). The server must exit.
//! - `reserved_until` is on `CLOCK_BOOTTIME`. In the same boot it comes back as it was; over a
//!   reboot it keeps its wall time. If the wall clock was set while the machine was up, the last
//!   setting counts for all of that boot. If it is wrong *at* replay, leases end that much late
//!   or early: start the server after the time is set.
//!
//! # How it is used
//!
//! [`Disk`] takes a directory (a second process gets [`JournalError::Locked`]), [`Log::open`]
//! replays it ([`Log::read`], for who wants no copy of the records), and [`Committer::start`] makes two threads of it: one writes and syncs whatever
//! queued up during the last sync, so a lone record waits for nobody and a thousand share one
//! fdatasync; the other prepares segments and compacts. Any thread appends by a [`Handle`] and
//! gets its ticket back in the callback. Without threads: [`Log::append`], [`Log::sync`] and now
//! and then [`Log::upkeep`].
//!
//! # What the operator sees
//!
//! | file | |
//! |---|---|
//! | `…n-k.segment` | records in the order of writing; the newest ones are zeros to be written over |
//! | `…n-k.snapshot` | the last records of all segments up to number n, which are removed then |
//! | `….new` | not finished; removed at the next start |
//! | `….damaged` | had damage and is out of use; leases may be lost with it, so a start that finds it doubts |
//! | `….superseded` | the same, when all leases had been written again, or the lost ones had run out |
//! | `lock` | the process id of the last owner |
//!
//! Disk space: two to three times the live leases, and at least some segments of 64 MiB. To move a
//! server, stop it and copy the directory with all names as they are: they hold the keys of the
//! checksums. `damaged` and `superseded` ones are for you to look at (`xdhcpctl journal FILE`, [`inspect`]), or to send in,
//! and to remove. Damage means a failing disk or memory: see the text of [`Damage`].
//!
//! # Bytes
//!
//! All numbers are little-endian. A file is frames, one behind the other, then zeros:
//!
//! ```text
//!  0        4        6     7     8                 16
//! ┌────────┬────────┬─────┬─────┬─────────────────┬─────────
//! │ crc    │ length │ ver │type │ sequence        │ payload …
//! └────────┴────────┴─────┴─────┴─────────────────┴─────────
//! crc       CRC-32 of all behind it, begun with the key from the file name
//! length    of the payload
//! ver       0xd1; 0xd2 to 0xdf are later versions
//! type      1 lease, 2 clock, 3 bounds; 0x80 set: the first frame after a sync
//! sequence  counts the frames of all segments from 1; leases keep theirs in a snapshot
//!
//! lease     0 boot (the first 8 bytes of boot_id)   8 reserved_until   16 since
//!           24 address   28 length of client_id (2)   30 mac   36 kind   37 client_id, hostname
//! clock     0 boot_id (16)   16 wall clock minus CLOCK_BOOTTIME, ns
//! bounds    0 leases in the snapshot   8 the last sequence number that it stands for
//! ```
//!
//! A segment starts with a clock, and has another one whenever the wall clock moved against
//! `CLOCK_BOOTTIME` by more than half a second. A snapshot has bounds and clocks at both ends. Names are
//! the number and the key in hexadecimal.
//!
//! # Order of things on disk
//!
//! - A segment gets its name when it is full of zeros and synced, before its first record.
//! - A segment is synced to its end before the next one is written: only the last may be torn.
//! - A snapshot gets its name when it is synced; what it stands for is removed when the name is.
//!   From then on older files are ignored, whatever power cuts leave of them.
//! - A start trusts nothing that it has only seen: it writes the last batch once more and syncs it,
//!   and syncs the names before it removes what a snapshot stands for. An earlier run may have
//!   ended, or failed, in between.
mod codec;
mod committer;
mod compact;
mod damage;
mod disk;
mod error;
#[cfg(test)]
pub(crate) mod faulty;
mod frame;
mod input;
mod inspect;
mod kept;
mod latest;
mod log;
mod name;
mod opening;
mod queue;
mod record;
mod replay;
mod scan;
mod spare;
mod stats;
mod storage;
mod survey;
#[cfg(test)]
mod tests;
mod window;

pub use committer::{Committer, Handle, Verdict};
pub use compact::Upkeep;
pub use damage::{Damage, What};
pub use disk::Disk;
pub use error::JournalError;
pub use inspect::{InspectError, Part, inspect};
pub use log::{CLOCK_STEP, Log, Settings};
pub use opening::Opening;
pub use queue::Rejected;
pub use record::{Kind, Record, Written};
pub use replay::Replayed;
pub use stats::{Counter, Stats};
pub use storage::{File, Storage};
