//! The server as a machine: engine, journal, table and kernel, without threads and sockets.
//!
//! What the daemon's threads do at the same time is done here in turns, in any order that they could
//! have: packets are handled while a batch of records is on its way to disk, and the kernel's part
//! answers while the daemon is down.
mod books;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use dhcp_common::fast::Scratch;
use dhcp_common::layout::PORTS;
use dhcp_common::wire::mac_bits;

use super::daemon::{Daemon, Ticket, Waiting};
use super::dice::Dice;
use super::ledger::Wrong;
use super::packet::{Origin, Packet, Sent};
use super::site::{OUR_MAC, PLACES, Site, interfaces};
use super::wire::{DECLINE, RELEASE};
use crate::clock::{Now, SECOND};
use crate::config::model::Mac;
use crate::engine::{Engine, Ignored, Later, Outcome, Swept};
use crate::fastpath::host::HostEnv;
use crate::journal::faulty::Faulty;
use crate::journal::{JournalError, Kind, Log, Record, Settings};
use crate::lease::table::{Size, Table};

const EPOCH: u64 = 1_800_000_000 * SECOND;
pub(super) const SETTINGS: Settings = Settings {
    segment_size: 32 << 10,
    compact_after: 3,
};
/// How long a packet waits for a record of its client.
const PATIENCE: u64 = 2 * SECOND;
/// Addresses that one message may find taken.
const MOST_CONFLICTS: u8 = 8;

/// What the server wants to be reminded of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// The disk is done.
    Disk,
    /// A reply that waits is due.
    Due(Mac, u64),
    /// Somebody answered for the address of a reply that waits.
    Conflict(Mac, u64),
}

#[derive(Default, Debug)]
pub(super) struct Counts {
    pub(super) packets: u64,
    pub(super) hits: u64,
    pub(super) compared: u64,
    pub(super) refused: u64,
}

pub(super) struct Server {
    pub(super) site: Site,
    pub(super) squatters: BTreeSet<Ipv4Addr>,
    /// Of the simulation.
    pub(super) time: u64,
    boot_at: u64,
    boots: u8,
    /// None: it lost power.
    table: Option<Arc<Table>>,
    pub(super) storage: Faulty,
    pub(super) daemon: Option<Daemon>,
    /// The last record of each address that a sync has covered, times of the simulation.
    durable: BTreeMap<Ipv4Addr, (Kind, Mac, u64)>,
    pub(super) out: Vec<Sent>,
    pub(super) wants: Vec<(u64, Turn)>,
    /// Why packets were not answered.
    pub(super) ignored: Vec<(Origin, &'static str)>,
    /// RELEASEs and DECLINEs that were handled.
    pub(super) given_back: Vec<(Ipv4Addr, Mac)>,
    /// Leases by DHCP whose records were handed in.
    pub(super) spoken_for: Vec<(Ipv4Addr, Mac)>,
    /// The journal failed: the daemon ends at once.
    pub(super) failed: bool,
    /// Of the disk, ns.
    pub(super) latency: u64,
    pub(super) counts: Counts,
    scratch: Box<Scratch>,
}

impl Server {
    pub(super) fn new(site: Site, squatters: BTreeSet<Ipv4Addr>, latency: u64) -> Self {
        Self {
            time: 1000 * SECOND,
            boot_at: 0,
            boots: 0,
            table: None,
            storage: Faulty::default(),
            daemon: None,
            durable: BTreeMap::new(),
            out: Vec::new(),
            wants: Vec::new(),
            given_back: Vec::new(),
            spoken_for: Vec::new(),
            ignored: Vec::new(),
            failed: false,
            counts: Counts::default(),
            scratch: Box::default(),
            squatters,
            latency,
            site,
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            boot: self.time - self.boot_at,
            unix: EPOCH + self.time,
        }
    }

    /// A time of this boot as one of the simulation.
    pub(super) fn at(&self, boot: u64) -> u64 {
        self.boot_at.saturating_add(boot)
    }

    /// Powers up if need be, and starts the daemon; false if the disk fails.
    pub(super) fn start(&mut self) -> Result<bool, Wrong> {
        let table = self.table.take().unwrap_or_else(|| {
            self.boot_at = self.time - 5 * SECOND;
            self.boots += 1;
            Arc::new(Table::anonymous(Size::for_addresses(64, 8).with_boots(4096)).expect("memory"))
        });
        for port in interfaces() {
            let place = &table.meta().ports[port.index as usize % PORTS];
            place.set(port.index, mac_bits(&port.mac, 0));
        }
        self.table = Some(Arc::clone(&table));
        let engine = Engine::new(self.site.config(), table).expect("room in the table");
        let engine = engine.without_chance();
        let Some((log, records)) = self.replay()? else {
            self.kill();
            return Ok(false);
        };
        self.durable = records.iter().map(|record| self.known(record)).collect();
        engine.restore(records, self.now());
        engine.set_interfaces(interfaces(), self.now());
        self.daemon = Some(Daemon::new(engine, log));
        if std::mem::take(&mut self.site.waits) {
            // Until now the kernel answered as before.
            self.site.since = self.time;
        }
        self.expect_restored()?;
        Ok(true)
    }

