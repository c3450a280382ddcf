//! Tests on messages: the short form `match` and the expressions.

use super::super::decode::{OneOrMany, Passage, Placed};
use super::super::error::{At, Place, Problem, Report, did_you_mean};
use super::super::scalar::{Parse, Scalar};
use super::super::written::Match;
use crate::class::{ClassId, SyntaxError, Test};
use crate::packet::registry::TOP;

/// The code of an option by name or number.
fn code(name: &str, report: &Report) -> Option<u8> {
    let named = || Some(report.definitions().by_name(TOP, name)?.code);
    name.parse().ok().or_else(named)
}

impl From<SyntaxError> for Problem {
    fn from(error: SyntaxError) -> Self {
        Self::new(error.problem, error.hint)
    }
}

/// Compiles an expression; `class` knows those that it may ask for.
pub(super) fn expression(
    passage: &Passage,
    class: &dyn Fn(&str) -> Option<ClassId>,
    at: &At<'_>,
    report: &Report,
) -> Option<Test> {
    let text = passage.text.as_deref()?;
    let option = |name: &str| code(name, report);
    let error = match Test::parse(text, class, &option) {
        Ok(test) => return Some(test),
        Err(error) => error,
    };
    let column = error.column(text) as u32;
    let problem = Problem::from(error);
    match passage.first {
        Some(first) => {
            let column = first.column + column - 1;
            report.add(Place { column, ..first }, at, problem);
        }
        // The text is folded or has escapes: only its own characters can be counted.
        None => {
            let what = format!("at character {column} of the text: {}", problem.what);
            report.add(passage.place, at, Problem::new(what, problem.hint));
        }
    }
    None
}

/// Compiles the short form: all keys must fit.
pub(super) fn short(
    Placed { place, value }: &Placed<Match>,
    at: &At<'_>,
    report: &Report,
) -> Option<Test> {
    let all = Keys {
        at,
        report,
        tests: Vec::new(),
    };
    let tests = all.read(value);
    if tests.is_empty() {
        let hint = "write what its messages look like, as in match: {arch: 7}";
        let problem = Problem::new("fits every message", hint);
        report.add_missing(*place, at, problem);
        return None;
    }
    Some(Test::all(tests.into_iter().collect::<Option<_>>()?))
}

fn values<T>(any: &Option<OneOrMany<Scalar<T>>>) -> &[Scalar<T>] {
    any.as_ref().map_or(&[], |any| &any.0)
}

/// The keys of a `match`, one after the other.
struct Keys<'a> {
    at: &'a At<'a>,
    report: &'a Report,
    /// `None`: a mistake, which has been reported.
    tests: Vec<Option<Test>>,
}

impl Keys<'_> {
    fn read(mut self, written: &Match) -> Vec<Option<Test>> {
        self.any("arch", values(&written.arch), |arch| {
            Ok(Test::arch(arch.0 as u16))
        });
        self.any("vendor-class", values(&written.vendor_class), |text| {
            Ok(Test::vendor_class(&text))
        });
        self.any("user-class", values(&written.user_class), |text| {
            Ok(Test::user_class(&text))
        });
        self.any("mac", values(&written.mac), |text| Test::mac(&text));
        self.any("circuit-id", values(&written.circuit_id), |text| {
            Test::circuit_id(&text)
        });
        self.any("remote-id", values(&written.remote_id), |text| {
            Test::remote_id(&text)
        });
        self.any("relay", values(&written.relay), |net| {
            Ok(Test::relay(net.0))
        });
        let options = self.at.key("option");
        for (key, values) in &written.option.0 {
            self.option(key, &values.0, &options);
        }
        self.tests
    }

    /// One of the values is enough; an empty list is as if the key were not there.
    fn any<T: Parse>(
        &mut self,
        key: &str,
        values: &[Scalar<T>],
        test: impl Fn(T) -> Result<Test, SyntaxError>,
    ) {
        let at = self.at.key(key);
        self.any_at(&at, values, test);
    }

    fn any_at<T: Parse>(
        &mut self,
        at: &At<'_>,
        values: &[Scalar<T>],
        test: impl Fn(T) -> Result<Test, SyntaxError>,
    ) {
        if values.is_empty() {
            return;
        }
        let one = |scalar: &Scalar<T>| {
            let made = test(scalar.get(at, self.report)?);
            let told = |error: SyntaxError| self.report.add(scalar.place, at, error.into());
            made.map_err(told).ok()
        };
        let tests: Vec<Option<Test>> = values.iter().map(one).collect();
        let tests: Option<Vec<Test>> = tests.into_iter().collect();
        self.tests.push(tests.map(Test::any));
    }

    fn option(&mut self, key: &Placed<String>, values: &[Scalar<String>], options: &At<'_>) {
        let at = options.key(&key.value);
        let known = code(&key.value, self.report);
        let Some(code) = known.filter(|code| (1..255).contains(code)) else {
            let hint = did_you_mean(&key.value, self.report.definitions().names(TOP));
            let other = "write a name of the IANA registry, or a number from 1 to 254";
            let what = format!("unknown option {}", key.value);
            let problem = Problem::new(what, hint.unwrap_or_else(|| other.to_owned()));
            self.report.add(key.place, &at, problem);
            return self.tests.push(None);
        };
        if values.is_empty() {
            let hint = "write a text, 0x and hexadecimal, or `exists`";
            let problem = Problem::new("has no value", hint);
            self.report.add(key.place, &at, problem);
        }
        self.any_at(&at, values, |text| match text.as_str() {
            "exists" => Test::option(code, None),
            text => Test::option(code, Some(text)),
        });
    }
}
