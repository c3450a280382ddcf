//! What the program logs, as log lines of the daemon: all about the one client that an operator
//! watches, as it comes; and what should never happen, about once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aya::Ebpf;
use aya_log::EbpfLogger;
use dhcp_common::Reason;
use dhcp_common::wire::mac_bytes;
use log::{Log, Metadata, Record};
use tracing::dispatcher;

/// How long a line may wait in the ring buffer.
const INTERVAL: Duration = Duration::from_millis(100);

/// The reading end of the program's log.
pub struct Tracer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<EbpfLogger<Lines>>>,
    idle: Option<EbpfLogger<Lines>>,
}

impl Tracer {
    /// `None` if the object was built without logging.
    #[must_use]
    pub fn new(ebpf: &mut Ebpf) -> Option<Self> {
        Some(Self {
            stop: Arc::default(),
            thread: None,
            idle: Some(EbpfLogger::init_with_logger(ebpf, Lines).ok()?),
        })
    }

    pub fn start(&mut self) {
        let Some(mut logger) = self.idle.take() else {
            return;
        };
        self.stop.store(false, Ordering::Relaxed);
        let stop = Arc::clone(&self.stop);
        let log = dispatcher::get_default(Clone::clone);
        self.thread = Some(thread::spawn(move || {
            dispatcher::with_default(&log, || {
                while !stop.load(Ordering::Relaxed) {
                    logger.flush();
                    thread::park_timeout(INTERVAL);
                }
                logger.flush();
            });
            logger
        }));
    }

    /// Passes on what the program has logged, unless a thread does so all the time.
    pub fn pass_on(&mut self) {
        if let Some(logger) = &mut self.idle {
            logger.flush();
        }
    }

    pub fn stop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.stop.store(true, Ordering::Relaxed);
        thread.thread().unpark();
        self.idle = thread.join().ok();
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Turns the program's two numbers into words.
struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        match read(&text) {
            Some((mac, reason)) => {
                tracing::info!(%mac, reason = reason.label(), "kernel: {}", reason.describe());
            }
            None => tracing::info!("kernel: {text}"),
        }
    }

    fn flush(&self) {}
}

fn read(text: &str) -> Option<(String, Reason)> {
    let (mac, reason) = text.split_once(' ')?;
    let mac = mac_bytes(mac.parse().ok()?).map(|byte| format!("{byte:02x}"));
    Some((mac.join(":"), Reason::from_index(reason.parse().ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_words() {
        let line = format!("{} {}", 0x5254_0012_3456u64, Reason::MemoMiss as u32);
        let want = ("52:54:00:12:34:56".to_owned(), Reason::MemoMiss);
        assert_eq!(read(&line), Some(want));
        assert_eq!(read("1 999"), None);
        assert_eq!(read("else"), None);
    }
}
