//! What is written and shown.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::program::{Form, sessions};
use crate::rounds::Measured;
use crate::sample::{FIGURES, Results, Sample, Spread, Work};
use crate::server::Server;
use crate::verdict::Verdict;

pub fn write_json(path: &Path, facts: &Value, measured: &Measured) -> Result<()> {
    let results = Results::of(&measured.samples);
    let medians = results.0.iter().map(|(subject, figures)| {
        let figures = figures
            .iter()
            .map(|(name, spread)| ((*name).to_owned(), spread.json()));
        json!({
            "work": subject.work.name(),
            "clients": subject.clients,
            "server": subject.server.name(),
            "figures": figures.collect::<serde_json::Map<_, _>>(),
        })
    });
    let legend = FIGURES
        .iter()
        .map(|(name, what)| ((*name).to_owned(), Value::from(*what)));
    let report = json!({
        "machine": facts,
        "missing": measured.missing,
        "failed": measured.failed,
        "figures": legend.collect::<serde_json::Map<_, _>>(),
        "configurations": configurations(),
        "verdict": Verdict::of(&results).json(),
        "results": medians.collect::<Vec<_>>(),
        "samples": measured.samples.iter().map(Sample::json).collect::<Vec<_>>(),
    });
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let text = serde_json::to_string_pretty(&report)?;
    fs::write(path, text + "\n").with_context(|| path.display().to_string())
}

/// As each server was given it for new clients and renewals both.
fn configurations() -> Value {
    let mixed = sessions(&Form::full()).into_iter();
    let mixed = mixed.filter(|session| session.works == [Work::Mixed]);
    let mut texts = serde_json::Map::new();
    for session in mixed {
        for server in Server::ALL {
            if let Some(text) = server.configuration(&session.plan(server)) {
                texts.insert(server.name().to_owned(), text.into());
            }
        }
    }
    texts.into()
}

/// One sample as it comes, for who watches.
pub fn line(sample: &Sample) -> String {
    let subject = &sample.subject;
    let figure = |name| sample.figures.get(name).copied();
    let mut text = format!(
        "{:<10} {:>9} {:<8}",
        subject.work.name(),
        subject.clients,
        subject.server.name()
    );
    let shown = [
        ("per_second", "/s"),
        ("seconds", "s"),
        ("cpu_us", "us CPU"),
        ("renew_p99_us", "us p99 (renew)"),
        ("bind_p99_us", "us p99 (bind)"),
        ("start_ms", "ms start"),
        ("memory_mb", "MB"),
    ];
    for (name, unit) in shown {
        if let Some(value) = figure(name) {
            text += &format!("  {} {unit}", number(value));
        }
    }
    for (name, what) in [
        ("lost", "lost"),
        ("unserved", "unserved"),
        ("retransmitted", "sent again"),
        ("naks", "NAKs"),
        ("dropped", "dropped"),
        ("wrong", "WRONG"),
    ] {
        if let Some(value) = figure(name).filter(|value| *value > 0.0) {
            text += &format!("  {} {what}", number(value));
        }
    }
    text
}

pub fn print(facts: &Value, measured: &Measured) {
    println!("{}", page(facts, measured));
    println!("{}", Verdict::of(&Results::of(&measured.samples)).line());
}

/// The same with the configurations, for docs/performance/.
pub fn write_page(directory: &Path, facts: &Value, measured: &Measured) -> Result<()> {
    let mut text = format!(
        "# Results\n\nWritten by `cargo xtask bench --write`; docs/performance.md says how it is measured.\n\n{}",
        page(facts, measured)
    );
    let line = Verdict::of(&Results::of(&measured.samples)).line();
    text += &format!("\n`{line}`\n\n## Configurations\n");
    for (name, configuration) in configurations().as_object().into_iter().flatten() {
        let configuration = configuration.as_str().unwrap_or_default();
        text += &format!("\n{name}:\n\n```\n{configuration}```\n");
    }
    let path = directory.join("results.md");
    fs::write(&path, text).with_context(|| path.display().to_string())
}

/// Where it was measured, every table, and what is missing.
fn page(facts: &Value, measured: &Measured) -> String {
    let (results, mut text) = (Results::of(&measured.samples), String::new());
    for (name, fact) in facts.as_object().into_iter().flatten() {
        text += &format!("- {}: {}\n", name.replace('_', " "), plain(fact));
    }
    text += &format!("- rounds: {}\n", rounds(measured));
    for work in Work::ALL {
        if results.of_work(work).next().is_some() {
            text += &format!("\n## {}\n\n{}\n", work.title(), table(&results, work));
        }
    }
    for missing in &measured.missing {
        text += &format!("\nNot measured: {missing}.");
    }
    for failed in &measured.failed {
        text += &format!("\nFailed: {failed}");
    }
    for sample in &measured.samples {
        if !sample.wrong.is_empty() {
            text += &format!("\nWrong: {}: {}", line(sample), sample.wrong.join("; "));
        }
    }
    text
}

