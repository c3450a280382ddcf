//! Before an address is offered: is somebody on it without a lease?

use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp_common::slot::{Kind, Lease};
use dhcp_common::wire::mac_bytes;

use super::Engine;
use super::api::{Commit, Event, EventKind, Probe};
use super::clients::Client;
use super::context::Context;
use super::give_back::quarantine;
use super::grant::nanos;
use super::held::Held;
use super::state::SubnetId;
use super::terms::Terms;
use crate::clock::Now;
use crate::journal::Kind as RecordKind;

impl Context<'_> {
    /// What to ask the network before this address is offered.
    pub(super) fn probe(&self, id: SubnetId, held: &Held<'_>, terms: &Terms<'_>) -> Option<Probe> {
        let check = self.conflict_check(id)?;
        let reserved = self.reserved(id) == Some(held.address);
        if reserved && !check.reservations || self.was_his_just_now(held, terms) {
            return None;
        }
        Some(self.probe_of(id, held.address, terms, check.wait))
    }

    /// The same for an address that was never the client's, and is no reservation.
    pub(super) fn probe_new(
        &self,
        id: SubnetId,
        address: Ipv4Addr,
        terms: &Terms<'_>,
    ) -> Option<Probe> {
        let check = self.conflict_check(id)?;
        Some(self.probe_of(id, address, terms, check.wait))
    }

    fn probe_of(
        &self,
        id: SubnetId,
        address: Ipv4Addr,
        terms: &Terms<'_>,
        wait: Duration,
    ) -> Probe {
        Probe {
            address,
            server: terms.server,
            on_link: self.is_on_link(id),
            wait,
        }
    }

    /// A client that has its address, or had it less than a lease ago, is the one who would
    /// answer, unless a later lease of another client's is lost. An offer that was made before may
    /// still be waiting for its probe.
    fn was_his_just_now(&self, held: &Held<'_>, terms: &Terms<'_>) -> bool {
        let recent = held.lease.expires.saturating_add(nanos(terms.times.lease)) > self.now.boot;
        let lapsed = held.kind == Kind::Expired && held.lease.expires != 0 && recent;
        let lapsed = lapsed && !self.doubts();
        held.is_of(self.chaddr) && (held.kind == Kind::Bound || lapsed)
    }
}

impl Engine {
    /// Somebody answered for an address that is to be offered: puts it in quarantine, as a
    /// DECLINE does. One that is offered without being held is free; it would be shown to everybody
    /// in turn, in vain. `None` if another client than this one (chaddr as slots have it) has it by
    /// now.
    #[must_use]
    pub fn conflict(&self, now: Now, address: Ipv4Addr, chaddr: u64) -> Option<Commit> {
        let state = self.read();
        let held = Held::lock(self, &state, address).ok()??;
        let is_his = held.kind == Kind::Offered && held.lease.chaddr == chaddr;
        if held.kind.is_taken() && !is_his {
            return None;
        }
        state.mark(address, true);
        let mac = mac_bytes(chaddr);
        let event = Event {
            kind: EventKind::Conflict,
            mac,
            address,
            ifindex: held.lease.link.ifindex,
        };
        let entry = quarantine(&state, chaddr, now);
        let Lease { reserved_until, .. } = entry.lease;
        let record =
            Client::at(address, now.unix).record(RecordKind::Declined, mac, reserved_until);
        Some(Commit {
            record,
            change: held.change(entry),
            event: Some(event),
        })
    }
}
