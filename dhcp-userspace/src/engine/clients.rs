//! Clients by MAC and subnet: where a client's address is found again, and what the journal
//! keeps of it beside the slot.
//!
//! A hint: whether an address is the client's is told by its slot alone.
mod shard;
#[cfg(test)]
mod tests;
mod texts;

use std::net::Ipv4Addr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use dashmap::DashMap;
use dhcp_common::wire::mac_bits;
use foldhash::fast::RandomState;

use crate::config::model::Mac;
use crate::journal::{Kind as RecordKind, Record};
use shard::Shard;

/// So many that threads seldom meet, and that one which grows keeps few clients waiting.
const SHARDS: usize = 256;
/// The bits of a hash that choose the shard. The table in it goes by the lowest and the highest 7.
const SHARD_SHIFT: u32 = 49;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    pub(super) mac: Mac,
    /// The subnet's network address.
    pub(super) network: Ipv4Addr,
}

impl ClientKey {
    fn hash(&self, by: &RandomState) -> u64 {
        use std::hash::BuildHasher;
        by.hash_one((mac_bits(&self.mac, 0), self.network.to_bits()))
    }
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

/// A [`Client`] where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientRef<'a> {
    pub(super) address: Ipv4Addr,
    pub(super) since: u64,
    pub(super) client_id: &'a [u8],
    pub(super) hostname: &'a [u8],
    pub(super) relay_agent: &'a [u8],
    pub(super) xid: u32,
}

impl ClientRef<'_> {
    /// A client of which nothing else is known.
    fn at(address: Ipv4Addr, since: u64) -> Self {
        Self {
            address,
            since,
            client_id: &[],
            hostname: &[],
            relay_agent: &[],
            xid: 0,
        }
    }
}

impl From<ClientRef<'_>> for Client {
    fn from(client: ClientRef<'_>) -> Self {
        Self {
            address: client.address,
            since: client.since,
            client_id: client.client_id.into(),
            hostname: client.hostname.into(),
            relay_agent: client.relay_agent.into(),
            xid: client.xid,
        }
    }
}

impl Client {
    /// A client that has been offered an address.
    pub(super) fn offered(address: Ipv4Addr) -> Self {
        Self::at(address, 0)
    }

    /// A client of which nothing else is known.
    pub(super) fn at(address: Ipv4Addr, since: u64) -> Self {
        ClientRef::at(address, since).into()
    }

    pub(super) fn borrowed(&self) -> ClientRef<'_> {
        ClientRef {
            address: self.address,
            since: self.since,
            client_id: &self.client_id,
            hostname: &self.hostname,
            relay_agent: &self.relay_agent,
            xid: self.xid,
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
pub(super) struct Clients {
    shards: Box<[Apart]>,
    hasher: RandomState,
    /// What those were offered that have another address, which they may not have any more: they
    /// are known by the one that they have.
    offered: DashMap<ClientKey, Ipv4Addr, RandomState>,
}

/// In cache lines of its own.
#[repr(align(128))]
struct Apart(RwLock<Shard>);

impl Apart {
    fn read(&self) -> RwLockReadGuard<'_, Shard> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shard> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Clients {
    fn default() -> Self {
        let hasher = RandomState::default();
        let shard = |_| Apart(RwLock::new(Shard::new(hasher.clone())));
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            offered: DashMap::default(),
            hasher,
        }
    }
}

impl Clients {
    /// Makes room for about so many clients more.
    pub(super) fn reserve(&self, clients: usize) {
        let each = clients / SHARDS;
        for shard in &self.shards {
            // Some shards get more than others.
            shard.write().reserve(each + each / 32);
        }
    }

    pub(super) fn get(&self, key: &ClientKey) -> Option<Client> {
        self.look(key, |client| client.into())
    }

    pub(super) fn address(&self, key: &ClientKey) -> Option<Ipv4Addr> {
        self.look(key, |client| client.address)
    }

