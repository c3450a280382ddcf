//! A client, as RFC 2131 figure 5 draws it, with the habits of real ones.

use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use super::dice::Dice;
use super::ledger::{Ledger, Taken, Wrong};
use super::nature::{Kind, Nature, persona};
use super::packet::{Origin, Packet, Sent};
use super::site::{PLACES, Site};
use super::wire::{self, ACK, ANYONE, Ask, NAK, OFFER, Told};
use crate::clock::SECOND;
use crate::config::model::Mac;

/// Addresses that a client knows it has had.
const MEMORY: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Off,
    /// About to start over.
    Init,
    Selecting,
    /// Of this address, from this server.
    Requesting(Ipv4Addr, Ipv4Addr),
    Rebooting(Ipv4Addr),
    Bound,
    Renewing,
    Rebinding,
    /// Another server's client.
    Elsewhere,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    address: Ipv4Addr,
    server: Ipv4Addr,
    /// T1, T2 and the end.
    renew: u64,
    rebind: u64,
    end: u64,
}

pub(super) struct Client {
    pub(super) number: usize,
    pub(super) mac: Mac,
    pub(super) place: usize,
    pub(super) nature: Nature,
    pub(super) state: State,
    pub(super) on_since: u64,
    /// Somebody spoke in its name: what the server thinks of it may be wrong.
    pub(super) impersonated: bool,
    /// Of its timer: only the last one counts.
    pub(super) generation: u64,
    /// Since when it declines addresses.
    pub(super) declined: u64,
    stage: usize,
    xid: u32,
    tries: u32,
    began: u64,
    goes: u64,
    lease: Option<Lease>,
    /// The latest last.
    had: VecDeque<Ipv4Addr>,
}

/// What a client acts on.
pub(super) struct World<'a> {
    pub(super) now: u64,
    pub(super) dice: &'a mut Dice,
    pub(super) ledger: &'a mut Ledger,
    pub(super) site: &'a Site,
    pub(super) squatters: &'a BTreeSet<Ipv4Addr>,
    /// Nobody comes or goes.
    pub(super) quiet: bool,
    pub(super) sends: Vec<Packet>,
    /// When the client's timer is to ring.
    pub(super) wake: Option<u64>,
}

impl Client {
    pub(super) fn new(number: usize, dice: &mut Dice) -> Self {
        let [_, _, high, low] = (number as u32).to_be_bytes();
        let place = number % PLACES.len();
        Self {
            mac: [0x52, 0x54, 0, 0, high, low],
            nature: Nature::any(dice, place),
            state: State::Off,
            on_since: 0,
            impersonated: false,
            generation: 0,
            declined: 0,
            stage: 0,
            xid: 0,
            tries: 0,
            began: 0,
            goes: 0,
            lease: None,
            had: VecDeque::new(),
            number,
            place,
        }
    }

    /// All that it will act on.
    pub(super) fn describe(&self) -> String {
        let Self {
            mac,
            place,
            state,
            xid,
            lease,
            had,
            ..
        } = self;
        let timer = (self.generation, self.tries, self.began, self.goes);
        format!("{mac:?} {place} {state:?} {xid} {lease:?} {had:?} {timer:?}")
    }

    /// What it says of itself now.
    pub(super) fn persona(&self) -> Vec<(u8, Vec<u8>)> {
        persona(&self.nature, self.mac, self.stage)
    }

    /// The address that it uses now.
    pub(super) fn address(&self) -> Option<Ipv4Addr> {
        let settled = matches!(
            self.state,
            State::Bound | State::Renewing | State::Rebinding
        );
        self.lease.filter(|_| settled).map(|lease| lease.address)
    }

    /// Somebody has it renew at once what it has; false if it has nothing.
    pub(super) fn hurry(&mut self, now: u64) -> bool {
        let bound = self.state == State::Bound;
        match &mut self.lease {
            Some(lease) if bound && self.nature.kind == Kind::Dhcp => {
                lease.renew = now;
                true
            }
            _ => false,
        }
    }

