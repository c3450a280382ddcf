//! What is due once a second: lapsed leases, promises, interfaces, counters, the watchdog.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use ipnet::Ipv4Net;
use sd_notify::NotifyState;

use super::shared::Shared;
use super::supervise::tell;
use super::wall::WallClock;
use super::{guarding, reload, rewrite, ticket};
use crate::clock::{Now, SECOND};
use crate::engine::{PoolView, Swept};

const PERIOD: Duration = Duration::from_secs(1);

/// Starts the sweeper, which runs until `stop` is dropped at the other end.
///
/// # Errors
/// If the system has no thread left.
pub fn start(shared: Arc<Shared>, stop: Receiver<()>) -> io::Result<JoinHandle<()>> {
    let mut wall = WallClock::new(Now::read());
    let run = move || {
        let mut exhausted = Exhausted::default();
        while stop.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            sweep(&shared);
            for change in exhausted.look(&shared.core.engine.pools()) {
                change.log();
                if let Change::Room { .. } = change {
                    shared.core.guard.pardon();
                }
            }
            wall.look(&shared.core, &shared.journal, Now::read());
            rewrite::go_on(&shared.core, &shared.journal);
            rewrite::settle(&shared.core, &shared.journal, Now::read());
            reload::refresh(&shared);
            let ports = shared.ports.lock().expect("no panics while held");
            let lost = ports.count(&shared.core.metrics);
            drop(ports);
            guarding::tick(&shared, lost);
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

/// Subnets whose pools have no address left, so that it is said once.
#[derive(Default)]
struct Exhausted(BTreeSet<Ipv4Net>);

#[derive(Debug, PartialEq, Eq)]
enum Change {
    Full {
        subnet: Ipv4Net,
        size: u64,
    },
    Room {
        subnet: Ipv4Net,
        size: u64,
        free: u64,
    },
}

impl Exhausted {
    fn look(&mut self, pools: &[PoolView]) -> Vec<Change> {
        let change = |pool: &PoolView| {
            let PoolView { subnet, free, size } = *pool;
            if size > 0 && free == 0 {
                self.0
                    .insert(subnet)
                    .then_some(Change::Full { subnet, size })
            } else {
                let was = self.0.remove(&subnet);
                was.then_some(Change::Room { subnet, size, free })
            }
        };
        pools.iter().filter_map(change).collect()
    }
}

impl Change {
    fn log(&self) {
        match self {
            Self::Full { subnet, size } => tracing::warn!(
                %subnet, size,
                "the pools are exhausted: new clients get no address"
            ),
            Self::Room { subnet, size, free } => {
                tracing::info!(%subnet, size, free, "the pools have room again");
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhaustion_and_its_end_are_told_once() {
        let subnet = "10.0.0.0/24".parse().unwrap();
        let pool = |free| {
            [PoolView {
                subnet,
                free,
                size: 10,
            }]
        };
        let mut exhausted = Exhausted::default();
        assert_eq!(exhausted.look(&pool(1)), []);
        assert_eq!(
            exhausted.look(&pool(0)),
            [Change::Full { subnet, size: 10 }]
        );
        assert_eq!(exhausted.look(&pool(0)), []);
        let room = Change::Room {
            subnet,
            size: 10,
            free: 2,
        };
        assert_eq!(exhausted.look(&pool(2)), [room]);
        assert_eq!(exhausted.look(&pool(2)), []);
        let none = [PoolView {
            subnet,
            free: 0,
            size: 0,
        }];
        assert_eq!(exhausted.look(&none), [], "reservations only");
    }
}
