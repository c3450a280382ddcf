//! Options as they are written, and their definitions.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::decode::{OneOrMany, Placed, ValueOrMap};
use super::super::error::Problem;
use super::super::scalar::{Between, Parse, Scalar};
use super::super::schema;

/// An option that the registry does not know.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["code"]))]
pub(in crate::config) struct OptionDefinition {
    /// Its number.
    pub code: Option<Scalar<Between<1, 254>>>,
    /// Its name, as it is used under `options`.
    pub name: Option<Scalar<OptionName>>,
    /// What its value is, or a list of what the parts of it are.
    #[serde(rename = "type")]
    pub kind: Option<OneOrMany<Scalar<String>>>,
    /// Whether there may be several values; of a type with several parts, several of the last.
    #[schemars(extend("default" = false))]
    pub array: Option<Scalar<bool>>,
    /// Where it is an option: `dhcp4`, the name of a vendor's space, or the number of an
    /// enterprise (option 125).
    #[schemars(extend("default" = "dhcp4"))]
    pub space: Option<Scalar<OptionName>>,
    /// The space of the sub-options that its value is made of, in place of `type`.
    pub encapsulates: Option<Scalar<OptionName>>,
    /// Send it whether the client asks for it or not, where its value does not say otherwise.
    #[serde(rename = "always-send")]
    #[schemars(extend("default" = false))]
    pub always_send: Option<Scalar<bool>>,
}

/// The long form of an option's value.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct OptionEntry {
    /// The value, or a list of them.
    #[schemars(schema_with = "schema::values")]
    pub value: Option<OneOrMany<ValueOrMap<OptionItem>>>,
    /// What the value is, or what the parts of it are, for an option whose type this server does
    /// not know.
    #[serde(rename = "type")]
    pub kind: Option<OneOrMany<Scalar<String>>>,
    /// The bytes of the value in hexadecimal, in place of `value`.
    pub hex: Option<Scalar<String>>,
    /// The sub-options that the value is made of, in place of `value`.
    pub suboptions: Option<SubOptions>,
    /// The number of the enterprise whose sub-options these are (option 125).
    pub enterprise: Option<Scalar<Enterprise>>,
    /// The space that the sub-options are from, where the option does not tell it.
    pub space: Option<Scalar<OptionName>>,
    /// Send the option whether the client asks for it or not.
    #[serde(rename = "always-send")]
    pub always_send: Option<Scalar<bool>>,
}

/// A private enterprise number.
pub(in crate::config) type Enterprise = Between<0, { u32::MAX }>;

/// An enterprise's part of option 125.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct OptionItem {
    /// What is written is this, if it is no mapping.
    #[schemars(skip)]
    pub value: Option<Scalar<String>>,
    /// The number of an enterprise.
    pub enterprise: Option<Scalar<Enterprise>>,
    /// Its sub-options.
    pub suboptions: Option<SubOptions>,
}

/// Sub-options by name or number, as written.
#[derive(Debug, Default)]
pub(in crate::config) struct SubOptions(pub Vec<Entry>);

impl<'de> Deserialize<'de> for SubOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Options::deserialize(deserializer).map(|options| Self(options.0))
    }
}

impl JsonSchema for SubOptions {
    fn schema_name() -> Cow<'static, str> {
        "SubOptions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema::suboptions(generator)
    }
}

/// An option, or a sub-option, and its value.
pub(in crate::config) type Entry = (Placed<String>, Placed<ValueOrMap<OptionEntry>>);

/// Options by name or number, as written.
#[derive(Debug, Default)]
pub(in crate::config) struct Options(pub Vec<Entry>);

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OptionsVisitor)
    }
}

struct OptionsVisitor;

impl<'de> Visitor<'de> for OptionsVisitor {
    type Value = Options;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping from option names to values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
        let mut options = Vec::new();
        while let Some(entry) = map.next_entry()? {
            options.push(entry);
        }
        Ok(Options(options))
    }
}

impl JsonSchema for Options {
    fn schema_name() -> Cow<'static, str> {
        "Options".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema::options(generator)
    }
}

/// The name of an option or of a space of options.
#[derive(Debug, Clone)]
pub(in crate::config) struct OptionName(pub String);

impl Parse for OptionName {
    fn parse(text: &str) -> Result<Self, Problem> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=64).contains(&text.len()) && text.bytes().all(inner) {
            return Ok(Self(text.to_owned()));
        }
        let what = format!("{text:?} is not a name of an option or space");
        Err(Problem::new(
            what,
            "use at most 64 letters, digits and hyphens",
        ))
    }

    fn schema() -> Schema {
        json_schema!({"type": ["string", "integer"], "pattern": "^[0-9A-Za-z_-]{1,64}$"})
    }
}
