//! What each client has declined lately: how many addresses, and which one last.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    last: Ipv4Addr,
}

impl Recent {
    const fn new(since: u64) -> Self {
        Self {
            since,
            count: 0,
            last: Ipv4Addr::UNSPECIFIED,
        }
    }

    const fn is_over(&self, now: u64) -> bool {
        now.saturating_sub(self.since) >= HOUR
    }
}

impl Declines {
    /// Counts a DECLINE of a lease; false if the client has declined too often, or too many
    /// clients have.
    pub(super) fn admit(&self, chaddr: u64, now: u64) -> bool {
        self.note(chaddr, now, |recent| {
            recent.count = recent.count.saturating_add(1);
            recent.count <= MOST
        })
        .unwrap_or(false)
    }

    /// Keeps in mind what the client is not to be given just now. If too many clients decline,
    /// nothing is kept.
    pub(super) fn avoid(&self, chaddr: u64, address: Ipv4Addr, now: u64) {
        self.note(chaddr, now, |recent| recent.last = address);
    }

    /// Whether the client finds fault with this address.
    pub(super) fn avoids(&self, chaddr: u64, address: Ipv4Addr, now: u64) -> bool {
        let clients = self.lock();
        let recent = clients.get(&chaddr).filter(|recent| !recent.is_over(now));
        recent.is_some_and(|recent| recent.last == address)
    }

    fn note<T>(&self, chaddr: u64, now: u64, note: impl FnOnce(&mut Recent) -> T) -> Option<T> {
        let mut clients = self.lock();
        if clients.len() >= CLIENTS {
            clients.retain(|_, recent| !recent.is_over(now));
            if clients.len() >= CLIENTS {
                return None;
            }
        }
        let recent = clients.entry(chaddr).or_insert(Recent::new(now));
        if recent.is_over(now) {
            *recent = Recent::new(now);
        }
        Some(note(recent))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Recent, RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(declines.len(), 1);
    }

    #[test]
    fn what_was_declined_last_is_avoided_for_an_hour() {
        let declines = Declines::default();
        let [one, two] = [1, 2].map(|last| Ipv4Addr::new(10, 0, 0, last));
        declines.avoid(1, one, 0);
        assert!(declines.avoids(1, one, HOUR - 1) && !declines.avoids(1, two, 0));
        assert!(!declines.avoids(2, one, 0) && !declines.avoids(1, one, HOUR));
        declines.avoid(1, two, 1);
        assert!(declines.avoids(1, two, 1));
    }
}
