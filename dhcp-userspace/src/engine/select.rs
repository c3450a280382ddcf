//! Where a client is, by the way that its message came, and whether that way is served.
//!
//! The first of these tells the subnet, and with it its shared network: link selection (RFC 3527)
//! of a relay, subnet selection (RFC 3011) of a client, giaddr, the link. A renewal needs none of
//! them: there the address tells.

use std::net::Ipv4Addr;

use dhcp_common::slot::Link;

use super::api::{Ignored, Incoming};
use super::context::Context;
use super::relay::Relay;
use super::state::{State, SubnetId};
use crate::packet::Request;

impl State {
    /// Whether messages that come this way are served.
    pub(super) fn check_way(
        &self,
        packet: &Incoming<'_>,
        request: &Request<'_>,
    ) -> Result<(), Ignored> {
        let server = &self.config.server;
        if request.is_relayed() {
            let allowed = &server.allowed_relays;
            // giaddr alone could be anybody's word.
            let is_allowed = |relay: &Ipv4Addr| {
                allowed.is_empty() || allowed.iter().any(|net| net.contains(relay))
            };
            if !server.serve_relayed {
                return Err(Ignored::RelayedOff);
            }
            let allowed = is_allowed(&request.giaddr) && is_allowed(&packet.source);
            return allowed.then_some(()).ok_or(Ignored::RelayNotAllowed);
        }
        match self.subnet_of(request.ciaddr) {
            Some(id) if self.serves_directly(id) => Ok(()),
            Some(id) if !self.places.is_local(id) => Err(Ignored::RelayedOff),
            None if server.serve_local => Ok(()),
            _ => Err(Ignored::LocalOff),
        }
    }

    /// The subnets that a client may be in, by where its message came from.
    pub(super) fn subnets_of(
        &self,
        packet: &Incoming<'_>,
        request: &Request<'_>,
        relay: &Relay,
    ) -> Result<&[SubnetId], Ignored> {
        if let Some(selected) = relay.link.or(request.subnet_selection) {
            // Whoever names a link wants nothing from another one.
            let id = self.subnet_of(selected).ok_or(Ignored::NoSubnet)?;
            return Ok(self.places.around(id));
        }
        Ok(if request.is_relayed() {
            self.subnets_behind(request.giaddr)
        } else {
            self.places.on(packet.link)
        })
    }
}

impl<'a> Context<'a> {
    /// The subnet of the address that the client says it has, or those that it may be in.
    pub(super) fn meant(&self) -> &[SubnetId] {
        match &self.own {
            Some(id) => std::slice::from_ref(id),
            None => self.subnets,
        }
    }

    /// The subnets that the client may be in, by where its message came from.
    pub(super) fn subnets(&self) -> &'a [SubnetId] {
        self.subnets
    }

    /// The one of [`Self::subnets`] that has this address.
    pub(super) fn subnet_with(&self, address: Ipv4Addr) -> Option<SubnetId> {
        let id = self.state.subnet_of(address)?;
        self.subnets().contains(&id).then_some(id)
    }

    /// Whether the client is on the link that its message came in on.
    pub(super) fn is_on_link(&self, id: SubnetId) -> bool {
        !self.request.is_relayed() && self.state.places.on(self.packet.link).contains(&id)
    }

    /// The link that belongs to a lease; none if the client is behind a router.
    pub(super) fn link(&self, id: SubnetId) -> Link {
        if self.is_on_link(id) {
            self.packet.link
        } else {
            Link::default()
        }
    }
}
