//! What the documents say is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Columns of a table in docs/features.md.
const COLUMNS: usize = 7;

#[test]
fn every_feature_has_a_test() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(repository.join("docs/features.md")).unwrap();
    let tests = tests(repository);
    let mut wrong = Vec::new();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        if cells[0] == "feature" {
            continue;
        }
        assert_eq!(cells.len(), COLUMNS, "{row}");
        let named: Vec<&str> = cells[6].split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            wrong.push(format!("{}: no test", cells[0]));
        }
        let missing = named.iter().filter(|name| !tests.contains(**name));
        wrong.extend(missing.map(|name| format!("{}: no test is called {name}", cells[0])));
    }
    assert!(wrong.is_empty(), "docs/features.md:\n{}", wrong.join("\n"));
}

/// The names of all tests in the repository.
fn tests(repository: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for crate_dir in ["dhcp-common", "dhcp-userspace", "tests", "xtask"] {
        for file in sources(&repository.join(crate_dir)) {
            let text = fs::read_to_string(file).unwrap();
            let functions = text.lines().filter_map(|line| {
                let line = line.trim_start();
                let line = line.strip_prefix("async ").unwrap_or(line);
                line.strip_prefix("fn ")?.split_once('(')
            });
            names.extend(functions.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
