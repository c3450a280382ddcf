use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use dhcp_common::layout::BLOCK;

/// What is kept of each slot beside it.
pub(super) struct Marks {
    /// Renewals by the kernel that were reported.
    seen: Counts,
    /// Boot memos that name its address.
    pub(super) boots: Counts,
    /// A promise is on its way to disk.
    pub(super) moving: Box<[AtomicBool]>,
}

/// A number for each slot, by blocks: none of them for most slots of a table that has room to grow.
pub(super) struct Counts(Box<[OnceLock<Block>]>);

type Block = Box<[AtomicU32; BLOCK as usize]>;

impl Counts {
    fn new(slots: u32) -> Self {
        let blocks = 0..slots.div_ceil(BLOCK);
        Self(blocks.map(|_| OnceLock::new()).collect())
    }

    pub(super) fn get(&self, index: u32) -> u32 {
        self.there(index)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(super) fn add(&self, index: u32) {
        self.at(index).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, index: u32) {
        if let Some(count) = self.there(index) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn there(&self, index: u32) -> Option<&AtomicU32> {
        let block = self.0[(index / BLOCK) as usize].get();
        block.map(|block| &block[(index % BLOCK) as usize])
    }

    fn at(&self, index: u32) -> &AtomicU32 {
        let block = &self.0[(index / BLOCK) as usize];
        let block = block.get_or_init(|| Box::new([const { AtomicU32::new(0) }; BLOCK as usize]));
        &block[(index % BLOCK) as usize]
    }
}

impl Marks {
    pub(super) fn new(slots: u32) -> Self {
        Self {
            seen: Counts::new(slots),
            boots: Counts::new(slots),
            moving: (0..slots).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    pub(super) fn seen(&self, index: u32) -> u32 {
        self.seen.get(index)
    }

    pub(super) fn set(&self, index: u32, renewals: u32) {
        if renewals != 0 || self.seen.there(index).is_some() {
            self.seen.at(index).store(renewals, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_seen_and_nothing_else() {
        let marks = Marks::new(600);
        for (index, renewals) in [(0, 0), (300, 7), (599, 1), (300, 8), (599, 0)] {
            marks.set(index, renewals);
            assert_eq!(marks.seen(index), renewals);
        }
        let seen: u32 = (0..600).map(|index| marks.seen(index)).sum();
        assert_eq!(seen, 8);
        let blocks = marks.seen.0.iter().filter(|block| block.get().is_some());
        assert_eq!(blocks.count(), 2, "no memory for what was never renewed");
    }
}
