//! Counters, and how Prometheus sees them and the state of the server.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use ipnet::Ipv4Net;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::protocol::{Journal, Packets, Pool};
use crate::engine::{EventKind, Ignored};
use crate::netboot::report::{Ended, Report, Totals};
use dhcp_common::Reason;

type Labels = Vec<(&'static str, String)>;

const KINDS: [EventKind; 13] = [
    EventKind::Offer,
    EventKind::Bind,
    EventKind::Renew,
    EventKind::KernelRenew,
    EventKind::Inform,
    EventKind::Proxy,
    EventKind::Nak,
    EventKind::Release,
    EventKind::Decline,
    EventKind::Conflict,
    EventKind::Expire,
    EventKind::LeaseQuery,
    EventKind::ForceRenew,
];

/// The name in metrics and tables.
#[must_use]
pub const fn label(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Offer => "offer",
        EventKind::Bind => "bind",
        EventKind::Renew => "renew",
        EventKind::KernelRenew => "kernel-renew",
        EventKind::Inform => "inform",
        EventKind::Proxy => "proxy",
        EventKind::Nak => "nak",
        EventKind::Release => "release",
        EventKind::Decline => "decline",
        EventKind::Conflict => "conflict",
        EventKind::Expire => "expire",
        EventKind::LeaseQuery => "lease-query",
        EventKind::ForceRenew => "force-renew",
    }
}

/// Whether the daemon sends something when this happens.
#[must_use]
pub const fn is_reply(kind: EventKind) -> bool {
    use EventKind::{Bind, ForceRenew, Inform, LeaseQuery, Nak, Offer, Proxy, Renew};
    matches!(
        kind,
        Offer | Bind | Renew | Inform | Proxy | Nak | LeaseQuery | ForceRenew
    )
}

/// Counters that the daemon's threads hold: counting looks no label up.
pub struct Metrics {
    registry: Registry,
    events: [Counter; KINDS.len()],
    ignored: Vec<Counter>,
    /// Of the fast path where the daemon runs it; [`State::fastpath`] has the sum.
    fast: [Counter; Reason::COUNT],
    pub received: Counter,
    pub dropped: Counter,
    pub sent: Counter,
    pub send_errors: Counter,
    /// Packets given up because records of their client did not reach the disk in time.
    pub waited_too_long: Counter,
    /// Offers without a conflict check, because too many were under way.
    pub unchecked: Counter,
    /// Clients that the guard has blocked.
    pub blocked: Counter,
    pub sweep_seconds: Histogram,
    journal_sync: Histogram,
    journal_sync_sum: Counter<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = registry();
        let replies = Family::<Labels, Counter>::default();
        let others = Family::<Labels, Counter>::default();
        let counter = |kind| {
            let family = if is_reply(kind) { &replies } else { &others };
            family.get_or_create_owned(&vec![("kind", label(kind).to_owned())])
        };
        let events = KINDS.map(counter);
        registry.register("replies", "Replies of the daemon, by kind", replies);
        registry.register(
            "lease_events",
            "Leases that ended or were renewed otherwise",
            others,
        );
        let build = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The running version", Info::new(build));
        let help = "Duration of a walk over the lease table";
        let sweep_seconds = seconds(&mut registry, "sweep", help);
        let help = "Duration of writing and syncing a batch of records";
        let journal_sync = seconds(&mut registry, "journal_fsync", help);
        Self {
            events,
            fast: std::array::from_fn(|_| Counter::default()),
            ignored: ignored(&mut registry),
            received: counter_in(&mut registry, "packets_received", "DHCP packets received"),
            dropped: counter_in(
                &mut registry,
                "packets_dropped",
                "DHCP packets lost because the receive buffer was full",
            ),
            sent: counter_in(
                &mut registry,
                "packets_sent",
                "Replies given to the interface",
            ),
            send_errors: counter_in(
                &mut registry,
                "send_errors",
                "Replies that the interface did not take",
            ),
            waited_too_long: counter_in(
                &mut registry,
                "waited_too_long",
                "Packets given up while a record of their client was on its way to disk",
            ),
            unchecked: counter_in(
                &mut registry,
                "offers_unchecked",
                "Offers without a conflict check, because too many were under way",
            ),
            blocked: counter_in(
                &mut registry,
                "guard_blocks",
                "Clients that were blocked for a while",
            ),
            sweep_seconds,
            journal_sync,
            journal_sync_sum: Counter::default(),
            registry,
        }
    }
}

