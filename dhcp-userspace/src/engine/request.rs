//! REQUEST (RFC 2131 section 4.3.2). Options 50 and 54, ciaddr and the destination tell which
//! of four questions it is.

use std::net::Ipv4Addr;

use dhcp_common::slot::Kind;

use super::Stop;
use super::api::{EventKind, Ignored, Outcome};
use super::context::Context;
use super::grant::nanos;
use super::held::{Entry, Held};
use super::nak::No;
use super::state::SubnetId;

const WRONG_NETWORK: &str = "the address is not on this network";
const NOT_YOURS: &str = "the address is not available";
const NO_LEASE: &str = "no lease";

/// What a REQUEST asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// "I take what you offered."
    Selecting(Ipv4Addr),
    /// "May I still have this one after a restart?"
    InitReboot(Ipv4Addr),
    /// "May I have it for longer?", to us or by way of a relay.
    Renewing(Ipv4Addr),
    /// The same to everybody.
    Rebinding(Ipv4Addr),
    /// "I take what your relay offered", which may be what another server behind it offered.
    Overridden(Ipv4Addr),
}

impl<'a> Context<'a> {
    pub(super) fn request(&self, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        if let Some(server) = self.request.server_id
            && !self.is_for_us(server)
        {
            self.withdraw_offers();
            return Err(Ignored::OtherServer.into());
        }
        match self.question()? {
            Question::Selecting(address) => self.selecting(address, reply),
            Question::InitReboot(address) => self.init_reboot(address, reply),
            Question::Renewing(address) => self.renewing(address, reply),
            Question::Rebinding(address) => self.rebinding(address, reply),
            Question::Overridden(address) => self.overridden(address, reply),
        }
    }

    fn question(&self) -> Result<Question, Ignored> {
        let request = self.request;
        let ciaddr = Some(request.ciaddr).filter(|address| !address.is_unspecified());
        match (ciaddr, request.requested) {
            (None, Some(wanted)) => Ok(match request.server_id {
                Some(server) if self.state.is_ours(server) => Question::Selecting(wanted),
                Some(_) => Question::Overridden(wanted),
                None => Question::InitReboot(wanted),
            }),
            (None, None) => Err(Ignored::Invalid),
            // Some clients say twice what they have.
            (Some(has), Some(wanted)) if wanted != has => Err(Ignored::Invalid),
            (Some(has), _) if self.is_copy(has) => Ok(Question::Renewing(has)),
            (Some(has), _) if request.is_relayed() => Ok(Question::Rebinding(has)),
            (Some(has), _) if self.is_broadcast() => Ok(Question::Rebinding(has)),
            (Some(has), _) => Ok(Question::Renewing(has)),
        }
    }

    /// Whether a relay sends what its client sent to a server, because it took it for its own
    /// (RFC 5107) or copies renewals that it routes. The latter's giaddr may be the relay's
    /// address on another link, and is no sign that the client has moved. A relay that does not
    /// tell (RFC 5010) is believed to copy until the client must have begun to ask everybody.
    fn is_copy(&self, address: Ipv4Addr) -> bool {
        let told = self.relay.unicast;
        self.request.is_relayed() && told.unwrap_or_else(|| !self.is_rebinding(address))
    }

    /// Whether a lease is past T2, and the relay on a link that is not its own, nor ours.
    fn is_rebinding(&self, address: Ipv4Addr) -> bool {
        let Some(id) = self.state.subnet_of(address) else {
            return false;
        };
        let there = self.subnets();
        let is_local = |id: &SubnetId| self.state.places.is_local(*id);
        if there.is_empty() || there.contains(&id) || there.iter().any(is_local) {
            return false;
        }
        self.is_past_t2(id, address)
    }

    pub(super) fn is_past_t2(&self, id: SubnetId, address: Ipv4Addr) -> bool {
        let index = self.engine.table.index(address);
        let ends = index.map_or(0, |index| self.engine.table.slot(index).expires());
        let left = ends.saturating_sub(self.now.boot);
        let times = self.terms_at(id, address).map(|terms| terms.times);
        times.is_ok_and(|times| left < nanos(times.lease.saturating_sub(times.rebind)))
    }

