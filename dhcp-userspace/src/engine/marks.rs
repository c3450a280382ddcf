use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use dhcp_common::layout::BLOCK;

/// What the sweeper knows of each slot.
pub(super) struct Marks {
    /// Renewals by the kernel that were reported, by blocks: none of them for most slots of a table
    /// that has room to grow.
    seen: Box<[OnceLock<Seen>]>,
    /// A promise is on its way to disk.
    pub(super) moving: Box<[AtomicBool]>,
}

type Seen = Box<[AtomicU32; BLOCK as usize]>;

impl Marks {
    pub(super) fn new(slots: u32) -> Self {
        Self {
            seen: (0..slots.div_ceil(BLOCK))
                .map(|_| OnceLock::new())
                .collect(),
            moving: (0..slots).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    pub(super) fn seen(&self, index: u32) -> u32 {
        let block = self.seen[(index / BLOCK) as usize].get();
        block.map_or(0, |block| {
            block[(index % BLOCK) as usize].load(Ordering::Relaxed)
        })
    }

    pub(super) fn set(&self, index: u32, renewals: u32) {
        let block = &self.seen[(index / BLOCK) as usize];
        if renewals == 0 && block.get().is_none() {
            return;
        }
        let block = block.get_or_init(|| Box::new([const { AtomicU32::new(0) }; BLOCK as usize]));
        block[(index % BLOCK) as usize].store(renewals, Ordering::Relaxed);
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
        let blocks = marks.seen.iter().filter(|block| block.get().is_some());
        assert_eq!(blocks.count(), 2, "no memory for what was never renewed");
    }
}
