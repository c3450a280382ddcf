//! How a reply travels: to whom, and from which address.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use dhcp_common::wire::{BROADCAST_MAC, CLIENT_PORT, FLAG_BROADCAST, SERVER_PORT};
use ipnet::Ipv4Net;

use super::context::Context;
use super::terms::Terms;
use crate::config::model::Mac;
use crate::packet::{Answer, Composed, Envelope, MessageType, compose};

impl<'a> Context<'a> {
    /// Writes a reply that gives or confirms an address.
    pub(super) fn compose(
        &self,
        reply: &mut Vec<u8>,
        message_type: MessageType,
        terms: &Terms<'_>,
        yiaddr: Ipv4Addr,
    ) -> Composed {
        let ciaddr = match message_type {
            MessageType::Ack => self.request.ciaddr,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let answer = terms.answer(message_type);
        self.send(reply, &answer, &self.to_client(ciaddr, yiaddr))
    }

    /// Writes a reply that gives options alone, to a host that has its address already.
    pub(super) fn compose_inform(&self, reply: &mut Vec<u8>, terms: &Terms<'_>, host: Ipv4Addr) {
        let answer = Answer {
            times: None,
            ..terms.answer(MessageType::Ack)
        };
        let mut envelope = self.to_client(host, Ipv4Addr::UNSPECIFIED);
        envelope.ciaddr = self.request.ciaddr;
        self.send(reply, &answer, &envelope);
    }

    pub(super) fn send(
        &self,
        reply: &mut Vec<u8>,
        answer: &Answer<'_>,
        envelope: &Envelope<'_>,
    ) -> Composed {
        let composed = compose(reply, self.request, answer, envelope);
        let left_out = u64::from(composed.left_out);
        self.engine.left_out.fetch_add(left_out, Ordering::Relaxed);
        composed
    }

    /// Where a reply goes (RFC 2131 section 4.1). Replies to a relay or to a client that has an
    /// address go back to the MAC that the request came from: it may be a router.
    fn to_client(&self, ciaddr: Ipv4Addr, yiaddr: Ipv4Addr) -> Envelope<'a> {
        let request = self.request;
        let (to_mac, destination, port) = if request.is_relayed() {
            (self.sender(), request.giaddr, self.relay_port())
        } else if !ciaddr.is_unspecified() {
            (self.sender(), ciaddr, self.port_of(ciaddr))
        } else if request.wants_broadcast() {
            (BROADCAST_MAC, Ipv4Addr::BROADCAST, CLIENT_PORT)
        } else {
            (self.mac(), yiaddr, CLIENT_PORT)
        };
        Envelope {
            l2: self.packet.l2,
            source: self.relay.server.and_then(|_| self.reached_at()),
            to_mac,
            from_mac: self.interface.mac,
            destination,
            from_port: self.packet.destination_port,
            port,
            flags: request.reply_flags(),
            ciaddr,
            yiaddr,
            mtu: self.interface.mtu,
        }
    }

    /// As [`Self::to_client`], to all hosts, by way of the relay if there is one.
    pub(super) fn to_all(&self) -> Envelope<'a> {
        let relayed = self.request.is_relayed();
        let flags = self.request.reply_flags() | if relayed { FLAG_BROADCAST } else { 0 };
        let unknown = Ipv4Addr::UNSPECIFIED;
        let mut envelope = self.to_client(unknown, unknown);
        envelope.flags = flags;
        if !relayed {
            envelope.to_mac = BROADCAST_MAC;
            envelope.destination = Ipv4Addr::BROADCAST;
        }
        envelope
    }

    /// As [`Self::to_client`], for a reply that gives an address.
    pub(super) fn to_yiaddr(&self, yiaddr: Ipv4Addr) -> Envelope<'a> {
        self.to_client(self.request.ciaddr, yiaddr)
    }

    /// As [`Self::to_client`], to an address the client has, but not in the reply's head.
    pub(super) fn to_address(&self, address: Ipv4Addr) -> Envelope<'a> {
        let mut envelope = self.to_client(address, Ipv4Addr::UNSPECIFIED);
        envelope.ciaddr = Ipv4Addr::UNSPECIFIED;
        envelope
    }

    /// Where a relay that shows itself to the client as the server reaches us.
    fn reached_at(&self) -> Option<Ipv4Addr> {
        let asked = Some(self.packet.destination).filter(|address| self.state.is_ours(*address));
        let mut own = self.interface.addresses.iter().map(Ipv4Net::addr);
        asked.or_else(|| own.next())
    }

    fn relay_port(&self) -> u16 {
        if self.relay.own_port {
            self.packet.source_port
        } else {
            SERVER_PORT
        }
    }

    /// A client that renews from its address and from another port is answered there.
    fn port_of(&self, address: Ipv4Addr) -> u16 {
        let port = self.packet.source_port;
        if self.packet.source == address && port != 0 {
            port
        } else {
            CLIENT_PORT
        }
    }

    fn sender(&self) -> Mac {
        let source = self.packet.l2.get(6..12);
        source
            .and_then(|mac| mac.try_into().ok())
            .unwrap_or(self.mac())
    }
}
