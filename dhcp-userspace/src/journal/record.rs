//! What the journal keeps of an address. The last record of an address wins.

use std::net::Ipv4Addr;

use crate::config::model::Mac;

/// A lease as the disk must know it before the client may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub address: Ipv4Addr,
    pub kind: Kind,
    pub mac: Mac,
    /// Until when the address is taken, ns of `CLOCK_BOOTTIME`: at least as long as any client
    /// was or will be told without another record. The journal carries it over a reboot.
    pub reserved_until: u64,
    /// When the client got the address, ns since 1970.
    pub since: u64,
    /// Option 61 as the client sent it; empty: none.
    pub client_id: Vec<u8>,
    /// Option 12 as the client sent it; empty: none.
    pub hostname: Vec<u8>,
    /// Option 82 as a relay sent it last; empty: none.
    pub relay_agent: Vec<u8>,
}

/// A [`Record`] where it stands: nothing is copied that nobody keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<'a> {
    pub address: Ipv4Addr,
    pub kind: Kind,
    pub mac: Mac,
    pub reserved_until: u64,
    pub since: u64,
    pub client_id: &'a [u8],
    pub hostname: &'a [u8],
    pub relay_agent: &'a [u8],
}

impl Record {
    #[must_use]
    pub fn written(&self) -> Written<'_> {
        Written {
            address: self.address,
            kind: self.kind,
            mac: self.mac,
            reserved_until: self.reserved_until,
            since: self.since,
            client_id: &self.client_id,
            hostname: &self.hostname,
            relay_agent: &self.relay_agent,
        }
    }
}

impl From<Written<'_>> for Record {
    fn from(written: Written<'_>) -> Self {
        Self {
            address: written.address,
            kind: written.kind,
            mac: written.mac,
            reserved_until: written.reserved_until,
            since: written.since,
            client_id: written.client_id.into(),
            hostname: written.hostname.into(),
            relay_agent: written.relay_agent.into(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Bound = 1,
    /// Given back by the client or an operator; remembered so that it gets the same one again.
    Released = 2,
    /// In quarantine: some host uses the address without a lease.
    Declined = 3,
    /// Forgotten: as if never leased.
    Forgotten = 4,
}
