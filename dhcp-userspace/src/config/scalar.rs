//! Single values: how their text is read, and what an editor is told about them.

mod host;
mod listen;
mod words;

use std::borrow::Cow;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::Ipv4Net;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::decode::{Placed, Text};
use super::error::{At, Place, Problem, Report};
use super::{duration, range};
pub(super) use host::{AgentId, ClientId, Hostname, MacAddress, Uuid};
pub(super) use listen::{AddressOrNet, Listen};
pub(super) use words::{InterfaceName, Name, OrNone, Switch};

/// A value as written; read by [`Scalar::get`] when its turn comes.
#[derive(Debug, Clone)]
pub(super) struct Scalar<T> {
    pub place: Place,
    /// `None`: not a scalar, which has been reported.
    pub text: Option<String>,
    kind: PhantomData<fn() -> T>,
}

impl<T: Parse> Scalar<T> {
    /// The value, or a report.
    pub(super) fn get(&self, at: &At<'_>, report: &Report) -> Option<T> {
        match T::parse(self.text.as_deref()?) {
            Ok(value) => Some(value),
            Err(problem) => {
                report.add(self.place, at, problem);
                None
            }
        }
    }
}

/// The value of a key that may be absent.
pub(super) fn get<T: Parse>(scalar: Option<&Scalar<T>>, at: &At<'_>, report: &Report) -> Option<T> {
    scalar?.get(at, report)
}

impl<'de, T> Deserialize<'de> for Scalar<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Placed { place, value } = Placed::<Text>::deserialize(deserializer)?;
        Ok(Self {
            place,
            text: value.0,
            kind: PhantomData,
        })
    }
}

impl<T: Parse> JsonSchema for Scalar<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        T::schema()
    }
}

/// What can be read from the text of a scalar.
pub(super) trait Parse: Sized {
    fn parse(text: &str) -> Result<Self, Problem>;
    fn schema() -> Schema;
}

fn from_str<T: FromStr>(text: &str, what: &str, hint: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|_| Problem::new(format!("{text:?} is not {what}"), hint))
}

fn pattern(pattern: &str) -> Schema {
    json_schema!({"type": "string", "pattern": pattern})
}

impl Parse for String {
    fn parse(text: &str) -> Result<Self, Problem> {
        Ok(text.to_owned())
    }

    fn schema() -> Schema {
        json_schema!({"type": ["string", "number", "boolean"]})
    }
}

impl Parse for bool {
    fn parse(text: &str) -> Result<Self, Problem> {
        from_str(text, "a truth value", "write true or false")
    }

    fn schema() -> Schema {
        json_schema!({"type": "boolean"})
    }
}

impl Parse for Duration {
    fn parse(text: &str) -> Result<Self, Problem> {
        duration::parse(text)
    }

    fn schema() -> Schema {
        pattern("^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$")
    }
}

impl Parse for Ipv4Addr {
    fn parse(text: &str) -> Result<Self, Problem> {
        let hint = "write four numbers from 0 to 255, like 10.0.0.1";
        from_str(text, "an IPv4 address", hint)
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "format": "ipv4"})
    }
}

impl Parse for Ipv4Net {
    fn parse(text: &str) -> Result<Self, Problem> {
        let hint = "write the network address and the length of its prefix, like 10.0.0.0/24";
        let net: Self = from_str(text, "an IPv4 network", hint)?;
        if net.trunc() != net {
            let what = format!("{net} is an address in a network, not the network");
            return Err(Problem::new(what, format!("write {}", net.trunc())));
        }
        if net.prefix_len() < 8 {
            let what = format!("{net} is larger than a network can be");
            return Err(Problem::new(what, "write one of /8 or smaller"));
        }
        Ok(net)
    }

    fn schema() -> Schema {
        pattern("^[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+/[0-9]+$")
    }
}

impl Parse for SocketAddr {
    fn parse(text: &str) -> Result<Self, Problem> {
        let hint = "write both, like 127.0.0.1:9547 or [::1]:9547";
        from_str(text, "an address and port", hint)
    }

    fn schema() -> Schema {
        pattern(":[0-9]+$")
    }
}

/// An absolute path: the daemon has no directory of its own that a relative one could start at.
#[derive(Debug, Clone)]
pub(super) struct AbsolutePath(pub PathBuf);

