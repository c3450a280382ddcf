use super::*;

fn state() -> State {
    let subnet: Ipv4Net = "10.0.0.0/24".parse().unwrap();
    State {
        fastpath: vec![(Reason::Hit, 41), (Reason::MemoMiss, 1)],
        attached: vec![("eth0".into(), true), ("eth1".into(), false)],
        leases: vec![(subnet, "bound".into(), 7)],
        pools: vec![Pool {
            subnet,
            size: 200,
            used: 9,
        }],
        journal: Journal {
            records: 12,
            batches: 3,
            ..Journal::default()
        },
        clients: 8,
        open_offers: 2,
        offers_not_held: 3,
        templates: 1,
        blocked: 4,
        unknown_rate: 500,
        boot: Some(boot()),
        boot_served: Some(true),
    }
}

fn boot() -> Report {
    use crate::netboot::report::Protocol;
    let tftp = Totals {
        protocol: Protocol::Tftp,
        complete: 3,
        asked: 4,
        aborted: 0,
        not_found: 5,
        denied: 0,
        busy: 0,
        bytes: 7000,
        resent: 6,
    };
    Report {
        totals: vec![tftp],
        ..Report::default()
    }
}

#[test]
fn kinds_stand_at_their_own_index() {
    for (i, kind) in KINDS.into_iter().enumerate() {
        assert_eq!(kind as usize, i);
        let json = serde_json::to_string(&kind).unwrap();
        assert_eq!(json, format!("\"{}\"", label(kind)));
    }
}

#[test]
fn every_value_is_in_the_text() {
    let metrics = Metrics::default();
    metrics.event(EventKind::Offer);
    metrics.event(EventKind::Expire);
    metrics.ignore(Ignored::NoSubnet);
    metrics.received.inc_by(5);
    metrics.sweep_seconds.observe(0.002);
    metrics.journal_synced(0.5);
    let text = metrics.render(&state());
    let wanted = [
        "xdhcpd_replies_total{kind=\"offer\"} 1",
        "xdhcpd_replies_total{kind=\"nak\"} 0",
        "xdhcpd_lease_events_total{kind=\"expire\"} 1",
        "xdhcpd_ignored_total{reason=\"no-subnet\"} 1",
        "xdhcpd_packets_received_total 5",
        "xdhcpd_sweep_seconds_count 1",
        concat!(
            "xdhcpd_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
        "xdhcpd_fastpath_total{reason=\"hit\"} 41",
        "xdhcpd_fastpath_attached{interface=\"eth0\"} 1",
        "xdhcpd_fastpath_attached{interface=\"eth1\"} 0",
        "xdhcpd_leases{subnet=\"10.0.0.0/24\",state=\"bound\"} 7",
        "xdhcpd_pool_addresses{subnet=\"10.0.0.0/24\"} 200",
        "xdhcpd_pool_addresses_used{subnet=\"10.0.0.0/24\"} 9",
        "xdhcpd_journal_fsync_seconds_sum 0.5",
        "xdhcpd_journal_records_total 12",
        "xdhcpd_clients 8",
        "xdhcpd_offers_open 2",
        "xdhcpd_templates 1",
        "xdhcpd_offers_not_held_total 3",
        "xdhcpd_guard_blocked 4",
        "xdhcpd_guard_blocks_total 0",
        "xdhcpd_guard_unknown_rate 500",
        "xdhcpd_boot_requests_total{protocol=\"tftp\",result=\"complete\"} 3",
        "xdhcpd_boot_requests_total{protocol=\"tftp\",result=\"not-found\"} 5",
        "xdhcpd_boot_bytes_total{protocol=\"tftp\"} 7000",
        "xdhcpd_boot_blocks_resent_total{protocol=\"tftp\"} 6",
        "xdhcpd_boot_transfers 0",
        "xdhcpd_boot_served 1",
    ];
    for line in wanted {
        assert!(
            text.lines().any(|have| have == line),
            "{line} is not in\n{text}"
        );
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn each_metric_is_described_once() {
    let text = Metrics::default().render(&state());
    let types: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
        .collect();
    for (i, line) in types.iter().enumerate() {
        assert!(!types[..i].contains(line), "{line}");
    }
    assert!(types.len() > 12);
}
