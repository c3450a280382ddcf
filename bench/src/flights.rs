//! Exchanges that are under way, each known by its xid, and when each is to be taken up again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::client::Client;

/// The lower bits of an xid are a place, the upper ones say which of those that stood there.
const PLACE_BITS: u32 = 17;
const PLACES: usize = 1 << PLACE_BITS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Discover,
    Request,
    Renew,
}

#[derive(Clone, Copy, Debug)]
pub struct Flight {
    pub client: Client,
    pub stage: Stage,
    /// What it renews, or was offered.
    pub address: u32,
    /// When the exchange began; nanoseconds.
    pub began: u64,
    /// How often this message was sent.
    pub sent: u32,
}

#[derive(Clone, Copy, Default)]
struct Place {
    uses: u32,
    flight: Option<Flight>,
}

pub struct Flights {
    places: Vec<Place>,
    free: Vec<u32>,
    /// When, xid, and how often its message had been sent then.
    alarms: BinaryHeap<Reverse<(u64, u32, u32)>>,
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            places: vec![Place::default(); PLACES],
            free: (0..PLACES as u32).rev().collect(),
            alarms: BinaryHeap::new(),
        }
    }
}

impl Flights {
    pub fn open(&self) -> usize {
        PLACES - self.free.len()
    }

    /// The new exchange's xid; `None` if there are as many as can be.
    pub fn add(&mut self, flight: Flight) -> Option<u32> {
        let number = self.free.pop()?;
        let place = &mut self.places[number as usize];
        place.uses = place.uses.wrapping_add(1);
        place.flight = Some(flight);
        Some(place.uses << PLACE_BITS | number)
    }

    /// `None` if nothing is open by this xid, so a second answer has none.
    pub fn get(&mut self, xid: u32) -> Option<&mut Flight> {
        let place = &mut self.places[xid as usize % PLACES];
        (xid >> PLACE_BITS == place.uses << PLACE_BITS >> PLACE_BITS)
            .then_some(place.flight.as_mut())
            .flatten()
    }

    pub fn remove(&mut self, xid: u32) {
        if self.get(xid).is_some() {
            let number = xid as usize % PLACES;
            self.places[number].flight = None;
            self.free.push(number as u32);
        }
    }

    /// Takes it up again then, unless its message has been sent another time or it is over.
    pub fn alarm(&mut self, xid: u32, at: u64) {
        if let Some(flight) = self.get(xid) {
            let sent = flight.sent;
            self.alarms.push(Reverse((at, xid, sent)));
        }
    }

    /// The next that is due.
    pub fn due(&mut self, now: u64) -> Option<u32> {
        while let Some(Reverse((at, xid, sent))) = self.alarms.peek().copied() {
            if at > now {
                return None;
            }
            self.alarms.pop();
            if self.get(xid).is_some_and(|flight| flight.sent == sent) {
                return Some(xid);
            }
        }
        None
    }

    /// When the next is due at the earliest.
    pub fn next_alarm(&self) -> Option<u64> {
        self.alarms.peek().map(|Reverse((at, ..))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(number: u32) -> Flight {
        Flight {
            client: Client(number),
            stage: Stage::Renew,
            address: 0,
            began: 0,
            sent: 1,
        }
    }

    #[test]
    fn a_second_answer_finds_nothing() {
        let mut flights = Flights::default();
        let first = flights.add(flight(1)).unwrap();
        assert_eq!(flights.get(first).unwrap().client, Client(1));
        flights.remove(first);
        assert!(flights.get(first).is_none());
        let second = flights.add(flight(2)).unwrap();
        assert_ne!(first, second, "the place is used again, the xid is not");
        assert!(flights.get(first).is_none());
        flights.remove(first);
        assert_eq!(flights.open(), 1);
    }

    #[test]
    fn alarms_come_in_order_and_not_for_what_went_on() {
        let mut flights = Flights::default();
        let xids: Vec<u32> = (0..4).map(|n| flights.add(flight(n)).unwrap()).collect();
        for (xid, at) in xids.iter().zip([40, 10, 30, 20]) {
            flights.alarm(*xid, at);
        }
        flights.remove(xids[1]);
        flights.get(xids[3]).unwrap().sent += 1;
        assert_eq!(flights.due(29), None);
        assert_eq!(flights.due(35), Some(xids[2]));
        assert_eq!(flights.due(35), None);
        assert_eq!(flights.next_alarm(), Some(40));
        assert_eq!(flights.due(40), Some(xids[0]));
    }

    #[test]
    fn there_is_an_end_to_how_many_are_open() {
        let mut flights = Flights::default();
        for number in 0..PLACES as u32 {
            assert!(flights.add(flight(number)).is_some());
        }
        assert!(flights.add(flight(0)).is_none());
    }
}