impl Parse for AbsolutePath {
    fn parse(text: &str) -> Result<Self, Problem> {
        if text.starts_with('/') {
            return Ok(Self(text.into()));
        }
        let what = format!("{text:?} is not an absolute path");
        Err(Problem::new(what, "begin it with /"))
    }

    fn schema() -> Schema {
        pattern("^/")
    }
}

/// An absolute path that fits into the address of a Unix socket.
#[derive(Debug, Clone)]
pub(super) struct SocketPath(pub PathBuf);

impl Parse for SocketPath {
    fn parse(text: &str) -> Result<Self, Problem> {
        if text.len() > 107 {
            let what = format!("a path of {} bytes is too long for a socket", text.len());
            return Err(Problem::new(what, "use one of at most 107"));
        }
        AbsolutePath::parse(text).map(|path| Self(path.0))
    }

    fn schema() -> Schema {
        AbsolutePath::schema()
    }
}

/// A path of files to include, with `*` and `?`.
#[derive(Debug, Clone)]
pub(super) struct Pattern(pub String);

impl Parse for Pattern {
    fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::new(
                "an empty path",
                "write one like hosts.d/*.yaml",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}

/// `auto`, or a whole number between two bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct AutoOr<const MIN: u32, const MAX: u32>(pub Option<u32>);

impl<const MIN: u32, const MAX: u32> Parse for AutoOr<MIN, MAX> {
    fn parse(text: &str) -> Result<Self, Problem> {
        if text == "auto" {
            return Ok(Self(None));
        }
        let hint = format!("write auto, or a whole number from {MIN} to {MAX}");
        Between::<MIN, MAX>::parse(text)
            .map(|number| Self(Some(number.0)))
            .map_err(|problem| Problem::new(problem.what, hint))
    }

    fn schema() -> Schema {
        json_schema!({"anyOf": [
            {"const": "auto"},
            {"type": "integer", "minimum": MIN, "maximum": MAX},
        ]})
    }
}

/// A whole number between two bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Between<const MIN: u32, const MAX: u32>(pub u32);

impl<const MIN: u32, const MAX: u32> Parse for Between<MIN, MAX> {
    fn parse(text: &str) -> Result<Self, Problem> {
        let hint = format!("write a whole number from {MIN} to {MAX}");
        let number: u64 = from_str(text, "a whole number", &hint)?;
        if !(u64::from(MIN)..=u64::from(MAX)).contains(&number) {
            return Err(Problem::new(format!("{number} is out of range"), hint));
        }
        Ok(Self(number as u32))
    }

    fn schema() -> Schema {
        json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// How far ahead leases are promised, in lease times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reserve(pub f64);

impl Parse for Reserve {
    fn parse(text: &str) -> Result<Self, Problem> {
        let hint = "write a number from 1.6 to 100, like 2.5";
        let number: f64 = from_str(text, "a number", hint)?;
        if !(1.6..=100.0).contains(&number) {
            let what = format!("{text} is out of range");
            return Err(Problem::new(what, hint));
        }
        Ok(Self(number))
    }

    fn schema() -> Schema {
        json_schema!({"type": "number", "minimum": 1.6, "maximum": 100})
    }
}

/// Text for a header field of a fixed size, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Field<const MAX: usize>(pub String);

impl<const MAX: usize> Parse for Field<MAX> {
    fn parse(text: &str) -> Result<Self, Problem> {
        if text.len() > MAX {
            let what = format!("{} bytes are too long: the field holds {MAX}", text.len());
            return Err(Problem::new(what, "use a shorter name or path"));
        }
        if text.contains('\0') {
            return Err(Problem::new("a NUL would end the text", "leave it away"));
        }
        Ok(Self(text.to_owned()))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "maxLength": MAX})
    }
}

impl Parse for range::Range {
    fn parse(text: &str) -> Result<Self, Problem> {
        range::parse(text)
    }

    fn schema() -> Schema {
        pattern("^[0-9.]+( *- *[0-9.]+|/[0-9]+)?$")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds() {
        assert!(AutoOr::<1, 9>::parse("auto").unwrap().0.is_none());
        assert_eq!(AutoOr::<1, 9>::parse("9").unwrap().0, Some(9));
        for text in ["0", "10", "-1", "1.5", "many", "99999999999999999999"] {
            assert!(AutoOr::<1, 9>::parse(text).is_err(), "{text}");
        }
        for text in ["1.59", "nan", "inf", "x"] {
            assert!(Reserve::parse(text).is_err(), "{text}");
        }
    }
}
