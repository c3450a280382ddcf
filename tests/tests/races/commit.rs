//! The journal of the test: records become durable in order, after a while, or are refused.

use std::sync::mpsc::Receiver;

use anyhow::Result;
use dhcp_userspace::clock::Now;
use dhcp_userspace::engine::Commit;

use super::ledger::{Open, State};
use crate::Race;
use crate::common::random::Random;

/// A record on its way to disk.
pub struct Ticket {
    pub commit: Commit,
    pub number: usize,
    pub what: What,
}

pub enum What {
    /// A lease, for this client.
    Lease {
        client: usize,
        /// What it is told then.
        until: u64,
        before: State,
    },
    /// The address is nobody's any more.
    Free { before: State },
    /// The promise of this lease is moved.
    Promise { lease: Open },
}

/// Commits until nobody is left who sends.
pub fn run(race: &Race, tickets: &Receiver<Ticket>, mut random: Random) -> Result<()> {
    while let Ok(ticket) = tickets.recv() {
        delay(race, &mut random);
        if random.one_in(16) {
            refuse(race, &ticket);
        } else {
            complete(race, &ticket);
        }
    }
    Ok(())
}

/// The disk takes as long as some renewals do.
fn delay(race: &Race, random: &mut Random) {
    if random.one_in(4) {
        race.wait_for([1, 10, 50][random.below(3)]);
    }
}

fn complete(race: &Race, ticket: &Ticket) {
    let (now, number) = (Now::read(), ticket.number);
    let promise = ticket.commit.record.reserved_until;
    match ticket.what {
        What::Lease { client, .. } => race.ledger.opened(number, client, promise, now.boot),
        What::Free { .. } => race.ledger.freed(number),
        What::Promise { lease } => race.ledger.promised(number, lease, promise),
    }
    race.site.engine.complete(&ticket.commit.change, now);
    if let What::Lease { client, until, .. } = ticket.what {
        race.ledger.heard(number, client, until);
    }
}

fn refuse(race: &Race, ticket: &Ticket) {
    if let What::Lease { before, .. } | What::Free { before } = ticket.what {
        race.ledger.restored(ticket.number, before);
    }
    race.site.engine.refuse(&ticket.commit.change, Now::read());
    race.did("refusals");
}
