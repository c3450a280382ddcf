//! Which addresses of a subnet's pools may be given: one bit each, set for "no".
//!
//! The bit is a claim, the slot is the truth: who finds a clear bit and sets it may then lock
//! the slot; who finds the slot taken nevertheless leaves the bit set and goes on.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use crate::config::model::Pool;

/// Addresses that other threads may be claiming for offers just now, at most: each one.
const ON_THEIR_WAY: usize = 64;
/// But no more than such a part of a pool.
const PART: u64 = 16;

/// The pools of a subnet.
#[derive(Debug, Default)]
pub(super) struct Pools {
    ranges: Vec<Range>,
    /// Addresses of these pools that are held for offers.
    offered: AtomicI64,
    /// Until when offers are crowded, ns of `CLOCK_BOOTTIME`.
    crowded: AtomicU64,
    crowding: Mutex<()>,
}

#[derive(Debug)]
struct Range {
    first: u32,
    last: u32,
    bits: Box<[AtomicU64]>,
    /// Addresses that are never free: reserved ones and those of the network itself.
    never: Box<[u64]>,
    /// How many the others are.
    usable: u64,
    free: AtomicI64,
    /// Where the search goes on: behind the last address given, so that one given back rests for
    /// as long as possible.
    cursor: AtomicUsize,
    /// The same for the search without a claim.
    glance: AtomicUsize,
}

impl Pools {
    /// Pools over inclusive ranges, all free but what `never` tells.
    pub(super) fn new(pools: &[Pool], never: impl Fn(Ipv4Addr) -> bool) -> Self {
        let ranges = pools
            .iter()
            .map(|pool| Range::new(pool.first.to_bits(), pool.last.to_bits(), &never))
            .collect();
        Self {
            ranges,
            offered: AtomicI64::new(0),
            crowded: AtomicU64::new(0),
            crowding: Mutex::new(()),
        }
    }

    /// Whether the address is one that the pools may ever give.
    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        self.place(address)
            .is_some_and(|(range, at)| !range.is_never(at))
    }

    /// Claims this address; false if it is not free or no pool has it.
    pub(super) fn claim(&self, address: Ipv4Addr) -> bool {
        self.place(address).is_some_and(|(range, at)| range.set(at))
    }

    /// Claims the next free address of those pools that `may` admits, by their place.
    pub(super) fn claim_next(&self, may: impl Fn(usize) -> bool) -> Option<Ipv4Addr> {
        let ranges = self.ranges.iter().enumerate();
        ranges
            .filter(|(at, _)| may(*at))
            .find_map(|(_, range)| range.next())
    }

    /// The next free address of those pools, another one each time; not claimed.
    pub(super) fn glance_next(&self, may: impl Fn(usize) -> bool) -> Option<Ipv4Addr> {
        let ranges = self.ranges.iter().enumerate();
        ranges
            .filter(|(at, _)| may(*at))
            .find_map(|(_, range)| range.glance())
    }

    /// An address is held for an offer, or is so no more.
    pub(super) fn count_offer(&self, address: Ipv4Addr, held: bool) {
        if self.contains(address) {
            let change = if held { 1 } else { -1 };
            self.offered.fetch_add(change, Ordering::Relaxed);
        }
    }

    pub(super) fn offered(&self) -> u64 {
        self.offered.load(Ordering::Relaxed).max(0) as u64
    }

    /// From now to then, offers hold no address here. What is shown without being held lies behind
    /// what was given last: those before it may still be taken up by whom they were offered to.
    pub(super) fn crowd(&self, now: u64, until: u64) {
        if !self.is_crowded(now) {
            // Nobody is shown an address before the first one has set where they begin.
            let _first = self.crowding.lock().expect("no panics while held");
            if !self.is_crowded(now) {
                self.ranges.iter().for_each(Range::glance_behind_given);
                self.crowded.store(until, Ordering::Release);
            }
        }
        self.crowded.fetch_max(until, Ordering::Relaxed);
    }

    pub(super) fn is_crowded(&self, now: u64) -> bool {
        now < self.crowded.load(Ordering::Acquire)
    }

    /// Frees an address; one that is never free stays taken.
    pub(super) fn free(&self, address: Ipv4Addr) {
        if let Some((range, at)) = self.place(address) {
            range.clear(at);
        }
    }

    /// Addresses that may be given now, and that could be at best.
    pub(super) fn counts(&self) -> (u64, u64) {
        let ranges = self.ranges.iter();
        ranges.fold((0, 0), |sum, range| {
            (sum.0 + range.free(), sum.1 + range.usable)
        })
    }

    /// Addresses of one pool that may be given now.
    pub(super) fn free_in(&self, at: usize) -> u64 {
        self.ranges[at].free()
    }

    fn place(&self, address: Ipv4Addr) -> Option<(&Range, usize)> {
        let bits = address.to_bits();
        let after = self.ranges.partition_point(|range| range.first <= bits);
        let range = &self.ranges[after.checked_sub(1)?];
        (bits <= range.last).then(|| (range, (bits - range.first) as usize))
    }
}

