//! DISCOVER (RFC 2131 section 4.3.1): an address is held for a short time; the disk hears
//! nothing of it. When many ask, addresses are offered without being held.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dhcp_common::boot::Says;
use dhcp_common::guard;
use dhcp_common::slot::{Kind, Lease};

use super::Stop;
use super::api::{EventKind, Ignored, Later, Outcome, Probe};
use super::context::Context;
use super::grant::nanos;
use super::held::{Entry, Held};
use super::shares::Share;
use super::state::SubnetId;
use super::terms::Terms;
use crate::clock::SECOND;
use crate::packet::MessageType;

/// Addresses that are tried if other threads get ahead.
const TRIES: usize = 16;
/// For how long a crowded pool is treated as one.
const CROWDED: u64 = 60 * SECOND;
/// Sub-option of option 82 (RFC 3046).
const CIRCUIT_ID: u8 = 1;

impl<'a> Context<'a> {
    pub(super) fn discover(&self, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        // It has none (RFC 2131 table 5), and one made up would be counted as a renewal by the guard.
        if !self.request.ciaddr.is_unspecified() {
            return Err(Ignored::Invalid.into());
        }
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
        for id in self.homes_first().filter(|id| is_due(*id)) {
            if !self.may_hold(id) {
                if let Some(address) = self.unheld_address(id) {
                    return self.offer_unheld(id, address, reply);
                }
            } else if let Some(held) = self.free_address(id) {
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

    /// The address that the client would like, the one that it was offered before, or the next.
    pub(super) fn free_address(&self, id: SubnetId) -> Option<Held<'a>> {
        self.wished_address(id)
            .or_else(|| (0..TRIES).find_map(|_| self.next_address(id)))
    }

    /// Firmware and boot loaders ask several times, and are confused by several answers.
    fn wished_address(&self, id: SubnetId) -> Option<Held<'a>> {
        let offered = self.engine.clients.offered(&self.key(id));
        let mut wishes = [self.request.requested, offered].into_iter().flatten();
        // Another thread may be at the wished address; the client can do without.
        wishes.find_map(|address| self.seize(id, address, false).ok().flatten())
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

    /// As [`Self::free_address`], but the address stays free: whoever asks for it first gets it.
    /// Clients that ask at the same time are shown different ones.
    fn unheld_address(&self, id: SubnetId) -> Option<Ipv4Addr> {
        if let Some(held) = self.wished_address(id).filter(|held| !held.kind.is_taken()) {
            return Some(held.address);
        }
        (0..TRIES).find_map(|_| {
            let address = self.glance_free(id)?;
            let held = Held::lock(self.engine, self.state, address)
                .ok()
                .flatten()?;
            if held.kind.is_taken() {
                // Its bit was clear: the bit is right now.
                self.state.mark(address, true);
                return None;
            }
            Some(address)
        })
    }

    fn offer_unheld(
        &self,
        id: SubnetId,
        address: Ipv4Addr,
        reply: &mut Vec<u8>,
    ) -> Result<Outcome, Stop> {
        let mut terms = self.terms_at(id, address)?;
        terms.once.extend(self.nonce_capable());
        self.compose_offer(id, address, &terms, reply);
        self.engine.not_held.fetch_add(1, Ordering::Relaxed);
        let probe = self.probe_new(id, address, &terms);
        Ok(self.offered(id, address, probe))
    }

    fn offer(&self, id: SubnetId, held: Held<'a>, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        let address = held.address;
        let mut terms = self.terms_at(id, address)?;
        let probe = self.probe(id, &held, &terms);
        if probe.is_none() && self.may_commit(id, &held) {
            return self.commit_at_once(id, held, reply);
        }
        let delay = self.subnet(id).policy.offer_delay;
        let wait = delay + probe.map_or(Duration::ZERO, |probe| probe.wait);
        terms.once.extend(self.nonce_capable());
        self.compose_offer(id, address, &terms, reply);
        if held.kind != Kind::Bound {
            self.hold_for_client(id, held, wait)?;
        }
        Ok(self.offered(id, address, probe))
    }

    fn compose_offer(
        &self,
        id: SubnetId,
        address: Ipv4Addr,
        terms: &Terms<'_>,
        reply: &mut Vec<u8>,
    ) {
        let composed = self.compose(reply, MessageType::Offer, terms, address);
        if self.is_offered_always(id) && self.boots_from(id, address) {
            self.note_boot(address, Says::Offer, terms, (&composed, reply));
        }
    }

    /// The OFFER is written; what it waits for.
    fn offered(&self, id: SubnetId, address: Ipv4Addr, probe: Option<Probe>) -> Outcome {
        let event = self.event(EventKind::Offer, address);
        let after = self.subnet(id).policy.offer_delay;
        if after.is_zero() && probe.is_none() {
            return Outcome::Reply(event);
        }
        Outcome::Later(Later {
            event,
            after,
            probe,
        })
    }

    /// Keeps the address for this client until a while after the OFFER is sent.
    fn hold_for_client(&self, id: SubnetId, held: Held<'a>, wait: Duration) -> Result<(), Stop> {
        let (engine, now) = (self.engine, self.now.boot);
        if self.leased(id).is_some_and(|own| own != held.address) {
            engine.clients.offer_another(self.key(id), held.address);
        } else {
            engine.part(self.state, &self.key(id), held.address, now)?;
            let name = self.request.client_id();
            let name = name.filter(|_| self.request.is_infiniband());
            let name = name.as_deref().unwrap_or_default();
            engine.clients.offer(self.key(id), held.address, name);
        }
        let hold = self.state.config.server.offer_hold + wait;
        let lease = Lease {
            chaddr: self.chaddr,
            expires: now.saturating_add(nanos(hold)),
            link: self.link(id),
            ..Lease::default()
        };
        held.publish(Entry::new(Kind::Offered, lease), now);
        Ok(())
    }

    /// Whether an address may be held for a client that never had one here. Offers altogether,
    /// and those of each link, relay and circuit, are bounded, and in no subnet they hold more than
    /// half of what is not leased: so whoever floods the server with DISCOVERs takes nothing from
    /// those who go on to ask for an address. First to go without are clients that have only
    /// just begun to ask.
    pub(super) fn may_hold(&self, id: SubnetId) -> bool {
        let server = &self.state.config.server;
        let open = self.engine.offers.load(Ordering::Relaxed);
        let crowded = open > server.max_offers - server.max_offers / 4 && self.request.secs == 0;
        if crowded || open >= server.max_offers || self.is_pool_crowded(id) {
            return false;
        }
        let shares = &self.engine.shares;
        self.in_shares(|place, share| shares.take(place, share, self.now.boot))
    }

    /// The client takes what was held for it by [`Self::may_hold`]: others of its place may hold as much.
    pub(super) fn end_hold(&self, id: SubnetId, held: &Held<'_>) {
        let address = held.address;
        let is_new = || self.engine.clients.since(&self.key(id), address) == 0;
        let by_share = || self.reserved(id) != Some(address) && is_new();
        if held.kind == Kind::Offered && by_share() {
            let shares = &self.engine.shares;
            self.in_shares(|place, share| {
                shares.give_back(place, share, self.now.boot);
                true
            });
        }
    }

    /// What the client's place may hold: its circuit, and then its link or relay.
    fn in_shares(&self, each: impl Fn((u64, &[u8]), Share) -> bool) -> bool {
        let config = &self.state.config;
        let hold = config.server.offer_hold;
        let in_share = |circuit: &[u8], most: u32| {
            let place = (self.ingress(), circuit);
            each(place, Share { most, hold })
        };
        let circuit = self.request.relay_suboption(CIRCUIT_ID);
        let per_circuit = config.guard.offers_per_circuit;
        circuit.is_none_or(|circuit| in_share(&circuit, per_circuit))
            && in_share(&[], config.server.max_offers as u32)
    }

    /// Once it is, it stays so for a while: an offer that holds an address takes it from those
    /// that were offered it without.
    fn is_pool_crowded(&self, id: SubnetId) -> bool {
        let pools = &self.state.pools[id];
        let (free, _) = pools.counts();
        if pools.offered() + 2 > free {
            let now = self.now.boot;
            pools.crowd(now, now.saturating_add(CROWDED));
        }
        pools.is_crowded(self.now.boot)
    }

    /// The relay or link that the request came by.
    fn ingress(&self) -> u64 {
        if self.request.is_relayed() {
            guard::relay(self.request.giaddr.to_bits())
        } else {
            self.packet.link.pack()
        }
    }
}