    fn selecting(&self, address: Ipv4Addr, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        let Some(id) = self.subnet_with(address) else {
            return self.nak(&self.no(address, WRONG_NETWORK)?, reply);
        };
        match self.seize(id, address, false)? {
            Some(held) => self.grant(id, held, EventKind::Bind, reply),
            None => self.nak(&no(id, address, NOT_YOURS), reply),
        }
    }

    /// All servers behind the relay hear this and each takes it for its own: no word against what
    /// another one offered.
    fn overridden(&self, address: Ipv4Addr, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        let id = self.subnet_with(address);
        // One that was offered without being held is free: it is in nobody's name.
        let held = id.map(|id| self.seize(id, address, false)).transpose()?;
        match (id, held.flatten()) {
            (Some(id), Some(held)) => self.grant(id, held, EventKind::Bind, reply),
            _ => {
                self.withdraw_offers();
                Err(Ignored::OtherServer.into())
            }
        }
    }

    fn init_reboot(&self, address: Ipv4Addr, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        let Some(id) = self.subnet_with(address) else {
            let no = self.no(address, WRONG_NETWORK)?;
            return self.nak_if(self.is_known(), &no, reply);
        };
        let held = self.seize(id, address, true)?;
        match held.filter(|held| self.is_surely_his(id, held)) {
            Some(held) => self.grant(id, held, EventKind::Bind, reply),
            None if self.may_have_lost(id, address) => Err(Ignored::Unknown.into()),
            None => self.nak_if(self.is_known_in(id), &no(id, address, NOT_YOURS), reply),
        }
    }

    fn renewing(&self, address: Ipv4Addr, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        match self.state.subnet_of(address) {
            Some(id) => self.extend(id, address, reply),
            None => self.nak_if(false, &self.no(address, NO_LEASE)?, reply),
        }
    }

    fn rebinding(&self, address: Ipv4Addr, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        match self.subnet_with(address) {
            Some(id) => self.extend(id, address, reply),
            None => {
                let no = self.no(address, WRONG_NETWORK)?;
                self.nak_if(self.is_known(), &no, reply)
            }
        }
    }

    fn extend(
        &self,
        id: SubnetId,
        address: Ipv4Addr,
        reply: &mut Vec<u8>,
    ) -> Result<Outcome, Stop> {
        let held = match self.seize(id, address, !self.doubts())? {
            Some(held) => Some(held),
            None => self.found_in_use(id, address)?,
        };
        match held {
            Some(held) => self.grant(id, held, EventKind::Renew, reply),
            // Known, but the configuration now says otherwise.
            None => {
                let holds = self.engine.is_bound_to(address, self.chaddr);
                self.nak_if(holds, &no(id, address, NO_LEASE), reply)
            }
        }
    }

    /// The client took another server's offer: what was held for it is free again.
    fn withdraw_offers(&self) {
        for id in self.subnets() {
            let Some(address) = self.engine.clients.offered(&self.key(*id)) else {
                continue;
            };
            if let Ok(Some(held)) = Held::lock(self.engine, self.state, address)
                && held.kind == Kind::Offered
                && held.lease.chaddr == self.chaddr
            {
                self.end_offer(*id, held);
            }
        }
    }

    fn end_offer(&self, id: SubnetId, held: Held<'a>) {
        let had = self.engine.clients.since(&self.key(id), held.address) != 0;
        held.publish(Entry::after_offer(self.chaddr, had), self.now.boot);
    }

    fn no(&self, address: Ipv4Addr, message: &'static str) -> Result<No, Stop> {
        let id = self.subnets().first().ok_or(Ignored::NoSubnet)?;
        Ok(no(*id, address, message))
    }
}

fn no(id: SubnetId, address: Ipv4Addr, message: &'static str) -> No {
    No {
        id,
        address,
        message,
    }
}
