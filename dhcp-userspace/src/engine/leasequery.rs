//! What relays may ask about leases: by address, MAC, client identifier (RFC 4388), remote
//! identifier (RFC 6148) and relay identifier (RFC 6925).

pub mod bulk;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};

use dhcp_common::memo;
use dhcp_common::slot::Kind;
use dhcp_common::wire::{bootp, option};

use super::api::{EventKind, Ignored, Outcome};
use super::context::Context;
use super::state::{State, SubnetId};
use super::view::LeaseView;
use super::{Engine, Stop};
use crate::clock::{Now, SECOND};
use crate::config::model::{Mac, Times};
use crate::packet::{Layers, Message, MessageType, Request, suboption, wrap};

const LAST_TRANSACTION: u8 = 91;
const ASSOCIATED_IP: u8 = 92;
/// Sub-options of option 82.
const REMOTE_ID: u8 = 2;
const RELAY_ID: u8 = 12;
/// What is told if nothing in particular is asked for.
const USUAL: [u8; 6] = [
    option::LEASE_TIME,
    option::RENEWAL_TIME,
    option::REBINDING_TIME,
    option::CLIENT_ID,
    option::RELAY_AGENT,
    LAST_TRANSACTION,
];
/// Addresses in option 92 at most: more do not fit into one packet.
const MOST_ASSOCIATED: usize = 200;

/// Who or what is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Address(Ipv4Addr),
    Mac(Mac),
    ClientId(Vec<u8>),
    /// A sub-option of option 82, and its value.
    Relay(u8, Vec<u8>),
    /// Nothing in particular.
    All,
}

/// Walks over all clients that single queries may cost in a second, of the whole server.
const MOST_SCANS: u64 = 4;

/// The second of the last walk, and how many that one had.
#[derive(Debug, Default)]
pub(super) struct Scans(AtomicU64);

impl Scans {
    fn admit(&self, now: u64) -> bool {
        let second = now / SECOND;
        let next = |last: u64| match last.checked_sub(second * (MOST_SCANS + 1)) {
            Some(count) if count >= MOST_SCANS => None,
            Some(_) => Some(last + 1),
            None => Some(second * (MOST_SCANS + 1) + 1),
        };
        let order = Ordering::Relaxed;
        self.0.fetch_update(order, order, next).is_ok()
    }
}

impl Subject {
    /// There is no index of what else a client may be known by.
    const fn needs_scan(&self) -> bool {
        matches!(self, Self::ClientId(_) | Self::Relay(..))
    }

    fn of(request: &Request<'_>) -> Self {
        let relay = |code| {
            Some(Self::Relay(
                code,
                request.relay_suboption(code)?.into_owned(),
            ))
        };
        if !request.ciaddr.is_unspecified() {
            Self::Address(request.ciaddr)
        } else if request.hlen == 6 {
            Self::Mac(request.mac)
        } else if let Some(id) = request.client_id() {
            Self::ClientId(id.into_owned())
        } else {
            let relay = relay(REMOTE_ID).or_else(|| relay(RELAY_ID));
            relay.unwrap_or(Self::All)
        }
    }
}

impl Context<'_> {
    pub(super) fn lease_query(&self, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
        self.admit_query()?;
        let subject = Subject::of(self.request);
        if subject.needs_scan() && !self.engine.scans.admit(self.now.boot) {
            return Err(Ignored::Overload.into());
        }
        let leases = Leases {
            engine: self.engine,
            state: self.state,
            now: self.now,
        };
        let mut found = leases.about(&subject);
        found.retain(|view| leases.is_active(view));
        found.sort_by_key(|view| leases.age(view));
        let asked = self.request.parameters();
        let asked = asked.as_deref().unwrap_or(&USUAL);
        // By unicast only, so this is an address of ours.
        let server = self.packet.destination;
        let mut options = vec![(option::SERVER_ID, server.octets().to_vec())];
        let (kind, message) = match (found.first(), &subject) {
            (Some(view), _) => {
                options.extend(leases.options(view, asked));
                options.extend(associated(&found));
                (
                    MessageType::LeaseActive,
                    self.about(view.address).client(&view.mac),
                )
            }
            (None, Subject::Address(address)) if leases.is_ours_to_give(*address) => {
                (MessageType::LeaseUnassigned, self.echoed())
            }
            (None, _) => (MessageType::LeaseUnknown, self.echoed()),
        };
        let envelope = self.to_address(self.request.giaddr);
        wrap(reply, &message.dhcp(kind, &options), server, &envelope);
        let about = found
            .first()
            .map_or(self.request.ciaddr, |view| view.address);
        Ok(Outcome::Reply(self.event(EventKind::LeaseQuery, about)))
    }

    /// Leases are nobody's business but that of the relays that are named. Somebody who forges
    /// both addresses does not get the answer.
    fn admit_query(&self) -> Result<(), Stop> {
        let allowed = &self.state.config.leasequery.allowed;
        let may = |address: Ipv4Addr| allowed.iter().any(|net| net.contains(&address));
        let unicast = self.state.is_ours(self.packet.destination);
        if unicast && may(self.packet.source) && may(self.request.giaddr) {
            Ok(())
        } else {
            Err(Ignored::QueryDenied.into())
        }
    }

    fn about(&self, address: Ipv4Addr) -> Message {
        Message::new(self.request.xid, self.request.flags)
            .address(bootp::CIADDR, address)
            .address(bootp::GIADDR, self.request.giaddr)
    }

    /// With the client's part of the head as it was asked.
    fn echoed(&self) -> Message {
        let request = self.request;
        let message = self.about(request.ciaddr);
        message.hardware(request.htype, request.hlen, request.chaddr())
    }
}

