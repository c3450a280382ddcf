//! What real clients sent: `tests/captures/*.hex`, one Ethernet frame a line after its name.

use std::path::PathBuf;

/// Ethernet, IPv4 and UDP headers of an untagged frame without IP options.
const HEADERS: usize = 42;

#[derive(Clone, Debug)]
pub(crate) struct Capture {
    /// `networkd`, `ipxe-bios`.
    pub(crate) client: String,
    /// `discover`, `selecting`.
    pub(crate) name: String,
    pub(crate) frame: Vec<u8>,
}

impl Capture {
    fn read(client: &str, line: &str) -> Self {
        let (name, hex) = line.split_once(' ').unwrap();
        Self {
            client: client.to_owned(),
            name: name.to_owned(),
            frame: bytes_of(hex),
        }
    }

    /// What UDP carries.
    pub(crate) fn message(&self) -> &[u8] {
        &self.frame[HEADERS..]
    }
}

/// The clients, sorted.
pub(crate) fn clients() -> Vec<String> {
    let files = std::fs::read_dir(dir()).unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// What one client sent, in order.
pub(crate) fn of(client: &str) -> Vec<Capture> {
    let text = std::fs::read_to_string(dir().join(format!("{client}.hex"))).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| Capture::read(client, line)).collect()
}

/// What all clients sent.
pub(crate) fn all() -> Vec<Capture> {
    clients().iter().flat_map(|client| of(client)).collect()
}

pub(crate) fn bytes_of(hex: &str) -> Vec<u8> {
    let pairs = hex.trim().as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/captures")
}
