//! Somebody who cannot leave the configuration alone: other options each time, and now and then another lease time.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use xdhcpd_tests::{Daemon, Ledger};

const PAUSE: Duration = Duration::from_secs(1);
/// One reload in so many changes the lease time.
const LEASE_TIME: u64 = 5;

/// In a configuration: what differs from one reload to the next.
const DOMAIN: &str = "lab.example";

/// The shorter of two lease times, as a configuration says them.
pub fn shortest(lease_times: [&str; 2]) -> Duration {
    let seconds = |text: &str| match text.strip_suffix('m') {
        Some(minutes) => minutes.parse().map(|minutes: u64| 60 * minutes),
        None => text.trim_end_matches('s').parse(),
    };
    let [a, b] = lease_times.map(|text| seconds(text).expect("seconds or minutes"));
    Duration::from_secs(a.min(b))
}

/// Until it is dropped.
pub struct Reloads {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    done: AtomicU64,
}

struct Reloader {
    ctl: PathBuf,
    directory: PathBuf,
    config: String,
    lease_times: [&'static str; 2],
    ledger: Arc<Ledger>,
    shared: Arc<Shared>,
}

impl Reloads {
    /// `config` has the first of the lease times; the daemon may come and go.
    pub fn start(
        daemon: &Daemon,
        config: &str,
        lease_times: [&'static str; 2],
        ledger: &Arc<Ledger>,
    ) -> Self {
        let shared = Arc::<Shared>::default();
        let reloader = Reloader {
            ctl: daemon.ctl_command().get_program().into(),
            directory: daemon.directory().to_owned(),
            config: config.replace("@DIR@", &daemon.directory().to_string_lossy()),
            lease_times,
            ledger: Arc::clone(ledger),
            shared: Arc::clone(&shared),
        };
        Self {
            shared,
            thread: Some(thread::spawn(move || reloader.run())),
        }
    }

    /// How many reloads the daemon has taken.
    pub fn done(&self) -> u64 {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// Ends it; the daemon must run, so that nothing is left half done.
    pub fn finish(mut self) -> Result<u64> {
        self.end()?;
        Ok(self.done())
    }

    fn end(&mut self) -> Result<()> {
        self.shared.ended.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread.thread().unpark();
        thread.join().expect("no panic")
    }
}

impl Drop for Reloads {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Reloader {
    fn run(&self) -> Result<()> {
        for number in 1.. {
            thread::park_timeout(PAUSE);
            if self.shared.ended.load(Ordering::Relaxed) {
                break;
            }
            let other = number / LEASE_TIME % 2;
            let config = self.config(number, self.lease_times[other as usize]);
            if number % LEASE_TIME == 0 {
                let shortest = shortest(self.lease_times);
                let reload = || self.reload(&config);
                self.ledger.lease_time_changes(shortest, reload)?;
            } else {
                self.reload(&config)?;
            }
        }
        Ok(())
    }

    fn config(&self, number: u64, lease_time: &str) -> String {
        let domain = format!("lab{number}.example");
        let before = format!("lease_time: {}", self.lease_times[0]);
        let config = self.config.replace(DOMAIN, &domain);
        config.replace(&before, &format!("lease_time: {lease_time}"))
    }

    /// Until a daemon has taken it: one that is killed meanwhile may have, or not.
    fn reload(&self, config: &str) -> Result<()> {
        let path = self.directory.join("dhcp.yaml");
        let next = path.with_extension("next");
        fs::write(&next, config)?;
        fs::rename(&next, &path).context("could not exchange the configuration")?;
        while !self.ask()? && !self.shared.ended.load(Ordering::Relaxed) {
            thread::park_timeout(PAUSE / 10);
        }
        Ok(())
    }

    fn ask(&self) -> Result<bool> {
        let mut ctl = Command::new(&self.ctl);
        ctl.arg("--socket").arg(self.directory.join("control.sock"));
        ctl.arg("reload")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let taken = ctl.status()?.success();
        self.shared.done.fetch_add(taken.into(), Ordering::Relaxed);
        Ok(taken)
    }
}