/// All addresses of a client that has several, the first of which stands in ciaddr.
fn associated(found: &[LeaseView]) -> Option<(u8, Vec<u8>)> {
    let first = found.iter().take(MOST_ASSOCIATED);
    let addresses = first.flat_map(|view| view.address.octets()).collect();
    (found.len() > 1).then_some((ASSOCIATED_IP, addresses))
}

/// Leases as lease queries tell of them.
struct Leases<'a> {
    engine: &'a Engine,
    state: &'a State,
    now: Now,
}

impl Leases<'_> {
    fn about(&self, subject: &Subject) -> Vec<LeaseView> {
        let at = |address: &Ipv4Addr| self.at(*address);
        match subject {
            Subject::Address(address) => at(address).into_iter().collect(),
            Subject::Mac(mac) => self.engine.leases_of(self.state, *mac),
            Subject::ClientId(id) => {
                let clients = &self.engine.clients;
                let found = clients.addresses_where(|client| client.client_id[..] == id[..]);
                let mut views: Vec<_> = found.iter().filter_map(at).collect();
                views.retain(|view| view.client_id == *id);
                views
            }
            Subject::Relay(code, id) => {
                let is_it = |agent: &[u8]| suboption(agent, *code) == Some(id);
                let clients = &self.engine.clients;
                let found = clients.addresses_where(|client| is_it(client.relay_agent));
                let mut views: Vec<_> = found.iter().filter_map(at).collect();
                views.retain(|view| is_it(&view.relay_agent));
                views
            }
            Subject::All => Vec::new(),
        }
    }

    fn at(&self, address: Ipv4Addr) -> Option<LeaseView> {
        let index = self.engine.table.index(address)?;
        self.engine.view(self.state, address, index)
    }

    fn is_active(&self, view: &LeaseView) -> bool {
        view.kind == Kind::Bound && view.expires > self.now.boot
    }

    /// Whether this is one of the addresses that the server may lease.
    fn is_ours_to_give(&self, address: Ipv4Addr) -> bool {
        self.state.subnet_of(address).is_some_and(|id| {
            let mut hosts = self.state.subnet(id).hosts.iter();
            self.state.pools[id].contains(address)
                || hosts.any(|host| host.address == Some(address))
        })
    }

    /// How long ago the client was last answered, in seconds. Renewals by the kernel move the
    /// lease's end and nothing else, so it is counted from there.
    fn age(&self, view: &LeaseView) -> u64 {
        let lease = self.times(view).lease.as_secs() * SECOND;
        let last = view.expires.saturating_sub(lease);
        if view.expires > lease && last <= self.now.boot {
            (self.now.boot - last) / SECOND
        } else {
            // For good, or bound by hand: nothing but its beginning is known.
            self.now.unix.saturating_sub(view.since) / SECOND
        }
    }

    /// The times that the client was told.
    fn times(&self, view: &LeaseView) -> Times {
        let id = self.state.subnet_of(view.address);
        let of_subnet = id.map_or(Times::of(std::time::Duration::ZERO), |id| {
            let host = self.state.reservation(id, view.mac);
            let own = host.and_then(|host| host.level.times);
            own.unwrap_or(self.state.subnet(id).times)
        });
        match self.told_by_kernel(view.address) {
            Some(secs) if secs != of_subnet.lease.as_secs() => {
                Times::of(std::time::Duration::from_secs(secs))
            }
            _ => of_subnet,
        }
    }

    fn told_by_kernel(&self, address: Ipv4Addr) -> Option<u64> {
        let lease = self
            .engine
            .table
            .slot(self.engine.table.index(address)?)
            .lease();
        let facts = || self.engine.table.template(lease.template).facts();
        (lease.memo != memo::NONE).then(|| u64::from(facts().lease_secs))
    }

    /// The options that are asked for, in that order.
    fn options(&self, view: &LeaseView, asked: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let id = self.state.subnet_of(view.address);
        let mut options: Vec<(u8, Vec<u8>)> = Vec::new();
        for code in asked {
            let known = options.iter().any(|(other, _)| other == code);
            if let Some(value) = self.option(view, id, *code).filter(|_| !known) {
                options.push((*code, value));
            }
        }
        options
    }

    fn option(&self, view: &LeaseView, id: Option<SubnetId>, code: u8) -> Option<Vec<u8>> {
        let times = self.times(view);
        let left = view.expires.saturating_sub(self.now.boot) / SECOND;
        let behind = |time: std::time::Duration| {
            let rest = times.lease.saturating_sub(time).as_secs();
            left.checked_sub(rest).filter(|left| *left > 0)
        };
        let some = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.to_vec());
        match code {
            option::LEASE_TIME => Some(seconds(left)),
            option::RENEWAL_TIME => behind(times.renew).map(seconds),
            option::REBINDING_TIME => behind(times.rebind).map(seconds),
            LAST_TRANSACTION => Some(seconds(self.age(view))),
            option::CLIENT_ID => some(&view.client_id),
            option::RELAY_AGENT => some(&view.relay_agent),
            option::HOSTNAME if !view.hostname.is_empty() => some(&view.hostname),
            option::SUBNET_MASK => Some(view.subnet?.netmask().octets().to_vec()),
            _ => self.configured(id?, view.mac, code),
        }
    }

    fn configured(&self, id: SubnetId, mac: Mac, code: u8) -> Option<Vec<u8>> {
        let host = self.state.reservation(id, mac);
        let over: Vec<_> = host.map(|host| &host.level.options).into_iter().collect();
        let layers = Layers {
            base: &self.state.subnet(id).options,
            over: &over,
        };
        layers.get(code).map(|value| value.data.clone())
    }
}

fn seconds(number: u64) -> Vec<u8> {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    number.to_be_bytes().to_vec()
}
