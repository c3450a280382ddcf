//! Leases as YAML, for people and scripts: one lease per line, times in UTC.
//!
//! What was exported, edited and is imported again is held against the leases of the moment:
//! [`diff`] tells what an operator changed, not what clients did meanwhile.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use dhcp_common::slot::Kind;
use serde::Deserialize;
use serde_yaml::Spanned;

use super::time;
use crate::clock::{Now, SECOND};
use crate::config::model::Mac;
use crate::engine::{Binding, LeaseView};

/// A file of leases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Seconds since 1970; 0: not told.
    pub exported: u64,
    pub leases: Vec<Entry>,
}

/// One address in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub address: Ipv4Addr,
    pub mac: Mac,
    pub state: State,
    /// Seconds since 1970.
    pub expires: u64,
    /// When the client got the address, seconds since 1970; 0: not known.
    pub since: u64,
    pub client_id: Vec<u8>,
    pub hostname: Vec<u8>,
    /// Option 82 as a relay sent it last.
    pub relay_agent: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Bound,
    Released,
    Declined,
    Expired,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Released => "released",
            Self::Declined => "declined",
            Self::Expired => "expired",
        }
    }

    const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Bound => Some(Self::Bound),
            Kind::Released => Some(Self::Released),
            Kind::Declined => Some(Self::Declined),
            Kind::Expired => Some(Self::Expired),
            Kind::Free | Kind::Offered => None,
        }
    }
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Problem {
    pub line: u64,
    pub message: String,
}

/// What an import would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Leases to make.
    pub added: Vec<Entry>,
    /// Leases to change: as it is, as it is to be. If the MAC differs, release first.
    pub changed: Vec<(LeaseView, Entry)>,
    /// Leases to release.
    pub removed: Vec<LeaseView>,
}

impl File {
    /// What is leased, was leased or is in quarantine; offers are left out.
    #[must_use]
    pub fn new(leases: &[LeaseView], now: Now) -> Self {
        let entries = leases.iter().filter_map(|lease| Entry::new(lease, now));
        Self {
            exported: now.unix / SECOND,
            leases: entries.collect(),
        }
    }

    /// # Errors
    /// All that is wrong, each with its line; for bad YAML the first place only.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut options = serde_yaml::options! {};
        // The limits are against hostile files; leases of a large network go beyond them.
        options.budget = None;
        let raw: RawFile = serde_yaml::from_str_with_options(text, options).map_err(|error| {
            let line = error.location().map_or(0, |place| place.line());
            let message = error.without_snippet().to_string();
            vec![Problem { line, message }]
        })?;
        raw.check()
    }
}

/// The file's text.
impl std::fmt::Display for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "exported: \"{}\"", time::format(self.exported))?;
        if self.leases.is_empty() {
            return writeln!(f, "leases: []");
        }
        writeln!(f, "leases:")?;
        for lease in &self.leases {
            writeln!(f, "- {lease}")?;
        }
        Ok(())
    }
}

impl Entry {
    fn new(lease: &LeaseView, now: Now) -> Option<Self> {
        let state = State::of(lease.kind)?;
        let expires = match state {
            State::Released => 0,
            _ => now.to_unix(lease.expires) / SECOND,
        };
        Some(Self {
            address: lease.address,
            mac: lease.mac,
            state,
            expires,
            since: lease.since / SECOND,
            client_id: lease.client_id.clone(),
            hostname: lease.hostname.clone(),
            relay_agent: lease.relay_agent.clone(),
        })
    }

    /// As the engine makes it a lease.
    #[must_use]
    pub fn binding(&self, now: Now) -> Binding {
        Binding {
            address: self.address,
            mac: self.mac,
            expires: now.to_boot(self.expires.saturating_mul(SECOND)),
            since: self.since.saturating_mul(SECOND),
            client_id: self.client_id.clone(),
            hostname: self.hostname.clone(),
            relay_agent: self.relay_agent.clone(),
        }
    }

    /// Whether an operator wants this lease other than it is. An earlier end is no wish: the
    /// client has renewed since. Nor is no option 82: files of earlier versions have none.
    fn differs(&self, lease: &LeaseView, now: Now) -> bool {
        self.mac != lease.mac
            || self.client_id != lease.client_id
            || self.hostname != lease.hostname
            || !self.relay_agent.is_empty() && self.relay_agent != lease.relay_agent
            || self.expires > now.to_unix(lease.expires) / SECOND + 1
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (address, mac) = (self.address, hex(&self.mac));
        let state = self.state.name();
        write!(f, "{{address: {address}, mac: \"{mac}\", state: {state}")?;
        for (name, seconds) in [("expires", self.expires), ("since", self.since)] {
            if seconds != 0 {
                write!(f, ", {name}: \"{}\"", time::format(seconds))?;
            }
        }
        match plain(&self.hostname) {
            Some("") => {}
            Some(name) => write!(f, ", hostname: \"{name}\"")?,
            None => write!(f, ", hostname-hex: \"{}\"", hex(&self.hostname))?,
        }
        if !self.client_id.is_empty() {
            write!(f, ", client-id: \"{}\"", hex(&self.client_id))?;
        }
        if !self.relay_agent.is_empty() {
            write!(f, ", relay-agent: \"{}\"", hex(&self.relay_agent))?;
        }
        f.write_char('}')
    }
}

