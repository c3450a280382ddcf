//! What every thread that touches leases needs, the committer's included.

use std::collections::BTreeMap;

use arc_swap::ArcSwap;
use tokio::sync::broadcast;

use super::alert::Alerts;
use super::rewrite::Rewrite;
use crate::clock::{Now, SECOND};
use crate::control::Metrics;
use crate::control::metrics::label;
use crate::control::protocol::{Happened, format_mac};
use crate::engine::{Engine, Event};

/// Events that a reader of `xdhcpctl events` may lag behind before it loses some.
const EVENTS: usize = 4096;

pub struct Core {
    pub engine: Engine,
    pub metrics: Metrics,
    pub events: broadcast::Sender<Happened>,
    /// Names of the served interfaces, by index.
    pub names: ArcSwap<BTreeMap<u32, String>>,
    pub rewrite: Rewrite,
    alerts: Alerts,
}

impl Core {
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            metrics: Metrics::default(),
            events: broadcast::channel(EVENTS).0,
            names: ArcSwap::default(),
            rewrite: Rewrite::default(),
            alerts: Alerts::default(),
        }
    }

    /// Counts an event, and tells who watches.
    pub fn happened(&self, event: &Event, now: Now) {
        self.metrics.event(event.kind);
        self.alerts.look(event, now);
        if self.events.receiver_count() == 0 {
            return;
        }
        // An error says that nobody watches any more.
        let _ = self.events.send(Happened {
            time: now.unix / SECOND,
            kind: label(event.kind).to_owned(),
            mac: format_mac(&event.mac),
            address: event.address,
            interface: self.name_of(event.ifindex),
        });
    }

    /// The name of a served interface; empty if it is served no longer.
    #[must_use]
    pub fn name_of(&self, ifindex: u32) -> String {
        self.names.load().get(&ifindex).cloned().unwrap_or_default()
    }
}
