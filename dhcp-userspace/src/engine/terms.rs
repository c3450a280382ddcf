//! What a client gets beside its address. Of several levels the most specific one counts, for
//! times, for each option and for each part of `boot`: defaults, shared network, subnet (these
//! three are one by now), the pool that has the address, the client's classes in the order in
//! which they stand, its host.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp_common::wire::option;
use ipnet::Ipv4Net;

use super::Stop;
use super::api::Ignored;
use super::context::Context;
use super::state::SubnetId;
use crate::config::model::{Boot, BootOverrides, Level, Options, Overrides, Pool, Subnet, Times};
use crate::packet::{Answer, Layers, MessageType};

pub(super) struct Terms<'a> {
    /// The server's own address.
    pub(super) own: Ipv4Addr,
    /// What the client takes for the server.
    pub(super) server: Ipv4Addr,
    prefix: Ipv4Net,
    pub(super) times: Times,
    options: &'a Options,
    over: Vec<&'a Overrides>,
    pub(super) boot: Cow<'a, Boot>,
    /// Who has the boot file, if that is known.
    pub(super) next_server: Option<Ipv4Addr>,
    /// Other addresses of this host would change what is said of booting.
    pub(super) hangs_on_addresses: bool,
    hostname: Option<&'a str>,
    /// Options of this reply alone.
    pub(super) once: Vec<(u8, Vec<u8>)>,
}

impl<'a> Context<'a> {
    /// For a client that has its address from elsewhere.
    pub(super) fn terms(&self, id: SubnetId) -> Result<Terms<'a>, Stop> {
        self.terms_in(id, None)
    }

    /// For a client that has, or is to have, this address.
    pub(super) fn terms_at(&self, id: SubnetId, address: Ipv4Addr) -> Result<Terms<'a>, Stop> {
        self.terms_in(id, self.state.pool_of(id, address))
    }

    fn terms_in(&self, id: SubnetId, pool: Option<&'a Pool>) -> Result<Terms<'a>, Stop> {
        let subnet = self.subnet(id);
        let standing = self.standing(id);
        let mut terms = Terms::of(subnet, self.address_in(id)?);
        terms.server = self.relay.server.unwrap_or(terms.own);
        terms.hostname = standing.host.and_then(|host| host.hostname.as_deref());
        let members = self.state.classes();
        let classes = members.filter(|(id, _)| standing.members.contains(*id));
        let pool = pool.map(|pool| &pool.level);
        let host = standing.host.map(|host| &*host.level);
        let levels = pool
            .into_iter()
            .chain(classes.map(|(_, class)| &class.level));
        let mut wish = self.request.lease_time;
        for level in levels.chain(host) {
            terms.add(level);
            // What is said of some clients in particular is not theirs to choose.
            wish = wish.filter(|_| level.times.is_none());
        }
        if let Some(wish) = wish {
            terms.times = within(subnet, wish);
        }
        terms.once.extend(self.subnet_selection());
        self.settle_boot(&mut terms);
        Ok(terms)
    }

    /// A client that sends option 118 takes no answer without it (RFC 3011 section 2).
    fn subnet_selection(&self) -> Option<(u8, Vec<u8>)> {
        let selected = self.request.subnet_selection?;
        Some((option::SUBNET_SELECTION, selected.octets().into()))
    }

    /// The address to answer with. On the client's link it does not depend on the request's
    /// destination, so that unicast and broadcast renewals are answered alike.
    fn address_in(&self, id: SubnetId) -> Result<Ipv4Addr, Stop> {
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

    /// What the client takes for the server (option 54).
    pub(super) fn server(&self, id: SubnetId) -> Result<Ipv4Addr, Stop> {
        let own = self.address_in(id)?;
        Ok(self.relay.server.unwrap_or(own))
    }
}

impl<'a> Terms<'a> {
    fn of(subnet: &'a Subnet, own: Ipv4Addr) -> Self {
        Self {
            own,
            server: own,
            prefix: subnet.prefix,
            times: subnet.times,
            options: &subnet.options,
            over: Vec::new(),
            boot: Cow::Borrowed(&subnet.boot),
            next_server: None,
            hangs_on_addresses: false,
            hostname: None,
            once: Vec::new(),
        }
    }

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
            own: self.own,
            times: Some(self.times),
            mask: Some(self.prefix.netmask()),
            boot: &self.boot,
            next_server: self.next_server,
            hangs_on_addresses: self.hangs_on_addresses,
            options: Layers {
                base: self.options,
                over: &self.over,
            },
            once: &self.once,
            hostname: self.hostname,
            message: None,
        }
    }
}

/// The lease nearest to what a client would like, T1 and T2 in proportion.
fn within(subnet: &Subnet, wish: u32) -> Times {
    let (shortest, longest) = subnet.lease_bounds;
    let usual = subnet.times;
    let lease = Duration::from_secs(wish.into()).min(longest).max(shortest);
    if shortest == longest || usual.lease.is_zero() {
        return usual;
    }
    // Whole seconds of 32 bits each: the product fits.
    let part = |time: Duration| {
        Duration::from_secs(lease.as_secs() * time.as_secs() / usual.lease.as_secs())
    };
    Times {
        lease,
        renew: part(usual.renew),
        rebind: part(usual.rebind),
    }
}
