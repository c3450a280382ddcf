//! Transfers whose clients were not heard yet. A flood of requests in the name of others can end
//! those only that have not answered while so many newer requests came.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::task::AbortHandle;

/// So many at least: what a few racks ask for at once is no flood.
pub const MIN: usize = 64;

/// Oldest first. Those that were heard meanwhile are still here, and are left alone.
#[derive(Default)]
pub struct Unheard(VecDeque<(AbortHandle, Arc<AtomicBool>)>);

impl Unheard {
    /// Ends the oldest ones until there is room for one more of `most`, or of [`MIN`].
    pub fn make_room(&mut self, most: usize) {
        while self.0.len() >= most.max(MIN) {
            if let Some((task, heard)) = self.0.pop_front()
                && !heard.load(Relaxed)
            {
                task.abort();
            }
        }
    }

    pub fn add(&mut self, task: AbortHandle, heard: Arc<AtomicBool>) {
        self.0.push_back((task, heard));
    }
}
