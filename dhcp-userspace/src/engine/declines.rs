//! How many addresses each client has declined lately.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;

use crate::clock::SECOND;

const HOUR: u64 = 3600 * SECOND;
/// Declines of one client in an hour. Squatters are rare: a client that meets one has hardly met
/// the next two as well. Who declines more is wrong about all of them (proxy ARP, or a fault of
/// its own), and would put the whole pool into quarantine.
const MOST: u32 = 3;
/// Clients remembered. More than that do not decline within an hour unless somebody plays at it.
const CLIENTS: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct Declines(Mutex<HashMap<u64, Recent, RandomState>>);

#[derive(Debug)]
struct Recent {
    since: u64,
    count: u32,
}

impl Declines {
    /// Counts a DECLINE; false if the client has declined too often, or too many clients have.
    pub(super) fn admit(&self, chaddr: u64, now: u64) -> bool {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |recent: &Recent| now.saturating_sub(recent.since) < HOUR;
        if clients.len() >= CLIENTS {
            clients.retain(|_, recent| is_recent(recent));
            if clients.len() >= CLIENTS {
                return false;
            }
        }
        let new = Recent {
            since: now,
            count: 0,
        };
        let recent = clients.entry(chaddr).or_insert(new);
        if !is_recent(recent) {
            *recent = Recent {
                since: now,
                count: 0,
            };
        }
        recent.count = recent.count.saturating_add(1);
        recent.count <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_an_hour_for_each_client() {
        let declines = Declines::default();
        let admitted = |chaddr, at: u64| declines.admit(chaddr, at * SECOND);
        assert_eq!(
            [0, 1, 2, 3, 3599].map(|at| admitted(1, at)),
            [true, true, true, false, false]
        );
        assert!(admitted(2, 3));
        assert!(admitted(1, 3600), "an hour after the first");
    }

    #[test]
    fn the_memory_is_bounded_and_comes_back() {
        let declines = Declines::default();
        for client in 0..CLIENTS as u64 {
            assert!(declines.admit(client, 0));
        }
        assert!(!declines.admit(1 << 40, HOUR - 1));
        assert!(declines.admit(1 << 40, HOUR));
        assert_eq!(declines.0.lock().unwrap().len(), 1);
    }
}
