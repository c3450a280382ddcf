//! What `cargo test` said, as a table.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use crate::progress::Finished;

const FAILED_UNCOUNTED: usize = 1;

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    pub(crate) time: Duration,
}

#[derive(Default)]
pub(crate) struct Report {
    suites: Vec<Suite>,
    /// What did not run, and why.
    notes: Vec<String>,
}

impl Report {
    /// Adds the suites of one run of `cargo test`.
    pub(crate) fn add(&mut self, name: &str, finished: &Finished) {
        let mut suites = parse(&finished.output);
        let failed = suites.iter().any(|suite| suite.failed > 0);
        if !finished.status.success() && !failed {
            // It did not compile, or a test took the whole process with it.
            let (name, time) = (name.to_owned(), finished.time);
            suites.push(Suite {
                name,
                failed: FAILED_UNCOUNTED,
                time,
                ..Suite::default()
            });
        }
        self.suites.extend(suites);
        self.notes.extend(skips(&finished.output));
    }

    pub(crate) fn skip(&mut self, name: &str, tests: usize, why: &str) {
        self.suites.push(Suite {
            name: name.to_owned(),
            skipped: tests,
            ..Suite::default()
        });
        self.notes.push(format!("{name}: {why}"));
    }

    /// Adds what is no run of `cargo test`.
    pub(crate) fn pass(&mut self, name: &str, passed: usize, time: Duration) {
        self.suites.push(Suite {
            name: name.to_owned(),
            passed,
            time,
            ..Suite::default()
        });
    }

    pub(crate) fn fail(&mut self, name: &str) {
        let failed = FAILED_UNCOUNTED;
        self.suites.push(Suite {
            name: name.to_owned(),
            failed,
            ..Suite::default()
        });
    }

    pub(crate) fn skipped(&self) -> usize {
        self.suites.iter().map(|suite| suite.skipped).sum()
    }

    pub(crate) fn passed(&self) -> usize {
        self.suites.iter().map(|suite| suite.passed).sum()
    }

    pub(crate) fn failed(&self) -> usize {
        self.suites.iter().map(|suite| suite.failed).sum()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<56} {:>7} {:>7} {:>8} {:>9}",
            "suite", "passed", "failed", "skipped", "time"
        )?;
        let (mut passed, mut skipped) = (0, 0);
        for Suite {
            name,
            passed: ok,
            failed,
            skipped: not_run,
            time,
        } in &self.suites
        {
            let seconds = time.as_secs_f64();
            writeln!(
                f,
                "{name:<56} {ok:>7} {failed:>7} {not_run:>8} {seconds:>7.1} s"
            )?;
            passed += ok;
            skipped += not_run;
        }
        if !self.notes.is_empty() {
            writeln!(f, "\nnot run:")?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        write!(
            f,
            "\n{passed} passed, {} failed, {skipped} skipped",
            self.failed()
        )
    }
}

/// The suites of a run, without those that hold no test.
fn parse(output: &str) -> Vec<Suite> {
    let (mut suites, mut name, mut skipped) = (Vec::new(), String::new(), 0);
    for line in output.lines().map(str::trim) {
        if let Some(started) = started(line) {
            name = started;
            skipped = 0;
        } else if skipped_test(line).is_some() {
            skipped += 1;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let mut suite = counts(result);
            suite.passed = suite.passed.saturating_sub(skipped);
            suite.skipped += skipped;
            suite.name = name.clone();
            suites.push(suite);
        }
    }
    suites.retain(|suite| suite.passed + suite.failed + suite.skipped > 0);
    suites
}

/// `Running tests/loom.rs (target/debug/deps/loom-1f)` is "loom tests/loom.rs".
fn started(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} documentation"));
    }
    let (source, binary) = line.strip_prefix("Running ")?.split_once(" (")?;
    let source = source.strip_prefix("unittests ").unwrap_or(source);
    let binary = binary.trim_end_matches(')').rsplit('/').next()?;
    let mut name = binary
        .rsplit_once('-')
        .map_or(binary, |(name, _)| name)
        .to_owned();
    write!(name, " {source}").ok()?;
    Some(name)
}

