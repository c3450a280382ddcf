//! The generator: clients that renew and bind, by a window or at a rate, and look at every answer.
//!
//! It runs on one thread and one CPU. Everything it has to know of an exchange is found by the xid.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result};
use xdhcpd_tests::interrupt;

use crate::client::{Client, FIRST_FRESH, FRESH, Random, SERVER};
use crate::flights::{Flight, Flights, Stage};
use crate::reply::{self, ACK, Expected, NAK, OFFER, Reply, Wrong};
use crate::request::{Frame, Requests, Sender};
use crate::tally::Tally;
use crate::time::{SECOND, now};
use crate::wire::Wire;

/// A client that hears nothing for so long is given up, where it does not ask again: when a firmware would.
const PATIENCE: u64 = FIRMWARE[0];
/// When a PXE firmware asks again (PXE 2.1 section 2.2.1: after 4, 8, 16 and 32 s), before it starts anew.
const FIRMWARE: [u64; 4] = [4 * SECOND, 8 * SECOND, 16 * SECOND, 32 * SECOND];
/// By how much each such time differs at most, up or down (RFC 2131 section 4.1).
const JITTER_MS: u32 = 1000;
/// The longest sleep, so that Ctrl-C is noticed.
const NAP: u64 = SECOND / 20;

/// What clients do next.
#[derive(Clone)]
pub enum Errands {
    /// Any of those that hold a lease renews.
    Renew { clients: u32, random: Random },
    /// Each renews once, in order.
    RenewEach { left: std::ops::Range<u32> },
    /// New ones bind.
    Bind { left: std::ops::Range<u32> },
    /// In turn.
    Mixed {
        clients: u32,
        random: Random,
        left: std::ops::Range<u32>,
        bind: bool,
    },
}

enum Errand {
    Renew(u32),
    Bind(u32),
}

#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many exchanges are open at any time.
    Window(usize),
    PerSecond(u32),
}

/// What becomes of who hears nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// It is given up, and counted.
    Lost,
    /// It asks again as a firmware does.
    Firmware,
}

pub struct Load {
    pub errands: Errands,
    pub pace: Pace,
    pub silence: Silence,
    /// When no more begins, and in a storm the end.
    pub time: Duration,
}

/// What holds for the replies of one server.
#[derive(Clone, Debug)]
pub struct Manner {
    /// It sends requests back as they are.
    pub echoes: bool,
    /// The lease times that a renewal may get.
    pub renewed: RangeInclusive<u32>,
    pub bound: RangeInclusive<u32>,
}

pub struct Generator<'a> {
    wire: &'a mut Wire,
    requests: &'a Requests,
    manner: &'a Manner,
    flights: Flights,
    taken: Taken,
    tally: Tally,
    silence: Silence,
    random: Random,
}

/// Addresses of the pool that somebody has been given.
struct Taken(Vec<u64>);

impl Taken {
    fn new() -> Self {
        Self(vec![0; POOL as usize / 64])
    }

    /// Whether nobody had it.
    fn take(&mut self, address: u32) -> bool {
        let number = (address - FRESH.to_bits()) as usize;
        let (word, bit) = (&mut self.0[number / 64], 1 << (number % 64));
        let free = *word & bit == 0;
        *word |= bit;
        free
    }
}

const POOL: u32 = 1 << 20;

impl<'a> Generator<'a> {
    pub fn run(
        wire: &'a mut Wire,
        requests: &'a Requests,
        manner: &'a Manner,
        load: Load,
    ) -> Result<Tally> {
        let mut generator = Self {
            wire,
            requests,
            manner,
            flights: Flights::default(),
            taken: Taken::new(),
            tally: Tally::default(),
            silence: load.silence,
            random: Random::new(1),
        };
        generator.drain()?;
        generator.drive(load)?;
        Ok(generator.tally)
    }

    /// What was on its way to others is of no interest.
    fn drain(&mut self) -> Result<()> {
        while self.wire.receive(|_| ())? > 0 {}
        self.wire.refused = 0;
        Ok(())
    }

