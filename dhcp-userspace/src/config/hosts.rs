//! Hosts, and how they are found by what they say.

use std::collections::HashMap;
use std::fmt::{self, Display};

use foldhash::fast::RandomState;

use super::model::{Mac, Reservation};
use crate::class::Test;

/// What a host is known by. They are tried in this order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identifier {
    Mac(Mac),
    /// Option 61 with its type byte.
    ClientId(Box<[u8]>),
    /// Option 97 without its type byte.
    Uuid(Box<[u8]>),
    /// Sub-option 1 of option 82.
    CircuitId(Box<[u8]>),
    /// Sub-option 2 of option 82.
    RemoteId(Box<[u8]>),
    Test(Box<Test>),
}

impl Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, bytes): (&str, &[u8]) = match self {
            Self::Mac(mac) => ("", mac),
            Self::ClientId(bytes) => ("client-id ", bytes),
            Self::Uuid(bytes) => ("uuid ", bytes),
            Self::CircuitId(bytes) => ("circuit-id ", bytes),
            Self::RemoteId(bytes) => ("remote-id ", bytes),
            Self::Test(_) => return f.write_str("clients that match a test"),
        };
        f.write_str(kind)?;
        for (at, byte) in bytes.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

/// What a request says that a host may be known by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys<'a> {
    pub mac: Mac,
    pub client_id: Option<&'a [u8]>,
    pub uuid: Option<&'a [u8]>,
    pub circuit_id: Option<&'a [u8]>,
    pub remote_id: Option<&'a [u8]>,
}

/// Hosts of a subnet, or of all.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    list: Vec<Reservation>,
    by_mac: HashMap<Mac, u32, RandomState>,
    /// Client identifiers, UUIDs, circuit and remote identifiers.
    by_bytes: [HashMap<Box<[u8]>, u32, RandomState>; 4],
    tests: Vec<u32>,
}

/// As the same configuration gives the same list.
impl PartialEq for Hosts {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Hosts {
    /// Adds a host; false if there is one with this identifier.
    pub fn insert(&mut self, host: Reservation) -> bool {
        let at = self.list.len() as u32;
        let [client_id, uuid, circuit_id, remote_id] = &mut self.by_bytes;
        let taken = match &host.identifier {
            Identifier::Mac(mac) => insert(&mut self.by_mac, *mac, at),
            Identifier::ClientId(bytes) => insert(client_id, bytes.clone(), at),
            Identifier::Uuid(bytes) => insert(uuid, bytes.clone(), at),
            Identifier::CircuitId(bytes) => insert(circuit_id, bytes.clone(), at),
            Identifier::RemoteId(bytes) => insert(remote_id, bytes.clone(), at),
            Identifier::Test(_) => {
                self.tests.push(at);
                false
            }
        };
        if !taken {
            self.list.push(host);
        }
        !taken
    }

    /// Where in the list the host with this identifier is.
    #[must_use]
    pub fn position(&self, identifier: &Identifier) -> Option<usize> {
        let [client_id, uuid, circuit_id, remote_id] = &self.by_bytes;
        let found = match identifier {
            Identifier::Mac(mac) => self.by_mac.get(mac),
            Identifier::ClientId(bytes) => client_id.get(bytes),
            Identifier::Uuid(bytes) => uuid.get(bytes),
            Identifier::CircuitId(bytes) => circuit_id.get(bytes),
            Identifier::RemoteId(bytes) => remote_id.get(bytes),
            Identifier::Test(_) => {
                let is_same = |at: &&u32| self.list[**at as usize].identifier == *identifier;
                self.tests.iter().find(is_same)
            }
        };
        found.map(|at| *at as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Reservation> {
        self.list.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the MAC alone tells all there is about a host.
    #[must_use]
    pub fn are_by_mac(&self) -> bool {
        self.by_mac.len() == self.list.len()
    }

    #[must_use]
    pub fn by_mac(&self, mac: &Mac) -> Option<&Reservation> {
        self.by_mac.get(mac).map(|at| &self.list[*at as usize])
    }

    /// The host that says this; `matches` runs the tests of hosts that are known by one.
    pub fn find(&self, keys: &Keys<'_>, matches: impl Fn(&Test) -> bool) -> Option<&Reservation> {
        if let Some(host) = self.by_mac(&keys.mac) {
            return Some(host);
        }
        if self.are_by_mac() {
            return None;
        }
        let said = [keys.client_id, keys.uuid, keys.circuit_id, keys.remote_id];
        let mut found = self.by_bytes.iter().zip(said);
        let by_bytes = found.find_map(|(map, said)| map.get(said?));
        let by_test = || {
            self.tests.iter().find(|at| {
                matches!(&self.list[**at as usize].identifier, Identifier::Test(test) if matches(test))
            })
        };
        by_bytes.or_else(by_test).map(|at| &self.list[*at as usize])
    }
}

impl<'a> IntoIterator for &'a Hosts {
    type Item = &'a Reservation;
    type IntoIter = std::slice::Iter<'a, Reservation>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

/// True if the key was there, whose value stays.
fn insert<K: std::hash::Hash + Eq>(
    map: &mut HashMap<K, u32, RandomState>,
    key: K,
    at: u32,
) -> bool {
    match map.entry(key) {
        std::collections::hash_map::Entry::Occupied(_) => true,
        std::collections::hash_map::Entry::Vacant(place) => {
            place.insert(at);
            false
        }
    }
}
