//! INFORM (RFC 2131 section 4.3.5): options for a host that has its address from elsewhere.

use std::net::Ipv4Addr;

use super::Stop;
use super::api::{EventKind, Ignored, Outcome};
use super::context::Context;

impl Context<'_> {
    pub(super) fn inform(&self, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        let address = self.own_word_of_address().ok_or(Ignored::Invalid)?;
        let here = self.state.subnet_of(address);
        let id = here.or(self.subnets().first().copied());
        let terms = self.terms_at(id.ok_or(Ignored::NoSubnet)?, address)?;
        self.compose_inform(reply, &terms, address);
        Ok(Outcome::Reply(self.event(EventKind::Inform, address)))
    }

    /// Some hosts leave ciaddr empty or fill it with ones; they still send from somewhere.
    fn own_word_of_address(&self) -> Option<Ipv4Addr> {
        let nobody = |address: &Ipv4Addr| {
            address.is_unspecified()
                || address.is_broadcast()
                || address.is_multicast()
                || address.is_loopback()
        };
        [self.request.ciaddr, self.packet.source]
            .into_iter()
            .find(|address| !nobody(address))
    }
}
