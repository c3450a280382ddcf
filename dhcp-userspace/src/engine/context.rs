//! A packet with everything that is needed to decide about it.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use dhcp_common::slot::{Kind, Link};
use dhcp_common::wire::{BROADCAST_MAC, CLIENT_PORT, FLAG_BROADCAST, SERVER_PORT, mac_bits};
use ipnet::Ipv4Net;

use super::api::{Event, EventKind, Ignored, Incoming, Interface};
use super::clients::ClientKey;
use super::held::Held;
use super::state::{State, SubnetId};
use super::{Engine, Stop};
use crate::clock::Now;
use crate::config::model::{
    Boot, BootOverrides, Level, Mac, Options, Overrides, Reservation, Subnet, Times,
};
use crate::packet::{Answer, Composed, Envelope, Layers, MessageType, Request, compose};

pub(super) struct Context<'a> {
    pub(super) engine: &'a Engine,
    pub(super) state: &'a State,
    pub(super) now: Now,
    pub(super) packet: &'a Incoming<'a>,
    pub(super) request: &'a Request<'a>,
    pub(super) interface: &'a Interface,
    /// chaddr as slots have it.
    pub(super) chaddr: u64,
    /// The subnet of giaddr.
    relayed: Option<SubnetId>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        state: &'a State,
        now: Now,
        packet: &'a Incoming<'a>,
        request: &'a Request<'a>,
    ) -> Result<Self, Stop> {
        let interface = state
            .interface(packet.link.ifindex)
            .ok_or(Ignored::NoSubnet)?;
        let to = packet.destination;
        if !is_broadcast(interface, to) && !state.is_ours(to) {
            // On its way through this host to another server.
            return Err(Ignored::OtherServer.into());
        }
        Ok(Self {
            engine,
            state,
            now,
            packet,
            request,
            interface,
            chaddr: mac_bits(&request.mac, 0),
            relayed: state.subnet_of(request.giaddr),
        })
    }

    pub(super) fn is_broadcast(&self) -> bool {
        is_broadcast(self.interface, self.packet.destination)
    }

    pub(super) fn mac(&self) -> Mac {
        self.request.mac
    }

    pub(super) fn subnet(&self, id: SubnetId) -> &'a Subnet {
        self.state.subnet(id)
    }

    pub(super) fn key(&self, id: SubnetId) -> ClientKey {
        ClientKey {
            mac: self.mac(),
            network: self.subnet(id).prefix.network(),
        }
    }

    /// The subnets that the client may be in, by where its message came from.
    pub(super) fn subnets(&self) -> &[SubnetId] {
        if self.request.is_relayed() {
            self.relayed.as_slice()
        } else {
            self.state.subnets_on(self.packet.link)
        }
    }

    /// The one of [`Self::subnets`] that has this address.
    pub(super) fn subnet_with(&self, address: Ipv4Addr) -> Option<SubnetId> {
        let id = self.state.subnet_of(address)?;
        self.subnets().contains(&id).then_some(id)
    }

    /// Whether the client is on the link that its message came in on.
    pub(super) fn is_on_link(&self, id: SubnetId) -> bool {
        !self.request.is_relayed() && self.state.subnets_on(self.packet.link).contains(&id)
    }

    /// The link that belongs to a lease; none if the client is behind a router.
    pub(super) fn link(&self, id: SubnetId) -> Link {
        if self.is_on_link(id) {
            self.packet.link
        } else {
            Link::default()
        }
    }

    /// The address to answer with. On the client's link it does not depend on the request's
    /// destination, so that unicast and broadcast renewals are answered alike.
    pub(super) fn server(&self, id: SubnetId) -> Result<Ipv4Addr, Stop> {
        let subnet = self.subnet(id);
        let mut own = self.interface.addresses.iter().map(Ipv4Net::addr);
        let inside = own.clone().find(|address| subnet.prefix.contains(address));
        let asked = Some(self.packet.destination).filter(|address| self.state.is_ours(*address));
        let by_place = if self.is_on_link(id) {
            inside
        } else {
            asked.or(inside)
        };
        let server = subnet.server_address.or(by_place).or_else(|| own.next());
        Ok(server.ok_or(Ignored::NoSubnet)?)
    }

    /// What the configuration has about this client in a subnet.
    pub(super) fn host(&self, id: SubnetId) -> Option<&'a Reservation> {
        self.state.reservation(id, self.mac())
    }

    /// The address that is reserved for this client.
    pub(super) fn reserved(&self, id: SubnetId) -> Option<Ipv4Addr> {
        self.host(id)?.address
    }

    /// Whether this client has a lease or a reservation here.
    pub(super) fn is_known_in(&self, id: SubnetId) -> bool {
        let leased = || {
            let address = self.engine.clients.address(&self.key(id))?;
            let index = self.engine.table.index(address)?;
            let slot = self.engine.table.slot(index);
            let kind = slot.kind();
            let his = slot.lease().chaddr == self.chaddr;
            Some(his && matches!(kind, Kind::Bound | Kind::Released | Kind::Expired))
        };
        self.host(id).is_some() || leased() == Some(true)
    }

    /// Whether this client has a lease or a reservation anywhere.
    pub(super) fn is_known(&self) -> bool {
        (0..self.state.config.subnets.len()).any(|id| self.is_known_in(id))
    }

    /// Whether the configuration lets this client have this address: his reserved one, or one
    /// of the pools if he has none or another client is still on it.
    pub(super) fn may_have(&self, id: SubnetId, address: Ipv4Addr) -> bool {
        match self.reserved(id) {
            Some(own) if own == address => true,
            Some(own) if !self.is_in_use(own) => false,
            _ => self.state.pools[id].contains(address) && !self.state.is_ours(address),
        }
    }

    /// Whether the address is another client's, or in quarantine.
    fn is_in_use(&self, address: Ipv4Addr) -> bool {
        let Some(index) = self.engine.table.index(address) else {
            return false;
        };
        let slot = self.engine.table.slot(index);
        let kind = slot.kind();
        kind == Kind::Declined || kind.is_taken() && slot.lease().chaddr != self.chaddr
    }

    /// Locks an address for this client if it is his, or free and allowed. `only_own` leaves
    /// alone what was never his, a reservation excepted.
    pub(super) fn seize(
        &self,
        id: SubnetId,
        address: Ipv4Addr,
        only_own: bool,
    ) -> Result<Option<Held<'a>>, Stop> {
        if !self.may_have(id, address) {
            return Ok(None);
        }
        let Some(mut held) = Held::lock(self.engine, self.state, address)? else {
            return Ok(None);
        };
        if held.kind.is_taken() {
            return Ok(held.is_of(self.chaddr).then_some(held));
        }
        if self.reserved(id) == Some(address) {
            return Ok(Some(held));
        }
        if only_own && !held.is_of(self.chaddr) {
            return Ok(None);
        }
        // The bit may be set by a thread that looks for a free address and finds this one
        // locked: the slot is the truth.
        self.state.pools[id].claim(address);
        held.claimed = true;
        Ok(Some(held))
    }

    pub(super) fn event(&self, kind: EventKind, address: Ipv4Addr) -> Event {
        Event {
            kind,
            mac: self.mac(),
            address,
            ifindex: self.packet.link.ifindex,
        }
    }

    pub(super) fn terms(&self, id: SubnetId) -> Result<Terms<'a>, Stop> {
        let subnet = self.subnet(id);
        let host = self.host(id);
        let levels = host.map(|host| &host.level).into_iter();
        let mut terms = Terms {
            server: self.server(id)?,
            prefix: subnet.prefix,
            times: subnet.times,
            options: &subnet.options,
            over: Vec::new(),
            boot: Cow::Borrowed(&subnet.boot),
            hostname: host.and_then(|host| host.hostname.as_deref()),
        };
        levels.for_each(|level| terms.add(level));
        Ok(terms)
    }

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
            (self.sender(), request.giaddr, SERVER_PORT)
        } else if !ciaddr.is_unspecified() {
            (self.sender(), ciaddr, self.port_of(ciaddr))
        } else if request.wants_broadcast() {
            (BROADCAST_MAC, Ipv4Addr::BROADCAST, CLIENT_PORT)
        } else {
            (self.mac(), yiaddr, CLIENT_PORT)
        };
        Envelope {
            l2: self.packet.l2,
            to_mac,
            from_mac: self.interface.mac,
            destination,
            from_port: self.packet.destination_port,
            port,
            flags: request.flags,
            ciaddr,
            yiaddr,
            mtu: self.interface.mtu,
        }
    }

    /// As [`Self::to_client`], to all hosts, by way of the relay if there is one.
    pub(super) fn to_all(&self) -> Envelope<'a> {
        let relayed = self.request.is_relayed();
        let flags = self.request.flags | if relayed { FLAG_BROADCAST } else { 0 };
        let unknown = Ipv4Addr::UNSPECIFIED;
        let mut envelope = self.to_client(unknown, unknown);
        envelope.flags = flags;
        if !relayed {
            envelope.to_mac = BROADCAST_MAC;
            envelope.destination = Ipv4Addr::BROADCAST;
        }
        envelope
    }

    /// As [`Self::to_client`], to an address the client has, but not in the reply's head.
    pub(super) fn to_address(&self, address: Ipv4Addr) -> Envelope<'a> {
        let mut envelope = self.to_client(address, Ipv4Addr::UNSPECIFIED);
        envelope.ciaddr = Ipv4Addr::UNSPECIFIED;
        envelope
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