    fn drive(&mut self, mut load: Load) -> Result<()> {
        let began = now();
        let end = began + load.time.as_nanos() as u64;
        let (mut started, mut more) = (0, true);
        while more || self.flights.open() > 0 {
            let time = now();
            more &= time < end;
            if !more && (load.silence == Silence::Firmware && time >= end) {
                break;
            }
            more = more && self.start(&mut load, &mut started, time - began)?;
            self.wire.flush()?;
            let heard = self.hear()?;
            self.again(now())?;
            if heard == 0 {
                interrupt::check()?;
                self.rest(&load, started, began, more)?;
            }
        }
        self.tally.nanos = self.tally.last_answer.saturating_sub(began).max(1);
        self.tally.open = self.flights.open() as u64;
        self.tally.refused = self.wire.refused;
        Ok(())
    }

    /// Begins what may begin now; whether there is more to come.
    fn start(&mut self, load: &mut Load, started: &mut u64, passed: u64) -> Result<bool> {
        let room = match load.pace {
            Pace::Window(window) => window.saturating_sub(self.flights.open()),
            Pace::PerSecond(rate) => {
                let wanted = u128::from(passed) * u128::from(rate) / u128::from(SECOND);
                (wanted as u64).saturating_sub(*started) as usize
            }
        };
        // In portions, so that answers are heard in between.
        for _ in 0..room.min(64) {
            let Some(errand) = load.errands.next() else {
                return Ok(false);
            };
            *started += 1;
            self.begin(&errand)?;
        }
        Ok(true)
    }

    fn begin(&mut self, errand: &Errand) -> Result<()> {
        let (client, stage, address) = match *errand {
            Errand::Renew(number) => {
                let client = Client(number);
                (client, Stage::Renew, client.address().to_bits())
            }
            Errand::Bind(number) => (Client(FIRST_FRESH + number), Stage::Discover, 0),
        };
        let flight = Flight {
            client,
            stage,
            address,
            began: now(),
            sent: 0,
        };
        let xid = self
            .flights
            .add(flight)
            .context("too many open exchanges")?;
        self.transmit(xid)
    }

    /// Sends the message that an exchange is at, and sets its alarm.
    fn transmit(&mut self, xid: u32) -> Result<()> {
        let Some(flight) = self.flights.get(xid) else {
            return Ok(());
        };
        flight.sent += 1;
        let time = now();
        let frame = message(self.requests, flight, xid, time);
        let wait = match self.silence {
            Silence::Lost => PATIENCE,
            Silence::Firmware => {
                let jitter = u64::from(self.random.below(2 * JITTER_MS)) * (SECOND / 1000);
                FIRMWARE[(flight.sent as usize - 1) % FIRMWARE.len()] - SECOND + jitter
            }
        };
        self.tally.sent += 1;
        self.flights.alarm(xid, time + wait);
        self.wire.send(&frame)
    }

    fn hear(&mut self) -> Result<usize> {
        let (echoes, mut heard) = (self.manner.echoes, Vec::with_capacity(64));
        let count = self.wire.receive(|frame| {
            if echoes {
                heard.push(reply::read_echo(frame));
            } else if reply::is_reply(frame) {
                heard.push(reply::read(frame));
            }
        })?;
        let time = now();
        for reply in heard {
            match reply {
                Ok(reply) => self.judge(&reply, time)?,
                Err(wrong) => self.tally.wrong(&wrong),
            }
        }
        Ok(count)
    }

    fn judge(&mut self, reply: &Reply, time: u64) -> Result<()> {
        self.tally.replies += 1;
        let Some(flight) = self.flights.get(reply.xid) else {
            self.tally.late += 1;
            return Ok(());
        };
        let flight = *flight;
        // Asked twice, both answered: it has gone on since then.
        let late = match flight.stage {
            Stage::Discover => NAK,
            Stage::Request => OFFER,
            Stage::Renew => 0,
        };
        if reply.kind == late {
            self.tally.late += 1;
            return Ok(());
        }
        if reply.kind == NAK {
            self.tally.naks += 1;
            return self.refused(reply.xid);
        }
        match self.manner.expected(&flight).check(reply) {
            Err(wrong) => self.tally.wrong(&wrong),
            Ok(()) => self.right(reply, &flight, time)?,
        }
        Ok(())
    }

    fn right(&mut self, reply: &Reply, flight: &Flight, time: u64) -> Result<()> {
        self.tally.last_answer = time;
        let took = time.saturating_sub(flight.began);
        match flight.stage {
            Stage::Renew => self.tally.renewals.add(took),
            Stage::Request => {
                self.tally.binds.add(took);
                if !self.taken.take(flight.address) {
                    let what = "address, which another client has,";
                    self.tally.wrong(&Wrong::Field {
                        what,
                        reply: *reply,
                    });
                }
            }
            Stage::Discover => return self.select(reply),
        }
        self.flights.remove(reply.xid);
        Ok(())
    }

