//! REQUEST (RFC 2131 section 4.3.2). Options 50 and 54, ciaddr and the destination tell which
//! of four questions it is.

use std::net::Ipv4Addr;

use dhcp_common::slot::Kind;

use super::Stop;
use super::api::{EventKind, Ignored, Outcome};
use super::context::Context;
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
}

impl<'a> Context<'a> {
    pub(super) fn request(&self, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        if let Some(server) = self.request.server_id
            && !self.state.is_ours(server)
        {
            self.withdraw_offers();
            return Err(Ignored::OtherServer.into());
        }
        match self.question()? {
            Question::Selecting(address) => self.selecting(address, reply),
            Question::InitReboot(address) => self.init_reboot(address, reply),
            Question::Renewing(address) => self.renewing(address, reply),
            Question::Rebinding(address) => self.rebinding(address, reply),
        }
    }

    fn question(&self) -> Result<Question, Ignored> {
        let request = self.request;
        let ciaddr = Some(request.ciaddr).filter(|address| !address.is_unspecified());
        match (ciaddr, request.requested) {
            (None, Some(wanted)) if request.server_id.is_some() => Ok(Question::Selecting(wanted)),
            (None, Some(wanted)) => Ok(Question::InitReboot(wanted)),
            (None, None) => Err(Ignored::Invalid),
            // Some clients say twice what they have.
            (Some(has), Some(wanted)) if wanted != has => Err(Ignored::Invalid),
            // A relay sends on by unicast, and copies renewals that pass through it.
            (Some(has), _) if request.is_relayed() => Ok(Question::Renewing(has)),
            (Some(has), _) if self.is_broadcast() => Ok(Question::Rebinding(has)),
            (Some(has), _) => Ok(Question::Renewing(has)),
        }
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

    fn init_reboot(&self, address: Ipv4Addr, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        let Some(id) = self.subnet_with(address) else {
            let no = self.no(address, WRONG_NETWORK)?;
            return self.nak_if(self.is_known(), &no, reply);
        };
        match self.seize(id, address, true)? {
            Some(held) => self.grant(id, held, EventKind::Bind, reply),
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
        match self.seize(id, address, true)? {
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
            let Some(address) = self.engine.clients.address(&self.key(*id)) else {
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
