//! How long clients wait for answers.

use std::time::Duration;

/// How long answers took, from the first request of a transaction on, however often it was repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    pub answers: usize,
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

/// Of renewals, and of all else.
#[derive(Debug, Default)]
pub struct Answers {
    renewals: Vec<u32>,
    others: Vec<u32>,
}

impl Answers {
    pub fn add(&mut self, took: u64, is_renewal: bool) {
        let micros = u32::try_from(took / 1_000).unwrap_or(u32::MAX);
        let times = if is_renewal {
            &mut self.renewals
        } else {
            &mut self.others
        };
        times.push(micros);
    }

    pub fn all(&self) -> Pauses {
        Pauses::of([&self.renewals[..], &self.others].concat())
    }

    pub fn renewals(&self) -> Pauses {
        Pauses::of(self.renewals.clone())
    }

    pub fn others(&self) -> Pauses {
        Pauses::of(self.others.clone())
    }
}

impl Pauses {
    fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let last = micros.len().saturating_sub(1);
        let percentile = |percent: usize| {
            let micros = micros.get(last * percent / 100).copied();
            Duration::from_micros(micros.unwrap_or_default().into())
        };
        Self {
            answers: micros.len(),
            p50: percentile(50),
            p99: percentile(99),
            max: percentile(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_each_kind() {
        let mut answers = Answers::default();
        for millis in 1..=101 {
            answers.add(millis * 1_000_000, millis % 2 == 0);
        }
        let millis = Duration::from_millis;
        assert_eq!(
            answers.all(),
            Pauses {
                answers: 101,
                p50: millis(51),
                p99: millis(100),
                max: millis(101),
            }
        );
        assert_eq!(answers.renewals().max, millis(100));
        assert_eq!(answers.others().answers, 51);
        assert_eq!(Answers::default().all(), Pauses::default());
    }
}
