//! The daemon's half: writes what [`super::judge`] reads.

use core::ops::Range;

use super::{
    ADDRESS, Asker, BLOCKS, BUCKETS, DROPPED, FILTER, FIRST_BUCKET, FIRST_PLACE, FIRST_SET, LINE,
    Line, Lines, Orders, PLACES, PROBES, RATES, SECOND, SETS, WAYS, WHOSE, block_key, filter_line,
    leased, mix, offered, place_line, set_line,
};

/// The guard's memory with its orders, to be written by one thread at a time, but for
/// [`Self::know`] and [`Self::offer`].
#[derive(Clone, Copy, Debug)]
pub struct Keeper<'a, L> {
    pub lines: &'a L,
    pub orders: &'a Orders,
}

/// A place in the block list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, below 4 times the number of sets.
    pub at: usize,
    pub mac: u64,
    /// When it ends; 0: the place is free.
    pub until: u64,
}

impl<L: Lines> Keeper<'_, L> {
    /// Nothing is blocked, throttled, known or served, as in fresh memory.
    pub fn reset(&self) {
        self.orders.duty.store(0);
        self.orders.until.store(0);
        (0..super::LINES).for_each(|index| self.clear(index));
    }

    /// Empties a line.
    pub fn clear(&self, index: u32) {
        for word in self.line(index) {
            word.store(0);
        }
    }

    fn line(&self, index: u32) -> &Line {
        self.lines.line(index).expect("the memory has all lines")
    }

    /// The client has a lease or reservation. To be told once that can be seen elsewhere, so that
    /// whoever fills the other filter finds it there.
    pub fn know(&self, mac: u64) {
        let hash = mix(self.orders, mac);
        self.insert(hash, leased(hash));
    }

    /// The client has an offer. To be told before it is sent.
    pub fn offer(&self, mac: u64) {
        let hash = mix(self.orders, mac);
        self.insert(hash, offered(hash));
    }

    /// Into both filters, as one of them is always being prepared.
    fn insert(&self, hash: u64, places: u64) {
        for half in [0, FILTER] {
            let line = self.line(half + filter_line(hash));
            for i in 0..PROBES {
                let at = places >> (9 * i);
                let (word, bit) = (&line[(at >> 6) as usize & (LINE - 1)], 1 << (at & 63));
                // Mostly there already; then the line stays in everybody's cache.
                if word.load() & bit == 0 {
                    word.insert(bit);
                }
            }
        }
    }

    /// Changes over to the filter that was being filled, and empties the other one, to be filled
    /// with all that is known now.
    pub fn turn(&self) {
        self.change_over().for_each(|index| self.clear(index));
    }

    /// The first half of [`Self::turn`]: tells which lines count no more.
    pub fn change_over(&self) -> Range<u32> {
        let was = self.orders.duty.load() & SECOND;
        if was == 0 {
            self.orders.duty.insert(SECOND);
        } else {
            self.orders.duty.remove(SECOND);
        }
        let first = if was == 0 { 0 } else { FILTER };
        first..first + FILTER
    }

    /// Bits set in a thousand, in the filter that counts.
    #[must_use]
    pub fn fullness(&self) -> u32 {
        let second = self.orders.duty.load() & SECOND != 0;
        let first = if second { FILTER } else { 0 };
        let ones = |index| -> u32 {
            let words = self.line(index).iter();
            words.map(|word| word.load().count_ones()).sum()
        };
        let sum: u64 = (first..first + FILTER).map(|at| u64::from(ones(at))).sum();
        (sum * 1000 / (u64::from(FILTER) * 512)) as u32
    }

    /// Blocks a client where it asks from; tells which place of the list it has. If all four are taken,
    /// the one that ends first makes room.
    pub fn block(&self, asker: &Asker, until: u64, now: u64) -> usize {
        let key = block_key(self.orders, asker);
        let line = set_line(self.orders, key);
        let set = self.line(line);
        let ends = |way: usize| match (set[2 * way].load(), set[2 * way + 1].load()) {
            (other, _) if other == key => 0,
            (_, ends) if ends <= now => 1,
            (_, ends) => ends,
        };
        let way = (0..WAYS).min_by_key(|way| ends(*way)).unwrap_or(0);
        // In this order nobody is taken for the one who is blocked, or blocked for another's time.
        set[2 * way + 1].store(0);
        set[2 * way].store(key);
        set[2 * way + 1].store(until);
        self.orders.duty.insert(BLOCKS);
        (line - FIRST_SET) as usize * WAYS + way
    }

    /// Blocks that have not ended.
    pub fn blocks(&self, now: u64) -> impl Iterator<Item = Entry> {
        let entry = move |set: u32, way: usize| Entry {
            at: set as usize * WAYS + way,
            mac: self.line(FIRST_SET + set)[2 * way].load() >> 16,
            until: self.line(FIRST_SET + set)[2 * way + 1].load(),
        };
        (0..SETS)
            .flat_map(move |set| (0..WAYS).map(move |way| entry(set, way)))
            .filter(move |entry| entry.until > now)
    }

    /// Ends a block.
    pub fn unblock(&self, at: usize) {
        let set = self.line(FIRST_SET + (at / WAYS) as u32);
        set[2 * (at % WAYS) + 1].store(0);
    }

    /// Has nobody look at the list any more, as it is empty.
    pub fn unblock_all(&self) {
        self.orders.duty.remove(BLOCKS);
    }

    /// The daemon stands by its orders until then.
    pub fn hold(&self, until: u64) {
        self.orders.until.store(until);
    }

    /// Limits the requests of clients that are not known, for each ingress and class; 0: no more.
    pub fn limit(&self, per_second: u32) {
        let interval = 1_000_000_000u64.checked_div(per_second.into()).unwrap_or(0);
        self.orders.interval.store(interval);
        if interval == 0 {
            self.orders.duty.remove(RATES);
        } else {
            self.orders.duty.insert(RATES);
        }
    }

    /// How many requests of each ingress were dropped since memory is there; of two that share a
    /// bucket, the last.
    pub fn dropped(&self) -> impl Iterator<Item = (u64, u64)> {
        let buckets = (0..BUCKETS).map(|bucket| self.line(FIRST_BUCKET + bucket));
        buckets
            .map(|line| (line[WHOSE].load(), line[DROPPED].load()))
            .filter(|(_, dropped)| *dropped != 0)
    }

    /// Serves these links (packed) and addresses, and no others. What does not fit is judged by
    /// the daemon alone.
    pub fn serve(&self, links: &[u64], addresses: &[u32]) {
        let addresses = addresses
            .iter()
            .map(|address| ADDRESS | u64::from(*address));
        let mut lines = [[0; LINE]; PLACES as usize];
        for place in links.iter().copied().chain(addresses) {
            let line = &mut lines[(place_line(self.orders, place) - FIRST_PLACE) as usize];
            if let Some(free) = line.iter_mut().find(|word| **word == 0 || **word == place) {
                *free = place;
            }
        }
        for (i, places) in lines.iter().enumerate() {
            for (word, place) in self.line(FIRST_PLACE + i as u32).iter().zip(places) {
                word.store(*place);
            }
        }
    }
}
