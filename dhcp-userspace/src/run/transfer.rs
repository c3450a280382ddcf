//! Leases out to YAML and back in.

use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::Value;

use super::shared::Shared;
use super::ticket;
use crate::clock::Now;
use crate::control::protocol::format_mac;
use crate::control::render::utc;
use crate::engine::{Commit, LeaseView, Refused};
use crate::lease::yaml::{self, Diff, Entry, File};

/// Characters in one item of an export.
const PIECE: usize = 1 << 16;
/// Changes on their way to disk at once: the journal is for clients too.
const AT_ONCE: usize = 4096;

/// Passes all leases on as pieces of a YAML document.
pub fn export(shared: &Shared, item: &mut dyn FnMut(Value) -> bool) {
    let leases = shared.core.engine.leases();
    let text = File::new(&leases, Now::read()).to_string();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE));
        if !item(Value::from(piece)) {
            return;
        }
        rest = behind;
    }
}

/// Tells what a document would change, and changes it if `apply` is set. Nothing is changed if
/// anything is wrong.
///
/// # Errors
/// All that is wrong with the document, or what could not be changed.
pub fn import(shared: &Shared, text: &str, apply: bool) -> Result<Vec<String>, String> {
    let file = File::parse(text).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    let diff = yaml::diff(&file, &shared.core.engine.leases(), Now::read());
    let lines = described(&diff);
    let wrong = forbidden(shared, &diff);
    if !wrong.is_empty() {
        return Err(format!("nothing was changed:\n{}", wrong.join("\n")));
    }
    if apply {
        let failed = applied(shared, &diff);
        shared.core.guard.learn(&shared.core.engine);
        if !failed.is_empty() {
            let what = failed.join("\n");
            return Err(format!(
                "{} of {} changes failed:\n{what}",
                failed.len(),
                lines.len()
            ));
        }
    }
    Ok(lines)
}

/// What the configuration does not allow.
fn forbidden(shared: &Shared, diff: &Diff) -> Vec<String> {
    let now = Now::read();
    let engine = &shared.core.engine;
    wanted(diff)
        .filter_map(|entry| engine.may_bind(&entry.binding(now), now).err())
        .map(|refused| refused.to_string())
        .collect()
}

fn wanted(diff: &Diff) -> impl Iterator<Item = &Entry> {
    let changed = diff.changed.iter().map(|(_, new)| new);
    changed.chain(&diff.added)
}

fn described(diff: &Diff) -> Vec<String> {
    let with = |entry: &Entry| {
        let name = String::from_utf8_lossy(&entry.hostname);
        let name = if name.is_empty() {
            String::new()
        } else {
            format!(" {name}")
        };
        format!(
            "{}{name} until {}",
            format_mac(&entry.mac),
            utc(entry.expires)
        )
    };
    let added = diff
        .added
        .iter()
        .map(|entry| format!("+ {} {}", entry.address, with(entry)));
    let changed = diff.changed.iter().map(|(old, entry)| {
        format!(
            "~ {} {} -> {}",
            entry.address,
            format_mac(&old.mac),
            with(entry)
        )
    });
    let removed = diff
        .removed
        .iter()
        .map(|old| format!("- {} {}", old.address, format_mac(&old.mac)));
    removed.chain(changed).chain(added).collect()
}

/// Applies a difference; tells what failed. Addresses are taken back before they are given.
fn applied(shared: &Shared, diff: &Diff) -> Vec<String> {
    let engine = &shared.core.engine;
    let moved = diff
        .changed
        .iter()
        .filter(|(old, new)| old.mac != new.mac)
        .map(|(old, _)| old);
    let free: Vec<&LeaseView> = diff.removed.iter().chain(moved).collect();
    let mut failed = each(shared, &free, |old| {
        let commit = engine.force_release(old.address, Some(old.mac), Now::read());
        (old.address, commit)
    });
    let wanted: Vec<&Entry> = wanted(diff).collect();
    failed.extend(each(shared, &wanted, |entry| {
        let now = Now::read();
        (entry.address, engine.force_bind(entry.binding(now), now))
    }));
    failed
}

/// Makes a change for each of `items` and waits until all are on disk; tells what failed.
fn each<T>(
    shared: &Shared,
    items: &[T],
    change: impl Fn(&T) -> (Ipv4Addr, Result<Commit, Refused>),
) -> Vec<String> {
    let mut failed = Vec::new();
    for items in items.chunks(AT_ONCE) {
        let outcomes: Vec<_> = items
            .iter()
            .map(|item| {
                let (address, commit) = change(item);
                let outcome = commit.map(|commit| handed_in(shared, commit));
                (address, outcome.map_err(|refused| refused.to_string()))
            })
            .collect();
        for (address, outcome) in outcomes {
            let ended = || Err("the journal has ended".to_owned());
            let on_disk = |done: Receiver<_>| done.recv().unwrap_or_else(|_| ended());
            let told = |error| format!("{address}: {error}");
            let outcome = outcome.and_then(|done| on_disk(done).map_err(told));
            failed.extend(outcome.err());
        }
    }
    failed
}

fn handed_in(shared: &Shared, commit: Commit) -> Receiver<Result<(), String>> {
    let (done, outcome) = sync_channel(1);
    if let Err(rejected) = ticket::append(&shared.journal, commit, None, Some(done)) {
        ticket::refuse(&shared.core, rejected.ticket, &rejected.error);
    }
    outcome
}
