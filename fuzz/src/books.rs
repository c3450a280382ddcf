//! What an observer knows who sees replies on the wire and records on disk, and nothing of the
//! server's insides.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use dhcp_common::slot::Kind;
use dhcp_userspace::clock::{Now, SECOND};
use dhcp_userspace::engine::LeaseView;
use dhcp_userspace::journal::{self, Record};
use dhcp_userspace::packet::{MessageType, Request};

use crate::reply::Read;

type Mac = [u8; 6];

/// An address that a client was told it has.
#[derive(Clone, Copy, Debug)]
struct Held {
    mac: Mac,
    /// On `CLOCK_BOOTTIME`.
    until: u64,
}

#[derive(Debug, Default)]
pub struct Books {
    held: HashMap<Ipv4Addr, Held>,
    /// The last record of each address.
    disk: HashMap<Ipv4Addr, Record>,
}

impl Books {
    pub fn durable(&mut self, record: &Record) {
        self.disk.insert(record.address, record.clone());
    }

    /// A client may give back what it has, by RELEASE or DECLINE.
    pub fn heard(&mut self, request: &Request<'_>) {
        let address = match request.message_type {
            MessageType::Release => Some(request.ciaddr),
            MessageType::Decline => request.requested,
            _ => None,
        };
        if let Some(address) = address {
            self.held
                .retain(|held, by| *held != address || by.mac != request.mac);
        }
    }

    /// A reply was sent.
    pub fn sent(&mut self, reply: &Read, request: &Request<'_>, now: Now) {
        let (MessageType::Ack, Some(secs)) = (reply.kind, reply.lease_secs) else {
            return;
        };
        if request.message_type.is_query() || reply.yiaddr.is_unspecified() {
            return;
        }
        let until = now
            .boot
            .saturating_add(u64::from(secs).saturating_mul(SECOND));
        let address = reply.yiaddr;
        if let Some(held) = self.held.get(&address) {
            assert!(
                held.mac == request.mac || held.until <= now.boot,
                "{address} is given to {:?}, but {held:?} has it at {}",
                request.mac,
                now.boot
            );
        }
        let record = self.disk.get(&address);
        let on_disk = record.is_some_and(|record| {
            record.kind == journal::Kind::Bound
                && record.mac == request.mac
                && record.reserved_until >= until
        });
        assert!(on_disk, "{address} until {until}: the disk has {record:?}");
        let mac = request.mac;
        self.held.insert(address, Held { mac, until });
    }

    /// The server must know of all that its clients have.
    pub fn hold_of(&self, leases: &[LeaseView], now: Now) {
        for (address, held) in self.held.iter().filter(|(_, held)| held.until > now.boot) {
            let lease = leases.iter().find(|lease| lease.address == *address);
            let known = lease.is_some_and(|lease| {
                lease.kind == Kind::Bound && lease.mac == held.mac && lease.expires >= held.until
            });
            assert!(known, "{address}: {held:?}, but the server has {lease:?}");
        }
    }
}
