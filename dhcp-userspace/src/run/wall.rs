//! The wall clock, set while the machine runs. Over a reboot leases keep the wall time at which they
//! end, which follows from the last offset of the clocks that the journal knows of a boot: one that
//! is out of date would end leases a day early if the clock was set a day forward and nothing was
//! written since.

use super::core::Core;
use super::rewrite;
use super::ticket::Ticket;
use crate::clock::{Now, SECOND};
use crate::journal::Handle;

/// The offset that the journal has been told of.
#[derive(Default)]
pub struct WallClock(Option<u64>);

impl WallClock {
    /// Has the journal write the clock down if it was set, and once after a start: it may have been
    /// set while no daemon ran.
    pub fn look(&mut self, core: &Core, journal: &Handle<Ticket>, now: Now) {
        let offset = now.to_unix(0);
        if self.0.is_some_and(|told| told.abs_diff(offset) <= SECOND) {
            return;
        }
        if !rewrite::one(core, journal) {
            return;
        }
        if let Some(told) = self.0.replace(offset) {
            let seconds = (offset as f64 - told as f64) / SECOND as f64;
            tracing::info!("the wall clock was set by {seconds:+.1} s; leases go on as they were");
        }
    }
}
