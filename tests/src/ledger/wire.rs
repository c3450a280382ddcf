//! As much of DHCP (RFC 2131) as tells who was promised what. Written from the RFC alone: what reads the server's
//! packets elsewhere could share its mistakes.

use std::net::Ipv4Addr;

pub type Mac = [u8; 6];

pub const DISCOVER: u8 = 1;
pub const OFFER: u8 = 2;
pub const REQUEST: u8 = 3;
pub const DECLINE: u8 = 4;
pub const ACK: u8 = 5;
pub const NAK: u8 = 6;
pub const RELEASE: u8 = 7;
pub const INFORM: u8 = 8;

const BOOTREPLY: u8 = 2;
const PORTS: [u16; 2] = [67, 68];
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const OPTIONS: usize = 240;
const REQUESTED: u8 = 50;
const LEASE_TIME: u8 = 51;
const KIND: u8 = 53;

/// A DHCP message on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    pub is_reply: bool,
    pub kind: u8,
    pub xid: u32,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub chaddr: Mac,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 51, in seconds.
    pub lease: Option<u32>,
}

impl Message {
    /// The message in an Ethernet frame, tagged or not; `None` for anything else.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let bootp = bootp(frame)?;
        let options = bootp.get(OPTIONS..)?;
        let is_dhcp = bootp[OPTIONS - COOKIE.len()..OPTIONS] == COOKIE;
        Some(Self {
            is_reply: bootp[0] == BOOTREPLY,
            kind: *option(options, KIND).filter(|_| is_dhcp)?.first()?,
            xid: be32(bootp, 4)?,
            ciaddr: be32(bootp, 12)?.into(),
            yiaddr: be32(bootp, 16)?.into(),
            chaddr: *bootp.get(28..)?.first_chunk()?,
            requested: option(options, REQUESTED)
                .and_then(|value| be32(value, 0))
                .map(Ipv4Addr::from),
            lease: option(options, LEASE_TIME).and_then(|value| be32(value, 0)),
        })
    }

    /// The address that a request is about.
    pub fn about(&self) -> Ipv4Addr {
        match self.requested {
            Some(requested) if self.ciaddr.is_unspecified() => requested,
            _ => self.ciaddr,
        }
    }
}

/// What lies in UDP between the ports of DHCP, in IPv4 without fragments.
fn bootp(frame: &[u8]) -> Option<&[u8]> {
    let ip = frame.get(ip_at(frame)?..)?;
    let head = usize::from(ip.first()? & 0xf) * 4;
    let is_udp = ip[0] >> 4 == 4 && *ip.get(9)? == 17 && be16(ip, 6)? & 0x3fff == 0;
    let udp = ip.get(head..usize::from(be16(ip, 2)?)).filter(|_| is_udp)?;
    let ports = [be16(udp, 0)?, be16(udp, 2)?];
    let is_dhcp = ports.iter().all(|port| PORTS.contains(port));
    udp.get(8..usize::from(be16(udp, 4)?))
        .filter(|bootp| is_dhcp && !bootp.is_empty())
}

/// Behind the addresses and any tags (IEEE 802.1Q, 802.1ad).
fn ip_at(frame: &[u8]) -> Option<usize> {
    let mut at = 12;
    while matches!(be16(frame, at)?, 0x8100 | 0x88a8) {
        at += 4;
    }
    (be16(frame, at)? == 0x0800).then_some(at + 2)
}

