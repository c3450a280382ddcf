//! `cargo xtask ci`: format, lints and dependencies, then all tests.

use std::process::Command;

use anyhow::Result;

use crate::advisories;
use crate::paths;
use crate::progress::step;
use crate::test;

pub(crate) fn ci() -> Result<()> {
    step("format", &mut cargo("fmt --all --check"))?;
    let clippy = "clippy --workspace --exclude dhcp-ebpf --all-targets -- -D warnings";
    step("lints", &mut cargo(clippy))?;
    advisories::advisories(&advisories::Options::default())?;
    test::test(&test::Options::default())
}

fn cargo(arguments: &str) -> Command {
    let mut command = Command::new(paths::cargo());
    command
        .current_dir(paths::root())
        .args(arguments.split(' '));
    command
}
