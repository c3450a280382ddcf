//! What the file services did, as plain data.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    Tftp,
    Http,
}

impl Protocol {
    pub const ALL: [Self; 2] = [Self::Tftp, Self::Http];

    /// The name in metrics and tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tftp => "tftp",
            Self::Http => "http",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client has the whole file, or the part that it asked for.
    Complete,
    /// The client wanted to know of the file only: its size, or whether it has changed.
    Asked,
    /// The client went away, or the file could not be read to its end.
    Aborted,
    NotFound,
    /// The name leads out of the root, or the file may not be read.
    Denied,
    /// As many transfers as there may be were under way, in all or with this client.
    Busy,
}

impl Ended {
    pub const ALL: [Self; 6] = [
        Self::Complete,
        Self::Asked,
        Self::Aborted,
        Self::NotFound,
        Self::Denied,
        Self::Busy,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Asked => "asked",
            Self::Aborted => "aborted",
            Self::NotFound => "not-found",
            Self::Denied => "denied",
            Self::Busy => "busy",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub root: PathBuf,
    /// Why nothing of it can be served now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Where each service listens, if it does.
    pub tftp: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
    pub max_transfers: usize,
    /// Under way now, oldest first.
    pub transfers: Vec<Transfer>,
    /// Of each protocol, since the daemon started.
    pub totals: Vec<Totals>,
    /// Names that clients asked for in vain, most frequent first.
    pub not_found: Vec<NotFound>,
}

/// A file on its way to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    pub protocol: Protocol,
    pub client: SocketAddr,
    pub file: String,
    /// What the client has of it; HTTP counts what is on its way too.
    pub bytes: u64,
    /// What it is to get.
    pub of: u64,
    pub millis: u64,
    pub bytes_per_second: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub protocol: Protocol,
    pub complete: u64,
    pub asked: u64,
    pub aborted: u64,
    pub not_found: u64,
    pub denied: u64,
    pub busy: u64,
    pub bytes: u64,
    /// Blocks that TFTP sent again.
    pub resent: u64,
}

impl Totals {
    /// How many requests ended like this.
    #[must_use]
    pub const fn count(&self, ended: Ended) -> u64 {
        match ended {
            Ended::Complete => self.complete,
            Ended::Asked => self.asked,
            Ended::Aborted => self.aborted,
            Ended::NotFound => self.not_found,
            Ended::Denied => self.denied,
            Ended::Busy => self.busy,
        }
    }
}

/// A name that was asked for in vain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotFound {
    pub file: String,
    pub count: u64,
    pub last_client: IpAddr,
}
