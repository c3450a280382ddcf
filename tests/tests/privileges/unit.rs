//! What the systemd unit says, and how systemd would start the daemon by it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

pub struct Unit {
    text: String,
}

impl Unit {
    pub fn read() -> Result<Self> {
        let text = fs::read_to_string(Self::path())?;
        Ok(Self { text })
    }

    /// Another file of the repository.
    pub fn at(path: &str) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        let text = fs::read_to_string(path)?;
        Ok(Self { text })
    }

    pub fn path() -> &'static Path {
        Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../contrib/xdhcpd.service"
        ))
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// All values of a setting, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.text.lines().filter_map(|line| line.split_once('='));
        pairs
            .filter(move |(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    pub fn capabilities(&self, name: &str) -> Result<Vec<String>> {
        let set = self.values(name).next();
        let set = set.with_context(|| format!("no {name} in the unit"))?;
        Ok(set.split(' ').map(str::to_owned).collect())
    }
}

/// Becomes a user with ambient capabilities, as systemd does for `User=` and `AmbientCapabilities=`.
pub fn setpriv(user: &str, capabilities: &[String]) -> Vec<String> {
    let set = capabilities.iter().fold("-all".to_owned(), |set, name| {
        let name = name.trim_start_matches("CAP_").to_lowercase();
        format!("{set},+{name}")
    });
    let arguments = [
        "setpriv".to_owned(),
        format!("--reuid={user}"),
        format!("--regid={user}"),
        "--clear-groups".to_owned(),
        "--no-new-privs".to_owned(),
        format!("--inh-caps={set}"),
        format!("--ambient-caps={set}"),
        format!("--bounding-set={set}"),
    ];
    arguments.into()
}
