//! Who holds what, by what was seen on the wire, and what is wrong with it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::Ipv4Addr;

use super::answers::Answers;
use super::clock::SECOND;
use super::wire::{self, Mac, Message};

/// Lease times are whole seconds.
const ROUNDING: u64 = SECOND;
/// For how long a request may be answered.
const MEMORY: u64 = 120 * SECOND;
/// More say nothing new.
const MOST_COMPLAINTS: usize = 1_000;
/// Option 51 of a lease that never ends.
const FOR_EVER: u32 = u32::MAX;

/// What a client has been told: it may use this address. Times are nanoseconds on `CLOCK_BOOTTIME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub address: Ipv4Addr,
    pub mac: Mac,
    /// Counted from when its client sent the request last, as clients do.
    pub until: u64,
    /// When its client asked for it last.
    pub asked: u64,
    /// When it asked the same for the first time: the answer may be to that.
    pub first: u64,
    /// When its client was told of it first.
    pub since: u64,
    pub(super) link: usize,
}

/// A request: a client repeats it with the same xid.
#[derive(Clone, Copy)]
struct Asked {
    first: u64,
    last: u64,
    kind: u8,
    about: Ipv4Addr,
    is_renewal: bool,
    answered: bool,
}

/// Link, client and xid.
type Transaction = (usize, Mac, u32);

#[derive(Default)]
pub struct Book {
    claims: HashMap<Ipv4Addr, Claim>,
    asked: HashMap<Transaction, Asked>,
    in_order: VecDeque<(u64, Transaction)>,
    forgotten: HashSet<Transaction>,
    /// When a client said that it does not want this address, or not any more.
    given_back: HashMap<(Mac, Ipv4Addr), u64>,
    /// What was asked for until then may have been granted for longer than it is now.
    longer_until: u64,
    /// But not for less than this.
    shortest: u64,
    pub complaints: Vec<String>,
    pub acks: u64,
    pub answers: Answers,
}

impl Book {
    /// What was on a link at that time.
    pub fn hear(&mut self, at: u64, link: usize, message: &Message) {
        self.forget_before(at.saturating_sub(MEMORY));
        if message.is_reply {
            self.reply(at, link, message);
            return;
        }
        match message.kind {
            wire::DISCOVER | wire::REQUEST | wire::INFORM => self.request(at, link, message),
            wire::RELEASE | wire::DECLINE => self.give_back(at, message),
            _ => {}
        }
    }

    /// `shortest` is the shortest time that anybody may be given then, in nanoseconds.
    pub fn lease_time_changed(&mut self, at: u64, shortest: u64) {
        self.longer_until = at;
        self.shortest = shortest;
    }

    pub fn claim(&self, address: Ipv4Addr, at: u64) -> Option<Claim> {
        let claim = self.claims.get(&address).copied();
        claim.filter(|claim| claim.until > at)
    }

    pub fn live(&self, at: u64) -> Vec<Claim> {
        let all = self.claims.values().copied();
        let mut live: Vec<_> = all.filter(|claim| claim.until > at).collect();
        live.sort_unstable_by_key(|claim| claim.address);
        live
    }

    pub fn complain(&mut self, at: u64, what: fmt::Arguments<'_>) {
        if self.complaints.len() < MOST_COMPLAINTS {
            let seconds = at as f64 / SECOND as f64;
            self.complaints.push(format!("at {seconds:.6}: {what}"));
        }
    }

    fn request(&mut self, at: u64, link: usize, message: &Message) {
        let transaction = (link, message.chaddr, message.xid);
        let (kind, about) = (message.kind, message.about());
        self.in_order.push_back((at, transaction));
        if let Some(known) = self.asked.get_mut(&transaction)
            && (known.kind, known.about) == (kind, about)
        {
            known.last = at;
            return;
        }
        self.forgotten.remove(&transaction);
        let asked = Asked {
            first: at,
            last: at,
            kind,
            about,
            is_renewal: kind == wire::REQUEST && !message.ciaddr.is_unspecified(),
            answered: false,
        };
        self.asked.insert(transaction, asked);
    }

    /// From now on it may be anybody's, and what is still on its way to the client does not count.
    fn give_back(&mut self, at: u64, message: &Message) {
        let (mac, address) = (message.chaddr, message.about());
        self.given_back.insert((mac, address), at);
        if self
            .claims
            .get(&address)
            .is_some_and(|claim| claim.mac == mac)
        {
            self.claims.remove(&address);
        }
    }

    /// A client heeds only what it has asked for, and so does this. An answer to nobody is a fault.
    fn reply(&mut self, at: u64, link: usize, reply: &Message) {
        let transaction = (link, reply.chaddr, reply.xid);
        let Some(asked) = self.asked.get_mut(&transaction) else {
            self.expect_forgotten(at, &transaction, reply);
            return;
        };
        let offered = reply.kind == wire::OFFER;
        if offered != (asked.kind == wire::DISCOVER) && reply.kind != wire::ACK {
            return;
        }
        if !asked.answered {
            asked.answered = true;
            let took = at.saturating_sub(asked.first);
            self.answers.add(took, asked.is_renewal);
        }
        let asked = *asked;
        match reply.kind {
            wire::OFFER => self.expect_free(at, reply, "offered"),
            wire::ACK => self.ack(at, link, &asked, reply),
            wire::NAK => self.nak(at, link, &asked, reply.chaddr),
            _ => {}
        }
    }

