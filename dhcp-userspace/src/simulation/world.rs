//! Time, network and fate: what happens when, in the order of a queue.
mod judge;
mod sizes;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use xdhcpd_tests::flat::Series;

use super::client::{Client, State, World as Around};
use super::dice::Dice;
use super::digest::Digest;
use super::hostile;
use super::ledger::{Ledger, Wrong};
use super::packet::{Packet, Sent};
use super::plan::{Fate, Plan};
use super::server::{Server, Turn};
use super::site::Site;
use super::trail::Trail;
use super::wire::{NAK, Told};
use crate::clock::SECOND;
use crate::config::model::Mac;

const HOUR: u64 = 3600 * SECOND;

enum Event {
    /// At the server, if it is on this link of the network.
    Arrives(Packet),
    Answers(usize, Sent),
    Wakes(usize, u64),
    /// Of the server's life with this number.
    Turn(Turn, u64),
    Starts(u64),
    Sweeps,
    Fate,
    Hostile,
    Looks,
    Quiet(bool),
}

pub(super) struct World {
    plan: Plan,
    dice: Dice,
    pub(super) server: Server,
    pub(super) clients: Vec<Client>,
    by_mac: BTreeMap<Mac, usize>,
    pub(super) ledger: Ledger,
    queue: BTreeMap<(u64, u64), Event>,
    events: u64,
    /// Of the server: what was asked of an earlier one is nobody's business.
    life: u64,
    quiet_since: Option<u64>,
    trail: Trail,
    digest: Digest,
    /// What might grow, time and again.
    pub(super) series: Series,
    pub(super) fates: BTreeMap<&'static str, u64>,
    /// Power cuts that were only thought of.
    pub(super) looks: u64,
}

impl World {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let site = Site::new(&mut dice, plan.pool);
        let squatters = Site::squatters(&mut dice, plan.pool);
        let clients: Vec<_> = (0..plan.clients)
            .map(|n| Client::new(n, &mut dice))
            .collect();
        let by_mac = clients.iter().map(|client| (client.mac, client.number));
        let mut world = Self {
            by_mac: by_mac.collect(),
            server: Server::new(site, squatters, plan.latency),
            ledger: Ledger::default(),
            queue: BTreeMap::new(),
            events: 0,
            life: 0,
            quiet_since: None,
            trail: Trail::default(),
            digest: Digest::default(),
            series: Series::default(),
            fates: BTreeMap::new(),
            looks: 0,
            plan,
            dice,
            clients,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for number in 0..self.clients.len() {
            let after = self.dice.about(self.plan.flood);
            self.after(after, Event::Wakes(number, 0));
        }
        self.after(0, Event::Starts(0));
        self.after(self.plan.sweep, Event::Sweeps);
        self.after(HOUR, Event::Looks);
        self.after(self.plan.fate, Event::Fate);
        self.after(self.plan.hostile, Event::Hostile);
        self.after(self.plan.loud, Event::Quiet(true));
    }

    /// How it stands, for who watches a long run.
    pub(super) fn describe(&self) -> String {
        let now = self.server.time;
        let states = |state: fn(&State) -> bool| {
            self.clients
                .iter()
                .filter(|client| state(&client.state))
                .count()
        };
        format!(
            "{}s {} clients, {} have addresses, {} off; {:?} {} acks",
            now / SECOND,
            self.clients.len(),
            states(|state| matches!(state, State::Bound | State::Renewing | State::Rebinding)),
            states(|state| *state == State::Off),
            self.server.counts,
            self.ledger.acks,
        )
    }

    /// What was sent and received, and how it stands now: two runs in which anything differed have
    /// different numbers.
    pub(super) fn fingerprint(&mut self) -> u64 {
        for client in &self.clients {
            self.digest.text(&client.describe());
        }
        self.digest.text(&self.ledger.describe());
        self.digest.text(&self.server.describe());
        let (fates, events) = (&self.fates, self.events);
        self.digest
            .text(&format!("{fates:?} {events} {}", self.dice.seed()));
        self.digest.value()
    }

