//! DHCP options, level by level.

use std::collections::HashMap;

use super::super::decode::Placed;
use super::super::error::{At, Place, Problem, Report, did_you_mean};
use super::super::model::{self, OptionValue};
use super::super::scalar::{Scalar, get};
use super::super::written::{self, OptionEntry};
use crate::packet::registry::{self, Kind};

/// What is left of an Ethernet frame for options: 1500 bytes without IP, UDP and BOOTP header
/// and what the server itself puts into a reply.
const ROOM: usize = 1172;

/// The types that the long form knows.
const TYPES: [(&str, Kind); 10] = [
    ("ipv4", Kind::Ipv4List),
    ("uint8", Kind::UintList { bytes: 1, min: 0 }),
    ("uint16", Kind::UintList { bytes: 2, min: 0 }),
    ("uint32", Kind::UintList { bytes: 4, min: 0 }),
    ("int32", Kind::Int32),
    ("bool", Kind::Bool),
    ("string", Kind::Text),
    ("domain", Kind::DomainList),
    ("route", Kind::Routes),
    ("hex", Kind::Binary),
];

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
    let mut options = model::Overrides::new();
    let at = at.key("options");
    let mut places: HashMap<u8, Place> = HashMap::new();
    for (key, entry) in &written.0 {
        let at = at.key(&key.value);
        let Some(code) = code(key, &at, report) else {
            continue;
        };
        if let Some(first) = places.insert(code, key.place) {
            let what = format!(
                "option {code} is given twice, first at {}",
                report.show(first)
            );
            report.add(key.place, &at, Problem::new(what, "keep one of them"));
        }
        if takes_away(&entry.value.0) {
            options.insert(code, None);
        } else if let Some(value) = value(code, entry, &at, report) {
            options.insert(code, Some(value));
        }
    }
    options
}

fn code(key: &Placed<String>, at: &At<'_>, report: &Report) -> Option<u8> {
    let name = key.value.as_str();
    let named = registry::by_name(name).map(|option| option.code);
    let Some(code) = name.parse().ok().or(named) else {
        report.add(key.place, at, unknown(name));
        return None;
    };
    let Some(instead) = registry::managed(code) else {
        return Some(code);
    };
    let what = format!("option {code} is not set here");
    report.add(key.place, at, Problem::new(what, instead));
    None
}

fn unknown(name: &str) -> Problem {
    if name.parse::<i64>().is_ok() {
        return Problem::new(
            format!("{name} is not the number of an option"),
            "write 1 to 254",
        );
    }
    let both = registry::all()
        .iter()
        .flat_map(|option| [option.name, option.alias]);
    let hint = did_you_mean(name, both);
    let other = || "write a name of the IANA registry, or the number of the option".to_owned();
    Problem::new(format!("unknown option {name}"), hint.unwrap_or_else(other))
}

fn takes_away(entry: &OptionEntry) -> bool {
    let empty_list = entry.value.as_ref().is_some_and(|value| value.0.is_empty());
    empty_list && entry.hex.is_none()
}

fn value(
    code: u8,
    entry: &Placed<super::super::decode::ValueOrMap<OptionEntry>>,
    at: &At<'_>,
    report: &Report,
) -> Option<OptionValue> {
    let Placed {
        place,
        value: entry,
    } = entry;
    let entry = &entry.0;
    let always_send = get(entry.always_send.as_ref(), &at.key("always-send"), report);
    let (kind, items) = match (&entry.value, &entry.hex) {
        (Some(value), None) => (kind(code, entry, at, report)?, value.0.as_slice()),
        (None, Some(hex)) => (Kind::Binary, std::slice::from_ref(hex)),
        (Some(_), Some(hex)) => {
            let problem = Problem::new("has both `value` and `hex`", "keep one of them");
            report.add(hex.place, at, problem);
            return None;
        }
        (None, None) => {
            let kind = registry::by_code(code).map_or(Kind::Binary, |option| option.kind);
            report.add(*place, at, Problem::new("has no value", kind.hint()));
            return None;
        }
    };
    Some(OptionValue {
        data: encode(kind, items, *place, at, report)?,
        always_send: always_send.unwrap_or(false),
    })
}

fn kind(code: u8, entry: &OptionEntry, at: &At<'_>, report: &Report) -> Option<Kind> {
    if let Some(written) = &entry.kind {
        let name = written.text.as_deref()?;
        let found = TYPES.iter().find(|(known, _)| *known == name);
        if found.is_none() {
            let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
            let what = format!("unknown type {name}");
            let problem = Problem::new(what, format!("write one of {}", names.join(", ")));
            report.add(written.place, &at.key("type"), problem);
        }
        return found.map(|(_, kind)| *kind);
    }
    if let Some(option) = registry::by_code(code) {
        return Some(option.kind);
    }
    let items = entry.value.as_ref().map_or(&[][..], |value| &value.0);
    match items {
        [Scalar { text: None, .. }] => None,
        [
            Scalar {
                text: Some(text), ..
            },
        ] if text.starts_with("0x") || text.contains(':') => Some(Kind::Binary),
        items => {
            let what = format!("the type of option {code} is not known");
            let hint = "write hexadecimal (0x01ab), or {type: string, value: ...}; types are \
                        ipv4, uint8, uint16, uint32, int32, bool, string, domain, route, hex";
            let place = items.first().map(|item| item.place).unwrap_or_default();
            report.add(place, at, Problem::new(what, hint));
            None
        }
    }
}

fn encode(
    kind: Kind,
    items: &[Scalar<String>],
    place: Place,
    at: &At<'_>,
    report: &Report,
) -> Option<Vec<u8>> {
    let texts: Option<Vec<&str>> = items.iter().map(|item| item.text.as_deref()).collect();
    let error = match registry::encode(kind, &texts?) {
        Ok(data) => return Some(data),
        Err(error) => error,
    };
    let problem = Problem::new(error.problem, error.hint);
    match error.item {
        Some(index) if items.len() > 1 => {
            report.add(items[index].place, &at.item(index), problem);
        }
        Some(index) => report.add(items[index].place, at, problem),
        None => report.add(place, at, problem),
    }
    None
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
