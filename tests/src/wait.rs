//! Waiting for something to become true, without guessing how long that takes.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt;

const POLL: Duration = Duration::from_millis(20);

/// Asks `condition` until it has an answer; after `limit`, or on Ctrl-C, this is an error.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Deadline::after(limit);
    loop {
        if let Some(answer) = condition()? {
            return Ok(answer);
        }
        interrupt::check()?;
        if deadline.left().is_zero() {
            bail!("waited {limit:?} for {what}, in vain");
        }
        thread::sleep(POLL.min(deadline.left()));
    }
}

/// A point in time after which it is no use to wait.
#[derive(Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    #[expect(clippy::disallowed_methods, reason = "real processes run on real time")]
    pub fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    #[expect(clippy::disallowed_methods, reason = "real processes run on real time")]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_soon_as_the_condition_does() {
        let mut asked = 0;
        let answer = wait_until("the third try", Duration::from_secs(60), || {
            asked += 1;
            Ok((asked == 3).then_some(asked))
        });
        assert_eq!(answer.unwrap(), 3);
    }

    #[test]
    fn says_what_it_waited_for() {
        let error = wait_until::<()>("rain", Duration::ZERO, || Ok(None)).unwrap_err();
        assert!(error.to_string().contains("for rain"), "{error}");
    }

    #[test]
    fn ends_at_the_first_error() {
        let result = wait_until::<()>("rain", Duration::from_secs(60), || bail!("dry"));
        assert_eq!(result.unwrap_err().to_string(), "dry");
    }
}
