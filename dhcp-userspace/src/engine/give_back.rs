//! RELEASE and DECLINE (RFC 2131 sections 4.3.3 and 4.3.4): only the holder may, and neither is
//! answered.
//!
//! The kernel answers at once what a client says next, while its RELEASE still waits for the daemon. What
//! it was given then holds: a RELEASE that came before ends nothing.

use std::net::Ipv4Addr;

use dhcp_common::slot::{Kind, Lease};

use super::Stop;
use super::api::{Commit, EventKind, Ignored, Outcome};
use super::clients::Client;
use super::context::Context;
use super::grant::nanos;
use super::held::{Entry, Held};
use super::state::State;
use crate::clock::{Now, SECOND};
use crate::journal::Kind as RecordKind;

/// For longer than this no message waits for the daemon, unless that stands still.
const LONG: u64 = 60 * SECOND;

/// An address that nobody gets for a while.
pub(super) fn quarantine(state: &State, chaddr: u64, now: Now) -> Entry {
    let hold = nanos(state.config.server.decline_hold);
    let until = now.boot.saturating_add(hold);
    let lease = Lease {
        chaddr,
        expires: until,
        reserved_until: until,
        ..Lease::default()
    };
    Entry::new(Kind::Declined, lease)
}

impl<'a> Context<'a> {
    /// Option 54 may be missing: systemd-networkd sends none.
    pub(super) fn release(&self) -> Result<Outcome, Stop> {
        let held = self.holding(self.request.ciaddr)?;
        if held.kind != Kind::Bound {
            return Err(Ignored::NotHolder.into());
        }
        let lease = Lease {
            chaddr: self.chaddr,
            ..Lease::default()
        };
        let entry = Entry::new(Kind::Released, lease);
        self.give_back(held, entry, RecordKind::Released, EventKind::Release)
    }

    /// A leased address goes into quarantine: another host answers for it. Clients try what they
    /// were given, so what was only offered is nothing but free again, and so is what a client
    /// declines that finds fault with every address. It gets another one.
    pub(super) fn decline(&self) -> Result<Outcome, Stop> {
        let held = self.holding(self.request.requested.ok_or(Ignored::Invalid)?)?;
        let (engine, now) = (self.engine, self.now.boot);
        let free = Entry::new(Kind::Free, Lease::default());
        if held.kind == Kind::Offered {
            engine.declines.avoid(self.chaddr, held.address, now);
            held.publish(free, now);
            return Err(Ignored::NotHolder.into());
        }
        if engine.declines.admit(self.chaddr, now) {
            let entry = quarantine(self.state, self.chaddr, self.now);
            return self.give_back(held, entry, RecordKind::Declined, EventKind::Decline);
        }
        engine.declines.avoid(self.chaddr, held.address, now);
        self.give_back(held, free, RecordKind::Forgotten, EventKind::Decline)
    }

    /// The slot of an address that this client has.
    fn holding(&self, address: Ipv4Addr) -> Result<Held<'a>, Stop> {
        let server = self.request.server_id;
        if server.is_some_and(|server| !self.is_for_us(server)) {
            return Err(Ignored::OtherServer.into());
        }
        let held = Held::lock(self.engine, self.state, address)?;
        let taken = |held: &Held<'_>| held.kind.is_taken() && held.is_of(self.chaddr);
        Ok(held.filter(taken).ok_or(Ignored::NotHolder)?)
    }

    fn give_back(
        &self,
        held: Held<'a>,
        entry: Entry,
        kind: RecordKind,
        event: EventKind,
    ) -> Result<Outcome, Stop> {
        let held = match self.arrived() {
            Some(said) => held.unless_granted_since(said)?,
            None => held,
        };
        let event = self.event(event, held.address);
        let until = entry.lease.reserved_until.max(self.now.boot);
        let client = Client::at(held.address, self.now.unix);
        let record = client.record(kind, self.mac(), until);
        Ok(Outcome::Commit(Commit {
            record,
            change: held.change(entry),
            event: Some(event),
        }))
    }

    /// When the message came, if it may have waited for its turn. If the wall clock was set back meanwhile,
    /// nobody knows: then it may have waited for long.
    fn arrived(&self) -> Option<u64> {
        let unix = Some(self.packet.arrived).filter(|unix| *unix != 0)?;
        let (came, now) = (self.now.to_boot(unix), self.now.boot);
        Some(if came <= now {
            came
        } else {
            now.saturating_sub(LONG)
        })
    }
}
