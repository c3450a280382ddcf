//! Clients that are told apart by what a relay adds, and renew without their relay.
//!
//! A renewal goes to the server itself and says nothing of the port that it comes from. So option
//! 82 is part of the lease: where a renewal has none, the one counts that the client got its lease
//! with. It is never sent back (RFC 3046 section 2.2). giaddr is not kept: a guard that looks at it
//! is not asked again until the client comes through its relay.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use dhcp_common::memo;
use dhcp_common::slot::Kind;
use dhcp_common::wire::mac_bits;

use super::clients::{Client, ClientKey};
use super::commit::without_memo;
use super::context::Context;
use super::held::{Entry, Held};
use super::state::{State, SubnetId};
use super::{Engine, Stop};
use crate::class::{ClassId, ClassSet, Test};
use crate::config::Config;
use crate::config::model::{Hosts, Identifier, Reservation};
use crate::packet::MessageType;

/// What of a configuration hangs on what relays add.
#[derive(Default)]
pub(super) struct Ports {
    any: bool,
    /// Classes whose tests look at giaddr.
    giaddr: ClassSet,
}

/// What is to be known of a client.
pub(super) struct Update {
    pub(super) client: Client,
    /// Its lease goes on, with another option 82.
    pub(super) moved: bool,
    /// It gets another address than it has.
    leaves: bool,
    /// What was known before.
    before: Client,
}

impl Ports {
    pub(super) fn new(config: &Config) -> Self {
        let subnets = config.subnets.iter().map(|subnet| &subnet.hosts);
        let mut hosts = subnets.chain([&config.hosts]).flat_map(Hosts::iter);
        let readers = classes_that(config, |test, readers| {
            test.reads_relay(&|other| readers.contains(other))
        });
        Self {
            any: !readers.is_empty() || hosts.any(is_at_port),
            giaddr: classes_that(config, |test, readers| {
                test.reads_giaddr(&|other| readers.contains(other))
            }),
        }
    }
}

fn is_at_port(host: &Reservation) -> bool {
    match &host.identifier {
        Identifier::CircuitId(_) | Identifier::RemoteId(_) => true,
        Identifier::Test(test) => test.reads_relay(&|_| false),
        Identifier::Mac(_) | Identifier::ClientId(_) | Identifier::Uuid(_) => false,
    }
}

/// The classes whose test does that, which may hang on those before it that do.
fn classes_that(config: &Config, does: impl Fn(&Test, &ClassSet) -> bool) -> ClassSet {
    let mut found = ClassSet::default();
    for (id, class) in (0..).map(ClassId).zip(&config.classes) {
        if class.test.as_ref().is_some_and(|test| does(test, &found)) {
            found.insert(id);
        }
    }
    found
}

