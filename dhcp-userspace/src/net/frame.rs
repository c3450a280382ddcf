//! A received frame, checked and taken apart; nothing is copied.

use std::net::Ipv4Addr;

use dhcp_common::slot::Link;
use dhcp_common::wire::{
    BOOT_SERVER_PORT, ETH_LEN, ETHERTYPE_IPV4, ETHERTYPE_QINQ, ETHERTYPE_VLAN, IP_LEN, MAX_TAGS,
    PROTO_UDP, SERVER_PORT, Sum, TAG_LEN, UDP_LEN,
};

use super::link::{Framing, LinkAddress};
use crate::engine::Incoming;

/// Lengths or checksums of the frame contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A frame as it was on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub bytes: &'a [u8],
    pub ifindex: u32,
    /// False if the sender on this machine left the UDP checksum to a NIC that never saw the
    /// frame (veth, tap), or if the NIC has checked it.
    pub verify_udp: bool,
    pub framing: Framing,
    /// Who sent it, where that does not stand in the frame.
    pub from: LinkAddress,
    /// When it came, in nanoseconds since 1970; 0: just now.
    pub arrived: u64,
}

impl<'a> Frame<'a> {
    /// A frame of Ethernet.
    #[must_use]
    pub fn new(bytes: &'a [u8], ifindex: u32, verify_udp: bool) -> Self {
        Self {
            bytes,
            ifindex,
            verify_udp,
            framing: Framing::Ethernet,
            from: LinkAddress::default(),
            arrived: 0,
        }
    }
}

/// Takes a frame apart that the socket's filter let through.
///
/// # Errors
/// If it is cut short, contradicts itself or a checksum is wrong.
pub fn parse<'a>(frame: &Frame<'a>) -> Result<Incoming<'a>, Malformed> {
    let (l2, link) = match frame.framing {
        Framing::Ethernet => link_header(frame, ETHERTYPE_IPV4)?,
        Framing::Cooked => no_link_header(frame),
    };
    let ip = &frame.bytes[l2.len()..];
    let (ip_header, udp) = split_ip(ip)?;
    let (source, destination) = (address(ip_header, 12), address(ip_header, 16));
    let udp = datagram(udp)?;
    if frame.verify_udp && !udp_sum_is_right(udp, source, destination) {
        return Err(Malformed);
    }
    Ok(Incoming {
        link,
        l2,
        source,
        source_port: be16(udp, 0),
        destination,
        destination_port: be16(udp, 2),
        payload: &udp[UDP_LEN..],
        arrived: frame.arrived,
    })
}

/// The link header of a frame of Ethernet with this type of content, and what it tells.
///
/// # Errors
/// If it is cut short, or the content is of another type.
pub fn link_header<'a>(frame: &Frame<'a>, content: u16) -> Result<(&'a [u8], Link), Malformed> {
    let mut tags = [0; MAX_TAGS];
    let mut at = ETH_LEN - 2;
    for tag in &mut tags {
        let field = frame.bytes.get(at..at + TAG_LEN).ok_or(Malformed)?;
        if !matches!(be16(field, 0), ETHERTYPE_VLAN | ETHERTYPE_QINQ) {
            break;
        }
        *tag = be16(field, 2) & 0xfff;
        at += TAG_LEN;
    }
    let kind = frame.bytes.get(at..at + 2).ok_or(Malformed)?;
    if be16(kind, 0) != content {
        return Err(Malformed);
    }
    let link = Link {
        ifindex: frame.ifindex,
        outer: tags[0],
        inner: tags[1],
    };
    Ok((&frame.bytes[..at + 2], link))
}

fn no_link_header<'a>(frame: &Frame<'a>) -> (&'a [u8], Link) {
    let link = Link {
        ifindex: frame.ifindex,
        outer: 0,
        inner: 0,
    };
    (&frame.bytes[..0], link)
}

/// The IP header, and the packet's content without what Ethernet padded.
fn split_ip(ip: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let first = *ip.first().ok_or(Malformed)?;
    let header = usize::from(first & 0xf) * 4;
    if first >> 4 != 4 || header < IP_LEN || ip.len() < header {
        return Err(Malformed);
    }
    let total = usize::from(be16(ip, 2));
    let packet = ip.get(..total).ok_or(Malformed)?;
    let (header, rest) = packet.split_at_checked(header).ok_or(Malformed)?;
    let right = header[9] == PROTO_UDP && Sum::default().slice(header).fold() == 0xffff;
    if right {
        Ok((header, rest))
    } else {
        Err(Malformed)
    }
}

