//! The files under `config/`: the reference, the examples and the schema.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use dhcp_userspace::config::{self, load};
use serde_json::{Map, Value, json};

use crate::{config, read, repository};

const MINIMAL: &str = "subnets: [{subnet: 10.0.0.0/24}]";

/// The reference with its defaults written out: `#key: value` without the `#`.
fn with_defaults(reference: &str) -> String {
    let line = |line: &str| match line.trim_start().strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => {
            format!("{}\n", line.replacen('#', "", 1))
        }
        _ => format!("{line}\n"),
    };
    reference.lines().map(line).collect()
}

#[test]
fn the_defaults_in_the_reference_are_the_defaults() {
    let reference = read("config/dhcp.yaml");
    let written_out = with_defaults(&reference);
    assert_ne!(reference, written_out);
    assert_eq!(config(&reference), config(&written_out));
}

#[test]
fn the_defaults_in_the_schema_are_the_defaults_and_in_the_reference() {
    let schema = config::schema();
    let reference = read("config/dhcp.yaml");
    let defaults = |name: &str| -> Map<String, Value> {
        let properties = schema["definitions"][name]["properties"]
            .as_object()
            .unwrap();
        let with = properties
            .iter()
            .filter(|(_, about)| about.get("default").is_some());
        let pairs = with.map(|(key, about)| (key.clone(), about["default"].clone()));
        pairs.collect()
    };
    let mut document = json!({"subnets": [{"subnet": "10.0.0.0/24"}]});
    for (key, name) in [
        ("server", "Server"),
        ("fast_path", "FastPath"),
        ("defaults", "Defaults"),
    ] {
        let defaults = defaults(name);
        for (key, value) in &defaults {
            let shown = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            assert!(
                reference.contains(&format!("  #{key}: {shown}\n")),
                "{key} in the reference"
            );
        }
        document[key] = Value::Object(defaults);
    }
    assert_eq!(document["server"].as_object().unwrap().len(), 7);
    assert_eq!(config(&document.to_string()), config(MINIMAL));
}

/// Walks a document along the schema; notes which keys of each type it has.
fn walk(
    root: &Value,
    schema: &Value,
    value: &Value,
    seen: &mut BTreeMap<String, BTreeSet<String>>,
) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        let keys = value.as_object().into_iter().flat_map(Map::keys).cloned();
        seen.entry(name.to_owned()).or_default().extend(keys);
        return walk(root, &root["definitions"][name], value, seen);
    }
    for alternative in schema["anyOf"].as_array().into_iter().flatten() {
        // A single value or list is none of the keys of a mapping.
        if alternative.get("$ref").is_some() == value.is_object() {
            walk(root, alternative, value, seen);
        }
    }
    for item in value.as_array().into_iter().flatten() {
        walk(root, &schema["items"], item, seen);
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        let number = key.chars().all(|c| c.is_ascii_digit());
        let by_number = &schema["patternProperties"]["^[0-9]+$"];
        let by_name = &schema["properties"][key];
        walk(root, if number { by_number } else { by_name }, value, seen);
    }
}

#[test]
fn the_reference_shows_every_key() {
    let schema = config::schema();
    let text = with_defaults(&read("config/dhcp.yaml"));
    let document: Value = serde_yaml::from_str(&text).unwrap();
    let mut seen = BTreeMap::new();
    walk(&schema, &schema, &document, &mut seen);
    let top: BTreeSet<String> = document.as_object().unwrap().keys().cloned().collect();
    seen.insert("".to_owned(), top);
    for (name, keys) in &seen {
        let about = if name.is_empty() {
            &schema
        } else {
            &schema["definitions"][name]
        };
        let known: BTreeSet<String> = about["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        let missing: Vec<_> = known.difference(keys).collect();
        assert!(
            name == "Options" || missing.is_empty(),
            "{name}: {missing:?} are not shown"
        );
        let strange = keys
            .difference(&known)
            .filter(|key| key.parse::<u8>().is_err());
        assert_eq!(
            strange.count(),
            0,
            "{name}: keys that the schema does not know"
        );
    }
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    let all = [
        "",
        "Boot",
        "Defaults",
        "FastPath",
        "OptionEntry",
        "Options",
        "Reservation",
        "Server",
        "Subnet",
    ];
    assert_eq!(names, all);
}

#[test]
fn every_key_has_a_description() {
    let schema = config::schema();
    let definitions = schema["definitions"].as_object().unwrap();
    for (name, about) in definitions.iter().chain([(&String::new(), &schema)]) {
        for (key, about) in about["properties"].as_object().into_iter().flatten() {
            assert!(about["description"].is_string(), "{name}.{key}");
        }
    }
}

/// `UPDATE=1 cargo test -p dhcp-userspace --test config` writes it anew.
#[test]
fn the_schema_in_the_repository_is_current() {
    let path = repository().join("config/dhcp.schema.json");
    let now = serde_json::to_string_pretty(&config::schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &now).unwrap();
    }
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        now,
        "run this test with UPDATE=1"
    );
}

#[test]
fn the_examples_are_right() {
    let mut count = 0;
    for entry in fs::read_dir(repository().join("config/examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            load(&path).unwrap_or_else(|errors| panic!("{errors}"));
            count += 1;
        }
    }
    assert_eq!(count, 4);
    let cluster = load(&repository().join("config/examples/cluster.yaml")).unwrap();
    assert_eq!(cluster.subnets[0].hosts.len(), 2, "with its inventory");
}

#[test]
fn the_configurations_in_the_documentation_are_right() {
    let text = read("docs/configuration.md");
    let blocks = text.split("```yaml\n").skip(1);
    let yaml: Vec<&str> = blocks
        .map(|block| block.split("```").next().unwrap())
        .collect();
    let subnet = "subnets: [{subnet: 192.168.1.0/24}]\n";
    let mut count = 0;
    for block in yaml {
        let full = match block.split_once(':').unwrap().0 {
            "subnets" => block.to_owned(),
            "options" => format!("{subnet}defaults:\n  {}", block.replace('\n', "\n  ")),
            _ => format!("{subnet}{block}"),
        };
        config(&full);
        count += 1;
    }
    assert_eq!(count, 5);
}
