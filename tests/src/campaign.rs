//! How hard a test that looks for faults goes at it, and what it tells of them.
//!
//! Run by `cargo test`, such a test is short, with a seed that is always the same. `cargo xtask faults` runs the
//! same tests for long: it sets `XDHCPD_FAULTS_SECS`, and `XDHCPD_SEED` to a new seed or to the one that
//! a failure printed.

use std::env;
use std::fmt::Display;
use std::time::Duration;

use serde_json::json;

/// The seed of the short form.
const SEED: u64 = 1;

/// One run of a test that looks for faults.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    pub seed: u64,
    /// For how long what could go on for ever does so; short form: none.
    time: Option<Duration>,
}

impl Campaign {
    pub fn from_env() -> Self {
        let number = |name| env::var(name).ok().and_then(|value| value.parse().ok());
        let campaign = Self {
            seed: number("XDHCPD_SEED").unwrap_or(SEED),
            time: number("XDHCPD_FAULTS_SECS").map(Duration::from_secs),
        };
        // Shown if the test fails.
        println!("XDHCPD_SEED={}", campaign.seed);
        campaign
    }

    pub fn is_long(&self) -> bool {
        self.time.is_some()
    }

    /// How often what is counted is done.
    pub fn times(&self, short: u64, long: u64) -> u64 {
        if self.is_long() { long } else { short }
    }

    /// How long what has no end of its own goes on.
    pub fn time(&self, short: Duration) -> Duration {
        self.time.unwrap_or(short)
    }

    /// A row of the table in `docs/reliability.md`. `times`: how often the fault was made.
    /// `checked`: what was looked at then, and how much of it. `pause`: how long answers paused at worst.
    pub fn tell(&self, fault: &str, times: impl Display, checked: &str, lost: u64, pause: &str) {
        let row = json!({
            "fault": fault,
            "times": times.to_string(),
            "checked": checked,
            "lost": lost,
            "pause": pause,
            "seed": self.seed,
        });
        println!("FAULT {row}");
    }
}
