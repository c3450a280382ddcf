//! `xdhcpctl status`.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::protocol::{InterfaceStatus, Pool, Status};
use super::{duration, number, percent, table, text};

/// The whole page; counters that are 0 are left out.
#[must_use]
pub fn status(status: &Status) -> String {
    let mut page = head(status);
    let mut section = |title: &str, body: &str| {
        if !body.is_empty() {
            let _ = write!(page, "\n{title}\n{body}");
        }
    };
    section("Interfaces", &interfaces(&status.interfaces));
    section("Pools", &pools(&status.pools));
    section("Leases", &counts(&status.leases));
    section("Replies and events", &counts(&status.replies));
    section("Not answered", &counts(&status.ignored));
    page
}

fn head(status: &Status) -> String {
    let config = status
        .config
        .first()
        .map_or_else(String::new, |file| file.display().to_string());
    let more = status.config.len().saturating_sub(1);
    let more = if more == 0 {
        String::new()
    } else {
        format!(" (and {more} more)")
    };
    let (packets, journal) = (status.packets, status.journal);
    let per_sync = journal.sync_secs * 1000.0 / (journal.batches.max(1) as f64);
    let hits = status.fast_path_hits;
    let all = hits.kernel + packets.sent;
    let rows = [
        ("version", status.version.clone()),
        (
            "running",
            format!("pid {}, up {}", status.pid, duration(status.uptime_secs)),
        ),
        ("config", format!("{config}{more}")),
        ("workers", status.workers.to_string()),
        (
            "fast path",
            format!(
                "{} of all replies by the kernel ({}), {} by the same code in workers ({})",
                hits.kernel,
                percent(hits.kernel, all),
                hits.workers,
                percent(hits.workers, all)
            ),
        ),
        (
            "packets",
            format!(
                "{} received, {} dropped, {} sent, {} send errors",
                packets.received, packets.dropped, packets.sent, packets.send_errors
            ),
        ),
        (
            "journal",
            format!(
                "{} records in {} batches, {per_sync:.1} ms a sync, {} refused",
                journal.records, journal.batches, journal.refused
            ),
        ),
        ("open offers", status.open_offers.to_string()),
        ("templates", status.templates.to_string()),
    ];
    rows.iter()
        .map(|(name, value)| format!("{name:<12} {value}\n"))
        .collect()
}

/// Also the head of `xdhcpctl fastpath`.
pub(super) fn interfaces(interfaces: &[InterfaceStatus]) -> String {
    if interfaces.is_empty() {
        return "none: no interface is up and has an address in a subnet\n".to_owned();
    }
    let mut table = table(&["NAME", "ADDRESSES", "FAST PATH", "WHY"]);
    for interface in interfaces {
        let addresses: Vec<_> = interface
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        table.add_row([
            interface.name.clone(),
            addresses.join(" "),
            interface.mode.clone(),
            interface.why.clone(),
        ]);
    }
    text(&table)
}

fn pools(pools: &[Pool]) -> String {
    if pools.is_empty() {
        return String::new();
    }
    let mut table = table(&["SUBNET", "SIZE", "USED", "FREE", "FULL"]);
    for pool in pools {
        let subnet = pool.subnet.to_string().into();
        let full = percent(pool.used, pool.size).into();
        let free = pool.size.saturating_sub(pool.used);
        table.add_row([
            subnet,
            number(pool.size),
            number(pool.used),
            number(free),
            full,
        ]);
    }
    text(&table)
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    let there: Vec<_> = counts.iter().filter(|(_, count)| **count != 0).collect();
    there
        .iter()
        .map(|(name, count)| format!("{name:<16} {count}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::protocol::{Hits, Journal, Packets};
    use super::*;

    fn example() -> Status {
        let counts = |pairs: &[(&str, u64)]| {
            pairs
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect()
        };
        Status {
            version: "0.1.0".into(),
            pid: 812,
            uptime_secs: 93_600,
            config: vec![
                "/etc/xdhcpd/dhcp.yaml".into(),
                "/etc/xdhcpd/hosts.yaml".into(),
            ],
            workers: 2,
            interfaces: vec![InterfaceStatus {
                name: "eth0".into(),
                addresses: vec!["10.0.0.1/24".parse().unwrap()],
                mode: "native".into(),
                why: "the driver supports it".into(),
            }],
            leases: counts(&[("bound", 7), ("expired", 0)]),
            pools: vec![Pool {
                subnet: "10.0.0.0/24".parse().unwrap(),
                size: 200,
                used: 50,
            }],
            replies: counts(&[("offer", 8), ("bind", 7), ("nak", 0)]),
            kernel_hits: 1085,
            fast_path_hits: Hits {
                kernel: 85,
                workers: 5,
            },
            ignored: counts(&[("no-subnet", 3)]),
            packets: Packets {
                received: 20,
                dropped: 0,
                sent: 15,
                send_errors: 1,
            },
            open_offers: 1,
            templates: 2,
            journal: Journal {
                records: 9,
                batches: 4,
                sync_secs: 0.005,
                ..Journal::default()
            },
        }
    }

    #[test]
    fn the_page() {
        let want = "\
version      0.1.0
running      pid 812, up 1d 2h
config       /etc/xdhcpd/dhcp.yaml (and 1 more)
workers      2
fast path    85 of all replies by the kernel (85.0%), 5 by the same code in workers (5.0%)
packets      20 received, 0 dropped, 15 sent, 1 send errors
journal      9 records in 4 batches, 1.2 ms a sync, 0 refused
open offers  1
templates    2

Interfaces
NAME  ADDRESSES    FAST PATH  WHY
eth0  10.0.0.1/24  native     the driver supports it

Pools
SUBNET       SIZE  USED  FREE  FULL
10.0.0.0/24   200    50   150  25.0%

Leases
bound            7

Replies and events
bind             7
offer            8

Not answered
no-subnet        3
";
        assert_eq!(status(&example()), want);
    }

    #[test]
    fn without_interfaces_it_says_so() {
        let page = status(&Status::default());
        assert!(page.contains("none: no interface is up"), "{page}");
        assert!(!page.contains("Pools"), "{page}");
    }
}
