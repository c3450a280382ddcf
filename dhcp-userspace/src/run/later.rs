//! Replies that wait for their time, in the order of their times; at most one for each client.
//!
//! Each worker has its own, and all messages of a client come to one worker: no lock is needed.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use dhcp_common::slot::Link;
use dhcp_common::wire::bootp;
use foldhash::fast::RandomState;

use crate::engine::{Event, Ignored, Incoming, Outcome};
use crate::net::send::Parcel;
use crate::packet::{MessageType, Request};

/// Replies that wait in one worker. A client whose reply finds no room asks again.
pub const MOST: usize = 8192;
const CHADDR: usize = 16;

/// Whose reply it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    link: Link,
    chaddr: [u8; CHADDR],
    /// The client identifier (option 61), if chaddr tells nothing (RFC 4390).
    id: Box<[u8]>,
}

/// What a client asked. A client that hears nothing for a while asks the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    xid: u32,
    kind: MessageType,
}

/// A reply that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub parcel: Parcel,
    pub event: Event,
    pub question: Question,
    /// When the reply may go as far as its delay is concerned.
    pub answer_at: u64,
    pub check: Option<Check>,
}

/// The reply offers an address that somebody might have.
#[derive(Clone, Debug)]
pub struct Check {
    pub address: Ipv4Addr,
    /// Who has heard nothing by then takes it for free.
    pub until: u64,
    /// To be asked anew if the address is not free.
    pub request: Vec<u8>,
}

/// Tells who sent a message and what it asks; none if the engine would not understand it.
#[must_use]
pub fn asked(incoming: &Incoming<'_>) -> Option<(Client, Question)> {
    let request = Request::parse(incoming.payload).ok()?;
    let chaddr = incoming.payload[bootp::CHADDR..].first_chunk::<CHADDR>()?;
    let id = match chaddr {
        [0, 0, 0, 0, 0, 0, ..] => request.client_id().unwrap_or_default(),
        _ => Default::default(),
    };
    let client = Client {
        link: incoming.link,
        chaddr: *chaddr,
        id: id.as_ref().into(),
    };
    let question = Question {
        xid: request.xid,
        kind: request.message_type,
    };
    Some((client, question))
}

/// Whether a newer message with this outcome makes the reply that waits pointless: the client goes
/// on, here or with another server. What is ignored for any other reason changes nothing.
#[must_use]
pub const fn outlives(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Ignore(why) => matches!(why, Ignored::OtherServer),
        Outcome::Busy => false,
        Outcome::Reply(_) | Outcome::Commit(_) | Outcome::Later(_) => true,
    }
}

impl Waiting {
    #[must_use]
    pub fn due(&self) -> u64 {
        let checked = self.check.as_ref().map_or(0, |check| check.until);
        self.answer_at.max(checked)
    }

    #[must_use]
    pub fn offers(&self, address: Ipv4Addr) -> bool {
        let checked = self.check.as_ref().map(|check| check.address);
        checked == Some(address)
    }
}

/// A time, and a number that sets replies of the same time apart.
type Place = (u64, u64);

#[derive(Default)]
pub struct Queue {
    order: BTreeMap<Place, Client>,
    waiting: HashMap<Client, (Place, Waiting), RandomState>,
    count: u64,
}

impl Queue {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.order.len() >= MOST
    }

    /// When the next reply is due.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.order.first_key_value().map(|((due, _), _)| *due)
    }

    /// The reply that waits for a client, if any.
    #[must_use]
    pub fn get(&self, client: &Client) -> Option<&Waiting> {
        self.waiting.get(client).map(|(_, waiting)| waiting)
    }

    /// Adds a reply, in place of the one that waits for this client.
    pub fn put(&mut self, client: Client, waiting: Waiting) {
        self.take(&client);
        let place = (waiting.due(), self.count);
        self.count += 1;
        self.order.insert(place, client.clone());
        self.waiting.insert(client, (place, waiting));
    }

    pub fn take(&mut self, client: &Client) -> Option<Waiting> {
        let (place, waiting) = self.waiting.remove(client)?;
        self.order.remove(&place);
        Some(waiting)
    }

    /// Takes a reply that is due.
    pub fn take_due(&mut self, now: u64) -> Option<Waiting> {
        let first = self.order.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let client = first.remove();
        self.waiting.remove(&client).map(|(_, waiting)| waiting)
    }
}
