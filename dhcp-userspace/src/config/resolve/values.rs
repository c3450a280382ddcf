//! Options and sub-options, from what is written to bytes.

use std::collections::HashMap;

use super::super::decode::{OneOrMany, Placed, ValueOrMap};
use super::super::error::{At, Place, Problem, Report, did_you_mean};
use super::super::model::{OptionValue, Overrides};
use super::super::scalar::{Scalar, get};
use super::super::written::{Enterprise, Entry, OptionEntry, OptionItem, SubOptions};
use super::definitions;
use crate::packet::registry::{self, BINARY, ENTERPRISE, Field, Kind, Known, TOP};

/// The options that are written in one place, of one space.
pub(super) fn read(written: &[Entry], space: &str, at: &At<'_>, report: &Report) -> Overrides {
    let mut options = Overrides::new();
    let mut places: HashMap<u8, Place> = HashMap::new();
    for (key, entry) in written {
        let at = at.key(&key.value);
        let Some(code) = code(key, space, &at, report) else {
            continue;
        };
        if let Some(first) = places.insert(code, key.place) {
            let what = format!(
                "option {code} is given twice, first at {}",
                report.show(first)
            );
            report.add(key.place, &at, Problem::new(what, "keep one of them"));
        }
        let written = Written {
            code,
            space,
            known: report.definitions().by_code(space, code),
            place: entry.place,
            entry: &entry.value.0,
            at: &at,
            report,
        };
        if written.takes_away() {
            options.insert(code, None);
        } else if let Some(value) = written.value() {
            options.insert(code, Some(value));
        }
    }
    options
}

fn code(key: &Placed<String>, space: &str, at: &At<'_>, report: &Report) -> Option<u8> {
    let name = key.value.as_str();
    let named = report.definitions().by_name(space, name);
    let number = name.parse().ok().filter(|code| space == TOP || *code < 255);
    let Some(code) = number.or(named.map(|known| known.code)) else {
        report.add(key.place, at, unknown(name, space, report));
        return None;
    };
    let managed = if space == TOP {
        registry::managed(code)
    } else {
        None
    };
    let Some(instead) = managed else {
        return Some(code);
    };
    let what = format!("option {code} is not set here");
    report.add(key.place, at, Problem::new(what, instead));
    None
}

fn unknown(name: &str, space: &str, report: &Report) -> Problem {
    if name.parse::<i64>().is_ok() {
        return Problem::new(
            format!("{name} is not the number of an option"),
            "write 1 to 254",
        );
    }
    let hint = did_you_mean(name, report.definitions().names(space));
    if space == TOP {
        let other = || "write a name of the IANA registry, or the number of the option".to_owned();
        return Problem::new(format!("unknown option {name}"), hint.unwrap_or_else(other));
    }
    let other = || "write its number, or define it under `option_definitions`".to_owned();
    Problem::new(
        format!("unknown sub-option {name}"),
        hint.unwrap_or_else(other),
    )
}

/// One option as it is written, and what is known of it.
struct Written<'a> {
    code: u8,
    space: &'a str,
    known: Option<Known<'a>>,
    place: Place,
    entry: &'a OptionEntry,
    at: &'a At<'a>,
    report: &'a Report,
}

type Items = OneOrMany<ValueOrMap<OptionItem>>;

