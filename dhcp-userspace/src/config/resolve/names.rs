//! Names that one part of the configuration gives and others use.

use super::super::error::{At, Place, Problem, Report, did_you_mean};
use super::super::scalar::{Name, Scalar};

/// The name of something, reported if it is missing.
pub(super) fn required(
    written: Option<&Scalar<Name>>,
    (place, hint): (Place, &str),
    at: &At<'_>,
    report: &Report,
) -> Option<String> {
    let Some(scalar) = written else {
        report.add_missing(place, at, Problem::new("has no `name`", hint));
        return None;
    };
    Some(scalar.get(&at.key("name"), report)?.0)
}

/// A second thing of the same name.
pub(super) fn twice(kind: &str, name: &str, first: Place, report: &Report) -> Problem {
    let what = format!(
        "the {kind} {name} is there already, at {}",
        report.show(first)
    );
    Problem::new(what, "give one of them another name")
}

/// A name of nothing.
pub(super) fn unknown<'a>(
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    otherwise: &str,
) -> Problem {
    let hint = did_you_mean(name, known).unwrap_or_else(|| otherwise.to_owned());
    Problem::new(format!("no {kind} has the name {name}"), hint)
}
