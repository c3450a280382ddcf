//! Messages of a server that are not answers to the client they are about: BOOTP replies, what
//! lease queries are answered with, FORCERENEW. The kernel never says them, so they need not be
//! laid out as its templates are.

use std::net::Ipv4Addr;

use dhcp_common::head::{HEAD_IP, Head, Header, write_ip_udp};
use dhcp_common::wire::{
    BOOTP_HEAD, BOOTP_LEN, BOOTP_MIN, BOOTREPLY, HTYPE_ETHERNET, IP_LEN, MAGIC_COOKIE, Sum,
    UDP_LEN, bootp, option,
};

use super::infiniband::{HTYPE_INFINIBAND, is_pseudo};
use super::options::put;
use super::reply::Envelope;
use super::request::MessageType;
use crate::config::model::Mac;

/// Room for options in a BOOTP message of old (RFC 1533 section 2), cookie and END left out.
const VENDOR_ROOM: usize = BOOTP_MIN - BOOTP_LEN - 1;

/// A BOOTREPLY from its head on.
#[derive(Clone, Debug)]
pub struct Message(Vec<u8>);

impl Message {
    #[must_use]
    pub fn new(xid: u32, flags: u16) -> Self {
        let mut bytes = vec![0; bootp::COOKIE];
        bytes[bootp::OP] = BOOTREPLY;
        bytes[bootp::XID..][..4].copy_from_slice(&xid.to_be_bytes());
        bytes[bootp::FLAGS..][..2].copy_from_slice(&flags.to_be_bytes());
        Self(bytes)
    }

    /// The hardware address of a client as leases have it.
    #[must_use]
    pub fn client(self, mac: &Mac) -> Self {
        if is_pseudo(mac) {
            self.hardware(HTYPE_INFINIBAND, 0, &[])
        } else {
            self.hardware(HTYPE_ETHERNET, 6, mac)
        }
    }

    /// htype, hlen and chaddr.
    #[must_use]
    pub fn hardware(mut self, htype: u8, hlen: u8, chaddr: &[u8]) -> Self {
        self.0[bootp::HTYPE..=bootp::HLEN].copy_from_slice(&[htype, hlen]);
        self.0[bootp::CHADDR..][..chaddr.len()].copy_from_slice(chaddr);
        self
    }

    /// One of ciaddr, yiaddr, siaddr and giaddr.
    #[must_use]
    pub fn address(mut self, at: usize, address: Ipv4Addr) -> Self {
        self.0[at..at + 4].copy_from_slice(&address.octets());
        self
    }

    /// sname or file, with its final zero.
    #[must_use]
    pub fn text(mut self, field: std::ops::Range<usize>, text: &str) -> Self {
        let len = text.len().min(field.len() - 1);
        self.0[field.start..][..len].copy_from_slice(&text.as_bytes()[..len]);
        self
    }

    /// The bytes of a DHCP message with these options behind its type.
    #[must_use]
    pub fn dhcp(mut self, kind: MessageType, options: &[(u8, Vec<u8>)]) -> Vec<u8> {
        self.0.extend(MAGIC_COOKIE);
        put(&mut self.0, option::MESSAGE_TYPE, &[kind as u8]);
        for (code, value) in options {
            put(&mut self.0, *code, value);
        }
        self.ended()
    }

    /// The bytes of a BOOTP message with as many of these options as there is room for, the
    /// first ones first; `None`: the client does not know the cookie.
    #[must_use]
    pub fn bootp<'b>(mut self, options: Option<impl Iterator<Item = (u8, &'b [u8])>>) -> Vec<u8> {
        let Some(options) = options else {
            self.0.resize(BOOTP_MIN, 0);
            return self.0;
        };
        self.0.extend(MAGIC_COOKIE);
        for (code, value) in options {
            if self.0.len() + 2 + value.len() <= BOOTP_LEN + VENDOR_ROOM {
                put(&mut self.0, code, value);
            }
        }
        self.ended()
    }

    fn ended(mut self) -> Vec<u8> {
        self.0.push(option::END);
        let len = self.0.len().max(BOOTP_MIN);
        self.0.resize(len, 0);
        self.0
    }
}

/// Writes a whole frame with this message into `frame`; without a link header, an IP packet.
pub fn wrap(frame: &mut Vec<u8>, message: &[u8], source: Ipv4Addr, envelope: &Envelope<'_>) {
    let (start, rest) = message.split_at(BOOTP_HEAD);
    let mut head = Head::default();
    head.0[HEAD_IP + IP_LEN + UDP_LEN..].copy_from_slice(start);
    let header = Header {
        source: source.to_bits(),
        destination: envelope.destination.to_bits(),
        source_port: envelope.from_port,
        port: envelope.port,
        bootp: message.len(),
        rest: Sum::default().slice(rest),
    };
    write_ip_udp(&mut head, &header);
    frame.clear();
    frame.extend(envelope.l2);
    if let Some(macs) = frame.first_chunk_mut::<12>() {
        macs[..6].copy_from_slice(&envelope.to_mac);
        macs[6..].copy_from_slice(&envelope.from_mac);
    }
    frame.extend(&head.0[HEAD_IP..]);
    frame.extend(rest);
}
