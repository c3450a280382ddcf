//! Clients by MAC and subnet: where a client's address is found again, and what the journal
//! keeps of it beside the slot.
//!
//! A hint: whether an address is the client's is told by its slot alone.

use std::net::Ipv4Addr;

use dashmap::DashMap;
use foldhash::fast::RandomState;

use crate::config::model::Mac;
use crate::journal::{Kind as RecordKind, Record};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    pub(super) mac: Mac,
    /// The subnet's network address.
    pub(super) network: Ipv4Addr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: Ipv4Addr,
    /// When the client got the address, ns since 1970; 0: only offered so far.
    pub(super) since: u64,
    pub(super) client_id: Box<[u8]>,
    pub(super) hostname: Box<[u8]>,
    /// Option 82 as a relay sent it last.
    pub(super) relay_agent: Box<[u8]>,
    /// Of the last exchange that the daemon saw; clients take a FORCERENEW by it.
    pub(super) xid: u32,
}

impl Client {
    /// A client that has been offered an address.
    pub(super) fn offered(address: Ipv4Addr) -> Self {
        Self::at(address, 0)
    }

    /// A client of which nothing else is known.
    pub(super) fn at(address: Ipv4Addr, since: u64) -> Self {
        Self {
            address,
            since,
            client_id: Box::default(),
            hostname: Box::default(),
            relay_agent: Box::default(),
            xid: 0,
        }
    }

    /// What the journal keeps of it.
    pub(super) fn record(self, kind: RecordKind, mac: Mac, reserved_until: u64) -> Record {
        Record {
            address: self.address,
            kind,
            mac,
            reserved_until,
            since: self.since,
            client_id: self.client_id.into(),
            hostname: self.hostname.into(),
            relay_agent: self.relay_agent.into(),
        }
    }
}

/// No method holds a lock when it returns, so callers cannot hold two.
#[derive(Debug, Default)]
pub(super) struct Clients {
    all: DashMap<ClientKey, Client, RandomState>,
    /// What those were offered that have another address, which they may not have any more: they
    /// are known by the one that they have.
    offered: DashMap<ClientKey, Ipv4Addr, RandomState>,
}

impl Clients {
    pub(super) fn get(&self, key: &ClientKey) -> Option<Client> {
        self.all.get(key).map(|client| client.clone())
    }

    pub(super) fn address(&self, key: &ClientKey) -> Option<Ipv4Addr> {
        self.all.get(key).map(|client| client.address)
    }

    /// When the client got this address; 0 if it did not.
    pub(super) fn since(&self, key: &ClientKey, address: Ipv4Addr) -> u64 {
        let client = self.all.get(key).filter(|client| client.address == address);
        client.map_or(0, |client| client.since)
    }

    /// What the client was offered last, or has.
    pub(super) fn offered(&self, key: &ClientKey) -> Option<Ipv4Addr> {
        let offered = self.offered.get(key).map(|address| *address);
        offered.or_else(|| self.address(key))
    }

    pub(super) fn insert(&self, key: ClientKey, client: Client) {
        let address = client.address;
        let before = self.all.insert(key, client);
        if before.is_some_and(|before| before.address != address) {
            self.offered.remove(&key);
        }
    }

    /// Notes an offer to a client that has another address.
    pub(super) fn offer_another(&self, key: ClientKey, address: Ipv4Addr) {
        self.offered.insert(key, address);
    }

    /// Notes an offer, unless the client has had this address before. `client_id` is what the
    /// client is known by if not by its MAC.
    pub(super) fn offer(&self, key: ClientKey, address: Ipv4Addr, client_id: &[u8]) {
        let mut client = self
            .all
            .entry(key)
            .or_insert_with(|| Client::offered(address));
        let other = !client_id.is_empty() && client.client_id[..] != *client_id;
        if client.address != address || other {
            *client = Client::offered(address);
            client.client_id = client_id.into();
        }
    }

    /// Forgets a client that had this address.
    pub(super) fn forget(&self, key: &ClientKey, address: Ipv4Addr) {
        self.all
            .remove_if(key, |_, client| client.address == address);
        self.offered
            .remove_if(key, |_, offered| *offered == address);
    }

    /// Takes those out that pass a test; what anybody was offered beside is forgotten.
    pub(super) fn drain(&self, test: impl Fn(&Client) -> bool) -> Vec<(ClientKey, Client)> {
        self.offered.clear();
        let mut drained = Vec::new();
        self.all.retain(|key, client| {
            let goes = test(client);
            if goes {
                drained.push((*key, client.clone()));
            }
            !goes
        });
        drained
    }

    /// The addresses of the clients that pass a test.
    pub(super) fn addresses_where(&self, test: impl Fn(&Client) -> bool) -> Vec<Ipv4Addr> {
        let clients = self.all.iter().filter(|client| test(client));
        clients.map(|client| client.address).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    #[cfg(test)]
    pub(super) fn each(&self, mut look: impl FnMut(&ClientKey, &Client)) {
        for client in &self.all {
            look(client.key(), client.value());
        }
    }
}
