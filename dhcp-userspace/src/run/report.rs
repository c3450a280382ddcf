//! The state of the server, for `xdhcpctl` and Prometheus.

use std::collections::BTreeMap;

use dhcp_common::Reason;
use dhcp_common::slot::Kind;
use ipnet::Ipv4Net;

use super::shared::Shared;
use crate::clock::{Now, SECOND};
use crate::control::metrics::State;
use crate::control::protocol::{
    FastPath, Hits, InterfaceStatus, Journal, Pool, ReasonCount, Status,
};
use crate::fastpath::PortMode;

/// The name of a lease's state; `None`: no lease.
#[must_use]
pub const fn state_name(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Free => None,
        Kind::Offered => Some("offered"),
        Kind::Bound => Some("bound"),
        Kind::Declined => Some("declined"),
        Kind::Released => Some("released"),
        Kind::Expired => Some("expired"),
    }
}

pub fn status(shared: &Shared) -> Status {
    let core = &shared.core;
    let mut leases = BTreeMap::new();
    for ((_, state), count) in leases_by_subnet(shared) {
        *leases.entry(state.to_owned()).or_default() += count;
    }
    let kernel_hits = Reason::answered(&kernel_counts(shared));
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_secs: Now::read().boot.saturating_sub(shared.started.boot) / SECOND,
        config: shared.config.load().files.clone(),
        workers: shared.workers,
        interfaces: interfaces(shared),
        leases,
        pools: pools(shared),
        replies: core.metrics.by_kind(),
        kernel_hits,
        fast_path_hits: Hits {
            kernel: kernel_hits.saturating_sub(shared.kernel_hits_before),
            workers: Reason::answered(&core.metrics.fast_here()),
        },
        ignored: core.metrics.by_reason(),
        packets: core.metrics.packets(),
        open_offers: core.engine.open_offers() as u64,
        templates: core.engine.templates_in_use() as u64,
        journal: journal(shared),
    }
}

pub fn state(shared: &Shared) -> State {
    let counts = fastpath_counts(shared);
    let leases = leases_by_subnet(shared).into_iter();
    let boot = &shared.config.load().boot;
    State {
        fastpath: Reason::ALL
            .iter()
            .map(|reason| (*reason, counts[*reason as usize]))
            .collect(),
        attached: attached(shared),
        leases: leases
            .map(|((subnet, state), n)| (subnet, state.to_owned(), n))
            .collect(),
        pools: pools(shared),
        journal: journal(shared),
        clients: shared.core.engine.known_clients() as u64,
        open_offers: shared.core.engine.open_offers() as u64,
        offers_not_held: shared.core.engine.offers_not_held(),
        templates: shared.core.engine.templates_in_use() as u64,
        blocked: shared.core.guard.blocked(Now::read()).len() as u64,
        unknown_rate: shared.core.guard.rate().into(),
        boot: shared.netboot.report(),
        boot_served: boot.as_ref().map(|boot| shared.netboot.serves(Some(boot))),
    }
}

fn attached(shared: &Shared) -> Vec<(String, bool)> {
    let fastpath = shared.fastpath.lock().expect("no panics while held");
    let ports = fastpath.report().into_iter();
    ports
        .map(|port| (port.name, port.mode != PortMode::Userspace))
        .collect()
}

pub fn fastpath(shared: &Shared) -> FastPath {
    let counts = fastpath_counts(shared);
    let count = |reason: &Reason| ReasonCount {
        reason: reason.label().to_owned(),
        count: counts[*reason as usize],
        description: reason.describe().to_owned(),
    };
    let mut reasons: Vec<_> = Reason::ALL.iter().map(count).collect();
    reasons.sort_by_key(|row| std::cmp::Reverse(row.count));
    FastPath {
        interfaces: interfaces(shared),
        reasons,
    }
}

fn kernel_counts(shared: &Shared) -> [u64; Reason::COUNT] {
    let fastpath = shared.fastpath.lock().expect("no panics while held");
    fastpath.counters()
}

/// By kernel and daemon together.
fn fastpath_counts(shared: &Shared) -> [u64; Reason::COUNT] {
    let mut counts = kernel_counts(shared);
    for (sum, here) in counts.iter_mut().zip(shared.core.metrics.fast_here()) {
        *sum += here;
    }
    counts
}

fn interfaces(shared: &Shared) -> Vec<InterfaceStatus> {
    let served = shared.ports.lock().expect("no panics while held").served();
    let report = shared
        .fastpath
        .lock()
        .expect("no panics while held")
        .report();
    let status = |nic: &crate::net::Nic| {
        let port = report.iter().find(|port| port.ifindex == nic.index());
        InterfaceStatus {
            name: nic.name().to_owned(),
            addresses: nic.interface.addresses.clone(),
            mode: port.map_or_else(String::new, |port| port.mode.to_string()),
            why: port.map_or_else(String::new, |port| port.why.clone()),
        }
    };
    served.iter().map(status).collect()
}

fn pools(shared: &Shared) -> Vec<Pool> {
    let pools = shared.core.engine.pools().into_iter();
    let pool = |pool: crate::engine::PoolView| Pool {
        subnet: pool.subnet,
        size: pool.size,
        used: pool.size.saturating_sub(pool.free),
    };
    pools.map(pool).collect()
}

fn journal(shared: &Shared) -> Journal {
    let stats = shared.journal.stats();
    Journal {
        records: stats.records.get(),
        batches: stats.batches.get(),
        refused: stats.refused.get(),
        sync_secs: shared.core.metrics.journal_sync_secs(),
        segments: stats.segments.get(),
        live_bytes: stats.live_bytes.get(),
    }
}

/// Leases by subnet and state. Reads the table's states only: a million leases take
/// milliseconds, however often Prometheus asks.
fn leases_by_subnet(shared: &Shared) -> BTreeMap<(Ipv4Net, &'static str), u64> {
    let config = shared.config.load();
    let mut prefixes: Vec<_> = config.subnets.iter().map(|subnet| subnet.prefix).collect();
    prefixes.sort_unstable();
    let mut counts = BTreeMap::new();
    let table = shared.core.engine.table();
    for (address, index) in table.addresses() {
        let Some(state) = state_name(table.slot(index).kind()) else {
            continue;
        };
        let after = prefixes.partition_point(|prefix| prefix.network() <= address);
        let subnet = after.checked_sub(1).map(|at| prefixes[at]);
        if let Some(subnet) = subnet.filter(|subnet| subnet.contains(&address)) {
            *counts.entry((subnet, state)).or_default() += 1;
        }
    }
    counts
}
