//! What clients and relays send, and what they read in the answers.

use std::net::Ipv4Addr;

use dhcp_common::wire::{BOOTP_LEN, MAGIC_COOKIE, Sum, bootp};

use super::site::{OUR_MAC, Place, ROUTER_MAC, SERVER};
use crate::config::model::Mac;
use crate::packet::{Options, put};

pub(super) const ANYONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
pub(super) const DISCOVER: u8 = 1;
pub(super) const OFFER: u8 = 2;
pub(super) const REQUEST: u8 = 3;
pub(super) const DECLINE: u8 = 4;
pub(super) const ACK: u8 = 5;
pub(super) const NAK: u8 = 6;
pub(super) const RELEASE: u8 = 7;
pub(super) const INFORM: u8 = 8;

/// A message as its sender thinks of it.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    /// None: BOOTP.
    pub(super) kind: Option<u8>,
    pub(super) mac: Mac,
    pub(super) xid: u32,
    pub(super) secs: u16,
    pub(super) ciaddr: Ipv4Addr,
    /// To this server, past all relays.
    pub(super) unicast: Option<Ipv4Addr>,
    pub(super) requested: Option<Ipv4Addr>,
    pub(super) server: Option<Ipv4Addr>,
    pub(super) persona: &'a [(u8, Vec<u8>)],
}

impl Ask<'_> {
    /// The frame that reaches the server.
    pub(super) fn frame(&self, place: &Place) -> Vec<u8> {
        let relay = place.relay.filter(|_| self.unicast.is_none());
        let payload = self.payload(place);
        let (source, port) = relay.map_or((self.ciaddr, 68), |relay| (relay.giaddr, 67));
        let everybody = Ipv4Addr::BROADCAST;
        let to = match relay {
            Some(_) => SERVER,
            None => self.unicast.unwrap_or(everybody),
        };
        let mut frame = Vec::with_capacity(400);
        frame.extend(if to == everybody { [0xff; 6] } else { OUR_MAC });
        frame.extend(place.relay.map_or(self.mac, |_| ROUTER_MAC));
        if place.link.outer != 0 {
            frame.extend(0x8100u16.to_be_bytes());
            frame.extend(place.link.outer.to_be_bytes());
        }
        frame.extend([0x08, 0]);
        let (ip, len) = (frame.len(), (28 + payload.len()) as u16);
        frame.extend([0x45, 0]);
        frame.extend(len.to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend(source.octets());
        frame.extend(to.octets());
        let sum = Sum::default().slice(&frame[ip..]).checksum();
        frame[ip + 10..ip + 12].copy_from_slice(&sum.to_ne_bytes());
        frame.extend(u16::to_be_bytes(port));
        frame.extend(67u16.to_be_bytes());
        frame.extend((len - 20).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        frame
    }

    fn payload(&self, place: &Place) -> Vec<u8> {
        let mut bytes = vec![0; BOOTP_LEN];
        bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
        bytes[bootp::XID..][..4].copy_from_slice(&self.xid.to_be_bytes());
        bytes[bootp::SECS..][..2].copy_from_slice(&self.secs.to_be_bytes());
        bytes[bootp::CIADDR..][..4].copy_from_slice(&self.ciaddr.octets());
        bytes[bootp::CHADDR..][..6].copy_from_slice(&self.mac);
        bytes[bootp::COOKIE..].copy_from_slice(&MAGIC_COOKIE);
        if let Some(kind) = self.kind {
            put(&mut bytes, 53, &[kind]);
        }
        let named = [(50, self.requested), (54, self.server)];
        for (code, address) in named {
            if let Some(address) = address {
                put(&mut bytes, code, &address.octets());
            }
        }
        for (code, value) in self.persona {
            put(&mut bytes, *code, value);
        }
        if let Some(relay) = place.relay.filter(|_| self.unicast.is_none()) {
            bytes[bootp::GIADDR..][..4].copy_from_slice(&relay.giaddr.octets());
            let mut agent = vec![1, 2, b'p', self.mac[5] % 4];
            if let Some(link) = relay.link {
                agent.extend([5, 4]);
                agent.extend(link.octets());
            }
            put(&mut bytes, 82, &agent);
        }
        bytes.push(255);
        bytes.resize(bytes.len().max(300), 0);
        bytes
    }
}

/// An answer as its receiver reads it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// None: BOOTP.
    pub(super) kind: Option<u8>,
    pub(super) xid: u32,
    pub(super) mac: Mac,
    pub(super) address: Ipv4Addr,
    pub(super) server: Option<Ipv4Addr>,
    /// Seconds: lease, T1, T2.
    pub(super) times: Option<[u64; 3]>,
}

impl Told {
    pub(super) fn read(frame: &[u8]) -> Self {
        let tagged = frame[12..14] == [0x81, 0];
        let message = &frame[if tagged { 46 } else { 42 }..];
        let has_cookie = message[bootp::COOKIE..BOOTP_LEN] == MAGIC_COOKIE;
        let options = if has_cookie {
            &message[BOOTP_LEN..]
        } else {
            &[]
        };
        let value = |code: u8| {
            let mut fields = Options::new(options).filter_map(Result::ok);
            fields
                .find(|field| field.code == code)
                .map(|field| field.value)
        };
        let word = |code| {
            let bytes: [u8; 4] = value(code)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes))
        };
        let at = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().expect("4 bytes"));
        let times = [51, 58, 59].map(|code| word(code).map(u64::from));
        Self {
            kind: value(53).map(|kind| kind[0]),
            xid: at(bootp::XID),
            mac: message[bootp::CHADDR..][..6].try_into().expect("6 bytes"),
            address: Ipv4Addr::from_bits(at(bootp::YIADDR)),
            server: word(54).map(Ipv4Addr::from_bits),
            times: match times {
                [Some(lease), renew, rebind] => {
                    let (renew, rebind) = (renew.unwrap_or(lease / 2), rebind.unwrap_or(lease));
                    Some([lease, renew, rebind])
                }
                _ => None,
            },
        }
    }

    /// For how many seconds an address is granted, if one is.
    pub(super) fn grants(&self) -> Option<u64> {
        match self.kind {
            Some(ACK) => self.times.map(|times| times[0]),
            // For good: asked again, the server says the same and counts anew from nothing.
            None => Some(u64::from(u32::MAX / 2)),
            _ => None,
        }
    }
}
