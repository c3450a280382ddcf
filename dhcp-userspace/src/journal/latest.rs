//! Which leases of a log are the last ones of their address.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Addresses that stand together, as those of a pool do.
const BLOCK: u32 = 256;

/// Counts the leases of a log as they are read: a lease's number tells later whether it counts, without
/// its address being looked up again.
#[derive(Default)]
pub(super) struct Latest {
    /// Where the numbers of a block are, by the block.
    places: HashMap<u32, usize, RandomState>,
    /// The block looked at last, and its place.
    last: Option<(u32, usize)>,
    /// One more than the number of the last lease of each address; 0: none, or forgotten.
    blocks: Vec<[u64; BLOCK as usize]>,
    /// One bit for each lease: set if it is the last one of its address.
    counts: Vec<u64>,
    seen: u64,
    len: u64,
}

impl Latest {
    /// Leases seen so far, which is the number of the next one.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Those that are the last ones of their address.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn note(&mut self, address: u32, is_forgotten: bool) {
        let number = self.seen;
        self.seen += 1;
        if number.is_multiple_of(64) {
            self.counts.push(0);
        }
        let next = if is_forgotten { 0 } else { number + 1 };
        let before = std::mem::replace(self.of(address), next);
        if let Some(before) = before.checked_sub(1) {
            self.flip(before);
            self.len -= 1;
        }
        if !is_forgotten {
            self.flip(number);
            self.len += 1;
        }
    }

    pub(super) fn is_last(&self, number: u64) -> bool {
        let word = self.counts.get((number / 64) as usize);
        word.is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    fn flip(&mut self, number: u64) {
        self.counts[(number / 64) as usize] ^= 1 << (number % 64);
    }

    fn of(&mut self, address: u32) -> &mut u64 {
        let block = address / BLOCK;
        let place = match self.last {
            Some((last, place)) if last == block => place,
            _ => self.find(block),
        };
        &mut self.blocks[place][(address % BLOCK) as usize]
    }

    fn find(&mut self, block: u32) -> usize {
        let place = *self.places.entry(block).or_insert_with(|| {
            self.blocks.push([0; BLOCK as usize]);
            self.blocks.len() - 1
        });
        self.last = Some((block, place));
        place
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_a_map_of_all_addresses_would_tell(
            leases in prop::collection::vec((0..5u32, 0..300u32, prop::bool::weighted(0.2)), 0..600),
        ) {
            let mut latest = Latest::default();
            let mut model = HashMap::new();
            for (number, (far, near, is_forgotten)) in leases.iter().enumerate() {
                let address = 0x0a00_0000 + (far << 20) + near;
                latest.note(address, *is_forgotten);
                if *is_forgotten {
                    model.remove(&address);
                } else {
                    model.insert(address, number as u64);
                }
            }
            prop_assert_eq!((latest.seen(), latest.len()), (leases.len() as u64, model.len() as u64));
            let mut last: Vec<u64> = model.into_values().collect();
            last.sort_unstable();
            let found: Vec<u64> = (0..latest.seen() + 70).filter(|n| latest.is_last(*n)).collect();
            prop_assert_eq!(found, last);
        }
    }
}