    fn replay(&self) -> Result<Option<(Log, Vec<Record>)>, Wrong> {
        let storage = Arc::new(self.storage.clone());
        match Log::open(storage, SETTINGS, self.now(), [self.boots; 16]) {
            Ok((log, replayed)) => match replayed.damage.first() {
                Some(damage) => Err(nobody(format!("the journal is damaged: {damage}"))),
                None => Ok(Some((log, replayed.records))),
            },
            Err(JournalError::Io { .. }) => Ok(None),
            Err(error) => Err(nobody(format!("replay: {error}"))),
        }
    }

    fn known(&self, record: &Record) -> (Ipv4Addr, (Kind, Mac, u64)) {
        let until = self.at(record.reserved_until);
        (record.address, (record.kind, record.mac, until))
    }

    pub(super) fn kill(&mut self) {
        self.daemon = None;
        self.failed = false;
        self.storage = self.storage.after_kill();
    }

    pub(super) fn cut_power(&mut self, seed: u64) {
        self.daemon = None;
        self.failed = false;
        self.table = None;
        self.storage = self.storage.after_power_cut(seed);
    }

    pub(super) fn reload(&mut self) {
        self.site.since = self.time;
        self.site.waits = self.daemon.is_none();
        if let Some(daemon) = &self.daemon {
            let reloaded = daemon.engine.reload(self.site.config(), self.now());
            reloaded.expect("room in the table");
        }
    }

    /// A frame comes in: first the kernel's part, then the daemon's.
    pub(super) fn receive(&mut self, packet: Packet, dice: &mut Dice) -> Result<(), Wrong> {
        self.counts.packets += 1;
        let origin = packet.origin;
        let Some(table) = self.table.clone() else {
            return Ok(());
        };
        let mut bytes = packet.bytes.clone();
        let mut kernel = HostEnv {
            table: &table,
            frame: &mut bytes,
            ifindex: PLACES[origin.place].link.ifindex,
            now: self.now().boot,
        };
        if kernel.answer(&mut self.scratch).is_answer() {
            self.counts.hits += 1;
            self.send(Sent {
                bytes: bytes.clone(),
                decided: self.time,
                origin,
            })?;
            return if dice.percent(25) {
                self.compare(&packet, &bytes, dice)
            } else {
                Ok(())
            };
        }
        if bytes != packet.bytes {
            return Err(wrong(
                "a frame that the kernel passes on is changed",
                &origin,
            ));
        }
        self.hand_in(packet, dice)
    }

    /// The engine says what the kernel just said.
    fn compare(&mut self, packet: &Packet, said: &[u8], dice: &mut Dice) -> Result<(), Wrong> {
        let now = self.now();
        let Some(daemon) = &self.daemon else {
            return Ok(());
        };
        self.counts.compared += 1;
        let mut reply = Vec::new();
        let outcome = daemon.engine.handle(now, &packet.incoming(), &mut reply);
        let alike = match &outcome {
            Outcome::Reply(_) | Outcome::Commit(_) => reply == said,
            Outcome::Busy => true,
            Outcome::Ignore(_) | Outcome::Later(_) => false,
        };
        if !alike {
            let what = format!("the kernel answers, and the engine would say {outcome:?}");
            return Err(wrong(&what, &packet.origin));
        }
        if let Outcome::Commit(commit) = outcome {
            self.push(Ticket::of(commit, None), dice);
        }
        Ok(())
    }

    /// The daemon's part.
    pub(super) fn hand_in(&mut self, packet: Packet, dice: &mut Dice) -> Result<(), Wrong> {
        let now = self.now();
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        let origin = packet.origin;
        let mut reply = Vec::new();
        let outcome = daemon.engine.handle(now, &packet.incoming(), &mut reply);
        if matches!(outcome, Outcome::Busy) {
            daemon.held.push_back((packet, self.time));
            return Ok(());
        }
        if let Some(RELEASE | DECLINE) = origin.kind {
            self.given_back.push((origin.address, origin.mac));
        }
        if let Outcome::Commit(commit) = &outcome
            && origin.kind.is_some()
        {
            let Record { address, mac, .. } = commit.record;
            self.spoken_for.push((address, mac));
        }
        if let Outcome::Ignore(why) = outcome {
            self.ignored.push((origin, why.label()));
        }
        let waited = match outcome {
            Outcome::Ignore(Ignored::OtherServer) => daemon.later.remove(&origin.mac),
            Outcome::Ignore(_) | Outcome::Busy => None,
            _ => daemon.later.remove(&origin.mac),
        };
        let sent = Sent {
            bytes: reply,
            decided: self.time,
            origin,
        };
        match outcome {
            Outcome::Ignore(_) | Outcome::Busy => Ok(()),
            Outcome::Reply(_) => self.send(sent),
            Outcome::Later(later) => {
                self.wait(packet, sent, &later, waited);
                Ok(())
            }
            Outcome::Commit(commit) => {
                let sent = Some(sent).filter(|sent| !sent.bytes.is_empty());
                self.push(Ticket::of(commit, sent), dice);
                Ok(())
            }
        }
    }