    /// Its timer rings.
    pub(super) fn wake(&mut self, world: &mut World<'_>) {
        let goes = self.state != State::Off && world.now >= self.goes && !world.quiet;
        match self.state {
            _ if goes => self.go(world),
            State::Off => self.come(world),
            State::Init => self.start(world),
            State::Selecting => self.ask_again(world),
            State::Requesting(..) if self.tries >= 4 => self.start(world),
            State::Rebooting(_) if self.tries >= 3 => self.start(world),
            State::Requesting(..) | State::Rebooting(_) => self.ask_again(world),
            State::Bound | State::Renewing | State::Rebinding => self.renew(world),
            State::Elsewhere => self.start(world),
        }
    }

    fn come(&mut self, world: &mut World<'_>) {
        self.on_since = world.now;
        self.goes = world.now + world.dice.about(self.nature.on);
        self.stage = 0;
        match self.lease {
            Some(lease) if self.nature.remembers && self.nature.kind == Kind::Dhcp => {
                self.begin(State::Rebooting(lease.address), world);
            }
            _ => self.start(world),
        }
    }

    /// From INIT.
    fn start(&mut self, world: &mut World<'_>) {
        self.begin(State::Selecting, world);
    }

    fn begin(&mut self, state: State, world: &mut World<'_>) {
        self.state = state;
        self.xid = world.dice.seed() as u32;
        self.tries = 0;
        self.began = world.now;
        self.ask(world);
    }

    fn ask_again(&mut self, world: &mut World<'_>) {
        self.tries += 1;
        self.ask(world);
    }

    fn ask(&mut self, world: &mut World<'_>) {
        let mut ask = self.blank(world.now, wire::DISCOVER);
        let persona = self.persona();
        ask.persona = &persona;
        match self.state {
            State::Requesting(address, server) => {
                ask.kind = Some(wire::REQUEST);
                (ask.requested, ask.server) = (Some(address), Some(server));
            }
            State::Rebooting(address) => {
                ask.kind = Some(wire::REQUEST);
                ask.requested = Some(address);
            }
            _ if self.nature.kind == Kind::Bootp => (ask.kind, ask.persona) = (None, &[]),
            _ if self.nature.kind == Kind::Inform => {
                ask.kind = Some(wire::INFORM);
                ask.ciaddr = Ipv4Addr::new(10, PLACES[self.place].subnets[0], 3, 200);
            }
            // The one that it had, as a wish.
            _ if self.tries == 0 && self.stage == 0 => ask.requested = self.had.back().copied(),
            _ => {}
        }
        self.send(&ask, world);
        world.wake = Some(world.now + self.nature.retry.wait(self.tries, world.dice));
    }

