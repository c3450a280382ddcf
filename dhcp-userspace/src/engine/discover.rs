//! DISCOVER (RFC 2131 section 4.3.1): an address is held for a short time; the disk hears
//! nothing of it.

use std::sync::atomic::Ordering;

use dhcp_common::slot::{Kind, Lease};

use super::Stop;
use super::api::{EventKind, Ignored, Outcome};
use super::context::Context;
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
        for id in self.subnets() {
            if let Some(held) = self.own_address(*id)? {
                return self.offer(*id, held, reply);
            }
        }
        self.admit_offer()?;
        for id in self.subnets() {
            if let Some(held) = self.free_address(*id) {
                return self.offer(*id, held, reply);
            }
        }
        Err(Ignored::NoAddress.into())
    }

    /// The client's reserved address, the one it has, or the one it had.
    fn own_address(&self, id: SubnetId) -> Result<Option<Held<'a>>, Stop> {
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
    fn free_address(&self, id: SubnetId) -> Option<Held<'a>> {
        let wish = self.request.requested;
        // Another thread may be at the wished address; the client can do without.
        let wished = wish.and_then(|address| self.seize(id, address, false).ok().flatten());
        wished.or_else(|| (0..TRIES).find_map(|_| self.next_address(id)))
    }

    fn next_address(&self, id: SubnetId) -> Option<Held<'a>> {
        let address = self.state.pools[id].claim_next()?;
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
        let terms = self.terms(id)?;
        let address = held.address;
        self.compose(reply, MessageType::Offer, &terms, address);
        if held.kind != Kind::Bound {
            self.engine.clients.offer(self.key(id), address);
            let hold = self.state.config.server.offer_hold.as_nanos() as u64;
            let lease = Lease {
                chaddr: self.chaddr,
                expires: self.now.boot.saturating_add(hold),
                link: self.link(id),
                ..Lease::default()
            };
            held.publish(Entry::new(Kind::Offered, lease), self.now.boot);
        }
        Ok(Outcome::Reply(self.event(EventKind::Offer, address)))
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