fn rounds(measured: &Measured) -> u32 {
    let rounds = measured.samples.iter().map(|sample| sample.round + 1);
    rounds.max().unwrap_or(0)
}

/// A fact without brackets and quotes.
fn plain(fact: &Value) -> String {
    match fact {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(all) => {
            let each = all
                .iter()
                .map(|(name, fact)| format!("{name}: {}", plain(fact)));
            each.collect::<Vec<_>>().join(", ")
        }
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// The figures of a work's table: name, heading, whether its spread is shown.
const COLUMNS: &[(&str, &str, bool)] = &[
    ("per_second", "per second", true),
    ("seconds", "seconds", true),
    ("cpu_us", "CPU us each", true),
    ("receive_us", "of that receiving", false),
    ("generator_us", "generator us", false),
    ("kernel_share", "by the kernel", false),
    ("renew_p50_us", "renew p50 us", false),
    ("renew_p99_us", "p99", true),
    ("renew_max_us", "max", false),
    ("bind_p50_us", "bind p50 us", false),
    ("bind_p99_us", "p99", true),
    ("bind_max_us", "max", false),
    ("bind_mean_us", "mean", false),
    ("perfdhcp_per_second", "perfdhcp: per second", false),
    ("perfdhcp_mean_us", "perfdhcp: mean us", false),
    ("perfdhcp_drops", "perfdhcp: drops", false),
    ("start_ms", "start ms", true),
    ("read_ms", "files read ms", false),
    ("memory_mb", "memory MB", false),
    ("bytes_per_lease", "bytes a lease", false),
    ("lost", "lost", false),
    ("unserved", "unserved", false),
    ("retransmitted", "sent again", false),
    ("naks", "NAKs", false),
    ("dropped", "dropped", false),
];

pub fn table(results: &Results, work: Work) -> Table {
    let has = |name: &str| {
        results
            .of_work(work)
            .any(|(_, figures)| figures.contains_key(name))
    };
    let storm = work.is_storm();
    let columns: Vec<_> = COLUMNS
        .iter()
        .filter(|(name, ..)| has(name) && (*name != "seconds" || storm))
        .collect();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let mut header = vec!["clients".to_owned(), "server".to_owned()];
    header.extend(columns.iter().map(|(_, heading, _)| (*heading).to_owned()));
    table.set_header(header);
    for (subject, figures) in results.of_work(work) {
        let mut row = vec![
            right(&subject.clients.to_string()),
            Cell::new(subject.server.name()),
        ];
        for (name, _, with_spread) in &columns {
            let text = figures.get(name).map(|spread| shown(spread, *with_spread));
            row.push(right(&text.unwrap_or_default()));
        }
        table.add_row(row);
    }
    table
}

fn right(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn shown(spread: &Spread, with_spread: bool) -> String {
    let median = number(spread.median);
    if with_spread && spread.rounds > 1 {
        format!(
            "{median} ({}..{})",
            number(spread.least),
            number(spread.most)
        )
    } else {
        median
    }
}

/// Three digits that count, and thousands apart.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size == 0.0 || size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        let left = whole.len() - place;
        if place > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// A wrong reply makes every other figure worthless.
pub fn require_right(measured: &Measured) -> Result<()> {
    let failed = &measured.failed;
    ensure!(
        failed.is_empty(),
        "not all could be measured: {}",
        failed.join("; ")
    );
    let wrong: f64 = measured
        .samples
        .iter()
        .filter_map(|sample| sample.figures.get("wrong"))
        .sum();
    ensure!(wrong == 0.0, "{wrong} replies were wrong");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Figures, Subject};

    #[test]
    fn numbers_for_people() {
        assert_eq!(number(1_234_567.8), "1 234 568");
        assert_eq!(number(123.4), "123");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(0.456), "0.46");
        assert_eq!(number(0.0), "0");
    }

    #[test]
    fn a_table_has_what_was_measured() {
        let sample = Sample {
            subject: Subject {
                work: Work::Bind,
                clients: 0,
                server: Server::KeaSingle,
            },
            round: 0,
            figures: Figures::from([("per_second", 9000.0), ("bind_p99_us", 250.0)]),
            wrong: Vec::new(),
        };
        let mut other = sample.clone();
        other.figures.insert("per_second", 11000.0);
        let measured = Measured {
            samples: vec![sample, other],
            missing: vec!["dhcpd: not installed".to_owned()],
            failed: Vec::new(),
        };
        let facts = json!({"kernel": "Linux", "versions": {"kea-st": "2.2"}, "quick": true});
        let text = page(&facts, &measured);
        for part in [
            "- versions: kea-st: 2.2",
            "- quick: yes",
            "- rounds: 1",
            "dhcpd: not installed",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(
            text.contains("10 000 (9 000..11 000)") && text.contains("kea-st"),
            "{text}"
        );
        assert!(!text.contains("renew"), "{text}");
    }
}