impl Range {
    fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed).max(0) as u64
    }

    fn new(first: u32, last: u32, never: &impl Fn(Ipv4Addr) -> bool) -> Self {
        let count = (last - first) as usize + 1;
        let words = count.div_ceil(64);
        let is_never = |at: usize| at >= count || never(Ipv4Addr::from_bits(first + at as u32));
        let never: Box<[u64]> = (0..words)
            .map(|word| {
                (0..64).fold(0, |bits, bit| {
                    bits | u64::from(is_never(word * 64 + bit)) << bit
                })
            })
            .collect();
        let usable: u64 = never.iter().map(|word| u64::from(word.count_zeros())).sum();
        Self {
            first,
            last,
            bits: never.iter().map(|word| AtomicU64::new(*word)).collect(),
            usable,
            free: AtomicI64::new(usable as i64),
            never,
            cursor: AtomicUsize::new(0),
            glance: AtomicUsize::new(0),
        }
    }

    fn is_never(&self, at: usize) -> bool {
        self.never[at / 64] & (1 << (at % 64)) != 0
    }

    fn set(&self, at: usize) -> bool {
        let bit = 1 << (at % 64);
        let was_free = self.bits[at / 64].fetch_or(bit, Ordering::AcqRel) & bit == 0;
        if was_free {
            self.free.fetch_sub(1, Ordering::Relaxed);
        }
        was_free
    }

    fn clear(&self, at: usize) {
        let bit = 1 << (at % 64);
        if self.is_never(at) {
            return;
        }
        if self.bits[at / 64].fetch_and(!bit, Ordering::AcqRel) & bit != 0 {
            self.free.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn next(&self) -> Option<Ipv4Addr> {
        let start = self.cursor.load(Ordering::Relaxed);
        self.search(start, |word, from| self.next_in(word, from))
    }

    /// No two threads get the same one unless all others were shown in between.
    fn glance(&self) -> Option<Ipv4Addr> {
        loop {
            let start = self.glance.load(Ordering::Relaxed);
            let at = self.search(start, |word, from| self.free_in(word, from))?;
            let moved = self.glance.compare_exchange(
                start,
                self.behind(at),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if moved.is_ok() {
                return Some(Ipv4Addr::from_bits(self.first + at as u32));
            }
        }
    }

    /// Asks word for word, from `start` on.
    fn search<T>(&self, start: usize, look: impl Fn(usize, usize) -> Option<T>) -> Option<T> {
        if self.free.load(Ordering::Relaxed) <= 0 {
            return None;
        }
        let (first, words) = (start / 64, self.bits.len());
        // The first word once more at the end: for what lies before the start.
        (0..=words).find_map(|i| {
            let from = if i == 0 { start % 64 } else { 0 };
            look((first + i) % words, from)
        })
    }

    /// The first free bit of a word, `from` or later.
    fn free_in(&self, word: usize, from: usize) -> Option<usize> {
        let taken = self.bits[word].load(Ordering::Relaxed) | ((1 << from) - 1);
        (taken != u64::MAX).then(|| word * 64 + taken.trailing_ones() as usize)
    }

    fn glance_behind_given(&self) {
        let given = self.cursor.load(Ordering::Relaxed);
        let on_their_way = ON_THEIR_WAY.min((self.usable / PART) as usize);
        let from = (given + on_their_way) % (self.bits.len() * 64);
        self.glance.store(from, Ordering::Relaxed);
    }

    fn behind(&self, at: usize) -> usize {
        (at + 1) % (self.bits.len() * 64)
    }

    /// Claims a free address of a word, bit `from` or later.
    fn next_in(&self, word: usize, from: usize) -> Option<Ipv4Addr> {
        loop {
            let at = self.free_in(word, from)?;
            if self.set(at) {
                self.cursor.store(self.behind(at), Ordering::Relaxed);
                return Some(Ipv4Addr::from_bits(self.first + at as u32));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    fn new(ranges: &[(Ipv4Addr, Ipv4Addr)], never: impl Fn(Ipv4Addr) -> bool) -> Pools {
        let pools: Vec<Pool> = ranges.iter().map(|range| Pool::open(*range)).collect();
        Pools::new(&pools, never)
    }

    fn pools() -> Pools {
        let ranges = [
            (ip("10.0.0.250"), ip("10.0.1.10")),
            (ip("10.0.2.0"), ip("10.0.2.0")),
        ];
        new(&ranges, |address| address == ip("10.0.1.0"))
    }

    #[test]
    fn all_are_given_once_and_never_the_others() {
        let pools = pools();
        assert_eq!(pools.counts(), (17, 17));
        let mut given = HashSet::new();
        while let Some(address) = pools.claim_next(|_| true) {
            assert!(given.insert(address), "{address} twice");
        }
        assert_eq!(given.len(), 17);
        assert!(!given.contains(&ip("10.0.1.0")));
        assert!(!pools.contains(ip("10.0.1.0")) && pools.contains(ip("10.0.2.0")));
        pools.free(ip("10.0.1.0"));
        pools.free(ip("10.0.1.0"));
        assert_eq!(pools.claim_next(|_| true), None, "reserved stays reserved");
        pools.free(ip("10.0.0.255"));
        pools.free(ip("10.0.0.255"));
        assert_eq!(pools.counts().0, 1);
        assert!(!pools.claim(ip("10.0.0.254")) && !pools.claim(ip("10.0.9.9")));
        assert!(pools.claim(ip("10.0.0.255")));
    }

    #[test]
    fn a_pool_that_is_not_admitted_gives_nothing() {
        let pools = pools();
        assert_eq!(pools.claim_next(|at| at == 1), Some(ip("10.0.2.0")));
        assert_eq!(pools.claim_next(|at| at == 1), None);
        assert_eq!(pools.claim_next(|_| false), None);
        assert_eq!(pools.claim_next(|_| true), Some(ip("10.0.0.250")));
    }

    #[test]
    fn an_address_given_back_rests() {
        let pools = new(&[(ip("10.0.0.1"), ip("10.0.0.200"))], |_| false);
        for i in 1..=200 {
            let given = pools.claim_next(|_| true).unwrap();
            assert_eq!(given, Ipv4Addr::new(10, 0, 0, i));
            pools.free(given);
        }
        assert_eq!(pools.claim_next(|_| true), Some(ip("10.0.0.1")));
    }

    #[test]
    fn glances_go_round_and_claim_nothing() {
        let pools = pools();
        let claimed: Vec<_> = (0..14).filter_map(|_| pools.claim_next(|_| true)).collect();
        let seen: Vec<_> = (0..6).filter_map(|_| pools.glance_next(|_| true)).collect();
        // The last two of the first range in turn; the second range only when it is full.
        assert_eq!(seen[..2], seen[2..4]);
        assert!(seen[0] != seen[1] && seen.iter().all(|address| !claimed.contains(address)));
        assert_eq!(pools.counts().0, 3);
        while pools.claim_next(|_| true).is_some() {}
        assert_eq!(pools.glance_next(|_| true), None);
    }

    /// Threads that look at the same moment, the first of which finds the pool crowded.
    #[test]
    fn everybody_is_shown_another_address_at_the_same_time() {
        for _ in 0..50 {
            let pools = new(&[(ip("10.0.0.0"), ip("10.0.3.255"))], |_| false);
            let held: Vec<_> = (0..100)
                .filter_map(|_| pools.claim_next(|_| true))
                .collect();
            let look = || {
                pools.crowd(1, 2);
                let shown = (0..100).filter_map(|_| pools.glance_next(|_| true));
                shown.collect::<Vec<_>>()
            };
            let shown: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(look)).collect();
                let shown = threads.into_iter().map(|thread| thread.join().unwrap());
                shown.flatten().collect()
            });
            let different: HashSet<_> = shown.iter().chain(&held).collect();
            assert_eq!((shown.len(), different.len()), (800, 900));
        }
    }

    #[test]
    fn what_lapsed_is_shown_to_nobody_while_there_is_more() {
        let pools = new(&[(ip("10.0.0.1"), ip("10.0.0.8"))], |_| false);
        for _ in 0..4 {
            pools.free(pools.claim_next(|_| true).unwrap());
        }
        pools.crowd(10, 20);
        let shown = || pools.glance_next(|_| true);
        assert_eq!(
            [shown(), shown()].map(Option::unwrap),
            [5, 6].map(|i| Ipv4Addr::new(10, 0, 0, i))
        );
        pools.crowd(11, 21);
        assert_eq!(
            pools.glance_next(|_| true),
            Some(ip("10.0.0.7")),
            "crowded all the time"
        );
    }

    #[test]
    fn threads_never_get_the_same_address() {
        let pools = new(&[(ip("10.0.0.1"), ip("10.0.7.254"))], |_| false);
        let mut all: Vec<Ipv4Addr> = std::thread::scope(|scope| {
            let take = || std::iter::from_fn(|| pools.claim_next(|_| true)).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads
                .into_iter()
                .flat_map(|t| t.join().unwrap())
                .collect()
        });
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 2046);
    }

    proptest! {
        #[test]
        fn never_two_holders(steps in prop::collection::vec((0u8..3, 0u32..300), 1..400)) {
            let first = ip("10.0.0.0").to_bits();
            let range = (Ipv4Addr::from_bits(first + 10), Ipv4Addr::from_bits(first + 200));
            let pools = new(&[range], |address| address.to_bits() % 7 == 0);
            let mut held = HashSet::new();
            for (what, offset) in steps {
                let address = Ipv4Addr::from_bits(first + offset);
                match what {
                    0 => if let Some(given) = pools.claim_next(|_| true) {
                        prop_assert!(held.insert(given));
                    },
                    1 => prop_assert_eq!(
                        pools.claim(address),
                        pools.contains(address) && held.insert(address)
                    ),
                    _ => if held.remove(&address) {
                        pools.free(address);
                    },
                }
                let (free, usable) = pools.counts();
                prop_assert_eq!(free + held.len() as u64, usable);
            }
        }
    }
}
