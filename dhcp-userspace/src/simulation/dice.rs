//! What a seed decides.

use crate::journal::faulty::Random;

pub(super) struct Dice(Random);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)))
    }

    pub(super) fn seed(&mut self) -> u64 {
        self.0.below(usize::MAX) as u64
    }

    /// From `first` to `last`, both included.
    pub(super) fn range(&mut self, first: u64, last: u64) -> u64 {
        first + self.0.below((last - first + 1) as usize) as u64
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.permille(10 * percent)
    }

    pub(super) fn permille(&mut self, permille: u64) -> bool {
        self.range(1, 1000) <= permille
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.below(from.len())]
    }

    /// Times that are short mostly and long now and then, about `mean` on average.
    pub(super) fn about(&mut self, mean: u64) -> u64 {
        let short = self.range(0, mean.max(1));
        if self.percent(20) {
            short + self.range(0, 5 * mean.max(1))
        } else {
            short
        }
    }
}
