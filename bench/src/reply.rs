//! What servers answer, and whether it is right: every reply is read whole and compared with what was asked.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use dhcp_common::wire::Sum;

use crate::client::Client;
use crate::request::udp_sum;

pub const OFFER: u8 = 2;
pub const ACK: u8 = 5;
pub const NAK: u8 = 6;

const ETHERNET: usize = 14;
const UDP: usize = 20;
const BOOTP: usize = 28;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    pub kind: u8,
    pub xid: u32,
    pub client: Client,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub server: Ipv4Addr,
    pub lease: u32,
}

/// What a reply must be.
#[derive(Clone, Debug)]
pub struct Expected {
    pub kind: u8,
    pub client: Client,
    /// One address, or for an offer all of the pool.
    pub address: RangeInclusive<u32>,
    pub server: Ipv4Addr,
    pub lease: RangeInclusive<u32>,
}

/// Why a frame is no right reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    Shape(&'static str),
    Checksum(&'static str),
    Field { what: &'static str, reply: Reply },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(what) => write!(f, "no DHCP reply: {what}"),
            Self::Checksum(what) => write!(f, "wrong {what} checksum"),
            Self::Field { what, reply } => write!(f, "wrong {what}: {reply:?}"),
        }
    }
}

/// Whether a frame is a server's answer to a client at all; others come by, such as ARP.
pub fn is_reply(frame: &[u8]) -> bool {
    let ports = frame.get(34..38);
    frame.get(12..14) == Some(&[8, 0])
        && frame.get(23) == Some(&17)
        && ports == Some(&[0, 67, 0, 68])
}

/// Reads a reply, its checksums included.
pub fn read(frame: &[u8]) -> Result<Reply, Wrong> {
    let packet = packet(frame)?;
    let bootp = &packet[BOOTP..];
    if bootp.first_chunk() != Some(&[2, 1, 6]) || bootp.get(236..240) != Some(&[99, 130, 83, 99]) {
        return Err(Wrong::Shape("BOOTP header"));
    }
    let mut reply = Reply {
        kind: 0,
        xid: u32::from_be_bytes(chunk(bootp, 4)),
        client: Client::of_mac(chunk(bootp, 28)).ok_or(Wrong::Shape("chaddr"))?,
        ciaddr: chunk(bootp, 12).into(),
        yiaddr: chunk(bootp, 16).into(),
        server: Ipv4Addr::UNSPECIFIED,
        lease: 0,
    };
    read_options(&bootp[240..], &mut reply).ok_or(Wrong::Shape("options"))?;
    Ok(reply)
}

/// The bare limit's answer to a renewal is the renewal: the same, read as if it were a reply.
pub fn read_echo(frame: &[u8]) -> Result<Reply, Wrong> {
    let packet = packet(frame)?;
    let bootp = &packet[BOOTP..];
    Ok(Reply {
        kind: ACK,
        xid: u32::from_be_bytes(chunk(bootp, 4)),
        client: Client::of_mac(chunk(bootp, 28)).ok_or(Wrong::Shape("chaddr"))?,
        ciaddr: chunk(bootp, 12).into(),
        yiaddr: chunk(bootp, 12).into(),
        server: chunk(packet, 16).into(),
        lease: 0,
    })
}

/// The IP packet, cut to its length, with a whole BOOTP message and both checksums right.
fn packet(frame: &[u8]) -> Result<&[u8], Wrong> {
    let packet = frame
        .get(ETHERNET..)
        .filter(|packet| packet.len() >= BOOTP + 240);
    let packet = packet.ok_or(Wrong::Shape("length"))?;
    let length = usize::from(u16::from_be_bytes(chunk(packet, 2)));
    let fits = packet[0] == 0x45 && (BOOTP + 240..=packet.len()).contains(&length);
    let packet = if fits {
        &packet[..length]
    } else {
        return Err(Wrong::Shape("IP header"));
    };
    let udp_length = usize::from(u16::from_be_bytes(chunk(packet, UDP + 4)));
    if udp_length != length - UDP {
        return Err(Wrong::Shape("UDP length"));
    }
    if Sum::default().slice(&packet[..UDP]).fold() != 0xffff {
        return Err(Wrong::Checksum("IP"));
    }
    // 0 says that there is none (RFC 768).
    let none = packet[UDP + 6..BOOTP] == [0, 0];
    if !none && udp_sum(packet).fold() != 0xffff {
        return Err(Wrong::Checksum("UDP"));
    }
    Ok(packet)
}

