//! DISCOVER (RFC 2131 section 4.3.1): an address is held for a short time; the disk hears
//! nothing of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use dhcp_common::slot::{Kind, Lease};

use super::Stop;
use super::api::{EventKind, Ignored, Later, Outcome};
use super::context::Context;
use super::grant::nanos;
use super::held::{Entry, Held};
use super::state::SubnetId;
use crate::packet::MessageType;

/// Addresses that are tried if other threads get ahead.
const TRIES: usize = 16;

impl<'a> Context<'a> {
    pub(super) fn discover(&self, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        if self.subnets().is_empty() {
            return Err(Ignored::NoSubnet.into());
        }
        let is_due = |id: SubnetId| self.request.secs >= self.subnet(id).policy.min_secs;
        if !self.subnets().iter().any(|id| is_due(*id)) {
            return Err(Ignored::TooEarly.into());
        }
        if let Some((id, held)) = self.settled()? {
            return self.offer(id, held, reply);
        }
        for id in self.subnets().iter().filter(|id| is_due(**id)) {
            if let Some(held) = self.own_address(*id)? {
                return self.offer(*id, held, reply);
            }
        }
        self.admit_offer()?;
        for id in self.homes_first().filter(|id| is_due(*id)) {
            if let Some(held) = self.free_address(id) {
                return self.offer(id, held, reply);
            }
        }
        Err(Ignored::NoAddress.into())
    }

    /// The client's reserved address, the one it has, or the one it had.
    pub(super) fn own_address(&self, id: SubnetId) -> Result<Option<Held<'a>>, Stop> {
        if let Some(reserved) = self.reserved(id)
            && let Some(held) = self.seize(id, reserved, true)?
        {
            return Ok(Some(held));
        }
        match self.engine.clients.address(&self.key(id)) {
            Some(address) => self.seize(id, address, true),
            None => Ok(None),
        }
    }

    /// The address that the client would like, or the next.
    pub(super) fn free_address(&self, id: SubnetId) -> Option<Held<'a>> {
        let wish = self.request.requested;
        // Another thread may be at the wished address; the client can do without.
        let wished = wish.and_then(|address| self.seize(id, address, false).ok().flatten());
        wished.or_else(|| (0..TRIES).find_map(|_| self.next_address(id)))
    }

    fn next_address(&self, id: SubnetId) -> Option<Held<'a>> {
        let address = self.claim_free(id)?;
        match Held::lock(self.engine, self.state, address) {
            Ok(Some(mut held)) => {
                // Taken although its bit was clear: the bit is right now.
                held.claimed = !held.kind.is_taken();
                held.claimed.then_some(held)
            }
            Ok(None) => None,
            Err(_) => {
                self.state.mark(address, false);
                None
            }
        }
    }

    fn offer(&self, id: SubnetId, held: Held<'a>, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        if !held.kind.is_taken() {
            self.admit_offer()?;
        }
        let address = held.address;
        let mut terms = self.terms_at(id, address)?;
        let probe = self.probe(id, &held, &terms);
        if probe.is_none() && self.may_commit(id, &held) {
            return self.commit_at_once(id, held, reply);
        }
        let after = self.subnet(id).policy.offer_delay;
        let wait = after + probe.map_or(Duration::ZERO, |probe| probe.wait);
        terms.once.extend(self.nonce_capable());
        self.compose(reply, MessageType::Offer, &terms, address);
        if held.kind != Kind::Bound {
            self.hold_for_client(id, held, wait);
        }
        let event = self.event(EventKind::Offer, address);
        if wait.is_zero() && probe.is_none() {
            return Ok(Outcome::Reply(event));
        }
        Ok(Outcome::Later(Later {
            event,
            after,
            probe,
        }))
    }

    /// Keeps the address for this client until a while after the OFFER is sent.
    fn hold_for_client(&self, id: SubnetId, held: Held<'a>, wait: Duration) {
        let name = self.request.client_id();
        let name = name.filter(|_| self.request.is_infiniband());
        let name = name.as_deref().unwrap_or_default();
        self.engine.clients.offer(self.key(id), held.address, name);
        let hold = self.state.config.server.offer_hold + wait;
        let lease = Lease {
            chaddr: self.chaddr,
            expires: self.now.boot.saturating_add(nanos(hold)),
            link: self.link(id),
            ..Lease::default()
        };
        held.publish(Entry::new(Kind::Offered, lease), self.now.boot);
    }

    /// Bounds the open offers: first to go without are clients that have only just begun to
    /// ask.
    fn admit_offer(&self) -> Result<(), Stop> {
        let open = self.engine.offers.load(Ordering::Relaxed);
        let most = self.state.config.server.max_offers;
        let crowded = open > most - most / 4 && self.request.secs == 0;
        if open >= most || crowded {
            return Err(Ignored::Overload.into());
        }
        Ok(())
    }
}
