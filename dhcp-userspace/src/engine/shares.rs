//! How many offers each place may hold: a link or relay, and a circuit behind it.
//!
//! One word for each: when its next offer would be due if all came evenly spaced. Nobody has to
//! tell when an offer that is not taken ends, and the memory is bounded whoever asks; places that share
//! a word share what it allows. Who takes an offer gives it back, so a place may bind as many as come.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::quality::SeedableRandomState;

const WORDS: usize = 1 << 14;

pub(super) struct Shares {
    due: Box<[AtomicU64]>,
    hasher: SeedableRandomState,
}

/// What a place may hold: `most` offers in any stretch of time as long as `hold`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) most: u32,
    pub(super) hold: Duration,
}

impl Share {
    /// Half of them may come at once, the other half spread over the time: never more than all.
    fn half(self) -> u64 {
        u64::from(self.most / 2).max(1)
    }

    fn interval(self) -> u64 {
        self.hold.as_nanos() as u64 / self.half()
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            due: (0..WORDS).map(|_| AtomicU64::new(0)).collect(),
            hasher: SeedableRandomState::random(),
        }
    }
}

impl Shares {
    /// The same places share the same words in every run.
    #[cfg(test)]
    pub(super) fn without_chance(self) -> Self {
        let hasher = SeedableRandomState::fixed();
        Self { hasher, ..self }
    }

    /// Takes one of the place's share, if there is one left.
    pub(super) fn take(&self, place: (u64, &[u8]), share: Share, now: u64) -> bool {
        let interval = share.interval();
        let next = |due: u64| {
            let due = due.max(now);
            (due < now + interval * share.half()).then_some(due + interval)
        };
        self.due(place)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }

    /// Gives one back that was taken.
    pub(super) fn give_back(&self, place: (u64, &[u8]), share: Share, now: u64) {
        let before =
            |due: u64| Some(due.saturating_sub(share.interval()).max(now)).filter(|_| due > now);
        // With nothing taken there is nothing to give back.
        let _ = self
            .due(place)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, before);
    }

    fn due(&self, place: (u64, &[u8])) -> &AtomicU64 {
        let hash = self.hasher.hash_one(place);
        &self.due[hash as usize % WORDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;

    const SHARE: Share = Share {
        most: 64,
        hold: Duration::from_secs(10),
    };

    #[test]
    fn never_more_than_the_share_in_the_time_of_an_offer() {
        let shares = Shares::default();
        let times = (0..400).map(|tenth| 1000 * SECOND + tenth * SECOND / 10);
        let taken: Vec<u64> = times
            .flat_map(|now| [now; 40])
            .filter(|now| shares.take((7, b"port 1"), SHARE, *now))
            .collect();
        let window = |from: u64| {
            let until = from + 10 * SECOND;
            taken
                .iter()
                .filter(|at| (from..until).contains(*at))
                .count()
        };
        assert!(
            taken
                .iter()
                .all(|from| (30..=64).contains(&window(*from)) || *from > 1030 * SECOND)
        );
        assert_eq!(taken.iter().filter(|at| **at == 1000 * SECOND).count(), 32);
    }

    #[test]
    fn offers_that_are_taken_leave_the_share_whole() {
        let shares = Shares::default();
        let place = (7, &b"port 1"[..]);
        for _ in 0..10_000 {
            assert!(shares.take(place, SHARE, SECOND));
            shares.give_back(place, SHARE, SECOND);
        }
        for _ in 0..100 {
            shares.give_back(place, SHARE, SECOND);
        }
        let taken = (0..100).filter(|_| shares.take(place, SHARE, SECOND));
        assert_eq!(taken.count(), 32, "nothing is gained by giving back more");
    }

    #[test]
    fn every_circuit_of_a_relay_has_its_own() {
        let shares = Shares::default();
        let take = |relay, circuit: &[u8]| shares.take((relay, circuit), SHARE, SECOND);
        while take(7, b"port 1") {}
        assert!(take(7, b"port 2") && take(8, b"port 1"));
        assert!(!take(7, b"port 1"));
    }

    #[test]
    fn a_share_of_nothing_still_lets_one_in() {
        let share = Share { most: 0, ..SHARE };
        let shares = Shares::default();
        assert!(shares.take((1, &[]), share, SECOND));
        assert!(!shares.take((1, &[]), share, SECOND));
    }
}
