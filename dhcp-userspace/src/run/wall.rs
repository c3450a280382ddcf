//! The wall clock, set while the machine runs. Over a reboot leases keep the wall time at which they
//! end, which follows from the last offset of the clocks that the journal knows of a boot: one that
//! is out of date would end leases a day early if the clock was set a day forward and nothing was
//! written since.

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

    /// Has the journal write the clock down if it was set, and once after a start: it may have been
    /// set while no daemon ran.
    pub fn look(&mut self, core: &Core, journal: &Handle<Ticket>, now: Now) {
        let offset = now.to_unix(0);
        let was_set = self.seen.abs_diff(offset) > SECOND;
        if self.written && !was_set || !rewrite::one(core, journal) {
            return;
        }
        if was_set {
            let seconds = (offset as f64 - self.seen as f64) / SECOND as f64;
            tracing::info!("the wall clock was set by {seconds:+.1} s; leases go on as they were");
        }
        (self.seen, self.written) = (offset, true);
    }
}
