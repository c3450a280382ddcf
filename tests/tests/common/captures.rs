//! What real clients sent: `tests/captures/*.hex`, one Ethernet frame a line after its name.

use std::path::Path;

use anyhow::{Context, Result};

pub struct Capture {
    /// dhclient, networkd, ipxe-bios and others, by file.
    pub client: String,
    /// discover, selecting, init-reboot, renewing, renewing-relayed, rebinding, release, decline,
    /// inform, bootp.
    pub name: String,
    pub frame: Vec<u8>,
}

pub fn all() -> Result<Vec<Capture>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut files: Vec<_> = std::fs::read_dir(&dir)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut captures = Vec::new();
    for file in files {
        let client = file
            .file_stem()
            .context("a name")?
            .to_string_lossy()
            .into_owned();
        for line in std::fs::read_to_string(&file)?
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let (name, hex) = line
                .split_once(' ')
                .with_context(|| format!("{line} in {file:?}"))?;
            let frame = super::frame::from_hex(hex)?;
            captures.push(Capture {
                client: client.clone(),
                name: name.to_owned(),
                frame,
            });
        }
    }
    Ok(captures)
}

/// The first renewal that a client sent by itself, to the server.
pub fn renewal_of<'a>(captures: &'a [Capture], client: &str) -> Result<&'a [u8]> {
    let of = |capture: &&Capture| capture.client == client && capture.name == "renewing";
    let found = captures
        .iter()
        .find(of)
        .with_context(|| format!("no renewal of {client}"))?;
    Ok(&found.frame)
}