fn registry() -> Registry {
    Registry::with_prefix("xdhcpd")
}

fn seconds(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::new(exponential_buckets(0.000_1, 4.0, 9));
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

fn counter_in(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn ignored(registry: &mut Registry) -> Vec<Counter> {
    let family = Family::<Labels, Counter>::default();
    let counter =
        |reason: &Ignored| family.get_or_create_owned(&vec![("reason", reason.label().to_owned())]);
    let counters = Ignored::ALL.iter().map(counter).collect();
    registry.register(
        "ignored",
        "Packets that were not answered, by reason",
        family,
    );
    counters
}

impl Metrics {
    pub fn event(&self, kind: EventKind) {
        self.events[kind as usize].inc();
    }

    pub fn ignore(&self, reason: Ignored) {
        self.ignored[reason as usize].inc();
    }

    /// A batch of records was written and synced in so many seconds.
    pub fn journal_synced(&self, seconds: f64) {
        self.journal_sync.observe(seconds);
        self.journal_sync_sum.inc_by(seconds);
    }

    /// The seconds of all batches.
    #[must_use]
    pub fn journal_sync_secs(&self) -> f64 {
        self.journal_sync_sum.get()
    }

    /// The daemon ran the fast path, which ended like this.
    pub fn fast(&self, reason: Reason) {
        self.fast[reason as usize].inc();
    }

    /// How often [`Self::fast`] was told each reason.
    #[must_use]
    pub fn fast_here(&self) -> [u64; Reason::COUNT] {
        std::array::from_fn(|i| self.fast[i].get())
    }

    /// Replies of the daemon by kind, and what else happened to leases.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<String, u64> {
        let count = |kind: EventKind| (label(kind).to_owned(), self.events[kind as usize].get());
        KINDS.into_iter().map(count).collect()
    }

    /// Packets not answered, by reason.
    #[must_use]
    pub fn by_reason(&self) -> BTreeMap<String, u64> {
        let count = |reason: &Ignored| {
            (
                reason.label().to_owned(),
                self.ignored[*reason as usize].get(),
            )
        };
        Ignored::ALL.iter().map(count).collect()
    }

    #[must_use]
    pub fn packets(&self) -> Packets {
        Packets {
            received: self.received.get(),
            dropped: self.dropped.get(),
            sent: self.sent.get(),
            send_errors: self.send_errors.get(),
        }
    }

    /// The text of a scrape: the counters, and the state at the time.
    ///
    /// # Panics
    /// Never: writing to a string does not fail.
    #[must_use]
    pub fn render(&self, state: &State) -> String {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry).expect("a string takes all");
        encode_registry(&mut text, &state.registry()).expect("a string takes all");
        encode_eof(&mut text).expect("a string takes all");
        text
    }
}

/// What is read when Prometheus asks.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// From the kernel, if the fast path is on.
    pub fastpath: Vec<(Reason, u64)>,
    /// Interfaces that are served, and whether the kernel answers renewals there.
    pub attached: Vec<(String, bool)>,
    /// Subnet, state and number of leases.
    pub leases: Vec<(Ipv4Net, String, u64)>,
    pub pools: Vec<Pool>,
    pub journal: Journal,
    /// Clients remembered, with or without a lease.
    pub clients: u64,
    pub open_offers: u64,
    pub offers_not_held: u64,
    pub templates: u64,
    /// Clients that are blocked.
    pub blocked: u64,
    /// Requests of strangers a second that each ingress is allowed; 0: no limit.
    pub unknown_rate: u64,
    /// `None`: no boot files are served.
    pub boot: Option<Report>,
    /// Whether boot files are served as configured; `None`: none are to be.
    pub boot_served: Option<bool>,
}

