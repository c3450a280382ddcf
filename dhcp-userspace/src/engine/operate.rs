//! What an operator may do to leases by hand. Each gives a [`Commit`] like any other change.

use std::net::Ipv4Addr;

use dhcp_common::slot::{Kind, Lease};
use dhcp_common::wire::{mac_bits, mac_bytes};
use ipnet::Ipv4Net;

use super::Engine;
use super::api::{Commit, Event, EventKind};
use super::clients::Client;
use super::held::{Entry, Held};
use super::state::{State, SubnetId};
use crate::clock::Now;
use crate::config::model::{Identifier, Keys, Mac};
use crate::journal::{Kind as RecordKind, Record};

/// A lease to be made by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub address: Ipv4Addr,
    pub mac: Mac,
    /// ns of `CLOCK_BOOTTIME`.
    pub expires: u64,
    /// ns since 1970.
    pub since: u64,
    pub client_id: Vec<u8>,
    pub hostname: Vec<u8>,
    pub relay_agent: Vec<u8>,
}

/// Why a change by hand is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0} is in no pool and no reservation")]
    Unknown(Ipv4Addr),
    #[error("{0} is not leased")]
    NotLeased(Ipv4Addr),
    #[error("{0} is taken by {mac}; release it first", mac = Colons(*.1))]
    Taken(Ipv4Addr, Mac),
    #[error("{0} is {mac}'s by now; nothing was released", mac = Colons(*.1))]
    Another(Ipv4Addr, Mac),
    #[error("{0} is reserved for {1}")]
    Reserved(Ipv4Addr, Identifier),
    #[error("{0} is an address of this server")]
    Ours(Ipv4Addr),
    #[error("{0} is the network or broadcast address of {1}")]
    Edge(Ipv4Addr, Ipv4Net),
    #[error("{0} is being changed just now; try again")]
    Busy(Ipv4Addr),
    #[error("the lease of {0} ends in the past")]
    Past(Ipv4Addr),
}

struct Colons(Mac);

impl std::fmt::Display for Colons {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Engine {
    /// Takes a lease back, or forgets what an address was. The client is not told: it goes on
    /// using the address until its next renewal. `whose` is the client that is meant, if one is.
    ///
    /// # Errors
    /// If there is nothing to take back, the address is another client's, or a change is under
    /// way.
    pub fn force_release(
        &self,
        address: Ipv4Addr,
        whose: Option<Mac>,
        now: Now,
    ) -> Result<Commit, Refused> {
        let state = self.read();
        let held = self.hold(&state, address)?;
        let chaddr = held.lease.chaddr;
        if held.kind != Kind::Free && whose.is_some_and(|mac| mac_bits(&mac, 0) != chaddr) {
            return Err(Refused::Another(address, mac_bytes(chaddr)));
        }
        let link = held.lease.link;
        let (kind, entry) = match held.kind {
            Kind::Free => return Err(Refused::NotLeased(address)),
            Kind::Bound => {
                let lease = Lease {
                    chaddr,
                    ..Lease::default()
                };
                (RecordKind::Released, Entry::new(Kind::Released, lease))
            }
            _ => (
                RecordKind::Forgotten,
                Entry::new(Kind::Free, Lease::default()),
            ),
        };
        let event = (kind == RecordKind::Released).then_some(Event {
            kind: EventKind::Release,
            mac: mac_bytes(chaddr),
            address,
            ifindex: link.ifindex,
        });
        let record = Record {
            address,
            kind,
            mac: mac_bytes(chaddr),
            reserved_until: now.boot,
            since: now.unix,
            client_id: Vec::new(),
            hostname: Vec::new(),
            relay_agent: Vec::new(),
        };
        Ok(Commit {
            record,
            change: held.change(entry),
            event,
        })
    }

    /// Whether this configuration allows a lease, whoever may have the address now.
    ///
    /// # Errors
    /// Why not.
    pub fn may_bind(&self, binding: &Binding, now: Now) -> Result<(), Refused> {
        leasable(&self.read(), binding)?;
        if binding.expires <= now.boot {
            return Err(Refused::Past(binding.address));
        }
        Ok(())
    }

