//! What every thread that touches leases needs, the committer's included.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::broadcast;

use super::alert::Alerts;
use super::rewrite::Rewrite;
use crate::clock::{Now, SECOND};
use crate::config::model::Mac;
use crate::control::Metrics;
use crate::control::metrics::label;
use crate::control::protocol::{Happened, format_mac};
use crate::engine::{Engine, Event, Ignored, Incoming};
use crate::guard::Guard;

/// Events that a reader of `xdhcpctl events` may lag behind before it loses some.
const EVENTS: usize = 4096;

pub struct Core {
    pub engine: Engine,
    pub guard: Guard,
    pub metrics: Metrics,
    pub events: broadcast::Sender<Happened>,
    /// Names of the served interfaces, by index.
    pub names: ArcSwap<BTreeMap<u32, String>>,
    pub rewrite: Rewrite,
    alerts: Alerts,
    refused_relays: Alerts,
}

impl Core {
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        let guard = Guard::new(Arc::clone(engine.table()), &engine.config().guard);
        guard.learn(&engine);
        Self {
            guard,
            engine,
            metrics: Metrics::default(),
            events: broadcast::channel(EVENTS).0,
            names: ArcSwap::default(),
            rewrite: Rewrite::default(),
            alerts: Alerts::default(),
            refused_relays: Alerts::default(),
        }
    }

    /// Counts a packet that is not answered, and warns of what an operator may have forgotten.
    pub fn ignored(&self, reason: Ignored, incoming: &Incoming<'_>, now: Now) {
        self.metrics.ignore(reason);
        if reason == Ignored::RelayNotAllowed {
            self.refused_relays.refuse(incoming, now);
        }
    }

    /// Counts an event, and tells the guard and who watches. Comes before the client is told.
    pub fn happened(&self, event: &Event, now: Now) {
        self.guard.heard(event);
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

    /// Tells who watches of something that is about no lease.
    pub fn alert(&self, kind: &str, mac: Option<Mac>, interface: String, now: Now) {
        let _ = self.events.send(Happened {
            time: now.unix / SECOND,
            kind: kind.to_owned(),
            mac: mac.as_ref().map(format_mac).unwrap_or_default(),
            address: Ipv4Addr::UNSPECIFIED,
            interface,
        });
    }

    /// The name of a served interface; empty if it is served no longer.
    #[must_use]
    pub fn name_of(&self, ifindex: u32) -> String {
        self.names.load().get(&ifindex).cloned().unwrap_or_default()
    }
}
