//! When to send again, and when to give up.

use std::time::Duration;

use tokio::time::Instant;

/// Before anything is known of the client.
const FIRST: Duration = Duration::from_secs(1);
/// Firmware may be busy for a while with what it got.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(4);
/// Silence after which the client is taken for gone.
pub const GIVE_UP: Duration = Duration::from_secs(30);
/// What a client that was never heard is sent: nobody else is to be flooded in its name.
const UNHEARD_SENDS: u32 = 3;
/// Such a client soon asks again by itself.
const UNHEARD_WAIT: Duration = Duration::from_secs(2);
/// Of the time that a client usually takes.
const PATIENCE: u32 = 4;

#[derive(Debug)]
pub struct Retry {
    /// What the client asked for (RFC 2349).
    fixed: Option<Duration>,
    usual: Duration,
    wait: Duration,
    heard: Instant,
    /// Sent so far to a client that was never heard; `None` once it was.
    unheard: Option<u32>,
    deadline: Instant,
    /// When that was sent whose answer tells how long the client takes.
    measured: Option<Instant>,
}

impl Retry {
    #[must_use]
    pub fn new(fixed: Option<Duration>, now: Instant) -> Self {
        let usual = fixed.unwrap_or(FIRST);
        Self {
            fixed,
            usual,
            wait: usual.min(UNHEARD_WAIT),
            heard: now,
            unheard: Some(1),
            deadline: now + usual.min(UNHEARD_WAIT),
            measured: None,
        }
    }

    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Something new was sent.
    pub fn sent(&mut self, now: Instant) {
        self.measured = Some(now);
        self.deadline = now + self.wait;
    }

    /// The client has answered.
    pub fn heard(&mut self, now: Instant) {
        if let (None, Some(sent)) = (self.fixed, self.measured.take()) {
            let took = (now - sent) * PATIENCE;
            let usual = if self.usual == FIRST {
                took
            } else {
                (self.usual * 7 + took) / 8
            };
            // Never again just FIRST, which says that nothing was measured yet.
            self.usual = usual.clamp(SHORTEST, FIRST - Duration::from_nanos(1));
        }
        self.wait = self.usual;
        self.heard = now;
        self.unheard = None;
        self.deadline = now + self.wait;
    }

    /// The deadline has passed: whether to send again.
    pub fn again(&mut self, now: Instant) -> bool {
        if now - self.heard >= GIVE_UP || self.unheard == Some(UNHEARD_SENDS) {
            return false;
        }
        self.unheard = self.unheard.map(|sends| sends + 1);
        self.measured = None;
        if self.fixed.is_none() {
            self.wait = (self.wait * 2).min(LONGEST);
        }
        self.deadline = now + self.wait;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When it sends again to a client that says nothing.
    fn waits(retry: &mut Retry, mut now: Instant) -> Vec<u128> {
        let start = now;
        let mut at = Vec::new();
        loop {
            now = retry.deadline();
            if !retry.again(now) {
                return at;
            }
            at.push((now - start).as_millis());
        }
    }

    #[test]
    fn who_was_never_heard_is_sent_little() {
        let now = Instant::now();
        for (timeout, want) in [(None, [1000, 3000]), (Some(10), [2000, 4000])] {
            let mut retry = Retry::new(timeout.map(Duration::from_secs), now);
            retry.sent(now);
            assert_eq!(waits(&mut retry, now), want);
            assert!(retry.deadline() <= now + Duration::from_secs(8));
        }
    }

    #[test]
    fn backs_off_and_gives_up() {
        let now = Instant::now();
        let mut retry = Retry::new(None, now);
        retry.heard(now);
        retry.sent(now);
        let want = [1000, 3000, 7000, 11000, 15000, 19000, 23000, 27000];
        assert_eq!(waits(&mut retry, now), want);
    }

    #[test]
    fn as_often_as_the_client_asked() {
        let now = Instant::now();
        let mut retry = Retry::new(Some(Duration::from_secs(10)), now);
        retry.heard(now);
        retry.sent(now);
        assert_eq!(waits(&mut retry, now), [10_000, 20_000]);
    }

    #[test]
    fn learns_how_quick_the_client_is() {
        let mut now = Instant::now();
        let mut retry = Retry::new(None, now);
        for _ in 0..9 {
            retry.sent(now);
            now += Duration::from_millis(1);
            retry.heard(now);
        }
        assert_eq!(retry.deadline() - now, SHORTEST);
        // What was sent twice tells nothing: the answer may be to either.
        retry.sent(now);
        assert!(retry.again(now + SHORTEST));
        retry.heard(now + Duration::from_secs(5));
        assert_eq!(retry.deadline() - now, Duration::from_secs(5) + SHORTEST);
    }
}
