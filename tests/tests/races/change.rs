//! Who changes leases: clients that the daemon answers, an operator, the sweeper, reloads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use anyhow::{Context, Result, ensure};
use dhcp_userspace::clock::{Now, SECOND};
use dhcp_userspace::engine::{Binding, Commit, EventKind, Outcome, Swept};
use dhcp_userspace::journal::Kind;

use super::commit::{Ticket, What};
use super::look::is_quiet;
use super::site::{self, ADDRESSES, CLIENTS, VARIANTS, address, mac};
use crate::Race;
use crate::common::random::Random;

/// Renewals between two sweeps.
const SWEEP: u64 = 200;
/// Time between two reloads: long enough for promises to come to their end under one configuration.
const RELOAD: u64 = SECOND / 2;
/// Changes between two looks at whether it is over.
const BATCH: usize = 16;
/// How much less often the holders of some addresses change.
const STEADY: usize = 200;

pub struct Changer<'a> {
    pub race: &'a Race,
    pub journal: Sender<Ticket>,
    pub random: Random,
    pub reply: Vec<u8>,
}

impl Changer<'_> {
    pub fn run(mut self) -> Result<()> {
        while !self.race.over() {
            for _ in 0..BATCH {
                self.step()?;
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        let number = self.random.below(ADDRESSES);
        // Every other address keeps its holder for long, so that promises come to their end.
        let steady = number.is_multiple_of(2) && !self.random.one_in(STEADY);
        if steady || is_quiet(number, Now::read().boot) {
            return Ok(());
        }
        let somebody = self.random.below(CLIENTS);
        let holder = self.race.ledger.holder(number);
        let client = holder.unwrap_or(somebody);
        let at = address(number);
        // Who holds an address mostly wants to keep it.
        let first = if holder.is_some() { 6 } else { 0 };
        match first + self.random.below(24 - first) {
            0..8 => self.send(&site::selecting(somebody, at), number, somebody),
            8..14 => self.send(&site::renewing(client, at), number, client),
            14..17 => self.send(&site::release(client, at), number, client),
            17 => self.send(&site::decline(client, at), number, client),
            18 => self.send(&site::discover(somebody), number, somebody),
            19 => self.force_release(number),
            20..22 => self.force_bind(number, somebody),
            22 => self.force_renew(number),
            _ => self.query(number),
        }
    }

    /// Hands a client's message in.
    pub fn send(&mut self, frame: &[u8], number: usize, client: usize) -> Result<()> {
        let (race, now) = (self.race, Now::read());
        let (epoch, done) = (
            race.ledger.epoch(number),
            race.site.done.load(Ordering::SeqCst),
        );
        match site::handle(&race.site.engine, frame, now, &mut self.reply)? {
            Outcome::Commit(commit) => {
                let kind = commit.event.as_ref().map(|event| event.kind);
                let until = now.boot + race.lease_at_least();
                if kind == Some(EventKind::Renew) {
                    race.site.check(done, client, number, &self.reply)?;
                }
                self.commit(commit, until)
            }
            Outcome::Reply(event) if event.kind == EventKind::Renew => {
                race.did("renewals by the engine without a record");
                let lease = race.site.check(done, client, number, &self.reply)?;
                let until = now.boot + lease;
                race.ledger
                    .granted(number, client, epoch, until)
                    .map(|_| ())
            }
            Outcome::Reply(event) if event.kind == EventKind::Bind => {
                let until = now.boot + race.lease_at_least();
                race.ledger
                    .granted(number, client, epoch, until)
                    .map(|_| ())
            }
            Outcome::Reply(_) | Outcome::Later(_) | Outcome::Busy | Outcome::Ignore(_) => Ok(()),
        }
    }

    /// A change on its way to disk.
    fn commit(&mut self, commit: Commit, until: u64) -> Result<()> {
        let (race, record) = (self.race, &commit.record);
        let (number, client) = (site::number(record.address), site::client(record.mac));
        let before = race.ledger.closed(number);
        let what = if record.kind == Kind::Bound {
            race.did("leases made or extended on disk");
            let now = Now::read().boot;
            race.ledger.is_given(number, client, now)?;
            What::Lease {
                client,
                until,
                before,
            }
        } else {
            race.did(match record.kind {
                Kind::Released => "releases",
                Kind::Declined => "declines",
                _ => "addresses forgotten",
            });
            What::Free { before }
        };
        let ticket = Ticket {
            commit,
            number,
            what,
        };
        self.journal.send(ticket).ok().context("no journal")
    }

    fn force_release(&mut self, number: usize) -> Result<()> {
        let engine = &self.race.site.engine;
        match engine.force_release(address(number), None, Now::read()) {
            Ok(commit) => self.commit(commit, 0),
            Err(_) => Ok(()),
        }
    }

    fn force_bind(&mut self, number: usize, client: usize) -> Result<()> {
        let (engine, now) = (&self.race.site.engine, Now::read());
        let binding = Binding {
            address: address(number),
            mac: mac(client),
            expires: now.boot + SECOND,
            since: now.unix,
            client_id: Vec::new(),
            hostname: Vec::new(),
            relay_agent: Vec::new(),
        };
        match engine.force_bind(binding, now) {
            Ok(commit) => self.commit(commit, now.boot + SECOND),
            Err(_) => Ok(()),
        }
    }

    fn force_renew(&mut self, number: usize) -> Result<()> {
        let engine = &self.race.site.engine;
        if engine.force_renew(address(number), Now::read()).is_ok() {
            self.race.did("FORCERENEWs");
        }
        Ok(())
    }

    /// What others are told of an address.
    fn query(&mut self, number: usize) -> Result<()> {
        if let Some(view) = self.race.site.engine.lease_at(address(number)) {
            let known = view.mac == [0; 6] || view.mac[..5] == mac(0)[..5];
            ensure!(known, "a lease of nobody: {view:?}");
        }
        Ok(())
    }
}

/// Sweeps all the time. Promises are moved in every other second only, so that grants come to their end.
pub fn sweep(race: &Race, journal: &Sender<Ticket>) -> Result<()> {
    while !race.over() {
        race.wait_for(SWEEP);
        let (now, mut result) = (Now::read(), Ok(()));
        let may_promise = || (now.boot / SECOND).is_multiple_of(2);
        race.site.engine.sweep(now, &may_promise, &mut |swept| {
            let taken = take(race, journal, now, swept);
            if result.is_ok() {
                result = taken;
            }
        });
        result?;
    }
    Ok(())
}

fn take(race: &Race, journal: &Sender<Ticket>, now: Now, swept: Swept) -> Result<()> {
    match swept {
        Swept::Promise(commit) => {
            let number = site::number(commit.record.address);
            let client = site::client(commit.record.mac);
            let lease = race.ledger.open(number, client)?;
            race.did("promises moved");
            let ticket = Ticket {
                commit,
                number,
                what: What::Promise { lease },
            };
            journal.send(ticket).ok().context("no journal")
        }
        Swept::Event(event) if event.kind == EventKind::Expire => {
            race.did("leases that lapsed");
            let (number, client) = (site::number(event.address), site::client(event.mac));
            race.ledger.ended(number, client, now.boot)
        }
        Swept::Event(_) => Ok(()),
    }
}

/// Reloads all the time.
pub fn reload(race: &Race) -> Result<()> {
    let site = &race.site;
    let mut due = Now::read().boot + RELOAD;
    while !race.over() {
        race.wait_for(1);
        if Now::read().boot < due {
            continue;
        }
        due += RELOAD;
        let next = site.done.load(Ordering::SeqCst) + 1;
        site.begun.store(next, Ordering::SeqCst);
        let config = &site.configs[(next % VARIANTS) as usize];
        site.engine.reload(Arc::clone(config), Now::read())?;
        site.done.store(next, Ordering::SeqCst);
        race.did("reloads");
    }
    Ok(())
}