impl Written<'_> {
    fn takes_away(&self) -> bool {
        let entry = self.entry;
        let empty_list = entry.value.as_ref().is_some_and(|value| value.0.is_empty());
        empty_list && entry.hex.is_none() && entry.suboptions.is_none()
    }

    fn value(&self) -> Option<OptionValue> {
        let always = self.entry.always_send.as_ref();
        let always_send = get(always, &self.at.key("always-send"), self.report);
        if let Some(flag) = always.filter(|_| self.space != TOP) {
            let what = "a sub-option is sent with its option";
            let hint = "write always-send at the option";
            self.report
                .add(flag.place, self.at, Problem::new(what, hint));
        }
        let data = self.data()?;
        if self.space != TOP && data.len() > 255 {
            let what = format!(
                "takes {} bytes, but a sub-option has room for 255",
                data.len()
            );
            self.add(self.place, &what, "make it shorter");
            return None;
        }
        let always = self.known.is_some_and(|known| known.always_send);
        Some(OptionValue {
            data,
            always_send: always_send.unwrap_or(always),
        })
    }

    fn data(&self) -> Option<Vec<u8>> {
        let entry = self.entry;
        match (&entry.value, &entry.hex, &entry.suboptions) {
            (Some(value), None, None) => self.of_items(value),
            (None, Some(hex), None) => {
                let text = hex.text.as_deref()?;
                self.encode(&BINARY, &[(text, hex.place)])
            }
            (None, None, Some(all)) => self.of_suboptions(entry.enterprise.as_ref(), all),
            (None, None, None) => {
                let hint = match self.known {
                    Some(known) if !known.space.is_empty() => {
                        "write {suboptions: {...}}".to_owned()
                    }
                    Some(known) => known.kind.hint(),
                    None => BINARY.hint(),
                };
                self.add(self.place, "has no value", &hint);
                None
            }
            (_, Some(hex), _) => self.both(hex.place, ["value", "hex"]),
            (Some(_), None, Some(_)) => self.both(self.place, ["value", "suboptions"]),
        }
    }

    fn both(&self, place: Place, [one, other]: [&str; 2]) -> Option<Vec<u8>> {
        let what = format!("has both `{one}` and `{other}`");
        self.add(place, &what, "keep one of them");
        None
    }

    fn of_items(&self, items: &Items) -> Option<Vec<u8>> {
        let has_parts = |item: &ValueOrMap<OptionItem>| item.0.suboptions.is_some();
        if items.0.iter().any(has_parts) {
            return self.of_parts(items);
        }
        let mut texts = Vec::new();
        for item in &items.0 {
            let Some(scalar) = &item.0.value else {
                self.add(self.place, "one of the values is nothing", "leave it away");
                return None;
            };
            texts.push((scalar.text.as_deref()?, scalar.place));
        }
        self.encode(&self.kind(&texts)?, &texts)
    }

    /// Enterprises, each with its sub-options.
    fn of_parts(&self, items: &Items) -> Option<Vec<u8>> {
        let mut data = Vec::new();
        for ValueOrMap(item) in &items.0 {
            let none = SubOptions::default();
            let all = item.suboptions.as_ref().unwrap_or(&none);
            data.extend(self.of_suboptions(item.enterprise.as_ref(), all)?);
        }
        Some(data)
    }

    fn of_suboptions(
        &self,
        enterprise: Option<&Scalar<Enterprise>>,
        all: &SubOptions,
    ) -> Option<Vec<u8>> {
        let known = self.known.map_or("", |known| known.space);
        if known != ENTERPRISE {
            if let Some(number) = enterprise {
                let hint = "leave `enterprise` away";
                self.add(number.place, "only option 125 has enterprises", hint);
            }
            return self.suboptions(
                &self.named_space()?.unwrap_or_else(|| known.to_owned()),
                all,
            );
        }
        let Some(number) = enterprise else {
            let hint = "write {enterprise: NUMBER, suboptions: {...}}";
            self.add(self.place, "has no enterprise", hint);
            return None;
        };
        let number: u32 = number.get(&self.at.key("enterprise"), self.report)?.0;
        let part = self.suboptions(&number.to_string(), all)?;
        let mut data = Vec::new();
        if let Err(error) = registry::put_enterprise(&mut data, number, &part) {
            self.add(self.place, &error.to_string(), "give it fewer sub-options");
            return None;
        }
        Some(data)
    }

    /// `None`: a mistake; `Some(None)`: none is named.
    fn named_space(&self) -> Option<Option<String>> {
        let Some(space) = &self.entry.space else {
            return Some(None);
        };
        let at = self.at.key("space");
        let name = space.get(&at, self.report)?.0;
        if self.report.definitions().has_space(&name) {
            return Some(Some(name));
        }
        self.report
            .add(space.place, &at, definitions::unknown_space(&name));
        None
    }

    fn suboptions(&self, space: &str, written: &SubOptions) -> Option<Vec<u8>> {
        let at = self.at.key("suboptions");
        let all = read(&written.0, space, &at, self.report);
        if written.0.is_empty() {
            self.add(
                self.place,
                "has no sub-options",
                "write {suboptions: {1: 0x01}}",
            );
            return None;
        }
        let mut data = Vec::new();
        for (code, value) in all {
            registry::put_suboption(&mut data, code, &value?.data).ok()?;
        }
        if registry::has_end(space) {
            data.push(255);
        }
        Some(data)
    }

    fn kind(&self, texts: &[(&str, Place)]) -> Option<Kind> {
        if let Some(types) = &self.entry.kind {
            let kind = definitions::kind(types, false, self.at, self.report)?;
            let several = matches!(&*kind.fields, [one] if !is_greedy(*one));
            return Some(Kind::custom(kind.fields.into_owned(), several));
        }
        if let Some(known) = self.known {
            return Some(known.kind.clone());
        }
        match texts {
            [(text, _)] if text.starts_with("0x") || text.contains(':') => Some(BINARY),
            texts => {
                let what = format!("the type of option {} is not known", self.code);
                let hint = format!(
                    "write hexadecimal (0x01ab), or {{type: string, value: ...}}; types are {}",
                    registry::type_names()
                );
                let place = texts.first().map_or(self.place, |(_, place)| *place);
                self.add(place, &what, &hint);
                None
            }
        }
    }

    fn encode(&self, kind: &Kind, items: &[(&str, Place)]) -> Option<Vec<u8>> {
        let texts: Vec<&str> = items.iter().map(|(text, _)| *text).collect();
        let error = match registry::encode(kind, &texts) {
            Ok(data) => return Some(data),
            Err(error) => error,
        };
        let problem = Problem::new(error.problem, error.hint);
        match error.item {
            Some(index) if items.len() > 1 => {
                let at = self.at.item(index);
                self.report.add(items[index].1, &at, problem);
            }
            Some(index) => self.report.add(items[index].1, self.at, problem),
            None => self.report.add(self.place, self.at, problem),
        }
        None
    }

    fn add(&self, place: Place, what: &str, hint: &str) {
        self.report.add(place, self.at, Problem::new(what, hint));
    }
}

fn is_greedy(field: Field) -> bool {
    !Kind::custom(vec![field], true).is_sound()
}
