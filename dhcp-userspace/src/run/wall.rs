//! The wall clock, set while the machine runs. Over a reboot leases keep the wall time at which they
//! end, which follows from the offset of the clocks that the journal knows of the boot in which a
//! record was written. One that is out of date would end leases a day early if the clock was set a
//! day forward and nothing was written since; so would records of an earlier boot whose clock was
//! wrong. So all are written once more, with the clock as it is now.

use super::core::Core;
use super::rewrite;
use super::ticket::Ticket;
use crate::clock::{Now, SECOND};
use crate::journal::Handle;

pub struct WallClock {
    /// How far it was ahead of `CLOCK_BOOTTIME`.
    seen: u64,
    /// The journal has been told.
    written: bool,
}

impl WallClock {
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            seen: now.to_unix(0),
            written: false,
        }
    }

    /// Has all leases written again if the clock was set, and the clock once after a start: it may
    /// have been set while no daemon ran.
    pub fn look(&mut self, core: &Core, journal: &Handle<Ticket>, now: Now) {
        let offset = now.to_unix(0);
        if self.seen.abs_diff(offset) > SECOND {
            let seconds = (offset as f64 - self.seen as f64) / SECOND as f64;
            tracing::info!("the wall clock was set by {seconds:+.1} s; leases go on as they were");
            core.rewrite.ask();
            (self.seen, self.written) = (offset, true);
        } else if !self.written {
            self.written = rewrite::one(core, journal);
        }
    }
}
