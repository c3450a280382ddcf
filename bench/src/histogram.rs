//! How times are distributed: counts in buckets that are 1/64 of a power of two wide, so that every figure is right
//! to 1.6 %.

const FINE_BITS: u32 = 6;
const FINE: usize = 1 << FINE_BITS;
/// Up to 2^42 ns, more than an hour.
const BUCKETS: usize = (42 - FINE_BITS as usize) * FINE;

#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            sum: 0,
            max: 0,
        }
    }
}

impl Histogram {
    pub fn add(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.sum += value;
        self.max = self.max.max(value);
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    /// 0 if there are none.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.total.max(1) as f64
    }

    /// The value that a share of all (0 to 1) does not exceed; 0 if there are none.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (number, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(number).min(self.max);
            }
        }
        0
    }
}

/// The first 64 buckets hold one value each; then each power of two has 64.
fn bucket(value: u64) -> usize {
    let power = value.max(1).ilog2().saturating_sub(FINE_BITS);
    let number = power as usize * FINE + (value >> power) as usize;
    number.min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper(number: usize) -> u64 {
    if number < FINE {
        return number as u64;
    }
    let power = number / FINE - 1;
    let first = (number - power * FINE) as u64;
    ((first + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_is_close_above() {
        for value in (0..60)
            .map(|bit| 1u64 << bit)
            .chain([3, 63, 65, 127, 1000, 123_456_789])
        {
            for value in [value, value + 1]
                .into_iter()
                .filter(|value| *value < 1 << 41)
            {
                let upper = upper(bucket(value));
                assert!(
                    upper >= value && upper <= value + value / 63,
                    "{value}: {upper}"
                );
            }
        }
    }

    #[test]
    fn buckets_follow_each_other() {
        for number in 1..BUCKETS - FINE {
            assert_eq!(bucket(upper(number - 1) + 1), number);
        }
    }

    #[test]
    fn quantiles_of_a_known_distribution() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        for value in 1..=1000 {
            histogram.add(value * 1000);
        }
        let close = |share, want: u64| {
            let found = histogram.quantile(share);
            assert!(
                found.abs_diff(want) <= want / 60,
                "{share}: {found}, not {want}"
            );
        };
        close(0.5, 500_000);
        close(0.99, 990_000);
        close(1.0, 1_000_000);
        assert_eq!((histogram.max(), histogram.total()), (1_000_000, 1000));
        assert_eq!(histogram.mean(), 500_500.0);
    }

    #[test]
    fn one_slow_answer_is_the_maximum_and_not_the_median() {
        let mut histogram = Histogram::default();
        (0..99).for_each(|_| histogram.add(10));
        histogram.add(5_000_000_000);
        assert_eq!(histogram.quantile(0.5), 10);
        assert_eq!(histogram.quantile(1.0), 5_000_000_000);
    }
}
