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

pub fn print(facts: &Value, measured: &Measured) -> Result<()> {
    let results = Results::of(&measured.samples);
    println!("{}", serde_json::to_string_pretty(facts)?);
    for work in Work::ALL {
        if results.of_work(work).next().is_some() {
            println!("\n{}\n{}", work.title(), table(&results, work));
        }
    }
    for missing in &measured.missing {
        println!("missing: {missing}");
    }
    for sample in measured
        .samples
        .iter()
        .filter(|sample| !sample.wrong.is_empty())
    {
        println!("wrong: {}: {}", line(sample), sample.wrong.join("; "));
    }
    println!("{}", Verdict::of(&results).line());
    Ok(())
}

/// The figures of a work's table: name, heading, whether its spread is shown.
const COLUMNS: &[(&str, &str, bool)] = &[
    ("per_second", "per second", true),
    ("seconds", "seconds", true),
    ("cpu_us", "CPU us each", true),
    ("receive_us", "of that receiving", false),
    ("generator_us", "generator us", false),
    ("renew_p50_us", "renew p50 us", false),
    ("renew_p99_us", "p99", true),
    ("renew_max_us", "max", false),
    ("bind_p50_us", "bind p50 us", false),
    ("bind_p99_us", "p99", true),
    ("bind_max_us", "max", false),
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
    let storm = work == Work::Storm;
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
        let text = table(&Results::of(&[sample, other]), Work::Bind).to_string();
        assert!(
            text.contains("10 000 (9 000..11 000)") && text.contains("kea-st"),
            "{text}"
        );
        assert!(!text.contains("renew"), "{text}");
    }
}