    fn blank(&self, now: u64, kind: u8) -> Ask<'static> {
        Ask {
            kind: Some(kind),
            mac: self.mac,
            xid: self.xid,
            secs: ((now - self.began) / SECOND) as u16,
            ciaddr: ANYONE,
            unicast: None,
            requested: None,
            server: None,
            persona: &[],
        }
    }

    fn send(&self, ask: &Ask<'_>, world: &mut World<'_>) {
        let origin = Origin {
            mac: self.mac,
            address: ask.requested.unwrap_or(ask.ciaddr),
            kind: ask.kind,
            place: self.place,
            sent: world.now,
            honest: true,
        };
        let bytes = ask.frame(&PLACES[self.place]);
        world.sends.push(Packet {
            bytes,
            origin,
            conflicts: 0,
        });
    }

    /// T1, T2, the end, or the next try in between.
    fn renew(&mut self, world: &mut World<'_>) {
        let Some(lease) = self.lease else {
            return self.start(world);
        };
        let now = world.now;
        if now >= lease.end {
            return self.start(world);
        }
        if now < lease.renew {
            world.wake = Some(self.next(&lease, now));
            return;
        }
        if self.state == State::Bound {
            self.xid = world.dice.seed() as u32;
            self.began = now;
        }
        let mut ask = self.blank(now, wire::REQUEST);
        let persona = self.persona();
        ask.persona = &persona;
        ask.ciaddr = lease.address;
        let until = if now < lease.rebind {
            self.state = State::Renewing;
            ask.unicast = Some(lease.server);
            lease.rebind
        } else {
            self.state = State::Rebinding;
            lease.end
        };
        self.send(&ask, world);
        let left = until - now;
        world.wake = Some(now + (left / 2).max(15 * SECOND).min(left));
    }

    fn next(&self, lease: &Lease, now: u64) -> u64 {
        // Nobody goes while it is quiet.
        let goes = self.goes.max(now + 600 * SECOND);
        lease
            .renew
            .min(if self.goes <= now { goes } else { self.goes })
    }

    /// It is switched off, moved, or boots anew.
    fn go(&mut self, world: &mut World<'_>) {
        let now = world.now;
        if let Some(address) = self.address()
            && self.nature.releases
            && world.dice.percent(60)
        {
            let mut ask = self.blank(now, wire::RELEASE);
            ask.ciaddr = address;
            let lease = self.lease.take().expect("it has an address");
            (ask.unicast, ask.server) = (Some(lease.server), Some(lease.server));
            world.ledger.drop_claim(address, self.mac);
            self.send(&ask, world);
        }
        if self.nature.roams {
            self.place = world.dice.range(0, PLACES.len() as u64 - 1) as usize;
        }
        self.state = State::Off;
        world.wake = Some(now + SECOND + world.dice.about(self.nature.off));
    }

    /// Reads an answer; what is not for it, or comes too late, it ignores.
    pub(super) fn hear(&mut self, sent: &Sent, world: &mut World<'_>) -> Result<(), Wrong> {
        let told = Told::read(&sent.bytes);
        if told.xid != self.xid || told.mac != self.mac || sent.origin.place != self.place {
            return Ok(());
        }
        let refusable = matches!(
            self.state,
            State::Requesting(..) | State::Rebooting(_) | State::Renewing | State::Rebinding
        );
        match (told.kind, self.state) {
            (Some(OFFER), State::Selecting) => self.choose(&told, sent, world),
            (Some(ACK), State::Selecting) if self.nature.kind == Kind::Inform => {
                self.informed(&told, world)
            }
            (Some(ACK), State::Selecting) if self.nature.rapid => self.bind(&told, sent, world),
            (None, State::Selecting) if self.nature.kind == Kind::Bootp => {
                self.bind(&told, sent, world)
            }
            (Some(ACK), State::Requesting(address, _) | State::Rebooting(address))
                if told.address == address =>
            {
                self.bind(&told, sent, world)
            }
            (Some(ACK), State::Renewing | State::Rebinding) => self.bind(&told, sent, world),
            (Some(NAK), _) if refusable => {
                if let Some(lease) = self.lease.take() {
                    world.ledger.drop_claim(lease.address, self.mac);
                }
                self.state = State::Init;
                world.wake = Some(world.now + SECOND);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn informed(&mut self, told: &Told, world: &mut World<'_>) -> Result<(), Wrong> {
        self.state = State::Elsewhere;
        world.wake = Some(world.now + world.dice.about(self.nature.on));
        if told.times.is_some() || told.address != ANYONE {
            return Err(Wrong::new(
                "an INFORM is answered with a lease",
                self.mac,
                told.address,
            ));
        }
        Ok(())
    }

    fn choose(&mut self, told: &Told, sent: &Sent, world: &mut World<'_>) -> Result<(), Wrong> {
        self.expect_own("OFFER", (told.address, sent.decided), world)?;
        if let Some(claim) = world.ledger.holder(told.address, world.now)
            && claim.mac != self.mac
            && claim.since < sent.decided
        {
            let what = format!("OFFER of another's address: {claim:?}");
            return Err(Wrong::new(what, self.mac, told.address));
        }
        if self.nature.tempted && world.dice.percent(30) {
            let other = Ipv4Addr::new(10, PLACES[self.place].subnets[0], 3, 77);
            let mut ask = self.blank(world.now, wire::REQUEST);
            (ask.requested, ask.server) = (Some(Ipv4Addr::new(10, 0, 3, 78)), Some(other));
            self.send(&ask, world);
            self.state = State::Elsewhere;
            world.wake = Some(world.now + SECOND + world.dice.about(self.nature.off));
            return Ok(());
        }
        let server = told.server.unwrap_or(ANYONE);
        self.state = State::Requesting(told.address, server);
        self.tries = 0;
        self.ask(world);
        Ok(())
    }

    /// What a client has it is offered again, whatever it is booting.
    fn expect_own(
        &self,
        what: &str,
        (address, decided): (Ipv4Addr, u64),
        world: &mut World<'_>,
    ) -> Result<(), Wrong> {
        let place = &PLACES[self.place];
        let his = |address: &Ipv4Addr| {
            let claim = world.ledger.holder(*address, world.now);
            claim.is_some_and(|claim| claim.mac == self.mac && claim.place == self.place)
                && world.site.allows(place, self.mac, *address)
        };
        let own: Vec<_> = self.had.iter().copied().filter(his).collect();
        let excused = self.impersonated
            || decided <= world.site.since
            || world.ledger.was_told(self.mac, address, decided);
        if own.is_empty() || own.contains(&address) || excused {
            return Ok(());
        }
        let reserved = world.site.reserved(place, self.mac);
        let what = format!("{what} of another address than {own:?} (reserved {reserved:?})");
        Err(Wrong::new(what, self.mac, address))
    }

    fn bind(&mut self, told: &Told, sent: &Sent, world: &mut World<'_>) -> Result<(), Wrong> {
        let renews = self.address();
        if !PLACES[self.place].has(told.address) {
            return Err(Wrong::new(
                "an ACK of an address of another link",
                self.mac,
                told.address,
            ));
        }
        if renews.is_some_and(|own| own != told.address) {
            return Err(Wrong::new(
                "a renewal is answered with another address",
                self.mac,
                told.address,
            ));
        }
        if self.state == State::Selecting {
            self.expect_own("ACK", (told.address, sent.decided), world)?;
        }
        let Some(secs) = told.grants() else {
            return Err(Wrong::new(
                "an ACK without a lease time",
                self.mac,
                told.address,
            ));
        };
        let [_, renew, rebind] = told.times.unwrap_or([secs; 3]);
        let asked = sent.origin.sent;
        let end = asked + secs * SECOND;
        world.ledger.take(&Taken {
            address: told.address,
            mac: self.mac,
            place: self.place,
            until: end,
            decided: sent.decided,
            configured: world.site.since,
        })?;
        self.keep_in_mind(told.address);
        self.lease = Some(Lease {
            address: told.address,
            server: told.server.unwrap_or(ANYONE),
            renew: asked + renew * SECOND,
            rebind: asked + rebind * SECOND,
            end,
        });
        self.state = State::Bound;
        self.settle(told.address, renews.is_none(), world);
        Ok(())
    }

    fn keep_in_mind(&mut self, address: Ipv4Addr) {
        self.had.retain(|other| *other != address);
        self.had.push_back(address);
        if self.had.len() > MEMORY {
            self.had.pop_front();
        }
    }

    /// It has an address: what next?
    fn settle(&mut self, address: Ipv4Addr, is_new: bool, world: &mut World<'_>) {
        if is_new && self.nature.probes && world.squatters.contains(&address) {
            let mut ask = self.blank(world.now, wire::DECLINE);
            (ask.requested, ask.server) = (Some(address), self.lease.map(|lease| lease.server));
            self.lease = None;
            world.ledger.drop_claim(address, self.mac);
            self.declined = world.now;
            self.send(&ask, world);
            self.state = State::Init;
            world.wake = Some(world.now + 10 * SECOND);
        } else if self.nature.netboots && self.stage < 2 {
            self.stage += 1;
            self.state = State::Init;
            world.wake = Some(world.now + SECOND + world.dice.about(8 * SECOND));
        } else if let Some(lease) = self.lease {
            world.wake = Some(self.next(&lease, world.now));
        }
    }
}
