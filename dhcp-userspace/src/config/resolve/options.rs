//! DHCP options, level by level.

use super::super::error::{At, Place, Problem, Report};
use super::super::model;
use super::super::written;
use super::values;
use crate::packet::registry;

/// What is left of an Ethernet frame for options: 1500 bytes without IP, UDP and BOOTP header
/// and what the server itself puts into a reply.
const ROOM: usize = 1172;

/// A level's options on top of those around it.
pub(super) fn resolve(
    written: &written::Options,
    mut options: model::Options,
    at: &At<'_>,
    report: &Report,
) -> model::Options {
    for (code, value) in overrides(written, at, report) {
        match value {
            Some(value) => options.insert(code, value),
            None => options.remove(&code),
        };
    }
    if let Some((key, _)) = written.0.first() {
        check_room(&options, key.place, &at.key("options"), report);
    }
    options
}

/// A level's options by themselves.
pub(super) fn overrides(
    written: &written::Options,
    at: &At<'_>,
    report: &Report,
) -> model::Overrides {
    values::read(&written.0, registry::TOP, &at.key("options"), report)
}

fn check_room(options: &model::Options, place: Place, at: &At<'_>, report: &Report) {
    let size = |data: &Vec<u8>| data.len() + 2 * data.len().div_ceil(255);
    let total: usize = options.values().map(|option| size(&option.data)).sum();
    if total > ROOM {
        let what = format!("the options take {total} bytes, but a reply has room for {ROOM}");
        report.add(
            place,
            at,
            Problem::new(what, "leave some away or make them shorter"),
        );
    }
}