    fn select(&mut self, offer: &Reply) -> Result<()> {
        if let Some(flight) = self.flights.get(offer.xid) {
            flight.stage = Stage::Request;
            flight.address = offer.yiaddr.to_bits();
            flight.sent = 0;
        }
        self.transmit(offer.xid)
    }

    /// After a NAK: a renewal is over, a new client starts anew.
    fn refused(&mut self, xid: u32) -> Result<()> {
        match self.flights.get(xid) {
            Some(flight) if flight.stage == Stage::Request => {
                flight.stage = Stage::Discover;
                flight.sent = 0;
                self.transmit(xid)
            }
            _ => {
                self.flights.remove(xid);
                Ok(())
            }
        }
    }

    /// Who has heard nothing for long.
    fn again(&mut self, time: u64) -> Result<()> {
        while let Some(xid) = self.flights.due(time) {
            if self.silence == Silence::Lost {
                self.tally.lost += 1;
                self.flights.remove(xid);
                continue;
            }
            self.tally.retransmitted += 1;
            if let Some(flight) = self.flights.get(xid)
                && flight.sent as usize == FIRMWARE.len()
            {
                flight.stage = Stage::Discover;
                flight.sent = 0;
            }
            self.transmit(xid)?;
        }
        Ok(())
    }

    /// Sleeps until there is something to do.
    fn rest(&self, load: &Load, started: u64, began: u64, more: bool) -> Result<()> {
        let time = now();
        let mut until = time + NAP;
        if let Some(alarm) = self.flights.next_alarm() {
            until = until.min(alarm);
        }
        match load.pace {
            Pace::PerSecond(rate) if more => {
                let next = u128::from(started + 1) * u128::from(SECOND) / u128::from(rate);
                until = until.min(began + next as u64);
            }
            Pace::Window(window) if more && self.flights.open() < window => return Ok(()),
            _ => {}
        }
        match until.saturating_sub(time) {
            0 => Ok(()),
            nanos => self.wire.wait(Duration::from_nanos(nanos)),
        }
    }
}

fn message(requests: &Requests, flight: &Flight, xid: u32, time: u64) -> Frame {
    let passed = time.saturating_sub(flight.began) / SECOND;
    let sender = Sender {
        client: flight.client,
        xid,
        secs: passed as u16,
    };
    let address = Ipv4Addr::from_bits(flight.address);
    match flight.stage {
        Stage::Discover => requests.discover(sender),
        Stage::Request => requests.select(sender, address, SERVER),
        Stage::Renew => requests.renew(sender, address),
    }
}

impl Errands {
    fn next(&mut self) -> Option<Errand> {
        match self {
            Self::Renew { clients, random } => Some(Errand::Renew(random.below(*clients))),
            Self::RenewEach { left } => left.next().map(Errand::Renew),
            Self::Bind { left } => left.next().map(Errand::Bind),
            Self::Mixed {
                clients,
                random,
                left,
                bind,
            } => {
                *bind = !*bind;
                if *bind {
                    left.next().map(Errand::Bind)
                } else {
                    Some(Errand::Renew(random.below(*clients)))
                }
            }
        }
    }
}

impl Manner {
    fn expected(&self, flight: &Flight) -> Expected {
        let address = flight.address;
        let (kind, address, lease) = match flight.stage {
            Stage::Renew => (ACK, address..=address, &self.renewed),
            Stage::Request => (ACK, address..=address, &self.bound),
            Stage::Discover => {
                let first = FRESH.to_bits();
                (OFFER, first..=first + POOL - 1, &self.bound)
            }
        };
        Expected {
            kind,
            client: flight.client,
            address,
            server: SERVER,
            lease: lease.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_once() {
        let mut taken = Taken::new();
        let first = FRESH.to_bits();
        assert!(taken.take(first) && taken.take(first + POOL - 1));
        assert!(!taken.take(first));
    }

    #[test]
    fn mixed_errands_take_turns_until_no_new_client_is_left() {
        let mut errands = Errands::Mixed {
            clients: 10,
            random: Random::new(1),
            left: 0..2,
            bind: false,
        };
        let kinds: Vec<bool> = std::iter::from_fn(|| errands.next())
            .map(|errand| matches!(errand, Errand::Bind(_)))
            .collect();
        assert_eq!(kinds, [true, false, true, false]);
    }
}