impl State {
    fn registry(&self) -> Registry {
        let mut to = registry();
        self.fastpath_in(&mut to);
        self.leases_in(&mut to);
        let help = "Clients remembered, with or without a lease";
        gauge(&mut to, "clients", help, self.clients);
        gauge(
            &mut to,
            "offers_open",
            "Addresses on offer",
            self.open_offers,
        );
        let help = "Offers for which no address was held";
        counter_in(&mut to, "offers_not_held", help).inc_by(self.offers_not_held);
        gauge(
            &mut to,
            "guard_blocked",
            "Clients that are blocked",
            self.blocked,
        );
        gauge(
            &mut to,
            "guard_unknown_rate",
            "Requests of unknown clients a second that each ingress is allowed; 0: no limit",
            self.unknown_rate,
        );
        gauge(
            &mut to,
            "templates",
            "Reply templates in use",
            self.templates,
        );
        self.journal_in(&mut to);
        if let Some(is_served) = self.boot_served {
            let help = "1 if boot files are served as configured";
            gauge(&mut to, "boot_served", help, is_served.into());
        }
        if let Some(report) = &self.boot {
            boot_in(&mut to, report);
        }
        to
    }

    fn fastpath_in(&self, to: &mut Registry) {
        let hits = self
            .fastpath
            .iter()
            .map(|(reason, n)| (by("reason", reason.label()), *n));
        counters(
            to,
            "fastpath",
            "Frames seen by the fast path, by how they ended",
            hits,
        );
        let row = |(name, is): &(String, bool)| (by("interface", name), u64::from(*is));
        gauges(
            to,
            "fastpath_attached",
            "1 where the kernel answers renewals, 0 where the daemon does",
            self.attached.iter().map(row),
        );
    }

    fn leases_in(&self, to: &mut Registry) {
        let lease = |(subnet, state, n): &(Ipv4Net, String, u64)| {
            (
                vec![("subnet", subnet.to_string()), ("state", state.clone())],
                *n,
            )
        };
        gauges(to, "leases", "Leases", self.leases.iter().map(lease));
        let pools = |value: fn(&Pool) -> u64| {
            self.pools
                .iter()
                .map(move |pool| (by("subnet", &pool.subnet.to_string()), value(pool)))
        };
        gauges(
            to,
            "pool_addresses",
            "Addresses in the pools",
            pools(|pool| pool.size),
        );
        gauges(
            to,
            "pool_addresses_used",
            "Addresses not free",
            pools(|pool| pool.used),
        );
    }

    fn journal_in(&self, to: &mut Registry) {
        let journal = &self.journal;
        counter_in(to, "journal_records", "Records on disk").inc_by(journal.records);
        let help = "Batches of records synced to disk together";
        counter_in(to, "journal_batches", help).inc_by(journal.batches);
        let help = "Records that found no space on disk";
        counter_in(to, "journal_refused", help).inc_by(journal.refused);
        gauge(
            to,
            "journal_segments",
            "Files of the journal",
            journal.segments,
        );
        let help = "Bytes of records that still count";
        gauge(to, "journal_live_bytes", help, journal.live_bytes);
    }
}

fn boot_in(to: &mut Registry, report: &Report) {
    let ends = |totals: &Totals| {
        let row = |ended: Ended| {
            let mut labels = by("protocol", totals.protocol.label());
            labels.push(("result", ended.label().to_owned()));
            (labels, totals.count(ended))
        };
        Ended::ALL.map(row)
    };
    let help = "Requests for boot files, by how they ended";
    counters(
        to,
        "boot_requests",
        help,
        report.totals.iter().flat_map(ends),
    );
    let each = |value: fn(&Totals) -> u64| {
        let row = move |totals: &Totals| (by("protocol", totals.protocol.label()), value(totals));
        report.totals.iter().map(row)
    };
    let help = "Bytes of boot files sent";
    counters(to, "boot_bytes", help, each(|totals| totals.bytes));
    let help = "Blocks of boot files sent again by TFTP";
    counters(to, "boot_blocks_resent", help, each(|totals| totals.resent));
    let help = "Boot files on their way";
    gauge(to, "boot_transfers", help, report.transfers.len() as u64);
}

fn by(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

fn counters(
    to: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) {
    let family = Family::<Labels, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    to.register(name, help, family);
}

fn gauges(
    to: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) {
    let family = Family::<Labels, Gauge>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(signed(value));
    }
    to.register(name, help, family);
}

fn gauge(to: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(signed(value));
    to.register(name, help, gauge);
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