    fn wait(&mut self, packet: Packet, reply: Sent, later: &Later, before: Option<Waiting>) {
        let probe = later.probe.map_or(0, |probe| probe.wait.as_nanos() as u64);
        let due = self.time + probe + later.after.as_nanos() as u64;
        let (time, origin) = (self.time, packet.origin);
        let daemon = self.daemon.as_mut().expect("it has just answered");
        daemon.waits += 1;
        let id = daemon.waits;
        let due = before.map_or(due, |before| due.min(before.due.max(time + probe)));
        let address = later.event.address;
        daemon.later.insert(
            origin.mac,
            Waiting {
                id,
                due,
                reply,
                packet,
                address,
            },
        );
        self.wants.push((due - time, Turn::Due(origin.mac, id)));
        if later.probe.is_some() && self.squatters.contains(&address) {
            self.wants.push((probe / 2, Turn::Conflict(origin.mac, id)));
        }
    }

    pub(super) fn turn(&mut self, turn: Turn, dice: &mut Dice) -> Result<(), Wrong> {
        match turn {
            Turn::Disk => self.disk_done(dice),
            Turn::Due(mac, id) => match self.waiting(mac, id) {
                Some(waiting) => self.send(waiting.reply),
                None => Ok(()),
            },
            Turn::Conflict(mac, id) => self.conflict(mac, id, dice),
        }
    }

    fn waiting(&mut self, mac: Mac, id: u64) -> Option<Waiting> {
        let daemon = self.daemon.as_mut()?;
        daemon.later.get(&mac).filter(|waiting| waiting.id == id)?;
        daemon.later.remove(&mac)
    }

    fn conflict(&mut self, mac: Mac, id: u64, dice: &mut Dice) -> Result<(), Wrong> {
        let Some(mut waiting) = self.waiting(mac, id) else {
            return Ok(());
        };
        let now = self.now();
        let daemon = self.daemon.as_ref().expect("it waits");
        let commit = daemon
            .engine
            .conflict(now, waiting.address, mac_bits(&mac, 0));
        if let Some(commit) = commit {
            self.push(Ticket::of(commit, None), dice);
        }
        waiting.packet.conflicts += 1;
        if waiting.packet.conflicts < MOST_CONFLICTS {
            return self.hand_in(waiting.packet, dice);
        }
        Ok(())
    }

    pub(super) fn sweep(&mut self, dice: &mut Dice) {
        let now = self.now();
        let Some(daemon) = &self.daemon else {
            return;
        };
        let mut promises = Vec::new();
        let room = daemon.room() / 2;
        let may = std::cell::Cell::new(room);
        let may_promise = || may.replace(may.get().saturating_sub(1)) > 0;
        daemon.engine.sweep(now, &may_promise, &mut |swept| {
            if let Swept::Promise(commit) = swept {
                promises.push(commit);
            }
        });
        for commit in promises {
            self.push(Ticket::of(commit, None), dice);
        }
    }

    fn push(&mut self, ticket: Ticket, dice: &mut Dice) {
        let now = self.now();
        let daemon = self.daemon.as_mut().expect("it has just decided");
        if daemon.room() == 0 {
            daemon.engine.refuse(&ticket.change, now);
            return;
        }
        daemon.queue.push_back(ticket);
        self.write(dice);
    }

    /// Gives the disk what has queued up, unless it is busy.
    fn write(&mut self, dice: &mut Dice) {
        let now = self.now();
        let Some(daemon) = &mut self.daemon else {
            return;
        };
        if daemon.write(now, dice.percent(50)) {
            let latency = 1 + dice.about(self.latency);
            self.wants.push((latency, Turn::Disk));
        }
    }

    fn disk_done(&mut self, dice: &mut Dice) -> Result<(), Wrong> {
        let now = self.now();
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        let written = daemon.written();
        self.failed |= written.failed;
        self.counts.refused += written.refused.len() as u64;
        for ticket in written.durable {
            let (address, known) = self.known(&ticket.record);
            self.durable.insert(address, known);
            let daemon = self.daemon.as_ref().expect("it is up");
            daemon.engine.complete(&ticket.change, now);
            if let Some(reply) = ticket.reply {
                self.promised(&reply)?;
                self.out.push(reply);
            }
        }
        let daemon = self.daemon.as_mut().expect("it is up");
        for ticket in &written.refused {
            daemon.engine.refuse(&ticket.change, now);
        }
        let held: VecDeque<_> = std::mem::take(&mut daemon.held);
        for (packet, since) in held {
            if since + PATIENCE >= self.time {
                self.hand_in(packet, dice)?;
            }
        }
        self.write(dice);
        Ok(())
    }

    fn send(&mut self, sent: Sent) -> Result<(), Wrong> {
        self.promised(&sent)?;
        self.out.push(sent);
        Ok(())
    }
}

fn wrong(what: &str, origin: &Origin) -> Wrong {
    Wrong::new(what, origin.mac, origin.address)
}

fn nobody(what: String) -> Wrong {
    Wrong::new(what, OUR_MAC, Ipv4Addr::UNSPECIFIED)
}
