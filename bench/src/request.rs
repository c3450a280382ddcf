//! What clients send: whole frames of 342 bytes, the smallest that a client makes.

use std::net::Ipv4Addr;

use dhcp_common::layout::bench::FRAME;
use dhcp_common::wire::{Sum, udp_checksum};

use crate::client::{Client, Mac, SERVER};

pub type Frame = [u8; FRAME];

pub const DISCOVER: u8 = 1;
pub const REQUEST: u8 = 3;

const IP: usize = 14;
const UDP: usize = 34;
const BOOTP: usize = 42;
const XID: usize = BOOTP + 4;
const SECS: usize = BOOTP + 8;
const CIADDR: usize = BOOTP + 12;
const CHADDR: usize = BOOTP + 28;
const COOKIE: usize = BOOTP + 236;
const OPTIONS: usize = BOOTP + 240;
const KIND: usize = OPTIONS + 2;
/// Of the client identifier (option 61), behind its type.
pub const IDENTIFIER: usize = OPTIONS + 6;
/// Behind the options that every request has.
const MORE: usize = OPTIONS + 22;

/// Makes requests for one server.
pub struct Requests {
    server_mac: Mac,
    blank: Frame,
}

/// What all messages of an exchange have in common.
#[derive(Clone, Copy)]
pub struct Sender {
    pub client: Client,
    pub xid: u32,
    /// Since the first message.
    pub secs: u16,
}

impl Requests {
    pub fn new(server_mac: Mac) -> Self {
        Self {
            server_mac,
            blank: blank(),
        }
    }

    pub fn discover(&self, sender: Sender) -> Frame {
        let mut frame = self.from(sender);
        frame[KIND] = DISCOVER;
        frame[MORE] = 255;
        self.to_all(frame)
    }

    /// Takes an offer.
    pub fn select(&self, sender: Sender, address: Ipv4Addr, server: Ipv4Addr) -> Frame {
        let mut frame = self.from(sender);
        frame[KIND] = REQUEST;
        put(&mut frame, MORE, &[50, 4]);
        put(&mut frame, MORE + 2, &address.octets());
        put(&mut frame, MORE + 6, &[54, 4]);
        put(&mut frame, MORE + 8, &server.octets());
        frame[MORE + 12] = 255;
        self.to_all(frame)
    }

    /// Straight to the server, as in RENEWING.
    pub fn renew(&self, sender: Sender, address: Ipv4Addr) -> Frame {
        let mut frame = self.from(sender);
        frame[KIND] = REQUEST;
        frame[MORE] = 255;
        put(&mut frame, CIADDR, &address.octets());
        put(&mut frame, 0, &self.server_mac);
        finish(frame, address, SERVER)
    }

    fn to_all(&self, mut frame: Frame) -> Frame {
        put(&mut frame, 0, &[0xff; 6]);
        finish(frame, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST)
    }

    fn from(&self, sender: Sender) -> Frame {
        let (mut frame, mac) = (self.blank, sender.client.mac());
        for at in [6, CHADDR, IDENTIFIER] {
            put(&mut frame, at, &mac);
        }
        put(&mut frame, XID, &sender.xid.to_be_bytes());
        put(&mut frame, SECS, &sender.secs.to_be_bytes());
        frame
    }
}

fn blank() -> Frame {
    let mut frame = [0; FRAME];
    put(&mut frame, 12, &[8, 0]);
    put(&mut frame, IP, &[0x45, 0]);
    put(&mut frame, IP + 2, &((FRAME - IP) as u16).to_be_bytes());
    put(&mut frame, IP + 8, &[64, 17]);
    put(&mut frame, UDP, &[0, 68, 0, 67]);
    put(&mut frame, UDP + 4, &((FRAME - UDP) as u16).to_be_bytes());
    put(&mut frame, BOOTP, &[1, 1, 6]);
    put(&mut frame, COOKIE, &[99, 130, 83, 99]);
    put(&mut frame, OPTIONS, &[53, 1, 0, 61, 7, 1]);
    put(
        &mut frame,
        IDENTIFIER + 6,
        &[55, 8, 1, 3, 6, 15, 51, 54, 58, 59],
    );
    frame
}

fn finish(mut frame: Frame, source: Ipv4Addr, destination: Ipv4Addr) -> Frame {
    put(&mut frame, IP + 12, &source.octets());
    put(&mut frame, IP + 16, &destination.octets());
    let sum = Sum::default().slice(&frame[IP..UDP]).checksum();
    put(&mut frame, IP + 10, &sum.to_ne_bytes());
    let sum = udp_checksum(udp_sum(&frame[IP..]));
    put(&mut frame, UDP + 6, &sum.to_ne_bytes());
    frame
}

/// The sum over UDP and its pseudo header of an IP packet without options, as long as its header says.
pub fn udp_sum(packet: &[u8]) -> Sum {
    let (head, udp) = packet.split_at(UDP - IP);
    let length = (udp.len() as u16).to_be_bytes();
    let pseudo = [0, 17, length[0], length[1]];
    Sum::default().slice(&head[12..]).slice(&pseudo).slice(udp)
}

fn put(frame: &mut Frame, at: usize, bytes: &[u8]) {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: Sender = Sender {
        client: Client(0x0102_0304),
        xid: 0xdead_beef,
        secs: 4,
    };

    fn options(frame: &Frame) -> Vec<(u8, Vec<u8>)> {
        let (mut found, mut at) = (Vec::new(), OPTIONS);
        while frame[at] != 255 {
            let length = usize::from(frame[at + 1]);
            found.push((frame[at], frame[at + 2..at + 2 + length].to_vec()));
            at += 2 + length;
        }
        assert!(frame[at + 1..].iter().all(|byte| *byte == 0));
        found
    }

    #[test]
    fn checksums_are_right() {
        let requests = Requests::new([1; 6]);
        let address = Ipv4Addr::new(10, 80, 1, 2);
        let frames = [
            requests.discover(SENDER),
            requests.select(SENDER, address, SERVER),
            requests.renew(SENDER, address),
        ];
        for frame in frames {
            assert_eq!(Sum::default().slice(&frame[IP..UDP]).fold(), 0xffff);
            assert_eq!(udp_sum(&frame[IP..]).fold(), 0xffff);
        }
    }

    #[test]
    fn options_are_those_of_the_message() {
        let requests = Requests::new([1; 6]);
        let address = Ipv4Addr::new(10, 80, 1, 2);
        let codes = |frame: &Frame| {
            options(frame)
                .iter()
                .map(|(code, _)| *code)
                .collect::<Vec<_>>()
        };
        let select = requests.select(SENDER, address, SERVER);
        assert_eq!(codes(&requests.discover(SENDER)), [53, 61, 55]);
        assert_eq!(codes(&select), [53, 61, 55, 50, 54]);
        assert_eq!(options(&select)[3].1, address.octets());
        assert_eq!(options(&select)[1].1, [1, 0x02, 0xfb, 1, 2, 3, 4]);
    }

    /// So that the server can tell from the REQUEST what the renewal will be.
    #[test]
    fn a_renewal_is_the_request_without_address_and_server() {
        let requests = Requests::new([1; 6]);
        let address = Ipv4Addr::new(10, 80, 1, 2);
        let mut select = options(&requests.select(SENDER, address, SERVER));
        select.truncate(3);
        assert_eq!(options(&requests.renew(SENDER, address)), select);
    }
}
