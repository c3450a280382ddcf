//! The unit's sandbox, as far as it can be tried without systemd in charge.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xdhcpd_tests::process;

use super::unit::Unit;

/// The score that `systemd-analyze security` gives may not get worse than this (0 is best, 10 worst).
const EXPOSURE: f32 = 2.0;
/// Others have other weights; docs/security.md has the score of this one.
const STATED_BY: &str = "systemd 252 ";

/// How a system call is named where a seccomp filter has another name for it.
const SAME: [(&str, &str); 1] = [("pread", "pread64")];

#[test]
fn the_unit_is_well_formed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    // The programs are not installed where tests run.
    let text = Unit::read()?
        .text()
        .replace("/usr/local/sbin/xdhcpd", "/bin/true")
        .replace("/usr/local/bin/xdhcpctl", "/bin/true");
    let path = directory.path().join("xdhcpd.service");
    fs::write(&path, text)?;
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&path)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let about_it: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("xdhcpd.service"))
        .collect();
    ensure!(output.status.success() && about_it.is_empty(), "{said}");
    Ok(())
}

/// Where no BPF program may be loaded.
#[test]
fn the_drop_in_for_containers_asks_for_less() -> Result<()> {
    let unit = Unit::at("contrib/xdhcpd-container.conf")?;
    for set in ["AmbientCapabilities", "CapabilityBoundingSet"] {
        let values: Vec<&str> = unit.values(set).collect();
        ensure!(
            values == ["", "CAP_NET_RAW CAP_NET_BIND_SERVICE"],
            "{set}: {values:?}"
        );
    }
    Ok(())
}

#[test]
fn the_exposure_is_as_stated() -> Result<()> {
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager"]);
    let said = process::output(command.arg(Unit::path()))?;
    let line = said.lines().find(|line| line.contains("Overall exposure"));
    let score = line.and_then(|line| {
        line.split_once(": ")?
            .1
            .split(' ')
            .next()?
            .parse::<f32>()
            .ok()
    });
    let score = score.with_context(|| format!("no score in {said}"))?;
    ensure!(score <= EXPOSURE, "{score} is more than {EXPOSURE}: {said}");
    let version = process::output(Command::new("systemd-analyze").arg("--version"))?;
    if !version.starts_with(STATED_BY) {
        return Ok(());
    }
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md"))?;
    let stated = format!("exposure level is **{score:.1}**");
    ensure!(
        page.contains(&stated),
        "docs/security.md does not say: {stated}"
    );
    Ok(())
}

/// System calls that were made and that the unit forbids.
pub fn forbidden(trace: &Path) -> Result<Vec<String>> {
    let allowed = allowed(&Unit::read()?)?;
    let trace = fs::read_to_string(trace)?;
    let made = made(&trace);
    ensure!(
        made.contains("bpf") && made.contains("recvmmsg"),
        "what was traced? {made:?}"
    );
    let forbidden = made.into_iter().filter(|call| !allowed.contains(*call));
    Ok(forbidden.map(str::to_owned).collect())
}

/// Names in the lines `12345 openat(AT_FDCWD, ...` of `strace -f`, from where systemd would start it.
fn made(trace: &str) -> BTreeSet<&str> {
    let lines = trace.lines().filter_map(|line| {
        let (name, _) = line
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ')
            .split_once('(')?;
        name.bytes()
            .all(|c| c.is_ascii_alphanumeric() || c == b'_')
            .then_some(name)
    });
    lines
        .map(|name| {
            SAME.iter()
                .find(|(from, _)| *from == name)
                .map_or(name, |(_, to)| to)
        })
        .collect()
}

fn allowed(unit: &Unit) -> Result<BTreeSet<String>> {
    let mut allowed = set("@default")?;
    for words in unit.values("SystemCallFilter") {
        let (taken_away, words) = match words.strip_prefix('~') {
            Some(words) => (true, words),
            None => (false, words),
        };
        for word in words.split(' ') {
            let calls = set(word)?;
            if taken_away {
                allowed = &allowed - &calls;
            } else {
                allowed.extend(calls);
            }
        }
    }
    Ok(allowed)
}

/// A name, or all names of one of systemd's sets.
fn set(word: &str) -> Result<BTreeSet<String>> {
    if !word.starts_with('@') {
        return Ok(BTreeSet::from([word.to_owned()]));
    }
    let mut command = Command::new("systemd-analyze");
    let said = process::output(command.args(["syscall-filter", "--no-pager", word]))?;
    let lines = said.lines().skip(1).map(str::trim);
    let mut calls = BTreeSet::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        calls.extend(set(line)?);
    }
    ensure!(!calls.is_empty(), "no set {word}: {said}");
    Ok(calls)
}
