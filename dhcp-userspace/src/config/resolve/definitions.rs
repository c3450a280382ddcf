//! Options that the configuration defines.

use super::super::decode::{OneOrMany, Placed};
use super::super::error::{At, Place, Problem, Report, did_you_mean};
use super::super::scalar::{Scalar, get};
use super::super::written::{OptionDefinition, OptionName};
use crate::packet::registry::{self, BINARY, Custom, Definitions, EMPTY, Field, Kind, TOP};

/// All definitions. A space is known once anything is defined in it, wherever that stands.
pub(super) fn resolve(written: &[Placed<OptionDefinition>], report: &Report) -> Definitions {
    let at = At::Root.key("option_definitions");
    let mut definitions = Definitions::default();
    for (index, definition) in written.iter().enumerate() {
        let at = at.item(index);
        define(definition, &mut definitions, &at, report);
    }
    for (index, definition) in written.iter().enumerate() {
        let at = at.item(index);
        check_space(&definition.value, &definitions, &at, report);
    }
    definitions
}

fn define(
    written: &Placed<OptionDefinition>,
    definitions: &mut Definitions,
    at: &At<'_>,
    report: &Report,
) {
    let Placed { place, value } = written;
    let code = get(value.code.as_ref(), &at.key("code"), report).map(|code| code.0 as u8);
    let missing = |what, hint: &str| report.add_missing(*place, at, Problem::new(what, hint));
    if value.code.is_none() {
        missing("has no code", "write `code`, from 1 to 254");
    }
    let space = name(value.space.as_ref(), "space", at, report);
    let space = space.unwrap_or_else(|| TOP.to_owned());
    let encapsulates = name(value.encapsulates.as_ref(), "encapsulates", at, report);
    if let Some(inside) = encapsulates.clone()
        && let Some(code) = code.filter(|code| is_known(*code, value, &space))
    {
        return definitions.encapsulate(code, inside);
    }
    if value.name.is_none() {
        missing("has no name", "write `name`");
    }
    let name = name(value.name.as_ref(), "name", at, report);
    let name = name.filter(|name| is_name(name, *place, at, report));
    let kind = kind_of(written, at, report);
    let always_send = get(value.always_send.as_ref(), &at.key("always-send"), report);
    let (Some(code), Some(name), Some(kind)) = (code, name, kind) else {
        return;
    };
    let option = Custom {
        space,
        code,
        name,
        kind,
        encapsulates: encapsulates.unwrap_or_default(),
        always_send: always_send.unwrap_or(false),
    };
    if let Err(clash) = definitions.define(option) {
        let hint = "choose another, or leave the definition away";
        report.add(*place, at, Problem::new(clash.to_string(), hint));
    }
}

fn name(
    written: Option<&Scalar<OptionName>>,
    key: &str,
    at: &At<'_>,
    report: &Report,
) -> Option<String> {
    get(written, &at.key(key), report).map(|name| name.0)
}

fn kind_of(written: &Placed<OptionDefinition>, at: &At<'_>, report: &Report) -> Option<Kind> {
    let Placed { place, value } = written;
    let array = get(value.array.as_ref(), &at.key("array"), report);
    if let Some(types) = &value.kind {
        return kind(types, array.unwrap_or(false), at, report);
    }
    if value.encapsulates.is_none() {
        let hint = format!(
            "write `type` ({}), or `encapsulates`",
            registry::type_names()
        );
        report.add_missing(*place, at, Problem::new("has no type", hint));
    }
    Some(BINARY)
}

/// Says only which sub-options a known option has.
fn is_known(code: u8, written: &OptionDefinition, space: &str) -> bool {
    let known = registry::by_code(code).is_some_and(|option| !option.space.is_empty());
    let alone = written.name.is_none() && written.kind.is_none();
    known && alone && space == TOP
}

fn is_name(name: &str, place: Place, at: &At<'_>, report: &Report) -> bool {
    let number = name.parse::<u64>().is_ok();
    if number {
        let what = format!("{name} is a number, not a name");
        report.add(
            place,
            &at.key("name"),
            Problem::new(what, "begin it with a letter"),
        );
    }
    !number
}

/// The kind that one or several names of types mean.
pub(super) fn kind(
    types: &OneOrMany<Scalar<String>>,
    array: bool,
    at: &At<'_>,
    report: &Report,
) -> Option<Kind> {
    let at = at.key("type");
    if let [only] = &*types.0
        && only.text.as_deref() == Some(EMPTY)
    {
        return Some(Kind::custom(Vec::new(), false));
    }
    let fields: Vec<Option<Field>> = types
        .0
        .iter()
        .map(|name| field(name, &at, report))
        .collect();
    let kind = Kind::custom(fields.into_iter().collect::<Option<Vec<_>>>()?, array);
    if kind.is_sound() && !kind.fields.is_empty() {
        return Some(kind);
    }
    let place = types.0.first().map(|first| first.place).unwrap_or_default();
    let what = "string, client-id and hex take all that is left";
    let hint = "let one of them be the last part, and no array; `counted` is a string that ends";
    report.add(place, &at, Problem::new(what, hint));
    None
}

fn field(name: &Scalar<String>, at: &At<'_>, report: &Report) -> Option<Field> {
    let text = name.text.as_deref()?;
    let found = registry::type_by_name(text);
    if found.is_none() {
        let hint = format!("write one of {}", registry::type_names());
        let problem = Problem::new(format!("unknown type {text}"), hint);
        report.add(name.place, at, problem);
    }
    found
}

fn check_space(
    written: &OptionDefinition,
    definitions: &Definitions,
    at: &At<'_>,
    report: &Report,
) {
    let Some(name) = &written.encapsulates else {
        return;
    };
    if let Some(text) = name
        .text
        .as_deref()
        .filter(|text| !definitions.has_space(text))
    {
        report.add(name.place, &at.key("encapsulates"), unknown_space(text));
    }
}

/// No option is defined in the space.
pub(super) fn unknown_space(name: &str) -> Problem {
    let known = registry::spaces().iter().map(|space| space.name);
    let hint = did_you_mean(name, known);
    let other =
        || format!("define its sub-options: {{space: {name}, code: ..., name: ..., type: ...}}");
    Problem::new(format!("unknown space {name}"), hint.unwrap_or_else(other))
}