/// Text that stands in quotes as it is.
fn plain(bytes: &[u8]) -> Option<&str> {
    let printable = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'"' && *byte != b'\\';
    let text = std::str::from_utf8(bytes).ok()?;
    bytes.iter().all(printable).then_some(text)
}

/// `01:6e:6f`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (i, byte) in bytes.iter().enumerate() {
        let colon = if i == 0 { "" } else { ":" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{colon}{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    // On its own it would take a sign.
    let byte = |pair: &str| is_pair(pair).then(|| u8::from_str_radix(pair, 16).ok())?;
    text.split(':').map(byte).collect()
}

/// What applying a file would change.
#[must_use]
pub fn diff(file: &File, leases: &[LeaseView], now: Now) -> Diff {
    let live = |lease: &&LeaseView| lease.kind == Kind::Bound && lease.expires > now.boot;
    let current: HashMap<Ipv4Addr, &LeaseView> = leases
        .iter()
        .filter(live)
        .map(|lease| (lease.address, lease))
        .collect();
    let mut diff = Diff::default();
    let mut listed = HashMap::with_capacity(file.leases.len());
    for entry in &file.leases {
        listed.insert(entry.address, entry.state);
        let lasts = entry.expires > now.unix / SECOND;
        match current.get(&entry.address) {
            _ if entry.state != State::Bound => {}
            Some(lease) if entry.differs(lease, now) => {
                let mut wanted = entry.clone();
                wanted.expires = wanted.expires.max(now.to_unix(lease.expires) / SECOND);
                diff.changed.push(((*lease).clone(), wanted));
            }
            None if lasts => diff.added.push(entry.clone()),
            _ => {}
        }
    }
    let removed = leases.iter().filter(live).filter(|lease| {
        let newer = lease.since / SECOND >= file.exported;
        match listed.get(&lease.address) {
            Some(state) => *state == State::Released,
            None => file.exported != 0 && !newer,
        }
    });
    diff.removed = removed.cloned().collect();
    diff
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    exported: Option<Spanned<String>>,
    leases: Vec<Spanned<RawEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawEntry {
    address: String,
    mac: String,
    state: State,
    expires: Option<String>,
    since: Option<String>,
    hostname: Option<String>,
    hostname_hex: Option<String>,
    client_id: Option<String>,
    relay_agent: Option<String>,
}

impl RawFile {
    fn check(&self) -> Result<File, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut file = File::default();
        let mut seen: HashMap<Ipv4Addr, u64> = HashMap::with_capacity(self.leases.len());
        if let Some(exported) = &self.exported {
            match time_of("exported", Some(&exported.value)) {
                Ok(seconds) => file.exported = seconds,
                Err(message) => problems.push(problem(exported.referenced.line(), message)),
            }
        }
        for raw in &self.leases {
            let line = raw.referenced.line();
            match raw.value.check() {
                Ok(entry) => {
                    if let Some(first) = seen.insert(entry.address, line) {
                        let message = format!("{} is on line {first} already", entry.address);
                        problems.push(problem(line, message));
                    }
                    file.leases.push(entry);
                }
                Err(message) => problems.push(problem(line, message)),
            }
        }
        if problems.is_empty() {
            Ok(file)
        } else {
            Err(problems)
        }
    }
}

fn problem(line: u64, message: String) -> Problem {
    Problem { line, message }
}

impl RawEntry {
    fn check(&self) -> Result<Entry, String> {
        let address = &self.address;
        let mac = unhex(&self.mac).and_then(|bytes| bytes.try_into().ok());
        let entry = Entry {
            address: address
                .parse()
                .map_err(|_| format!("address: {address:?} is no IPv4 address"))?,
            mac: mac.ok_or_else(|| {
                let mac = &self.mac;
                format!("mac: {mac:?} is no MAC address; write 52:54:00:12:34:56")
            })?,
            state: self.state,
            expires: time_of("expires", self.expires.as_deref())?,
            since: time_of("since", self.since.as_deref())?,
            client_id: bytes_of("client-id", self.client_id.as_deref())?,
            hostname: self.hostname()?,
            relay_agent: bytes_of("relay-agent", self.relay_agent.as_deref())?,
        };
        if entry.state == State::Bound && entry.expires == 0 {
            return Err("expires: a bound lease needs an end".to_owned());
        }
        if entry.relay_agent.len() > 1024 {
            return Err("relay-agent has 1024 bytes at most".to_owned());
        }
        if entry.client_id.len() > 255 || entry.hostname.len() > 255 {
            return Err("hostname and client-id have 255 bytes at most".to_owned());
        }
        Ok(entry)
    }

    fn hostname(&self) -> Result<Vec<u8>, String> {
        match (&self.hostname, &self.hostname_hex) {
            (Some(_), Some(_)) => Err("hostname and hostname-hex: give one of them".to_owned()),
            (Some(text), None) => Ok(text.clone().into_bytes()),
            (None, text) => bytes_of("hostname-hex", text.as_deref()),
        }
    }
}

fn time_of(field: &str, text: Option<&str>) -> Result<u64, String> {
    let Some(text) = text else {
        return Ok(0);
    };
    time::parse(text)
        .ok_or_else(|| format!("{field}: {text:?} is no time; write 2030-01-31T12:00:00Z"))
}

fn bytes_of(field: &str, text: Option<&str>) -> Result<Vec<u8>, String> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    unhex(text).ok_or_else(|| format!("{field}: {text:?} is not in hexadecimal; write 01:0a:ff"))
}

#[cfg(test)]
mod tests;