fn option(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        match *options {
            [0, ref rest @ ..] => options = rest,
            [255, ..] | [] | [_] => return None,
            [code, length, ref rest @ ..] => {
                let (value, rest) = rest.split_at_checked(length.into())?;
                if code == wanted {
                    return Some(value);
                }
                options = rest;
            }
        }
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A message as a frame, as plain as can be: checksums are left out.
pub fn frame(ends: &Ends, message: &[u8]) -> Vec<u8> {
    let length = |head: usize| ((head + message.len()) as u16).to_be_bytes();
    let mut ip = vec![0x45, 0];
    ip.extend(length(28));
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    ip.extend(ends.source.octets());
    ip.extend(ends.destination.octets());
    let sum = !ip
        .chunks(2)
        .fold(0, |sum, word| carried(sum, [word[0], word[1]]));
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [&ends.to[..], &ends.from, &[8, 0], &ip].concat();
    frame.extend([ends.source_port, 67].map(u16::to_be_bytes).as_flattened());
    frame.extend(length(8));
    frame.extend([0, 0]);
    frame.extend(message);
    frame
}

/// Between whom a frame goes.
pub struct Ends {
    pub from: Mac,
    pub to: Mac,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub source_port: u16,
}

fn carried(sum: u16, word: [u8; 2]) -> u16 {
    let (sum, carry) = sum.overflowing_add(u16::from_be_bytes(word));
    sum + u16::from(carry)
}

/// The fixed fields of a request and the magic cookie; options follow.
pub fn head(xid: u32, ciaddr: Ipv4Addr, giaddr: Ipv4Addr, chaddr: Option<Mac>) -> Vec<u8> {
    let mut bootp = vec![1, 0, 0, 0];
    bootp.extend(xid.to_be_bytes());
    bootp.extend([0; 4]);
    bootp.extend(ciaddr.octets());
    bootp.resize(24, 0);
    bootp.extend(giaddr.octets());
    if let Some(mac) = chaddr {
        bootp[1..3].copy_from_slice(&[1, 6]);
        bootp.extend(mac);
    }
    bootp.resize(OPTIONS - COOKIE.len(), 0);
    bootp.extend(COOKIE);
    bootp
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 7];
    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn renewal() -> Vec<u8> {
        let mut message = head(0x1234_5678, CLIENT, Ipv4Addr::UNSPECIFIED, Some(MAC));
        message.extend([0, 61, 2, 1, 9, 53, 1, REQUEST, 51, 4, 0, 0, 14, 16, 255]);
        let ends = Ends {
            from: MAC,
            to: [0xff; 6],
            source: CLIENT,
            destination: SERVER,
            source_port: 68,
        };
        frame(&ends, &message)
    }

    #[test]
    fn reads_what_it_writes() {
        let message = Message::read(&renewal()).unwrap();
        let want = Message {
            is_reply: false,
            kind: REQUEST,
            xid: 0x1234_5678,
            ciaddr: CLIENT,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: MAC,
            requested: None,
            lease: Some(3600),
        };
        assert_eq!((message, message.about()), (want, CLIENT));
    }

    #[test]
    fn reads_behind_tags() {
        let frame = renewal();
        let tags = [0x88, 0xa8, 0, 7, 0x81, 0, 0, 42];
        let tagged = [&frame[..12], &tags, &frame[12..]].concat();
        assert_eq!(Message::read(&tagged), Message::read(&frame));
    }

    #[test]
    fn what_is_cut_short_or_something_else_is_no_message() {
        let frame = renewal();
        for end in 0..frame.len() {
            assert_eq!(Message::read(&frame[..end]), None, "{end} bytes");
        }
        let change = |at: usize, byte: u8| {
            let mut frame = frame.clone();
            frame[at] = byte;
            Message::read(&frame)
        };
        assert_eq!(change(14 + 9, 6), None, "TCP");
        assert_eq!(change(14 + 6, 0x20), None, "a fragment");
        assert_eq!(change(14 + 20, 1), None, "another port");
        assert_eq!(change(14 + 28 + 236, 0), None, "BOOTP without cookie");
    }

    #[test]
    fn the_header_checksum_is_right() {
        let frame = renewal();
        let header = frame[14..34].chunks(2);
        assert_eq!(
            header.fold(0, |sum, word| carried(sum, [word[0], word[1]])),
            0xffff
        );
    }
}
