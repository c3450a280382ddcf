//! A part of the clients. A million of them is what a server may have, so what each takes counts: an
//! entry of 32 bytes, without gaps between them, and its place in a hash table that has no keys.

use std::net::Ipv4Addr;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::texts::{Place, Text, Texts};
use super::{ClientKey, ClientRef};

/// Entries that are allocated together: no more than so many are ever unused.
const PIECE: usize = 128;
/// Of client identifiers that are made of the MAC, as most are (RFC 2132, section 9.14).
const ETHERNET: u8 = 1;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The MAC behind [`ETHERNET`].
    id: [u8; 7],
    /// These 7 bytes are the client's identifier.
    sends_id: bool,
    network: u32,
    address: u32,
    xid: u32,
    /// Halves, so that the whole is aligned to 4 bytes.
    since: [u32; 2],
    texts: Option<Place>,
}

const _: () = assert!(size_of::<Entry>() == 32);

impl Entry {
    fn new(key: &ClientKey, client: &ClientRef<'_>, texts: Option<Place>) -> Self {
        let id = id_of(key);
        Self {
            id,
            sends_id: client.client_id == id,
            network: key.network.to_bits(),
            address: client.address.to_bits(),
            xid: client.xid,
            since: [client.since as u32, (client.since >> 32) as u32],
            texts,
        }
    }

    fn key(&self) -> ClientKey {
        let [_, mac @ ..] = self.id;
        ClientKey {
            mac,
            network: Ipv4Addr::from_bits(self.network),
        }
    }

    fn is_of(&self, key: &ClientKey) -> bool {
        self.id[1..] == key.mac && self.network == key.network.to_bits()
    }
}

fn id_of(key: &ClientKey) -> [u8; 7] {
    let [a, b, c, d, e, f] = key.mac;
    [ETHERNET, a, b, c, d, e, f]
}

pub(super) struct Shard {
    places: HashTable<u32>,
    entries: Entries,
    texts: Texts,
    hasher: RandomState,
}

impl Shard {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self {
            places: HashTable::new(),
            entries: Entries::default(),
            texts: Texts::default(),
            hasher,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len
    }

    /// Makes room in the table, which otherwise grows by being made anew.
    pub(super) fn reserve(&mut self, clients: usize) {
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash_at = |place: &u32| entries.at(*place).key().hash(hasher);
        self.places.reserve(clients, hash_at);
    }

    pub(super) fn find(&self, hash: u64, key: &ClientKey) -> Option<u32> {
        let is_it = |place: &u32| self.entries.at(*place).is_of(key);
        self.places.find(hash, is_it).copied()
    }

    pub(super) fn at(&self, place: u32) -> ClientRef<'_> {
        self.client(self.entries.at(place))
    }

    /// Adds a client that is not there.
    pub(super) fn add(&mut self, hash: u64, key: &ClientKey, client: &ClientRef<'_>) {
        let texts = self.texts.put(None, &text_of(key, client));
        let place = self.entries.push(Entry::new(key, client, texts));
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash_at = |place: &u32| entries.at(*place).key().hash(hasher);
        self.places.insert_unique(hash, place, hash_at);
    }

    /// Replaces what is known of the client at this place, which has this key.
    pub(super) fn set(&mut self, place: u32, key: &ClientKey, client: &ClientRef<'_>) {
        let entry = self.entries.at_mut(place);
        let texts = self.texts.put(entry.texts, &text_of(key, client));
        *entry = Entry::new(key, client, texts);
    }

    pub(super) fn remove(&mut self, hash: u64, key: &ClientKey) {
        let entries = &self.entries;
        let is_it = |place: &u32| entries.at(*place).is_of(key);
        let Ok(found) = self.places.find_entry(hash, is_it) else {
            return;
        };
        let (place, _) = found.remove();
        let texts = self.entries.at(place).texts;
        self.texts.put(texts, &Text::default());
        self.fill(place);
    }

    /// Moves the last entry to the place of one that is gone.
    fn fill(&mut self, place: u32) {
        let (last, entry) = self.entries.pop();
        if place == last {
            return;
        }
        let hash = entry.key().hash(&self.hasher);
        let moved = self.places.find_mut(hash, |other| *other == last);
        *moved.expect("every entry has its place in the table") = place;
        *self.entries.at_mut(place) = entry;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientKey, ClientRef<'_>)> {
        let entries = self.entries.pieces.iter().flatten();
        entries.map(|entry| (entry.key(), self.client(entry)))
    }

    fn client<'a>(&'a self, entry: &'a Entry) -> ClientRef<'a> {
        let text = self.texts.get(entry.texts);
        let [low, high] = entry.since.map(u64::from);
        ClientRef {
            address: Ipv4Addr::from_bits(entry.address),
            since: high << 32 | low,
            client_id: if entry.sends_id {
                &entry.id
            } else {
                text.client_id
            },
            hostname: text.hostname,
            relay_agent: text.relay_agent,
            xid: entry.xid,
        }
    }
}

/// What of a client is not in its entry.
fn text_of<'a>(key: &ClientKey, client: &ClientRef<'a>) -> Text<'a> {
    let is_in_entry = client.client_id == id_of(key);
    Text {
        client_id: if is_in_entry { &[] } else { client.client_id },
        hostname: client.hostname,
        relay_agent: client.relay_agent,
    }
}

/// An array that grows by pieces, so that it is never copied and never half empty.
#[derive(Default)]
struct Entries {
    pieces: Vec<Vec<Entry>>,
    len: usize,
}

impl Entries {
    fn at(&self, place: u32) -> &Entry {
        &self.pieces[place as usize / PIECE][place as usize % PIECE]
    }

    fn at_mut(&mut self, place: u32) -> &mut Entry {
        &mut self.pieces[place as usize / PIECE][place as usize % PIECE]
    }

    fn push(&mut self, entry: Entry) -> u32 {
        if self.len.is_multiple_of(PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        self.pieces[self.len / PIECE].push(entry);
        self.len += 1;
        self.len as u32 - 1
    }

    /// The last one and its place; there is one.
    fn pop(&mut self) -> (u32, Entry) {
        self.len -= 1;
        let piece = &mut self.pieces[self.len / PIECE];
        let entry = piece.pop().expect("as many as were counted");
        if piece.is_empty() {
            self.pieces.pop();
        }
        (self.len as u32, entry)
    }
}
