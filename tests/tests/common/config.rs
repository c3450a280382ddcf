//! Configurations written by tests.

use std::path::Path;

use anyhow::Result;
use dhcp_userspace::config::{self, Config};

/// A configuration whose state and pins belong to `dir` alone.
pub fn load(dir: &Path, text: &str) -> Result<Config> {
    let file = dir.join("dhcp.yaml");
    let server = format!("server: {{state_dir: {}}}\n", dir.join("state").display());
    std::fs::write(&file, server + text)?;
    Ok(config::load(&file)?)
}
