//! The JSON Schema of the configuration, for editors.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::decode::{KeyOrMap, Later, OneOrMany, Passage, Placed, Short, ValueOrMap};
use super::written::{Document, OptionEntry, OptionItem};
use crate::packet::registry::{self, BINARY, Definition, Field, Kind};

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
        properties.insert(option.name.to_owned(), entry(&about, &option.kind, &long));
        if !option.alias.is_empty() {
            let about = alias(option);
            properties.insert(option.alias.to_owned(), entry(&about, &option.kind, &long));
        }
    }
    // Any other name may be one that `option_definitions` has.
    let any = entry(
        "An option by its number, or one that is defined.",
        &BINARY,
        &long,
    );
    json_schema!({
        "description": "DHCP options by name or number.",
        "type": "object",
        "properties": properties,
        "additionalProperties": any,
    })
}

/// Sub-options: which there are depends on where they stand.
pub(super) fn suboptions(generator: &mut SchemaGenerator) -> Schema {
    let long = generator.subschema_for::<OptionEntry>();
    json_schema!({
        "description": "Sub-options by name or number.",
        "type": "object",
        "properties": {},
        "additionalProperties": entry("A sub-option.", &BINARY, &long),
    })
}

fn alias(option: &Definition) -> String {
    format!("Option {}; another name of {}.", option.code, option.name)
}

/// The values of an option in its long form.
pub(super) fn values(generator: &mut SchemaGenerator) -> Schema {
    let part = generator.subschema_for::<OptionItem>();
    let list = json!({"type": "array", "items": {"anyOf": [any(), part]}});
    json_schema!({"anyOf": [any(), list, {"type": "null"}]})
}

fn entry(about: &str, kind: &Kind, long: &Schema) -> Value {
    let item = match &*kind.fields {
        [field] => item(*field, kind.is_list()),
        _ => any(),
    };
    let part = json!({"$ref": "#/definitions/OptionItem"});
    let list = json!({"type": "array", "items": {"anyOf": [item, part]}});
    json!({"description": about, "anyOf": [item, list, long]})
}

/// Digits alone are a number to YAML and still a text or hexadecimal to the option.
fn any() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

fn item(field: Field, list: bool) -> Value {
    match field {
        Field::Ipv4 if !list => json!({"type": "string", "format": "ipv4"}),
        Field::Ipv6 if !list => json!({"type": "string", "format": "ipv6"}),
        Field::Uint { bytes, min } if !list => {
            let max = registry::highest(bytes);
            let digits = json!({"type": "string", "pattern": "^(0x[0-9A-Fa-f]+|[0-9]+)$"});
            json!({"anyOf": [{"type": "integer", "minimum": min, "maximum": max}, digits]})
        }
        Field::Int { bytes } if !list => {
            let most = registry::highest(bytes) / 2;
            json!({"type": "integer", "minimum": -(most as i64) - 1, "maximum": most})
        }
        Field::Bool if !list => json!({"type": "boolean"}),
        Field::Domain | Field::SearchDomain | Field::Network | Field::Mac | Field::Uuid => {
            json!({"type": "string"})
        }
        // Several in one text, with commas between them.
        Field::Ipv4 => json!({"type": "string", "pattern": "^[0-9., ]+$"}),
        Field::Route => json!({"type": "string", "pattern": "^[0-9.]+/[0-9]+ via [0-9.]+"}),
        _ => any(),
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
