//! Names and words.

use schemars::{Schema, json_schema};

use super::super::error::Problem;
use super::super::model::{Bootp, FastPathMode, Rate};
use super::{Between, Parse};

impl Parse for FastPathMode {
    fn parse(text: &str) -> Result<Self, Problem> {
        Ok(match text {
            "auto" => Self::Auto,
            "native" => Self::Native,
            "generic" => Self::Generic,
            "off" => Self::Off,
            _ => {
                let what = format!("{text:?} is not a mode");
                return Err(Problem::new(what, "write auto, native, generic or off"));
            }
        })
    }

    fn schema() -> Schema {
        json_schema!({"enum": ["auto", "native", "generic", "off"]})
    }
}

impl Parse for Bootp {
    fn parse(text: &str) -> Result<Self, Problem> {
        Ok(match text {
            "off" => Self::Off,
            "reserved" => Self::Reserved,
            "dynamic" => Self::Dynamic,
            _ => {
                let what = format!("{text:?} is none of the ways to treat BOOTP clients");
                return Err(Problem::new(what, "write off, reserved or dynamic"));
            }
        })
    }

    fn schema() -> Schema {
        json_schema!({"enum": ["off", "reserved", "dynamic"]})
    }
}

impl Parse for Rate {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "auto" => return Ok(Self::Auto),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        let hint = "write auto, off, or how many a second, 1 to 10000000";
        Between::<1, 10_000_000>::parse(text)
            .map(|rate| Self::PerSecond(rate.0))
            .map_err(|problem| Problem::new(problem.what, hint))
    }

    fn schema() -> Schema {
        json_schema!({"anyOf": [
            {"enum": ["auto", "off"]},
            {"type": "integer", "minimum": 1, "maximum": 10_000_000},
        ]})
    }
}

/// A truth value of something that is turned on.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Switch(pub bool);

impl Parse for Switch {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "on" | "true" => Ok(Self(true)),
            "off" | "false" => Ok(Self(false)),
            _ => {
                let what = format!("{text:?} is neither on nor off");
                Err(Problem::new(what, "write on or off"))
            }
        }
    }

    fn schema() -> Schema {
        json_schema!({"enum": ["on", "off", true, false]})
    }
}

/// A value; an empty text takes an inherited one away.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct OrNone<T>(pub Option<T>);

impl<T: Parse> Parse for OrNone<T> {
    fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        T::parse(text).map(|value| Self(Some(value)))
    }

    fn schema() -> Schema {
        json_schema!({"anyOf": [T::schema(), {"const": ""}]})
    }
}

/// The name of a class, shared network or host group.
#[derive(Debug, Clone)]
pub(in super::super) struct Name(pub String);

impl Parse for Name {
    fn parse(text: &str) -> Result<Self, Problem> {
        let inside = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=63).contains(&text.len()) && text.chars().all(inside) {
            return Ok(Self(text.to_owned()));
        }
        let what = format!("{text:?} is not a name");
        let hint = "use at most 63 letters, digits, dots, hyphens and underscores";
        Err(Problem::new(what, hint))
    }

    fn schema() -> Schema {
        json_schema!({"type": ["string", "number"], "minLength": 1, "maxLength": 63})
    }
}

/// The name of a network interface.
#[derive(Debug, Clone)]
pub(in super::super) struct InterfaceName(pub String);

impl Parse for InterfaceName {
    fn parse(text: &str) -> Result<Self, Problem> {
        let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '/' && c != ':';
        if (1..=15).contains(&text.len()) && text.chars().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        let what = format!("{text:?} is not a name of an interface");
        Err(Problem::new(
            what,
            "write one of at most 15 characters, as `ip link` shows it",
        ))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": 15})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_room_for_quotes_and_spaces() {
        for text in ["gpu", "rack-1", "a_b.c", "7", "büro"] {
            assert!(Name::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a b", "it's", "a,b", &"a".repeat(64)] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_a_word_or_a_number() {
        assert_eq!(Rate::parse("auto"), Ok(Rate::Auto));
        assert_eq!(Rate::parse("5000"), Ok(Rate::PerSecond(5000)));
        assert!(Rate::parse("0").is_err() && Rate::parse("fast").is_err());
    }
}
