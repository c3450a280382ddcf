//! The last packets, to be shown where something is wrong.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::ledger::Wrong;
use super::packet::{Origin, Packet, Sent};
use super::wire::Told;
use crate::clock::SECOND;
use crate::config::model::Mac;

/// Packets kept, and how many of them are shown.
const KEPT: usize = 200_000;
const SHOWN: usize = 40;

#[derive(Default)]
pub(super) struct Trail(VecDeque<Step>);

struct Step {
    time: u64,
    mac: Mac,
    address: Ipv4Addr,
    place: usize,
    what: What,
}

enum What {
    Asked(Option<u8>, bool),
    Told(Option<u8>),
    Ignored(&'static str),
    Note(&'static str),
}

impl Trail {
    pub(super) fn asked(&mut self, time: u64, packet: &Packet) {
        let origin = packet.origin;
        self.push(Step {
            time,
            mac: origin.mac,
            address: origin.address,
            place: origin.place,
            what: What::Asked(origin.kind, origin.honest),
        });
    }

    pub(super) fn answered(&mut self, time: u64, sent: &Sent) {
        let told = Told::read(&sent.bytes);
        self.push(Step {
            time,
            mac: told.mac,
            address: told.address,
            place: sent.origin.place,
            what: What::Told(told.kind),
        });
    }

    pub(super) fn ignored(&mut self, time: u64, origin: &Origin, why: &'static str) {
        self.push(Step {
            time,
            mac: origin.mac,
            address: origin.address,
            place: origin.place,
            what: What::Ignored(why),
        });
    }

    pub(super) fn note(&mut self, time: u64, what: &'static str) {
        self.push(Step {
            time,
            mac: [0; 6],
            address: Ipv4Addr::UNSPECIFIED,
            place: 0,
            what: What::Note(what),
        });
    }

    fn push(&mut self, step: Step) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(step);
    }

    /// What is wrong, and the last packets of this client and this address.
    pub(super) fn tell(&self, wrong: &Wrong, time: u64) -> String {
        let mut text = format!(
            "at {}s, {:02x?} {}: {}\n",
            seconds(time),
            wrong.mac,
            wrong.address,
            wrong.what
        );
        let concerns = |step: &&Step| {
            let known = !wrong.address.is_unspecified() && step.address == wrong.address;
            step.mac == wrong.mac || known || matches!(step.what, What::Note(_))
        };
        let last: Vec<_> = self.0.iter().rev().filter(concerns).take(SHOWN).collect();
        for step in last.into_iter().rev() {
            writeln!(text, "{step}").expect("a string takes all");
        }
        text
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (time, place) = (seconds(self.time), self.place);
        let (mac, address) = (self.mac, self.address);
        let name = |kind| match kind {
            None => "BOOTP",
            Some(1) => "DISCOVER",
            Some(2) => "OFFER",
            Some(3) => "REQUEST",
            Some(4) => "DECLINE",
            Some(5) => "ACK",
            Some(6) => "NAK",
            Some(7) => "RELEASE",
            Some(_) => "INFORM",
        };
        match self.what {
            What::Asked(kind, true) => {
                write!(
                    to,
                    "{time} [{place}] {mac:02x?} asks {} {address}",
                    name(kind)
                )
            }
            What::Asked(kind, false) => {
                write!(
                    to,
                    "{time} [{place}] {mac:02x?} (forged) {} {address}",
                    name(kind)
                )
            }
            What::Told(kind) => write!(
                to,
                "{time} [{place}] {mac:02x?} <- {} {address}",
                name(kind)
            ),
            What::Ignored(why) => write!(to, "{time} [{place}] {mac:02x?} ignored: {why}"),
            What::Note(what) => write!(to, "{time} -- {what}"),
        }
    }
}

fn seconds(time: u64) -> f64 {
    time as f64 / SECOND as f64
}
