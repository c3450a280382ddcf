//! `cargo xtask advisories`: what is known of the packages that this is built from.
//!
//! Sources, licences and withdrawn versions are checked wherever crates.io is; the RustSec advisories only
//! where their database is, which is on GitHub.

use std::collections::BTreeSet;
use std::net::{TcpStream, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;
use xdhcpd_tests::process;

use crate::paths;
use crate::progress::{step, try_step};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Licences that a program under MIT or Apache 2.0 may contain. deny.toml has the same list.
const LICENCES: [&str; 10] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];
const DATABASE: &str = "github.com:443";
const PATIENCE: Duration = Duration::from_secs(10);

const DENY: &str = "cargo-deny";

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Advisories that could not be checked are a failure.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn advisories(options: &Options) -> Result<()> {
    let packages = packages()?;
    let faults: Vec<String> = packages.iter().filter_map(fault).collect();
    ensure!(faults.is_empty(), "dependencies:\n{}", faults.join("\n"));
    println!(
        "{} packages, all from crates.io or here, under licences that fit",
        packages.len()
    );
    withdrawn()?;
    let Some(why) = unchecked() else {
        let mut deny = Command::new(paths::cargo());
        deny.current_dir(paths::root()).args(["deny", "check"]);
        return step("RustSec advisories (cargo deny)", &mut deny);
    };
    ensure!(
        !options.strict,
        "RustSec advisories were not checked: {why}"
    );
    println!("NOT CHECKED: RustSec advisories: {why}");
    Ok(())
}

/// Why the advisories cannot be checked here, if so.
fn unchecked() -> Option<String> {
    if let Some(why) = unreachable(DATABASE) {
        return Some(format!("their database is at {DATABASE}: {why}"));
    }
    let missing = process::find(DENY).is_err();
    missing.then(|| format!("they take {DENY}: `cargo install --locked {DENY}`"))
}

/// All packages in Cargo.lock.
fn packages() -> Result<Vec<Value>> {
    let mut command = Command::new(paths::cargo());
    command.current_dir(paths::root());
    command.args(["metadata", "--locked", "--format-version", "1"]);
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        output.status
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array();
    Ok(packages.context("no packages")?.clone())
}

/// What is wrong with a package, if anything.
fn fault(package: &Value) -> Option<String> {
    let name = format!("{} {}", text(package, "name"), text(package, "version"));
    match package["source"].as_str() {
        Some(CRATES_IO) => {}
        Some(source) => return Some(format!("{name} comes from {source}, not from crates.io")),
        None => return None,
    }
    let licence = text(package, "license");
    (!is_allowed(licence)).then(|| {
        format!("{name} has the licence {licence:?}; if it fits, add it to the list here and in deny.toml")
    })
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// Whether an SPDX expression leaves us a choice that is on the list.
fn is_allowed(licence: &str) -> bool {
    if licence.contains('(') {
        // `(A OR B) AND C`: every group has a choice.
        let mut groups = licence.split(" AND ");
        return groups.all(|group| is_allowed(group.trim_matches(['(', ')', ' '])));
    }
    let one = |name: &str| LICENCES.contains(&name.trim());
    let choices = licence.replace('/', " OR ");
    choices
        .split(" OR ")
        .any(|choice| choice.split(" AND ").all(one))
}

/// Versions that were yanked from crates.io since they were locked. cargo looks before it installs
/// anything, and this installs nothing.
fn withdrawn() -> Result<()> {
    let found: BTreeSet<String> = ["dhcp-userspace", "xtask"]
        .map(withdrawn_from)
        .into_iter()
        .collect::<Result<Vec<_>>>()?
        .concat()
        .into_iter()
        .collect();
    let found: Vec<String> = found.into_iter().collect();
    ensure!(
        found.is_empty(),
        "withdrawn versions:\n{}",
        found.join("\n")
    );
    println!("no locked version was withdrawn");
    Ok(())
}

fn withdrawn_from(package: &str) -> Result<Vec<String>> {
    let mut command = Command::new(paths::cargo());
    command.current_dir(paths::root());
    command.args(["install", "--locked", "--path", package, "--dry-run"]);
    // A look without an installation is not stable yet.
    command
        .args(["-Z", "unstable-options"])
        .env("RUSTC_BOOTSTRAP", "1");
    command
        .arg("--root")
        .arg(paths::target().join("advisories"));
    let finished = try_step(&format!("asking crates.io about {package}"), &mut command)?;
    if !finished.status.success() {
        bail!("cargo could not ask crates.io:\n{}", finished.output);
    }
    let lines = finished.output.lines();
    Ok(lines
        .filter(|line| line.contains("is yanked"))
        .map(str::to_owned)
        .collect())
}

/// Why nobody answers there, if so.
fn unreachable(place: &str) -> Option<String> {
    let addresses = match place.to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Some(error.to_string()),
    };
    let mut why = Some("it has no address".to_owned());
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return None,
            Err(error) => why = Some(format!("{address}: {error}")),
        }
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_licence_must_leave_a_choice() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-2.0", "(MIT OR ISC) AND MPL-2.0"] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }

    #[test]
    fn a_package_from_elsewhere_is_refused() {
        let package = |source: Value| json!({"name": "a", "version": "1.0.0", "license": "MIT", "source": source});
        assert_eq!(fault(&package(json!(CRATES_IO))), None);
        assert_eq!(fault(&package(Value::Null)), None, "our own");
        let git = fault(&package(json!("git+https://example.org/a"))).unwrap();
        assert!(git.starts_with("a 1.0.0 comes from git+"), "{git}");
    }

    #[test]
    fn nobody_answers_on_a_port_that_is_closed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap().to_string();
        assert_eq!(unreachable(&place), None);
        drop(listener);
        assert!(unreachable(&place).unwrap().contains("refused"));
    }

    #[test]
    fn cargo_deny_has_the_same_licences() {
        let deny = std::fs::read_to_string(paths::root().join("deny.toml")).unwrap();
        for licence in LICENCES {
            assert!(deny.contains(&format!("\"{licence}\"")), "{licence}");
        }
    }
}
