//! The alert rules of contrib/ are about metrics that there are. A rule on another name, or on a reason that
//! is called otherwise, would never fire.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dhcp_common::Reason;
use dhcp_userspace::control::Metrics;
use dhcp_userspace::control::metrics::State;
use dhcp_userspace::control::protocol::Pool;
use dhcp_userspace::netboot::Report;
use dhcp_userspace::netboot::report::{Protocol, Totals};

#[test]
fn alerts_are_about_metrics_that_there_are() {
    let rules = read("contrib/prometheus-alerts.yml");
    let used = selectors(&rules);
    let scrape = Metrics::default().render(&state());
    let has = |(name, label): &(String, String)| {
        let mut lines = scrape
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.any(|line| line.contains(label))
    };
    let missing: Vec<_> = used.iter().filter(|used| !has(used)).collect();
    assert!(missing.is_empty(), "not in a scrape: {missing:?}");
    assert!(used.len() > 15, "{used:?}");
}

#[test]
fn metrics_of_alerts_are_described() {
    let page = read("docs/operations.md");
    for (name, _) in selectors(&read("contrib/prometheus-alerts.yml")) {
        let short = name.trim_start_matches("xdhcpd_");
        let short = short.trim_end_matches("_bucket");
        assert!(page.contains(short), "{name} is not in docs/operations.md");
    }
}

fn read(path: &str) -> String {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(repository.join(path)).unwrap()
}

/// Each metric of the rules with each label that they ask for: `reason="no-address"`, or nothing.
fn selectors(rules: &str) -> BTreeSet<(String, String)> {
    let code = rules.lines().filter(|line| !line.trim().starts_with('#'));
    let code = code.collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("xdhcpd_") {
        let rest = &code[at..];
        let end = rest.find(|c: char| c != '_' && !c.is_ascii_lowercase());
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        for label in alternatives(labels.map_or("", |(labels, _)| labels)) {
            found.insert((name.to_owned(), label));
        }
    }
    found
}

/// `kind=~"a|b"` is `kind="a"` or `kind="b"`.
fn alternatives(label: &str) -> Vec<String> {
    let Some((key, values)) = label.split_once("=~") else {
        return vec![label.to_owned()];
    };
    let values = values.trim_matches('"').split('|');
    values.map(|value| format!("{key}=\"{value}\"")).collect()
}

/// A state in which every metric has a line.
fn state() -> State {
    let totals = Totals {
        protocol: Protocol::Tftp,
        complete: 0,
        asked: 0,
        aborted: 0,
        not_found: 0,
        denied: 0,
        busy: 0,
        bytes: 0,
        resent: 0,
    };
    State {
        fastpath: Reason::ALL.iter().map(|reason| (*reason, 0)).collect(),
        attached: vec![("eth0".to_owned(), true)],
        pools: vec![Pool {
            subnet: "10.0.0.0/24".parse().unwrap(),
            size: 1,
            used: 0,
        }],
        boot: Some(Report {
            totals: vec![totals],
            ..Report::default()
        }),
        boot_served: Some(true),
        ..State::default()
    }
}