/// `ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.50s`
fn counts(result: &str) -> Suite {
    let mut suite = Suite::default();
    let (_, counts) = result.split_once(". ").unwrap_or(("", result));
    for count in counts.split("; ") {
        let (number, what) = count.split_once(' ').unwrap_or((count, ""));
        let number = number.parse().unwrap_or(0);
        match what {
            "passed" => suite.passed = number,
            "failed" => suite.failed = number,
            "ignored" => suite.skipped = number,
            what => suite.time = duration(what).unwrap_or(suite.time),
        }
    }
    suite
}

fn duration(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_prefix("in ")?.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The tests that skipped themselves, and those that are marked `#[ignore = "why"]`.
fn skips(output: &str) -> impl Iterator<Item = String> {
    output.lines().filter_map(|line| {
        let ignored = || line.strip_prefix("test ")?.split_once(" ... ignored");
        let ignored =
            || ignored().map(|(name, why)| format!("{name}{}", why.replacen(',', ":", 1)));
        skipped_test(line).map(str::to_owned).or_else(ignored)
    })
}

/// What a test says that skips itself, behind its name where its output is not captured.
fn skipped_test(line: &str) -> Option<&str> {
    let (before, said) = line.split_once("SKIPPED ")?;
    let named = before.starts_with("test ") && before.ends_with(" ... ");
    (before.is_empty() || named).then_some(said)
}

/// How many tests `cargo test -- --list` has named.
pub(crate) fn listed(output: &str) -> usize {
    output
        .lines()
        .filter(|line| line.ends_with(": test"))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running unittests src/lib.rs (target/debug/deps/dhcp_common-1f0c)
running 3 tests
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.50s
     Running tests/relay.rs (target/debug/deps/relay-77aa)
SKIPPED two_hops: no relay here
test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 2.00s
     Running unittests src/main.rs (target/debug/deps/empty-01)
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s
";

    #[test]
    fn reads_what_cargo_test_says() {
        let suites = parse(OUTPUT);
        let relay = Suite {
            name: "relay tests/relay.rs".to_owned(),
            passed: 1,
            failed: 1,
            skipped: 2,
            time: Duration::from_secs(2),
        };
        assert_eq!(suites.len(), 2);
        assert_eq!(
            (suites[0].name.as_str(), suites[0].passed),
            ("dhcp_common src/lib.rs", 3)
        );
        assert_eq!(suites[1], relay);
    }

    #[test]
    fn the_last_line_counts_everything() {
        let mut report = Report {
            suites: parse(OUTPUT),
            notes: Vec::new(),
        };
        report.skip("lab", 4, "it wants root");
        let text = report.to_string();
        assert_eq!(text.lines().last(), Some("4 passed, 1 failed, 6 skipped"));
        assert!(text.contains("  lab: it wants root\n"), "{text}");
    }

    #[test]
    fn a_run_that_dies_without_a_result_has_failed() {
        let status = std::process::Command::new("false").status().unwrap();
        let (output, time) = ("error: could not compile".to_owned(), Duration::ZERO);
        let mut report = Report::default();
        report.add(
            "unit tests",
            &Finished {
                status,
                output,
                time,
            },
        );
        assert_eq!(report.failed(), 1);
    }

    #[test]
    fn tells_what_did_not_run_and_why() {
        let output = "SKIPPED a: no relay\ntest e ... SKIPPED e: no root\ntest b::c ... ignored, takes an hour\ntest d ... ok\n";
        let notes: Vec<String> = skips(output).collect();
        assert_eq!(notes, ["a: no relay", "e: no root", "b::c: takes an hour"]);
    }

    #[test]
    fn counts_listed_tests() {
        assert_eq!(listed("a::b: test\nc: test\n\n2 tests, 0 benchmarks\n"), 2);
    }
}