    /// Runs for so long; tells what is wrong, with the packets that led to it.
    pub(super) fn run(&mut self, time: u64) -> Result<(), String> {
        let end = self.server.time + time;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > end {
                break;
            }
            self.server.time = at;
            if let Err(wrong) = self.happen(event) {
                let engine = self.server.daemon.as_ref().map(|daemon| &daemon.engine);
                let known = engine.map(|engine| engine.lease_of(wrong.mac));
                let trail = self.trail.tell(&wrong, at);
                return Err(format!("{trail}the server knows {known:?}"));
            }
        }
        Ok(())
    }

    fn after(&mut self, delay: u64, event: Event) {
        self.events += 1;
        self.queue
            .insert((self.server.time + delay, self.events), event);
    }

    fn is_quiet(&self) -> bool {
        self.quiet_since.is_some()
    }

    fn happen(&mut self, event: Event) -> Result<(), Wrong> {
        match event {
            Event::Arrives(packet) => {
                self.trail.asked(self.server.time, &packet);
                self.digest.packet(self.server.time, &packet.bytes);
                self.server.receive(packet, &mut self.dice)?;
                self.pass_on()
            }
            Event::Answers(number, sent) => {
                self.act(number, |client, around| client.hear(&sent, around))
            }
            Event::Wakes(number, generation) => {
                if self.clients[number].generation != generation {
                    return Ok(());
                }
                self.act(number, |client, around| {
                    client.wake(around);
                    Ok(())
                })
            }
            Event::Turn(turn, life) => {
                if life == self.life {
                    self.server.turn(turn, &mut self.dice)?;
                }
                self.pass_on()
            }
            Event::Starts(life) => self.start(life),
            Event::Sweeps => {
                self.server.sweep(&mut self.dice);
                let rest = self.plan.sweep;
                self.after(rest, Event::Sweeps);
                self.pass_on()
            }
            Event::Fate => self.meet_fate(),
            Event::Hostile => self.be_hostile(),
            Event::Looks => self.look_after_a_while(),
            Event::Quiet(quiet) => self.hush(quiet),
        }
    }

    fn act(
        &mut self,
        number: usize,
        act: impl FnOnce(&mut Client, &mut Around<'_>) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        let client = &mut self.clients[number];
        let mut around = Around {
            now: self.server.time,
            dice: &mut self.dice,
            ledger: &mut self.ledger,
            site: &self.server.site,
            squatters: &self.server.squatters,
            quiet: self.quiet_since.is_some(),
            sends: Vec::new(),
            wake: None,
        };
        let acks = around.ledger.acks;
        act(client, &mut around)?;
        let (wake, sends, took) = (around.wake, around.sends, around.ledger.acks > acks);
        if let Some(at) = wake {
            client.generation += 1;
            let generation = client.generation;
            let delay = at.saturating_sub(self.server.time);
            self.after(delay, Event::Wakes(number, generation));
        }
        for packet in sends {
            self.carry(&packet);
        }
        if took && self.ledger.acks.is_multiple_of(self.plan.look) {
            return self.look();
        }
        Ok(())
    }

    /// Takes a packet to the server, as far as the network does.
    fn carry(&mut self, packet: &Packet) {
        for delay in self.ways() {
            self.after(delay, Event::Arrives(packet.clone()));
        }
    }

    /// When the copies of a packet arrive; none: it is lost.
    fn ways(&mut self) -> Vec<u64> {
        let plan = &self.plan;
        if self.quiet_since.is_some() {
            return vec![SECOND / 1000];
        }
        let copies = if self.dice.permille(plan.loss) {
            0
        } else {
            1 + usize::from(self.dice.permille(plan.copies))
        };
        let delay = plan.delay;
        (0..copies).map(|_| 1000 + self.dice.about(delay)).collect()
    }

    /// What the server has said and wants.
    fn pass_on(&mut self) -> Result<(), Wrong> {
        let now = self.server.time;
        for (address, mac) in std::mem::take(&mut self.server.given_back) {
            self.ledger.give_up(address, mac, now);
        }
        for (address, mac) in std::mem::take(&mut self.server.spoken_for) {
            self.ledger.speak_for(address, mac, now);
        }
        for (origin, why) in self.server.ignored.drain(..) {
            self.trail.ignored(now, &origin, why);
        }
        for (delay, turn) in std::mem::take(&mut self.server.wants) {
            self.after(delay, Event::Turn(turn, self.life));
        }
        for sent in std::mem::take(&mut self.server.out) {
            self.trail.answered(now, &sent);
            self.digest.packet(now, &sent.bytes);
            let (told, origin) = (Told::read(&sent.bytes), sent.origin);
            if told.kind == Some(NAK) && origin.honest {
                let who = (origin.mac, origin.place);
                self.ledger
                    .refuse(&self.server.site, who, origin.address, now)?;
            }
            if let Some(secs) = told.grants() {
                let until = sent.decided + secs * SECOND;
                self.ledger
                    .tell(told.mac, told.address, (sent.decided, until))?;
            }
            let Some(number) = self.by_mac.get(&told.mac).copied() else {
                continue;
            };
            for delay in self.ways() {
                self.after(delay, Event::Answers(number, sent.clone()));
            }
        }
        if self.server.failed {
            self.end_life(Fate::Kill);
        }
        Ok(())
    }

    fn end_life(&mut self, how: Fate) {
        self.trail.note(self.server.time, how.label());
        *self.fates.entry(how.label()).or_default() += 1;
        self.life += 1;
        match how {
            Fate::PowerCut => {
                let seed = self.dice.seed();
                self.server.cut_power(seed);
            }
            _ => self.server.kill(),
        }
        self.server.wants.clear();
        self.server.out.clear();
        let mean = if self.is_quiet() { 0 } else { self.plan.down };
        let down = SECOND + self.dice.about(mean);
        self.after(down, Event::Starts(self.life));
    }

    fn start(&mut self, life: u64) -> Result<(), Wrong> {
        if life != self.life || self.server.daemon.is_some() {
            return Ok(());
        }
        self.server.storage.forget_removed();
        if !self.server.start()? {
            self.after(SECOND, Event::Starts(life));
            return Ok(());
        }
        self.trail.note(self.server.time, "start");
        self.ask_the_server()
    }

    fn meet_fate(&mut self) -> Result<(), Wrong> {
        let next = 1 + self.dice.about(self.plan.fate);
        self.after(next, Event::Fate);
        if self.is_quiet() {
            return Ok(());
        }
        let fate = self.plan.any_fate(&mut self.dice);
        match fate {
            Fate::Kill | Fate::PowerCut if self.server.daemon.is_some() => self.end_life(fate),
            Fate::Kill | Fate::PowerCut => {}
            Fate::Stop => return self.stop(),
            Fate::Reload => {
                let macs: Vec<_> = self.clients.iter().map(|c| (c.mac, c.place)).collect();
                self.server.site.change(&mut self.dice, &macs);
                self.server.reload();
            }
            Fate::Full => self.server.storage.set_full(true),
            Fate::Room => self.server.storage.set_full(false),
            Fate::DiskFails => {
                let at = self.server.storage.operations() + self.dice.range(0, 5) as usize;
                self.server.storage.fail_at(at);
            }
        }
        if !matches!(fate, Fate::Kill | Fate::PowerCut) {
            self.trail.note(self.server.time, fate.label());
            *self.fates.entry(fate.label()).or_default() += 1;
        }
        Ok(())
    }

    /// A stop waits for the disk; nothing is said after it.
    fn stop(&mut self) -> Result<(), Wrong> {
        while self
            .server
            .daemon
            .as_ref()
            .is_some_and(|daemon| !daemon.is_idle())
        {
            self.server.turn(Turn::Disk, &mut self.dice)?;
            self.pass_on()?;
        }
        if self.server.daemon.is_some() {
            self.end_life(Fate::Stop);
        }
        Ok(())
    }

    fn be_hostile(&mut self) -> Result<(), Wrong> {
        let next = 1 + self.dice.about(self.plan.hostile);
        self.after(next, Event::Hostile);
        if self.is_quiet() {
            return Ok(());
        }
        let now = self.server.time;
        if let Some(packet) = hostile::packet(&mut self.clients, &mut self.dice, now) {
            self.carry(&packet);
            self.race(packet.origin.mac, now);
        }
        Ok(())
    }

    /// Whom it hurts renews meanwhile: while the harm is on its way to disk, perhaps.
    fn race(&mut self, victim: Mac, now: u64) {
        let Some(number) = self.by_mac.get(&victim).copied() else {
            return;
        };
        let client = &mut self.clients[number];
        if self.dice.percent(50) && client.hurry(now) {
            client.generation += 1;
            let generation = client.generation;
            let delay = self.dice.about(self.plan.latency + self.plan.delay);
            self.after(delay, Event::Wakes(number, generation));
        }
    }
}

fn nobody(what: impl Into<String>) -> Wrong {
    Wrong::new(what, [0; 6], Ipv4Addr::UNSPECIFIED)
}
