//! The wall clock, set while the machine runs. Over a reboot leases keep the wall time at which they
//! end, which follows from the offset of the clocks that the journal knows of the boot in which a
//! record was written. One that is out of date would end leases a day early if the clock was set a
//! day forward and nothing was written since; so one record is written, and the clock before it.
//! Records of an earlier boot, which know another clock, are all written once more.

use super::core::Core;
use super::rewrite::{self, Outcome};
use super::ticket::Ticket;
use crate::clock::{Now, SECOND};
use crate::journal::{CLOCK_STEP, Handle};

pub struct WallClock {
    /// How far it was ahead of `CLOCK_BOOTTIME`.
    seen: u64,
    /// Since the start.
    was_set: bool,
    written: Written,
}

/// Whether the journal knows the clock.
enum Written {
    Due,
    Under(Outcome),
    /// But records of earlier boots may have another.
    OnDisk,
    Done,
}

impl WallClock {
    /// It is due after a start: the clock may have been set while no daemon ran.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            seen: now.to_unix(0),
            was_set: false,
            written: Written::Due,
        }
    }

    pub fn look(&mut self, core: &Core, journal: &Handle<Ticket>, now: Now) {
        let offset = now.to_unix(0);
        if self.seen.abs_diff(offset) > CLOCK_STEP {
            let seconds = (offset as f64 - self.seen as f64) / SECOND as f64;
            tracing::info!("the wall clock was set by {seconds:+.1} s; leases go on as they were");
            core.rewrite.ask_for_earlier_boots();
            (self.seen, self.was_set, self.written) = (offset, true, Written::Due);
        }
        match &self.written {
            Written::Due => {
                if let Some(outcome) = rewrite::one(core, journal) {
                    self.written = Written::Under(outcome);
                }
            }
            Written::Under(outcome) => match rewrite::is_durable(outcome) {
                Some(true) => self.written = Written::OnDisk,
                Some(false) => self.written = Written::Due,
                None => {}
            },
            Written::OnDisk if core.rewrite.is_under_way() => {}
            Written::OnDisk => {
                if self.was_set {
                    tracing::info!("the journal has the wall clock");
                }
                self.written = Written::Done;
            }
            Written::Done => {}
        }
    }
}
