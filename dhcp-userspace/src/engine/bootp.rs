//! BOOTP (RFC 951, RFC 1534): one question, one answer, and an address for good.

use std::time::Duration;

use dhcp_common::memo;
use dhcp_common::slot::{Kind, Lease};
use dhcp_common::wire::{bootp, option};

use super::Stop;
use super::api::{Commit, EventKind, Ignored, Outcome};
use super::context::Context;
use super::grant::nanos;
use super::held::{Entry, Held};
use super::state::SubnetId;
use super::terms::Terms;
use crate::clock::Now;
use crate::config::model::Bootp;
use crate::journal::Kind as RecordKind;
use crate::packet::{Message, wrap};

/// What "for good" is in a lease: the time that option 51 calls infinity, 136 years. A lease for
/// good is one like any other, in the slot, on disk and in YAML, and none of them overflows.
const FOR_GOOD: Duration = Duration::from_secs(u32::MAX as u64);
/// What a small vendor area has room for, the most useful first.
const FIRST: [u8; 5] = [option::SUBNET_MASK, 3, 6, option::HOSTNAME, 15];

/// What ends later has no end.
pub(super) fn lasts_for_good(now: Now) -> u64 {
    now.boot.saturating_add(nanos(FOR_GOOD / 2))
}

impl Held<'_> {
    /// Whether the client got the address by BOOTP. A lease of DHCP that lasts as long is on disk
    /// for longer, or has a memo.
    pub(super) fn is_for_good(&self, now: Now) -> bool {
        let lease = &self.lease;
        let alone = lease.memo == memo::NONE && lease.reserved_until == lease.expires;
        self.kind == Kind::Bound && alone && lease.expires > lasts_for_good(now)
    }
}

impl<'a> Context<'a> {
    pub(super) fn bootp(&self, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        let (id, held) = self.address_for_good()?;
        let address = held.address;
        let terms = self.terms_at(id, address)?;
        if !self.is_called(&terms) {
            return Err(Ignored::OtherServer.into());
        }
        let message = self.bootp_message(&terms, &held);
        let envelope = self.to_yiaddr(address);
        wrap(reply, &message, terms.server, &envelope);
        let same = held.kind == Kind::Bound && held.is_of(self.chaddr);
        if same && held.is_for_good(self.now) {
            return Ok(Outcome::Reply(self.event(EventKind::Renew, address)));
        }
        let until = self.now.boot.saturating_add(nanos(FOR_GOOD));
        let update = self.update(id, &held, same)?;
        self.remember(id, &update, held.index);
        let client = update.client;
        let record = client.record(RecordKind::Bound, self.mac(), until);
        let lease = Lease {
            chaddr: self.chaddr,
            expires: until,
            reserved_until: until,
            link: self.link(id),
            ..Lease::default()
        };
        Ok(Outcome::Commit(Commit {
            record,
            change: held.change(Entry::new(Kind::Bound, lease)),
            event: Some(self.event(EventKind::Bind, address)),
        }))
    }

    /// The client's own address, or where the subnet gives any, the next.
    fn address_for_good(&self) -> Result<(SubnetId, Held<'a>), Stop> {
        let policy = |id: &SubnetId| &self.subnet(*id).policy;
        let served = |id: &&SubnetId| policy(id).bootp != Bootp::Off;
        let is_due = |id: &&SubnetId| self.request.secs >= policy(id).min_secs;
        let mut served = self.subnets().iter().filter(served).peekable();
        served.peek().ok_or(Ignored::Bootp)?;
        let due: Vec<SubnetId> = served.filter(is_due).copied().collect();
        let mut any = due
            .first()
            .map(|_| Ignored::Bootp)
            .ok_or(Ignored::TooEarly)?;
        for id in &due {
            if let Some(held) = self.known_address(*id)? {
                return Ok((*id, held));
            }
        }
        for id in due.iter().filter(|id| policy(id).bootp == Bootp::Dynamic) {
            if let Some(held) = self.new_address(*id) {
                return Ok((*id, held));
            }
            any = Ignored::NoAddress;
        }
        Err(any.into())
    }

    fn known_address(&self, id: SubnetId) -> Result<Option<Held<'a>>, Stop> {
        Ok(match self.subnet(id).policy.bootp {
            Bootp::Off => None,
            Bootp::Reserved => self.reserved_address(id)?,
            Bootp::Dynamic => self
                .own_address(id)?
                .filter(|held| self.has_room(id, held) && self.is_surely_his(id, held)),
        })
    }

    /// Messages cost nothing to forge and addresses are given for good: clients that are new get
    /// no more of a pool, and no faster, than by rapid commit. One that has an address by other
    /// means needs none. There is no OFFER that could wait for a probe.
    fn new_address(&self, id: SubnetId) -> Option<Held<'a>> {
        let is_new = self.request.ciaddr.is_unspecified();
        if !is_new || self.doubts() || !self.may_hold(id) {
            return None;
        }
        self.free_address(id).filter(|held| self.has_room(id, held))
    }

    fn reserved_address(&self, id: SubnetId) -> Result<Option<Held<'a>>, Stop> {
        match self.reserved(id) {
            Some(address) => self.seize(id, address, true),
            None => Ok(None),
        }
    }

    /// A client may want one server only, by the name that the server gives itself (RFC 951).
    fn is_called(&self, terms: &Terms<'_>) -> bool {
        let field = &self.packet.payload[bootp::SNAME..bootp::FILE];
        let wanted = field.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = &terms.answer(self.request.message_type).boot.server_name;
        wanted.is_empty() || wanted.eq_ignore_ascii_case(name.as_bytes())
    }

    fn bootp_message(&self, terms: &Terms<'_>, held: &Held<'_>) -> Vec<u8> {
        let request = self.request;
        let answer = terms.answer(request.message_type);
        let siaddr = answer.next_server.unwrap_or(terms.server);
        let mask = answer.mask.map(|mask| mask.octets());
        let set = |code: u8| match code {
            option::HOSTNAME if answer.hostname.is_some() => answer.hostname.map(str::as_bytes),
            _ => answer.options.get(code).map(|value| value.data.as_slice()),
        };
        let mask = mask.as_ref().map(|mask| (option::SUBNET_MASK, &mask[..]));
        let first = FIRST.iter().filter_map(|code| Some((*code, set(*code)?)));
        let others = answer
            .options
            .iter()
            .map(|(code, value)| (code, value.data.as_slice()));
        let others = others.filter(|(code, _)| !FIRST.contains(code));
        let mask = mask.filter(|_| set(option::SUBNET_MASK).is_none());
        let options = mask.into_iter().chain(first).chain(others);
        Message::new(request.xid, request.reply_flags())
            .hardware(request.htype, request.hlen, request.chaddr())
            .address(bootp::CIADDR, request.ciaddr)
            .address(bootp::YIADDR, held.address)
            .address(bootp::SIADDR, siaddr)
            .address(bootp::GIADDR, request.giaddr)
            .text(bootp::SNAME..bootp::FILE, &answer.boot.server_name)
            .text(bootp::FILE..bootp::COOKIE, &answer.boot.file)
            .bootp(request.has_cookie.then_some(options))
    }
}
