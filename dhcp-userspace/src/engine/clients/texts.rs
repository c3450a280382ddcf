//! What clients send that is as long as they like: one allocation for each who sends any.

use std::num::NonZeroU32;

/// Where the texts of a client are, counted from 1.
pub(super) type Place = NonZeroU32;

/// Of a client identifier and of an option 82.
const LENGTHS: usize = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Text<'a> {
    pub(super) client_id: &'a [u8],
    pub(super) hostname: &'a [u8],
    pub(super) relay_agent: &'a [u8],
}

impl<'a> Text<'a> {
    fn is_empty(&self) -> bool {
        self.client_id.is_empty() && self.relay_agent.is_empty() && self.hostname.is_empty()
    }

    /// `None`: nothing to keep.
    fn pack(&self) -> Option<Box<[u8]>> {
        let Self {
            client_id,
            hostname,
            relay_agent,
        } = self;
        if self.is_empty() {
            return None;
        }
        let len = client_id.len() + relay_agent.len() + hostname.len();
        let mut bytes = Vec::with_capacity(LENGTHS + len);
        bytes.extend((client_id.len() as u32).to_le_bytes());
        bytes.extend((relay_agent.len() as u32).to_le_bytes());
        for part in [client_id, relay_agent, hostname] {
            bytes.extend_from_slice(part);
        }
        Some(bytes.into_boxed_slice())
    }

    fn unpack(bytes: &'a [u8]) -> Self {
        let Some((lengths, rest)) = bytes.split_first_chunk::<LENGTHS>() else {
            return Self::default();
        };
        let [a, b, c, d, e, f, g, h] = *lengths;
        let (id, agent) = ([a, b, c, d], [e, f, g, h]);
        let (client_id, rest) = rest.split_at(u32::from_le_bytes(id) as usize);
        let (relay_agent, hostname) = rest.split_at(u32::from_le_bytes(agent) as usize);
        Self {
            client_id,
            hostname,
            relay_agent,
        }
    }
}

#[derive(Default)]
pub(super) struct Texts {
    all: Vec<Box<[u8]>>,
    /// Places of `all` that are nobody's.
    free: Vec<Place>,
}

impl Texts {
    pub(super) fn get(&self, at: Option<Place>) -> Text<'_> {
        at.map_or(Text::default(), |at| Text::unpack(&self.all[index(at)]))
    }

    /// Replaces what is there, if anything; tells where it is from now on.
    pub(super) fn put(&mut self, at: Option<Place>, text: &Text<'_>) -> Option<Place> {
        let Some(at) = at else {
            return text.pack().map(|bytes| self.add(bytes));
        };
        if self.get(Some(at)) == *text {
            return Some(at);
        }
        let bytes = text.pack();
        let is_kept = bytes.is_some();
        self.all[index(at)] = bytes.unwrap_or_default();
        if !is_kept {
            self.free.push(at);
        }
        is_kept.then_some(at)
    }

    fn add(&mut self, bytes: Box<[u8]>) -> Place {
        if let Some(at) = self.free.pop() {
            self.all[index(at)] = bytes;
            return at;
        }
        self.all.push(bytes);
        Place::new(self.all.len() as u32).expect("there is one now")
    }
}

fn index(at: Place) -> usize {
    at.get() as usize - 1
}
