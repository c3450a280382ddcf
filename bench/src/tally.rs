//! What came of a load.

use crate::histogram::Histogram;
use crate::reply::Wrong;

/// Wrong replies that are told word for word.
const EXAMPLES: usize = 3;

#[derive(Clone, Default)]
pub struct Tally {
    /// From the beginning to the last right answer.
    pub nanos: u64,
    pub last_answer: u64,
    /// Messages.
    pub sent: u64,
    pub replies: u64,
    /// From request to ACK.
    pub renewals: Histogram,
    /// From the first DISCOVER to the ACK.
    pub binds: Histogram,
    /// Exchanges that were given up.
    pub lost: u64,
    pub retransmitted: u64,
    pub naks: u64,
    /// Answers to what had been answered, or given up.
    pub late: u64,
    /// Exchanges that were not over at the end.
    pub open: u64,
    /// Frames that the generator's interface did not take.
    pub refused: u64,
    pub wrong: u64,
    pub examples: Vec<String>,
}

impl Tally {
    pub fn exchanges(&self) -> u64 {
        self.renewals.total() + self.binds.total()
    }

    pub fn per_second(&self) -> f64 {
        self.exchanges() as f64 * 1e9 / self.nanos.max(1) as f64
    }

    pub fn wrong(&mut self, wrong: &Wrong) {
        self.wrong += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(wrong.to_string());
        }
    }
}