    /// Makes or changes a lease. No option 82 means the one that it has.
    ///
    /// # Errors
    /// If the address cannot be leased, another client has it, or a change is under way.
    pub fn force_bind(&self, mut binding: Binding, now: Now) -> Result<Commit, Refused> {
        let state = self.read();
        let address = binding.address;
        let id = leasable(&state, &binding)?;
        if binding.expires <= now.boot {
            return Err(Refused::Past(address));
        }
        let chaddr = mac_bits(&binding.mac, 0);
        let held = self.hold(&state, address)?;
        if held.kind.is_taken() && held.lease.chaddr != chaddr {
            return Err(Refused::Taken(address, mac_bytes(held.lease.chaddr)));
        }
        let key = state.key_of(address, chaddr);
        let parted = self.part(&state, &key, address, now.boot);
        parted.map_err(|_| Refused::Busy(address))?;
        if held.kind == Kind::Bound && binding.relay_agent.is_empty() {
            binding.relay_agent = self.client_at(&state, address, chaddr).relay_agent.into();
        }
        if !held.kind.is_taken() {
            // False for a reserved address, whose bit is always set.
            state.pools[id].claim(address);
        }
        // What its renewals were answered hangs on the option 82 that it had.
        match self.clients.get(&key) {
            Some(before) => self.tainted.add_moved(held.index, before),
            None => self.tainted.add(held.index),
        }
        let client = Client {
            address,
            since: binding.since.max(1),
            client_id: binding.client_id.clone().into(),
            hostname: binding.hostname.clone().into(),
            relay_agent: binding.relay_agent.clone().into(),
            xid: 0,
        };
        self.clients.insert(key, &client);
        let entry = Entry::new(Kind::Bound, bound(&binding, &held));
        let record = Record {
            address,
            kind: RecordKind::Bound,
            mac: binding.mac,
            reserved_until: entry.lease.reserved_until,
            since: binding.since,
            client_id: binding.client_id,
            hostname: binding.hostname,
            relay_agent: binding.relay_agent,
        };
        Ok(Commit {
            record,
            change: held.change(entry),
            event: None,
        })
    }

    fn hold<'a>(&'a self, state: &'a State, address: Ipv4Addr) -> Result<Held<'a>, Refused> {
        match Held::lock(self, state, address) {
            Ok(Some(held)) => Ok(held),
            Ok(None) => Err(Refused::Unknown(address)),
            Err(_) => Err(Refused::Busy(address)),
        }
    }
}

/// The subnet in which this client may be given this address.
fn leasable(state: &State, binding: &Binding) -> Result<SubnetId, Refused> {
    let address = binding.address;
    let id = state.subnet_of(address).ok_or(Refused::Unknown(address))?;
    if state.is_ours(address) {
        return Err(Refused::Ours(address));
    }
    let keys = Keys {
        mac: binding.mac,
        client_id: Some(binding.client_id.as_slice()),
        ..Keys::default()
    };
    let own = state.host_of(id, |hosts| hosts.find(&keys, |_| false));
    if state.pools[id].contains(address) || own.is_some_and(|own| own.address == Some(address)) {
        return Ok(id);
    }
    let subnet = state.subnet(id);
    let prefix = subnet.prefix;
    let holder = subnet
        .hosts
        .iter()
        .find(|other| other.address == Some(address));
    let is_edge = address == prefix.network() || address == prefix.broadcast();
    Err(match holder {
        // By what it is known a lease does not tell.
        Some(host)
            if !matches!(
                host.identifier,
                Identifier::Mac(_) | Identifier::ClientId(_)
            ) =>
        {
            return Ok(id);
        }
        Some(host) => Refused::Reserved(address, host.identifier.clone()),
        // A /31 or /32 has neither (RFC 3021).
        None if is_edge && prefix.prefix_len() < 31 => Refused::Edge(address, prefix),
        None => Refused::Unknown(address),
    })
}

/// Without a memo: the next renewal makes one. A promise given before is not taken back.
fn bound(binding: &Binding, held: &Held<'_>) -> Lease {
    let chaddr = mac_bits(&binding.mac, 0);
    let before = if held.kind == Kind::Bound {
        held.lease
    } else {
        Lease::default()
    };
    Lease {
        chaddr,
        expires: binding.expires,
        reserved_until: binding.expires.max(before.reserved_until),
        link: before.link,
        renewals: before.renewals,
        ..Lease::default()
    }
}