/// What a client gets in a subnet beside its address.
pub(super) struct Terms<'a> {
    pub(super) server: Ipv4Addr,
    prefix: Ipv4Net,
    pub(super) times: Times,
    options: &'a Options,
    over: Vec<&'a Overrides>,
    pub(super) boot: Cow<'a, Boot>,
    hostname: Option<&'a str>,
}

impl<'a> Terms<'a> {
    /// What a more specific level says.
    fn add(&mut self, level: &'a Level) {
        self.times = level.times.unwrap_or(self.times);
        if !level.options.is_empty() {
            self.over.push(&level.options);
        }
        if level.boot != BootOverrides::default() {
            self.boot = Cow::Owned(self.boot.overridden(&level.boot));
        }
    }

    pub(super) fn answer(&self, message_type: MessageType) -> Answer<'_> {
        Answer {
            message_type,
            server: self.server,
            times: Some(self.times),
            mask: Some(self.prefix.netmask()),
            boot: &self.boot,
            options: Layers {
                base: self.options,
                over: &self.over,
            },
            once: &[],
            hostname: self.hostname,
            message: None,
        }
    }
}

fn is_broadcast(interface: &Interface, to: Ipv4Addr) -> bool {
    let mut networks = interface.addresses.iter();
    // A /31 or /32 has no broadcast address (RFC 3021).
    to.is_broadcast() || networks.any(|net| net.prefix_len() < 31 && net.broadcast() == to)
}