    fn ack(&mut self, at: u64, link: usize, asked: &Asked, ack: &Message) {
        let Some(secs) = ack.lease else {
            self.expect_no_lease(at, asked, ack);
            return;
        };
        self.acks += 1;
        self.expect_free(at, ack, "given");
        self.expect_asked_for(at, asked, ack);
        let (mac, address) = (ack.chaddr, ack.yiaddr);
        let given_back = self.given_back.get(&(mac, address));
        if given_back.is_some_and(|back| *back >= asked.last) {
            return;
        }
        let until = match secs {
            FOR_EVER => u64::MAX,
            secs => asked.last + u64::from(secs) * SECOND,
        };
        let claim = Claim {
            address,
            mac,
            until,
            asked: asked.last,
            first: asked.first,
            since: at,
            link,
        };
        let merged = match self.claim(address, at).filter(|old| old.mac == mac) {
            Some(old) => self.extended(at, &old, claim),
            None => claim,
        };
        self.claims.insert(address, merged);
    }

    /// What its client knows now that it was told this besides.
    fn extended(&mut self, at: u64, old: &Claim, new: Claim) -> Claim {
        let since = old.since;
        if new.asked < old.asked {
            // The answer to an older request, late: what the younger one was told holds.
            return Claim { since, ..*old };
        }
        let least = self.least(old, new.asked);
        if new.until.saturating_add(ROUNDING) < least {
            let less = seconds(least - new.until);
            let (address, mac) = (new.address, Hardware(new.mac));
            self.complain(
                at,
                format_args!("{address} of {mac} was shortened by {less}"),
            );
        }
        Claim { since, ..new }
    }

    /// Until when whoever holds this may use it at least after asking for more time.
    fn least(&self, old: &Claim, asked: u64) -> u64 {
        let shortest = asked.saturating_add(self.shortest);
        match old.first > self.longer_until {
            true => old.until,
            false => old.until.min(shortest),
        }
    }

    fn nak(&mut self, at: u64, link: usize, asked: &Asked, mac: Mac) {
        let claim = self.claim(asked.about, at);
        let Some(claim) = claim.filter(|claim| (claim.mac, claim.link) == (mac, link)) else {
            return;
        };
        let left = seconds(claim.until - at);
        let (address, mac) = (claim.address, Hardware(mac));
        self.complain(
            at,
            format_args!("{address} was refused to {mac}, which holds it for {left}"),
        );
        self.claims.remove(&claim.address);
    }

    fn expect_free(&mut self, at: u64, reply: &Message, done: &str) {
        let holder = self.claim(reply.yiaddr, at);
        let Some(holder) = holder.filter(|claim| claim.mac != reply.chaddr) else {
            return;
        };
        let (address, left) = (holder.address, seconds(holder.until - at));
        let (other, holder) = (Hardware(reply.chaddr), Hardware(holder.mac));
        self.complain(
            at,
            format_args!("{address} was {done} to {other}, but {holder} holds it for {left}"),
        );
    }

    fn expect_asked_for(&mut self, at: u64, asked: &Asked, ack: &Message) {
        let (about, given) = (asked.about, ack.yiaddr);
        if asked.kind != wire::DISCOVER && about != given && !about.is_unspecified() {
            let mac = Hardware(ack.chaddr);
            let what = format_args!("{given} was given to {mac}, which asked for {about}");
            self.complain(at, what);
        }
    }

    /// Nobody has asked for this reply, ever.
    fn expect_forgotten(&mut self, at: u64, transaction: &Transaction, reply: &Message) {
        let gives = matches!(reply.kind, wire::OFFER | wire::ACK);
        if gives && !self.forgotten.contains(transaction) {
            let (address, mac, xid) = (reply.yiaddr, Hardware(reply.chaddr), reply.xid);
            self.complain(
                at,
                format_args!("{address} was told to {mac}, which has not asked as {xid:#010x}"),
            );
        }
    }

    /// Only who asks for options alone gets no time.
    fn expect_no_lease(&mut self, at: u64, asked: &Asked, ack: &Message) {
        if asked.kind != wire::INFORM {
            let (address, mac) = (ack.yiaddr, Hardware(ack.chaddr));
            self.complain(
                at,
                format_args!("{address} was given to {mac} without a lease time"),
            );
        }
    }

    fn forget_before(&mut self, time: u64) {
        while self.in_order.front().is_some_and(|(at, _)| *at < time)
            && let Some((at, transaction)) = self.in_order.pop_front()
        {
            let known = self.asked.get(&transaction);
            if known.is_some_and(|asked| asked.last == at) {
                self.asked.remove(&transaction);
                self.forgotten.insert(transaction);
            }
        }
    }
}

fn seconds(nanoseconds: u64) -> String {
    format!("{:.3} s", nanoseconds as f64 / SECOND as f64)
}

/// A hardware address as people write it.
pub struct Hardware(pub Mac);

impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.map(|byte| format!("{byte:02x}"));
        f.write_str(&bytes.join(":"))
    }
}

#[cfg(test)]
mod tests;
