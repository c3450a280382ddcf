//! Replies that wait for their time, in the order of their times; at most one for each client.
//!
//! Each worker has its own, and all messages of a client come to one worker: no lock is needed.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use dhcp_common::slot::Link;
use dhcp_common::wire::bootp;
use foldhash::fast::RandomState;

use super::handler::Kept;
use crate::engine::{Event, Ignored, Incoming, Outcome};
use crate::net::send::Parcel;
use crate::packet::{MessageType, Request};

/// Replies that wait in one worker. A client whose reply finds no room asks again.
pub const MOST: usize = 8192;
/// Strangers can make up as many clients as they like: the rest is for those with a lease or a reservation.
const FOR_STRANGERS: usize = MOST / 2;
const CHADDR: usize = 16;

/// Whose reply it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    link: Link,
    chaddr: [u8; CHADDR],
    /// The client identifier (option 61), if chaddr tells nothing (RFC 4390).
    id: Box<[u8]>,
}

impl Client {
    fn new(link: Link, chaddr: [u8; CHADDR], id: &[u8]) -> Self {
        let told = chaddr != [0; CHADDR];
        Self {
            link,
            chaddr,
            id: if told { Box::default() } else { id.into() },
        }
    }
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
    /// When it goes out.
    pub due: u64,
    pub check: Option<Check>,
}

/// The reply offers an address that somebody might have.
#[derive(Clone, Debug)]
pub struct Check {
    pub address: Ipv4Addr,
    /// Who has heard nothing by then takes it for free.
    pub until: u64,
    /// To be asked anew if the address is not free.
    pub request: Kept,
}

/// Tells who sent a message and what it asks; none if the engine would not understand it.
#[must_use]
pub fn asked(incoming: &Incoming<'_>) -> Option<(Client, Question)> {
    let request = Request::parse(incoming.payload).ok()?;
    let chaddr = incoming.payload[bootp::CHADDR..].first_chunk::<CHADDR>()?;
    let id = request.client_id().unwrap_or_default();
    let client = Client::new(incoming.link, *chaddr, &id);
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
    pub fn offers(&self, address: Ipv4Addr) -> bool {
        let checked = self.check.as_ref().map(|check| check.address);
        checked == Some(address)
    }
}

/// A time, and a number that sets replies of the same time apart.
type Place = (u64, u64);

pub struct Queue<T> {
    order: BTreeMap<Place, Client>,
    waiting: HashMap<Client, (Place, T), RandomState>,
    count: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            order: BTreeMap::new(),
            waiting: HashMap::default(),
            count: 0,
        }
    }
}

impl<T> Queue<T> {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether one more reply may wait, which is for a client that may be known.
    pub fn has_room(&self, is_known: impl FnOnce() -> bool) -> bool {
        let waiting = self.order.len();
        waiting < FOR_STRANGERS || waiting < MOST && is_known()
    }

    /// When the next reply is due.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.order.first_key_value().map(|((due, _), _)| *due)
    }

    /// What waits for a client, if anything.
    #[must_use]
    pub fn get(&self, client: &Client) -> Option<&T> {
        self.waiting.get(client).map(|(_, what)| what)
    }

    /// Adds what is due then, in place of what waits for this client.
    pub fn put(&mut self, client: Client, due: u64, what: T) {
        self.take(&client);
        let place = (due, self.count);
        self.count += 1;
        self.order.insert(place, client.clone());
        self.waiting.insert(client, (place, what));
    }

    pub fn take(&mut self, client: &Client) -> Option<T> {
        let (place, what) = self.waiting.remove(client)?;
        self.order.remove(&place);
        Some(what)
    }

    /// Takes the first that is due.
    pub fn take_due(&mut self, now: u64) -> Option<T> {
        let first = self.order.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let client = first.remove();
        self.waiting.remove(&client).map(|(_, what)| what)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::net::frame::{Frame, parse};
    use crate::net::tests::{request, tag};

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, u64),
        Take(u8),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u8..6, 0u64..50).prop_map(|(client, due)| Step::Put(client, due)),
            (0u8..6).prop_map(Step::Take),
            (0u64..60).prop_map(Step::Pass),
        ]
    }

    fn client(number: u8) -> Client {
        Client::new(Link::default(), [number; CHADDR], &[])
    }

    proptest! {
        /// Held against a list in the order in which things were put.
        #[test]
        fn one_for_each_client_in_the_order_of_their_times(
            steps in prop::collection::vec(step(), 0..60),
        ) {
            let (mut queue, mut model) = (Queue::default(), Vec::<(u8, u64, usize)>::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Put(who, due) => {
                        queue.put(client(who), due, number);
                        model.retain(|(other, ..)| *other != who);
                        model.push((who, due, number));
                    }
                    Step::Take(who) => {
                        let at = model.iter().position(|(other, ..)| *other == who);
                        let wanted = at.map(|at| model.remove(at).2);
                        prop_assert_eq!(queue.take(&client(who)), wanted);
                    }
                    Step::Pass(now) => {
                        let mut due: Vec<_> = model.extract_if(.., |one| one.1 <= now).collect();
                        due.sort_by_key(|one| (one.1, one.2));
                        for one in due {
                            prop_assert_eq!(queue.take_due(now), Some(one.2));
                        }
                        prop_assert_eq!(queue.take_due(now), None);
                    }
                }
                prop_assert_eq!(queue.next(), model.iter().map(|one| one.1).min());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn strangers_leave_room_for_those_who_are_known() {
        let mut queue = Queue::default();
        let fill = |queue: &mut Queue<()>, to: usize| {
            for number in queue.order.len() as u32..to as u32 {
                let mut chaddr = [0; CHADDR];
                chaddr[..4].copy_from_slice(&(number + 1).to_be_bytes());
                queue.put(Client::new(Link::default(), chaddr, &[]), 1, ());
            }
        };
        fill(&mut queue, FOR_STRANGERS - 1);
        assert!(queue.has_room(|| false));
        fill(&mut queue, FOR_STRANGERS);
        assert!(!queue.has_room(|| false));
        assert!(queue.has_room(|| true));
        fill(&mut queue, MOST);
        assert!(!queue.has_room(|| true));
    }

    fn client_of(bytes: &[u8], ifindex: u32) -> Client {
        let incoming = parse(&Frame::new(bytes, ifindex, true)).unwrap();
        asked(&incoming).unwrap().0
    }

    #[test]
    fn clients_are_told_apart_by_chaddr_and_link() {
        let one = request(1);
        let same = client_of(&one, 3);
        assert_eq!(client_of(&one, 3), same);
        assert_ne!(client_of(&request(2), 3), same);
        assert_ne!(client_of(&one, 4), same);
        assert_ne!(client_of(&tag(&one, 0x8100, 9), 3), same);
    }

    /// InfiniBand: all chaddr are zero (RFC 4390).
    #[test]
    fn clients_without_chaddr_are_told_apart_by_their_identifier() {
        let of = |chaddr, id: &[u8]| Client::new(Link::default(), [chaddr; CHADDR], id);
        assert_ne!(of(0, &[255, 1, 2]), of(0, &[255, 1, 3]));
        assert_eq!(
            of(2, &[255, 1, 2]),
            of(2, &[255, 1, 3]),
            "another system of one machine"
        );
    }

    #[test]
    fn only_what_moves_the_client_on_outlives_a_reply() {
        let ignored = |why| outlives(&Outcome::Ignore(why));
        for why in Ignored::ALL {
            assert_eq!(ignored(*why), *why == Ignored::OtherServer, "{why:?}");
        }
        assert!(!outlives(&Outcome::Busy), "it comes again");
    }
}