impl Context<'_> {
    /// The classes that cannot be tested because the client renews what it has without the relay
    /// that got it the lease.
    pub(super) fn untestable(&self, id: SubnetId) -> ClassSet {
        let request = self.request;
        let giaddr = &self.state.ports.giaddr;
        let past_relay = !giaddr.is_empty()
            && self.own == Some(id)
            && request.message_type == MessageType::Request
            && !request.is_relayed()
            && self.engine.is_bound_to(request.ciaddr, self.chaddr);
        if past_relay {
            *giaddr
        } else {
            ClassSet::default()
        }
    }

    /// Option 82 that the holder of a lease got it with, where its request has none.
    pub(super) fn remembered_agent(&self) -> Option<&[u8]> {
        if !self.state.ports.any {
            return None;
        }
        self.remembered
            .get_or_init(|| self.recall_agent())
            .as_deref()
    }

    fn recall_agent(&self) -> Option<Box<[u8]>> {
        let request = self.request;
        let id = self.own?;
        let renews = request.message_type == MessageType::Request;
        if !renews || request.relay_agent().is_some() {
            return None;
        }
        let client = self.engine.clients.get(&self.key(id))?;
        let holds = client.address == request.ciaddr
            && self.engine.is_bound_to(request.ciaddr, self.chaddr);
        (holds && !client.relay_agent.is_empty()).then_some(client.relay_agent)
    }

    /// What is to be known of the client from now on. Nothing is changed yet.
    ///
    /// Of a lease that goes on, a change of option 82 changes what its renewals are answered: then
    /// it must be on disk first, and the memo that the lease has is worth nothing.
    pub(super) fn update(&self, id: SubnetId, held: &Held<'_>, same: bool) -> Result<Update, Stop> {
        let key = self.key(id);
        let known = self.engine.clients.get(&key);
        let before = known.as_ref();
        let before = before.filter(|client| same && client.address == held.address);
        // Another thread was first: what this request is answered may be what counts no more.
        let recalled = self.remembered.get();
        if recalled.is_some_and(|agent| *agent != self.recall_agent()) {
            return Err(Stop::Busy);
        }
        self.engine
            .part(self.state, &key, held.address, self.now.boot)?;
        let since = before.map_or(0, |client| client.since);
        let old = before.map(|client| &*client.relay_agent);
        let request = self.request;
        let client = Client {
            address: held.address,
            since: if since == 0 { self.now.unix } else { since },
            client_id: bytes(request.client_id()),
            hostname: bytes(request.hostname()),
            relay_agent: self.agent_of_lease(id, held.address, old),
            xid: request.xid,
        };
        let moved = match old {
            Some(old) => *old != *client.relay_agent,
            // Forgotten for another address. With a memo, there was nothing to remember.
            None => !client.relay_agent.is_empty() || held.lease.memo == memo::NONE,
        };
        let leaves = known.as_ref().is_some_and(|known| {
            let other = known.address != held.address;
            !same && other && self.engine.is_bound_to(known.address, self.chaddr)
        });
        Ok(Update {
            moved: same && moved,
            leaves,
            before: known.unwrap_or_else(|| Client::offered(held.address)),
            client,
        })
    }

    /// Notes it, with the slot locked until a record of it is on disk.
    pub(super) fn remember(&self, id: SubnetId, update: &Update, index: u32) {
        if update.moved {
            let before = update.before.clone();
            self.engine.tainted.add_moved(index, before);
        } else if update.leaves {
            self.engine.tainted.add_known(index, update.before.clone());
        }
        self.engine.clients.insert(self.key(id), &update.client);
    }

    fn agent_of_lease(&self, id: SubnetId, address: Ipv4Addr, before: Option<&[u8]>) -> Box<[u8]> {
        match before {
            Some(before) if !self.tells_port(id, address) => before.into(),
            _ => bytes(self.request.relay_agent()),
        }
    }

    /// Whether this request came by the relay that the client's broadcasts come by. A renewal
    /// that is sent past it says nothing against where the client is, and nor does a copy of one.
    fn tells_port(&self, id: SubnetId, address: Ipv4Addr) -> bool {
        let request = self.request;
        if request.message_type != MessageType::Request || request.ciaddr.is_unspecified() {
            return true;
        }
        let rebinds = || match self.relay.unicast {
            Some(unicast) => !unicast,
            None => self.is_past_t2(id, address),
        };
        let by_relay = request.is_relayed() && request.relay_agent().is_some();
        by_relay && (self.relay.server.is_some() || rebinds())
    }
}

impl Engine {
    /// Before a client becomes known by this address: what it was known by at another one is
    /// forgotten, and so must be what the kernel says there because of it.
    pub(super) fn part(
        &self,
        state: &State,
        key: &ClientKey,
        address: Ipv4Addr,
        now: u64,
    ) -> Result<(), Stop> {
        let other = self
            .clients
            .get(key)
            .filter(|other| other.address != address);
        let Some(other) = other else {
            return Ok(());
        };
        self.stop_boots(other.address, mac_bits(&key.mac, 0))?;
        if other.relay_agent.is_empty() {
            return Ok(());
        }
        let Some(held) = Held::lock(self, state, other.address)? else {
            return Ok(());
        };
        if held.kind == Kind::Bound && held.lease.chaddr == mac_bits(&key.mac, 0) {
            let mut lease = held.lease;
            without_memo(&mut lease);
            held.publish(Entry::new(Kind::Bound, lease), now);
        }
        Ok(())
    }
}

fn bytes(value: Option<Cow<'_, [u8]>>) -> Box<[u8]> {
    value.unwrap_or_default().into()
}
