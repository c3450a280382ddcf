//! DHCP options and the boot fields, level by level.

use super::super::error::{At, Place, Problem, Report};
use super::super::model;
use super::super::scalar::get;
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

/// A level's boot fields on top of those around it.
pub(super) fn boot(
    written: &written::Boot,
    inherited: model::Boot,
    at: &At<'_>,
    report: &Report,
) -> model::Boot {
    let boot = at.key("boot");
    let at = |key| boot.key(key);
    let next = get(written.next_server.as_ref(), &at("next-server"), report);
    let name = get(written.server_name.as_ref(), &at("server-name"), report);
    let file = get(written.file.as_ref(), &at("file"), report);
    model::Boot {
        next_server: next.or(inherited.next_server),
        server_name: name.map_or(inherited.server_name, |name| name.0),
        file: file.map_or(inherited.file, |file| file.0),
        menu: inherited.menu,
    }
}

/// The boot fields of a level that are kept as they are.
pub(super) fn boot_overrides(
    written: &written::Boot,
    at: &At<'_>,
    report: &Report,
) -> model::BootOverrides {
    let boot = at.key("boot");
    let at = |key| boot.key(key);
    let next = get(written.next_server.as_ref(), &at("next-server"), report);
    let name = get(written.server_name.as_ref(), &at("server-name"), report);
    let file = get(written.file.as_ref(), &at("file"), report);
    model::BootOverrides {
        next_server: next.map(Some),
        server_name: name.map(|name| name.0),
        file: file.map(|file| file.0),
        menu: None,
    }
}