fn datagram(udp: &[u8]) -> Result<&[u8], Malformed> {
    if udp.len() < UDP_LEN || !matches!(be16(udp, 2), SERVER_PORT | BOOT_SERVER_PORT) {
        return Err(Malformed);
    }
    let len = usize::from(be16(udp, 4));
    udp.get(..len)
        .filter(|udp| udp.len() >= UDP_LEN)
        .ok_or(Malformed)
}

fn udp_sum_is_right(udp: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> bool {
    if be16(udp, 6) == 0 {
        return true; // The sender made none (RFC 768).
    }
    let sum = Sum::default()
        .bytes(&source.octets())
        .bytes(&destination.octets())
        .word(u16::from(PROTO_UDP).to_be())
        .word((udp.len() as u16).to_be())
        .slice(udp);
    sum.fold() == 0xffff
}

fn address(header: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3])
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{request, tag};
    use super::*;

    fn parsed(bytes: &[u8]) -> Result<Incoming<'_>, Malformed> {
        parse(&Frame::new(bytes, 7, true))
    }

    #[test]
    fn under_any_number_of_tags() {
        let plain = request(1);
        let once = tag(&plain, 0x8100, 0x2064);
        let twice = tag(&once, 0x88a8, 7);
        for (frame, l2, outer, inner) in [
            (&plain, 14, 0, 0),
            (&once, 18, 100, 0),
            (&twice, 22, 7, 100),
        ] {
            let incoming = parsed(frame).unwrap();
            assert_eq!(incoming.l2, &frame[..l2]);
            assert_eq!(
                incoming.link,
                Link {
                    ifindex: 7,
                    outer,
                    inner
                }
            );
            assert_eq!(incoming.payload, &plain[42..]);
            assert_eq!(
                (incoming.source_port, incoming.destination),
                (68, Ipv4Addr::BROADCAST)
            );
        }
        assert_eq!(parsed(&tag(&twice, 0x8100, 1)).unwrap_err(), Malformed);
    }

    #[test]
    fn both_ports_of_a_server_and_no_other() {
        for (port, right) in [(67u16, true), (4011, true), (68, false), (4012, false)] {
            let mut frame = request(1);
            frame[36..38].copy_from_slice(&port.to_be_bytes());
            frame[40..42].fill(0);
            let parsed = parsed(&frame);
            assert_eq!(parsed.is_ok(), right, "{port}");
            assert!(parsed.is_err() || parsed.unwrap().destination_port == port);
        }
    }

    #[test]
    fn ethernet_padding_is_left_out() {
        let mut frame = request(1);
        let len = frame.len();
        frame.extend([0xa5; 30]);
        assert_eq!(parsed(&frame).unwrap().payload, &frame[42..len]);
    }

    /// Each row: what is changed, where, and whether it is found with and without verifying.
    #[test]
    fn what_is_wrong_is_found() {
        let rows: &[(&str, usize, u8, bool, bool)] = &[
            ("nothing", 0, 0, false, false),
            ("IP version", 14, 0x20, true, true),
            ("IP header shorter than 20", 14, 0x01, true, true),
            ("IP header checksum", 24, 0x01, true, true),
            ("IP total length", 17, 0x01, true, true),
            ("UDP length past the end", 38, 0x40, true, true),
            ("UDP checksum", 41, 0x01, true, false),
            ("a byte of the payload", 60, 0x01, true, false),
            ("a source address the sums do not fit", 29, 0x01, true, true),
        ];
        for &(name, at, flip, verified, trusted) in rows {
            let mut bytes = request(1);
            bytes[at] ^= flip;
            for (verify_udp, wrong) in [(true, verified), (false, trusted)] {
                let frame = Frame::new(&bytes, 7, verify_udp);
                assert_eq!(parse(&frame).is_err(), wrong, "{name}, verify {verify_udp}");
            }
        }
    }

    #[test]
    fn no_udp_checksum_is_accepted() {
        let mut frame = request(1);
        frame[40..42].fill(0);
        frame[60] ^= 1;
        assert!(parsed(&frame).is_ok());
    }

    #[test]
    fn cut_anywhere_is_malformed() {
        let frame = tag(&request(1), 0x8100, 5);
        for len in 0..frame.len() {
            assert_eq!(parsed(&frame[..len]).unwrap_err(), Malformed, "{len} bytes");
        }
    }
}
