//! Bulk lease queries (RFC 6926): many leases over one connection, which the caller has.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use dhcp_common::slot::Kind;
use dhcp_common::wire::{bootp, option};

use super::{Leases, Subject, USUAL, seconds};
use crate::clock::{Now, SECOND};
use crate::engine::Engine;
use crate::engine::state::State;
use crate::engine::view::LeaseView;
use crate::packet::{Message, MessageType, Request};

const STATUS_CODE: u8 = 151;
const BASE_TIME: u8 = 152;
const START_TIME_OF_STATE: u8 = 153;
const QUERY_START_TIME: u8 = 154;
const QUERY_END_TIME: u8 = 155;
const DHCP_STATE: u8 = 156;
const DATA_SOURCE: u8 = 157;
/// A VPN to ask about (RFC 6607).
const VIRTUAL_SUBNET: u8 = 221;
/// All that is told is this server's own.
const LOCAL: u8 = 0;

/// How a query ended, if not well (RFC 6926 section 6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BulkStatus {
    /// Asks what this server cannot tell.
    UnspecFail = 1,
    QueryTerminated = 2,
    MalformedQuery = 3,
    NotAllowed = 4,
}

impl BulkStatus {
    const fn text(self) -> &'static str {
        match self {
            Self::UnspecFail => "no VPNs are known here",
            Self::QueryTerminated => "the server ends",
            Self::MalformedQuery => "no bulk lease query",
            Self::NotAllowed => "not in leasequery.allowed",
        }
    }
}

/// A query, and the addresses that it is about.
#[derive(Clone, Debug)]
pub struct Bulk {
    pub addresses: Vec<Ipv4Addr>,
    xid: u32,
    server: Ipv4Addr,
    asked: Vec<u8>,
    /// Changes that are asked for, seconds since 1970.
    window: RangeInclusive<u64>,
}

/// The last message about a query.
#[must_use]
pub fn done(xid: u32, server: Ipv4Addr, status: Option<BulkStatus>) -> Vec<u8> {
    let mut options = vec![(option::SERVER_ID, server.octets().to_vec())];
    options.extend(status.map(|status| {
        let text = status.text().bytes();
        let value = std::iter::once(status as u8).chain(text).collect();
        (STATUS_CODE, value)
    }));
    Message::new(xid, 0).dhcp(MessageType::LeaseQueryDone, &options)
}

impl Bulk {
    #[must_use]
    pub fn done(&self) -> Vec<u8> {
        done(self.xid, self.server, None)
    }
}

/// The xid of a message that may be anything.
#[must_use]
pub fn xid_of(message: &[u8]) -> u32 {
    let bytes = message.get(bootp::XID..bootp::SECS);
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u32::from_be_bytes)
}

impl Engine {
    /// Takes a query apart and finds the addresses that it is about. `server` is the address
    /// that it was sent to.
    ///
    /// # Errors
    /// What to end the query with.
    pub fn bulk_query(
        &self,
        now: Now,
        message: &[u8],
        server: Ipv4Addr,
    ) -> Result<Bulk, BulkStatus> {
        let request = Request::parse(message).map_err(|_| BulkStatus::MalformedQuery)?;
        if request.message_type != MessageType::BulkLeaseQuery {
            return Err(BulkStatus::MalformedQuery);
        }
        if request.option(VIRTUAL_SUBNET).is_some() {
            return Err(BulkStatus::UnspecFail);
        }
        let asked = request.parameters();
        Ok(Bulk {
            addresses: self.addresses_about(now, &Subject::of(&request)),
            xid: request.xid,
            server,
            asked: asked.map_or_else(|| USUAL.to_vec(), std::borrow::Cow::into_owned),
            window: window(&request)?,
        })
    }

    fn addresses_about(&self, now: Now, subject: &Subject) -> Vec<Ipv4Addr> {
        let state = self.read();
        let leases = Leases {
            engine: self,
            state: &state,
            now,
        };
        match subject {
            Subject::All => every_address(&state),
            Subject::Address(address) => {
                let ours = leases.is_ours_to_give(*address);
                ours.then_some(*address).into_iter().collect()
            }
            _ => {
                let views = leases.about(subject);
                views.into_iter().map(|view| view.address).collect()
            }
        }
    }

    /// What is known of one address of a query; `None` if nothing that was asked for.
    #[must_use]
    pub fn bulk_answer(&self, now: Now, bulk: &Bulk, address: Ipv4Addr) -> Option<Vec<u8>> {
        let state = self.read();
        let leases = Leases {
            engine: self,
            state: &state,
            now,
        };
        let view = leases.at(address);
        let since = view.as_ref().map_or(0, |view| leases.changed(view));
        if !bulk.window.contains(&(since / SECOND)) {
            return None;
        }
        let active = view.as_ref().filter(|view| leases.is_active(view));
        let state = view.as_ref().map_or(1, |view| state_of(view, now));
        let mut options = vec![
            (option::SERVER_ID, bulk.server.octets().to_vec()),
            (BASE_TIME, seconds(now.unix / SECOND)),
            (DHCP_STATE, vec![state]),
            (DATA_SOURCE, vec![LOCAL]),
        ];
        if since != 0 {
            let ago = now.unix.saturating_sub(since) / SECOND;
            options.push((START_TIME_OF_STATE, seconds(ago)));
        }
        let message = Message::new(bulk.xid, 0).address(bootp::CIADDR, address);
        let Some(view) = active else {
            return Some(message.dhcp(MessageType::LeaseUnassigned, &options));
        };
        options.extend(leases.options(view, &bulk.asked));
        let message = message.client(&view.mac);
        Some(message.dhcp(MessageType::LeaseActive, &options))
    }
}

/// All that may be leased, in order.
fn every_address(state: &State) -> Vec<Ipv4Addr> {
    let mut all = Vec::new();
    for subnet in &state.config.subnets {
        let pools = subnet.pools.iter();
        let pooled = pools.flat_map(|pool| pool.first.to_bits()..=pool.last.to_bits());
        all.extend(pooled.map(Ipv4Addr::from_bits));
        all.extend(subnet.hosts.iter().filter_map(|host| host.address));
    }
    all.sort_unstable();
    all.dedup();
    all
}

impl Leases<'_> {
    /// When the address came to be what it is, or its client was last answered; ns since 1970,
    /// 0: not known.
    fn changed(&self, view: &LeaseView) -> u64 {
        match view.kind {
            Kind::Bound if self.is_active(view) => {
                self.now.unix.saturating_sub(self.age(view) * SECOND)
            }
            Kind::Bound | Kind::Expired if view.expires != 0 => self.now.to_unix(view.expires),
            _ => view.since,
        }
    }
}

/// RFC 6926 section 6.2.7.
const fn state_of(view: &LeaseView, now: Now) -> u8 {
    match view.kind {
        // Not swept yet.
        Kind::Bound if view.expires <= now.boot => 3,
        Kind::Free | Kind::Offered => 1,
        Kind::Bound => 2,
        Kind::Expired => 3,
        Kind::Released => 4,
        Kind::Declined => 5,
    }
}

fn window(request: &Request<'_>) -> Result<RangeInclusive<u64>, BulkStatus> {
    let time = |code: u8| match request.option(code) {
        None => Ok(None),
        Some(value) => {
            let bytes = value[..]
                .try_into()
                .map_err(|_| BulkStatus::MalformedQuery)?;
            Ok(Some(u64::from(u32::from_be_bytes(bytes))))
        }
    };
    Ok(time(QUERY_START_TIME)?.unwrap_or(0)..=time(QUERY_END_TIME)?.unwrap_or(u64::MAX))
}
