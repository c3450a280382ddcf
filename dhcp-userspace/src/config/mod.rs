//! The configuration: YAML files in, a validated [`Config`] out.
//!
//! The way of a file: `yaml` makes a tree that knows where everything stood; `decode` fills
//! the structs of `written` from it, hosts one by one and not before their turn comes; `resolve`
//! reads the single values, fills in defaults and finds contradictions. None of them stops at a
//! mistake (only text that is no YAML at all ends the file), so [`ConfigErrors`] has all of them,
//! each with its place.

mod decode;
mod diff;
mod duration;
mod error;
mod extent;
mod fingerprint;
mod hosts;
mod include;
mod metadata;
pub mod model;
mod range;
mod resolve;
mod scalar;
mod schema;
mod shared;
mod written;
mod yaml;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub use diff::diff;
pub use error::{ConfigError, ConfigErrors};
pub use model::Config;
pub use schema::schema;

use error::{At, Report};
use include::Includer;
use resolve::File;
use written::Document;

/// Reads a configuration file and the files that it includes.
///
/// # Errors
/// All mistakes that were found.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text, path),
        Err(error) => Err(ConfigErrors(vec![ConfigError {
            file: path.to_owned(),
            line: 0,
            column: 0,
            path: String::new(),
            problem: format!("cannot be read: {error}"),
            hint: String::new(),
        }])),
    }
}

/// Reads the text of a configuration as if it stood in `file`: relative includes start there.
///
/// # Errors
/// All mistakes that were found.
pub fn parse(text: &str, file: &Path) -> Result<Config, ConfigErrors> {
    let report = Report::default();
    let number = report.file(file);
    let tree = match yaml::read(text, number) {
        Ok(tree) => tree,
        Err((place, problem)) => {
            report.add(place, &At::Root, problem);
            return Err(report.errors());
        }
    };
    let content: Document = decode::decode(&tree, &report);
    let main = File { tree, content };
    let mut includer = Includer {
        report: &report,
        seen: vec![canonical(file)],
        found: Vec::new(),
        directories: BTreeSet::new(),
    };
    includer.follow(&main.content.include, file);
    let mut config = resolve::resolve(&main, &includer.found, &report);
    config.include_directories = includer.directories.into_iter().collect();
    report.finish()?;
    Ok(config)
}

fn canonical(file: &Path) -> PathBuf {
    fs::canonicalize(file).unwrap_or_else(|_| file.to_owned())
}
