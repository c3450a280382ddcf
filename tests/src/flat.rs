//! Whether what was measured again and again stays flat, or grows.
//!
//! What a process does first, it does once: buffers fill up, pages are touched. So only the second half
//! of the measurements counts. A line is fitted through it, and what the line rises by must be more
//! than a certain room, and more than what the measurements stray from it, to count as growth.

use std::collections::BTreeMap;
use std::fmt;

/// So many times the typical distance from the line is no chance any more.
const CERTAIN: f64 = 3.0;
/// Fewer measurements tell nothing.
const LEAST: usize = 8;
/// How many measurements of each are shown.
const SHOWN: usize = 16;

/// Measurements by name, in the order of time.
#[derive(Debug, Default)]
pub struct Series {
    values: BTreeMap<String, Vec<f64>>,
}

/// Something that does not stay flat.
#[derive(Debug, PartialEq)]
pub struct Growth {
    pub name: String,
    /// Where the line is at the beginning and at the end of the second half.
    pub from: f64,
    pub to: f64,
    pub room: f64,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            from,
            to,
            room,
        } = self;
        write!(
            f,
            "{name} grows from {from:.0} to {to:.0} (room: {room:.0})"
        )
    }
}

impl Series {
    pub fn add(&mut self, sample: impl IntoIterator<Item = (String, f64)>) {
        for (name, value) in sample {
            self.values.entry(name).or_default().push(value);
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Some measurements of each, from the first to the last.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let some = |values: &[f64]| {
            let every = values.len().div_ceil(SHOWN).max(1);
            let rounded = values
                .iter()
                .step_by(every)
                .map(|value| format!("{value:.0}"));
            rounded.collect::<Vec<_>>().join(" ")
        };
        let rows = self.values.iter();
        rows.map(move |(name, values)| format!("{name}: {}", some(values)))
    }

    /// What grows by more than the room that `room` says for its name.
    pub fn growing(&self, room: impl Fn(&str) -> f64) -> Vec<Growth> {
        let grown = |(name, values): (&String, &Vec<f64>)| {
            let line = Line::through(&values[values.len() / 2..]);
            let (by, room) = (line.to - line.from, room(name));
            let grows = values.len() >= LEAST && by > room && by > CERTAIN * line.noise;
            grows.then(|| Growth {
                name: name.clone(),
                from: line.from,
                to: line.to,
                room,
            })
        };
        self.values.iter().filter_map(grown).collect()
    }
}

/// Least squares.
struct Line {
    from: f64,
    to: f64,
    /// The standard deviation from it.
    noise: f64,
}

impl Line {
    fn through(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let middle = (count - 1.0) / 2.0;
        let mean = values.iter().sum::<f64>() / count;
        let points = || (0_u32..).map(f64::from).zip(values);
        let together: f64 = points().map(|(x, y)| (x - middle) * (y - mean)).sum();
        let spread: f64 = points().map(|(x, _)| (x - middle).powi(2)).sum();
        let slope = if spread > 0.0 { together / spread } else { 0.0 };
        let at = |x: f64| mean + slope * (x - middle);
        let strays: f64 = points().map(|(x, y)| (y - at(x)).powi(2)).sum();
        Self {
            from: at(0.0),
            to: at(count - 1.0),
            noise: (strays / count).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growing(values: impl IntoIterator<Item = f64>, room: f64) -> Vec<Growth> {
        let mut series = Series::default();
        for value in values {
            series.add([("it".to_owned(), value)]);
        }
        series.growing(|_| room)
    }

    /// From -1 to 1, without any order that a line would find.
    fn jitter(at: u32) -> f64 {
        f64::from(at.wrapping_mul(2_654_435_761) >> 16) / 32_768.0 - 1.0
    }

    #[test]
    fn a_slow_leak_under_noise_is_found() {
        let leak = (0..60).map(|at| 1000.0 + f64::from(at) + 4.0 * jitter(at));
        let found = growing(leak, 10.0);
        assert_eq!(found.len(), 1);
        assert!(
            (20.0..40.0).contains(&(found[0].to - found[0].from)),
            "{found:?}"
        );
    }

    #[test]
    fn noise_warming_up_and_shrinking_are_no_growth() {
        let noise = (0..60).map(|at| 1000.0 + 100.0 * jitter(at));
        assert_eq!(growing(noise, 10.0), []);
        let warm = (0..60).map(|at| f64::from(at.min(25)) * 1000.0);
        assert_eq!(growing(warm, 10.0), []);
        assert_eq!(growing((0..60).map(|at| 1000.0 - f64::from(at)), 0.0), []);
    }

    #[test]
    fn within_the_room_is_flat() {
        let slow = || (0..60).map(|at| f64::from(at) / 10.0);
        assert_eq!(growing(slow(), 3.0), []);
        assert_eq!(growing(slow(), 2.0).len(), 1);
    }

    #[test]
    fn a_single_step_in_the_second_half_counts() {
        let step = (0..60).map(|at| if at < 45 { 0.0 } else { 100.0 });
        assert_eq!(growing(step, 50.0).len(), 1);
    }
}
