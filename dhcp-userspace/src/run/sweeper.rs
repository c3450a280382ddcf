//! What is due once a second: lapsed leases, promises, interfaces, counters, the watchdog.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use sd_notify::NotifyState;

use super::shared::Shared;
use super::supervise::tell;
use super::{reload, rewrite, ticket};
use crate::clock::{Now, SECOND};
use crate::engine::Swept;

const PERIOD: Duration = Duration::from_secs(1);

/// Starts the sweeper, which runs until `stop` is dropped at the other end.
///
/// # Errors
/// If the system has no thread left.
pub fn start(shared: Arc<Shared>, stop: Receiver<()>) -> io::Result<JoinHandle<()>> {
    let run = move || {
        while stop.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            sweep(&shared);
            rewrite::go_on(&shared.core, &shared.journal);
            reload::refresh(&shared);
            shared
                .ports
                .lock()
                .expect("no panics while held")
                .count(&shared.core.metrics);
            shared
                .fastpath
                .lock()
                .expect("no panics while held")
                .check();
            tell(&[NotifyState::Watchdog]);
        }
    };
    std::thread::Builder::new()
        .name("sweeper".to_owned())
        .spawn(run)
}

fn sweep(shared: &Shared) {
    let now = Now::read();
    let core = &shared.core;
    let mut rejected = Vec::new();
    // Half of the queue is for clients; the next sweep moves the rest.
    let may_promise = || !shared.journal.is_half_full();
    core.engine
        .sweep(now, &may_promise, &mut |swept| match swept {
            Swept::Event(event) => core.happened(&event, now),
            Swept::Promise(commit) => {
                rejected.extend(ticket::append(&shared.journal, commit, None, None).err());
            }
        });
    // Only now: the engine is busy during the walk.
    for rejected in rejected {
        ticket::refuse(core, rejected.ticket, &rejected.error);
    }
    let took = Now::read().boot.saturating_sub(now.boot);
    core.metrics
        .sweep_seconds
        .observe(took as f64 / SECOND as f64);
}