    /// When the client got this address; 0 if it did not.
    pub(super) fn since(&self, key: &ClientKey, address: Ipv4Addr) -> u64 {
        let found = self.look(key, |client| (client.address, client.since));
        found.map_or(0, |(at, since)| if at == address { since } else { 0 })
    }

    /// What the client was offered last, or has.
    pub(super) fn offered(&self, key: &ClientKey) -> Option<Ipv4Addr> {
        let offered = self.offered.get(key).map(|address| *address);
        offered.or_else(|| self.address(key))
    }

    pub(super) fn insert(&self, key: ClientKey, client: &Client) {
        self.insert_unless(key, &client.borrowed(), |_| false);
    }

    /// The same, unless the client is known and `keep` says that it is better known so.
    pub(super) fn insert_unless(
        &self,
        key: ClientKey,
        client: &ClientRef<'_>,
        keep: impl FnOnce(&ClientRef<'_>) -> bool,
    ) {
        let (hash, shard) = self.place(&key);
        let mut shard = shard.write();
        let Some(place) = shard.find(hash, &key) else {
            shard.add(hash, &key, client);
            return;
        };
        let known = shard.at(place);
        if keep(&known) {
            return;
        }
        let moves = known.address != client.address;
        shard.set(place, &key, client);
        drop(shard);
        if moves {
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
        let (hash, shard) = self.place(&key);
        let mut shard = shard.write();
        let client = ClientRef {
            client_id,
            ..ClientRef::at(address, 0)
        };
        let Some(place) = shard.find(hash, &key) else {
            shard.add(hash, &key, &client);
            return;
        };
        let known = shard.at(place);
        let other = !client_id.is_empty() && known.client_id != client_id;
        if known.address != address || other {
            shard.set(place, &key, &client);
        }
    }

    /// Forgets a client that had this address.
    pub(super) fn forget(&self, key: &ClientKey, address: Ipv4Addr) {
        let (hash, shard) = self.place(key);
        let mut shard = shard.write();
        let place = shard.find(hash, key);
        if place.is_some_and(|place| shard.at(place).address == address) {
            shard.remove(hash, key);
        }
        drop(shard);
        self.offered
            .remove_if(key, |_, offered| *offered == address);
    }

    /// Takes those out that pass a test; what anybody was offered beside is forgotten.
    pub(super) fn drain(&self, test: impl Fn(&ClientRef<'_>) -> bool) -> Vec<(ClientKey, Client)> {
        self.offered.clear();
        let mut drained = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.write();
            let goes = shard.iter().filter(|(_, client)| test(client));
            let goes: Vec<_> = goes.map(|(key, client)| (key, client.into())).collect();
            for (key, _) in &goes {
                shard.remove(key.hash(&self.hasher), key);
            }
            drained.extend(goes);
        }
        drained
    }

    /// The addresses of the clients that pass a test.
    pub(super) fn addresses_where(&self, test: impl Fn(&ClientRef<'_>) -> bool) -> Vec<Ipv4Addr> {
        let mut addresses = Vec::new();
        for shard in &self.shards {
            let shard = shard.read();
            let found = shard.iter().filter(|(_, client)| test(client));
            addresses.extend(found.map(|(_, client)| client.address));
        }
        addresses
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    #[cfg(test)]
    pub(super) fn each(&self, mut look: impl FnMut(&ClientKey, &ClientRef<'_>)) {
        for shard in &self.shards {
            for (key, client) in shard.read().iter() {
                look(&key, &client);
            }
        }
    }

    fn look<T>(&self, key: &ClientKey, look: impl FnOnce(ClientRef<'_>) -> T) -> Option<T> {
        let (hash, shard) = self.place(key);
        let shard = shard.read();
        shard.find(hash, key).map(|place| look(shard.at(place)))
    }

    fn place(&self, key: &ClientKey) -> (u64, &Apart) {
        let hash = key.hash(&self.hasher);
        let shard = (hash >> SHARD_SHIFT) as usize % SHARDS;
        (hash, &self.shards[shard])
    }
}
