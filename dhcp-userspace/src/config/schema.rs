//! The JSON Schema of the configuration, for editors.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::decode::{KeyOrMap, Later, OneOrMany, Passage, Placed, Short, ValueOrMap};
use super::written::{Document, OptionEntry};
use crate::packet::registry::{self, Definition, Kind};

/// The schema of the main file, draft-07, which every editor knows.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<Document>();
    schema.insert("title".to_owned(), json!("xdhcpd configuration"));
    let mut schema = schema.to_value();
    allow_nothing(&mut schema["properties"]);
    for (_, definition) in schema["definitions"].as_object_mut().into_iter().flatten() {
        allow_nothing(&mut definition["properties"]);
    }
    schema
}

/// A mapping or list may be empty: a key with all lines below it commented out.
fn allow_nothing(properties: &mut Value) {
    for (_, property) in properties.as_object_mut().into_iter().flatten() {
        let Some(about) = property.as_object_mut() else {
            continue;
        };
        if let Some(Value::Array(mut types)) = about.remove("allOf") {
            types.push(json!({"type": "null"}));
            about.insert("anyOf".to_owned(), types.into());
        }
        if property["type"] == "array" {
            property["type"] = json!(["array", "null"]);
        }
    }
}

/// Every option that may be written, with its type, and any number.
pub(super) fn options(generator: &mut SchemaGenerator) -> Schema {
    let long = generator.subschema_for::<OptionEntry>();
    let mut properties = Map::new();
    for option in registry::all() {
        if registry::managed(option.code).is_some() {
            continue;
        }
        let about = format!("Option {}.", option.code);
        properties.insert(option.name.to_owned(), entry(&about, option.kind, &long));
        if !option.alias.is_empty() {
            let about = alias(option);
            properties.insert(option.alias.to_owned(), entry(&about, option.kind, &long));
        }
    }
    let any = entry("An option by its number.", Kind::Binary, &long);
    json_schema!({
        "description": "DHCP options by name or number.",
        "type": "object",
        "properties": properties,
        "patternProperties": {"^[0-9]+$": any},
        "additionalProperties": false,
    })
}

fn alias(option: &Definition) -> String {
    format!("Option {}; another name of {}.", option.code, option.name)
}

fn entry(about: &str, kind: Kind, long: &Schema) -> Value {
    let item = item(kind);
    let list = json!({"type": "array", "items": item});
    json!({"description": about, "anyOf": [item, list, long]})
}

fn item(kind: Kind) -> Value {
    match kind {
        Kind::Ipv4 | Kind::Ipv4List | Kind::Ipv4Pairs => {
            json!({"type": "string", "format": "ipv4"})
        }
        Kind::Uint { bytes, min } | Kind::UintList { bytes, min } => {
            let max = u32::MAX >> (32 - 8 * u32::from(bytes));
            json!({"type": "integer", "minimum": min, "maximum": max})
        }
        Kind::Int32 => json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Domain | Kind::DomainList => json!({"type": "string"}),
        Kind::Routes => json!({"type": "string", "pattern": "^[0-9.]+/[0-9]+ via [0-9.]+$"}),
        // Digits alone are a number to YAML and still a text or hexadecimal to the option.
        Kind::Text | Kind::Binary => json!({"type": ["string", "number", "boolean"]}),
    }
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({"anyOf": [item, {"type": "array", "items": item}]})
    }
}

impl<T: JsonSchema> JsonSchema for ValueOrMap<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl<T: Short + JsonSchema> JsonSchema for KeyOrMap<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<T>();
        json_schema!({"anyOf": [T::schema(), long]})
    }
}

impl<T: JsonSchema> JsonSchema for Later<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Later".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({"type": "array", "items": item})
    }
}

impl JsonSchema for Passage {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Passage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}