fn read_options(mut bytes: &[u8], reply: &mut Reply) -> Option<()> {
    loop {
        match *bytes {
            [0, ref rest @ ..] => bytes = rest,
            [255, ..] => return Some(()),
            [code, length, ref rest @ ..] => {
                let (value, rest) = rest.split_at_checked(length.into())?;
                match code {
                    53 => reply.kind = *value.first()?,
                    54 => reply.server = <[u8; 4]>::try_from(value).ok()?.into(),
                    51 => reply.lease = u32::from_be_bytes(value.try_into().ok()?),
                    _ => {}
                }
                bytes = rest;
            }
            _ => return None,
        }
    }
}

impl Expected {
    pub fn check(&self, reply: &Reply) -> Result<(), Wrong> {
        let checks = [
            ("message type", reply.kind == self.kind),
            ("chaddr", reply.client == self.client),
            ("yiaddr", self.address.contains(&reply.yiaddr.to_bits())),
            ("server identifier", reply.server == self.server),
            ("lease time", self.lease.contains(&reply.lease)),
        ];
        match checks.iter().find(|(_, right)| !right) {
            None => Ok(()),
            Some((what, _)) => Err(Wrong::Field {
                what,
                reply: *reply,
            }),
        }
    }
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("lengths were checked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::SERVER;
    use crate::request::{Requests, Sender};

    const CLIENT: Client = Client(77);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 77);

    /// A right ACK: the renewal turned round, with the options that a server adds.
    fn ack() -> Vec<u8> {
        let sender = Sender {
            client: CLIENT,
            xid: 0x1234_5678,
            secs: 0,
        };
        let mut frame = Requests::new([9; 6]).renew(sender, ADDRESS).to_vec();
        frame[26..30].copy_from_slice(&SERVER.octets());
        frame[30..34].copy_from_slice(&ADDRESS.octets());
        frame[34..38].copy_from_slice(&[0, 67, 0, 68]);
        frame[42] = 2;
        frame[58..62].copy_from_slice(&ADDRESS.octets());
        let options = [53, 1, 5, 54, 4, 10, 77, 0, 1, 51, 4, 0, 0, 14, 16, 255];
        frame[282..298].copy_from_slice(&options);
        sums(&mut frame);
        frame
    }

    fn sums(frame: &mut [u8]) {
        frame[24..26].fill(0);
        frame[40..42].fill(0);
        let sum = Sum::default()
            .slice(&frame[14..34])
            .checksum()
            .to_ne_bytes();
        frame[24..26].copy_from_slice(&sum);
        let sum = udp_sum(&frame[14..]).checksum().to_ne_bytes();
        frame[40..42].copy_from_slice(&sum);
    }

    fn expected() -> Expected {
        Expected {
            kind: ACK,
            client: CLIENT,
            address: ADDRESS.to_bits()..=ADDRESS.to_bits(),
            server: SERVER,
            lease: 3600..=3600,
        }
    }

    #[test]
    fn a_right_answer_is_right() {
        let frame = ack();
        assert!(is_reply(&frame));
        let reply = read(&frame).unwrap();
        assert_eq!((reply.xid, reply.lease), (0x1234_5678, 3600));
        assert_eq!(expected().check(&reply), Ok(()));
    }

    /// Each of these bytes is looked at: a change is found though the checksums are made right again.
    #[test]
    fn every_wrong_field_is_found() {
        let fields = [
            ("yiaddr", 61),
            ("chaddr", 75),
            ("message type", 284),
            ("server identifier", 290),
            ("lease time", 296),
        ];
        for (what, at) in fields {
            let mut frame = ack();
            frame[at] ^= 1;
            sums(&mut frame);
            let verdict = expected().check(&read(&frame).unwrap());
            assert!(
                matches!(verdict, Err(Wrong::Field { what: found, .. }) if found == what),
                "{what}: {verdict:?}"
            );
        }
    }

    #[test]
    fn a_changed_bit_breaks_a_checksum() {
        for at in 14..ack().len() {
            let mut frame = ack();
            frame[at] ^= 0x10;
            assert!(read(&frame).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_is_no_reply() {
        for length in 0..ack().len() {
            assert!(read(&ack()[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn an_echo_is_the_renewal_itself() {
        let sender = Sender {
            client: CLIENT,
            xid: 3,
            secs: 0,
        };
        let frame = Requests::new([9; 6]).renew(sender, ADDRESS);
        let echo = read_echo(&frame).unwrap();
        let expected = Expected {
            lease: 0..=0,
            ..expected()
        };
        assert_eq!(expected.check(&echo), Ok(()));
        assert!(!is_reply(&frame), "other ports");
    }
}
