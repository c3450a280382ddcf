//! DHCP messages that tests write and read by themselves: what no client would send at will, and
//! the bytes of what came back.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use dhcp_common::wire::Sum;
use xdhcpd_tests::raw;

pub type Mac = [u8; 6];
/// Protocol identifier and VLAN identifier, outermost first.
pub type Tags = Vec<(u16, u16)>;

pub const DISCOVER: u8 = 1;
pub const OFFER: u8 = 2;
pub const REQUEST: u8 = 3;
pub const DECLINE: u8 = 4;
pub const ACK: u8 = 5;
pub const NAK: u8 = 6;
pub const RELEASE: u8 = 7;

pub const EVERYBODY: Mac = [0xff; 6];

const ETHERNET: usize = 14;
const IP: usize = 20;
const UDP: usize = 8;
pub const BOOTP: usize = 240;
const SHORTEST: usize = 300;
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// A message with its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub to_mac: Mac,
    pub from_mac: Mac,
    pub tags: Tags,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    /// BOOTREQUEST is 1, BOOTREPLY 2.
    pub op: u8,
    pub xid: u32,
    pub flags: u16,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    pub chaddr: Mac,
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Message {
    /// What a client without an address broadcasts.
    pub fn new(kind: u8, chaddr: Mac, xid: u32) -> Self {
        Self {
            to_mac: EVERYBODY,
            from_mac: chaddr,
            tags: Tags::new(),
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::BROADCAST,
            op: 1,
            xid,
            flags: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr,
            options: vec![(53, vec![kind])],
        }
    }

    pub fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.options.push((code, value.to_vec()));
        self
    }

    pub fn option(&self, code: u8) -> Option<&[u8]> {
        let found = self.options.iter().find(|(has, _)| *has == code);
        found.map(|(_, value)| &value[..])
    }

    pub fn kind(&self) -> Option<u8> {
        self.option(53)?.first().copied()
    }

    pub fn is_request(&self) -> bool {
        self.op == 1
    }

    pub fn is_broadcast(&self) -> bool {
        self.to_mac == EVERYBODY && self.destination.is_broadcast()
    }

    /// The whole frame of a request.
    pub fn frame(&self) -> Vec<u8> {
        let udp = self.udp(&self.bootp());
        let mut ip = vec![0x45, 0];
        ip.extend(((IP + udp.len()) as u16).to_be_bytes());
        ip.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        ip.extend(self.source.octets());
        ip.extend(self.destination.octets());
        let sum = Sum::default().slice(&ip).checksum();
        ip[10..12].copy_from_slice(&sum.to_ne_bytes());
        let plain = [&self.to_mac[..], &self.from_mac, &[8, 0], &ip, &udp].concat();
        raw::tagged(&plain, &self.tags)
    }

    fn bootp(&self) -> Vec<u8> {
        let mut bootp = vec![self.op, 1, 6, 0];
        bootp.extend(self.xid.to_be_bytes());
        bootp.extend([0; 2]);
        bootp.extend(self.flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, Ipv4Addr::UNSPECIFIED, self.giaddr] {
            bootp.extend(address.octets());
        }
        bootp.extend(self.chaddr);
        bootp.resize(BOOTP - COOKIE.len(), 0);
        bootp.extend(COOKIE);
        for (code, value) in &self.options {
            bootp.extend([*code, value.len() as u8]);
            bootp.extend(value);
        }
        bootp.push(255);
        bootp.resize(bootp.len().max(SHORTEST), 0);
        bootp
    }

    fn udp(&self, bootp: &[u8]) -> Vec<u8> {
        let length = (UDP + bootp.len()) as u16;
        let fields = [68, 67, length, 0];
        let mut udp = fields.map(u16::to_be_bytes).as_flattened().to_vec();
        udp.extend(bootp);
        let sum = udp_sum(&udp, self.source, self.destination).checksum();
        udp[6..8].copy_from_slice(&sum.to_ne_bytes());
        udp
    }

    /// Reads any DHCP message; `None` for another frame.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (tags, ip) = split_tags(frame)?;
        let udp = ip.get(IP..usize::from(be16(ip, 2)?))?;
        let ports = [be16(udp, 0)?, be16(udp, 2)?];
        let dhcp = ip[0] == 0x45 && ip[9] == 17 && ports.iter().all(|port| matches!(port, 67 | 68));
        let bootp = udp.get(UDP..usize::from(be16(udp, 4)?))?;
        if !dhcp || bootp.get(BOOTP - COOKIE.len()..BOOTP)? != COOKIE {
            return None;
        }
        Some(Self {
            to_mac: mac(frame, 0)?,
            from_mac: mac(frame, 6)?,
            tags,
            source: address(ip, 12)?,
            destination: address(ip, 16)?,
            op: bootp[0],
            xid: u32::from_be_bytes(*bootp[4..].first_chunk()?),
            flags: be16(bootp, 10)?,
            ciaddr: address(bootp, 12)?,
            yiaddr: address(bootp, 16)?,
            giaddr: address(bootp, 24)?,
            chaddr: mac(bootp, 28)?,
            options: read_options(&bootp[BOOTP..])?,
        })
    }
}

/// Checks the IP and UDP checksums of an untagged frame.
pub fn check_sums(frame: &[u8]) -> Result<()> {
    let ip = frame.get(ETHERNET..).context("an IP packet")?;
    let head = Sum::default().slice(&ip[..IP]).fold();
    ensure!(head == 0xffff, "wrong IP checksum");
    let length = usize::from(be16(ip, 2).context("a length")?);
    let (source, destination) = address(ip, 12).zip(address(ip, 16)).context("addresses")?;
    let sum = udp_sum(&ip[IP..length], source, destination).fold();
    ensure!(sum == 0xffff, "wrong UDP checksum");
    Ok(())
}

fn udp_sum(udp: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> Sum {
    let length = (udp.len() as u16).to_be_bytes();
    let pseudo = [
        &source.octets()[..],
        &destination.octets(),
        &[0, 17],
        &length,
    ]
    .concat();
    Sum::default().slice(&pseudo).slice(udp)
}

fn split_tags(frame: &[u8]) -> Option<(Tags, &[u8])> {
    let mut tags = Tags::new();
    let mut at = ETHERNET - 2;
    loop {
        match be16(frame, at)? {
            0x0800 => return Some((tags, frame.get(at + 2..)?)),
            protocol @ (raw::VLAN | raw::QINQ) => tags.push((protocol, be16(frame, at + 2)?)),
            _ => return None,
        }
        at += 4;
    }
}

fn read_options(mut bytes: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut options = BTreeMap::<u8, Vec<u8>>::new();
    let mut order = Vec::new();
    loop {
        match *bytes {
            [0, ref rest @ ..] => bytes = rest,
            [255, ..] | [] => break,
            [code, length, ref rest @ ..] => {
                let (value, rest) = rest.split_at_checked(length.into())?;
                order.push(code);
                options.entry(code).or_default().extend(value);
                bytes = rest;
            }
            [_] => return None,
        }
    }
    let mut take = |code| Some((code, options.remove(&code)?));
    Some(order.into_iter().filter_map(&mut take).collect())
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn mac(bytes: &[u8], at: usize) -> Option<Mac> {
    bytes.get(at..)?.first_chunk().copied()
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(*bytes.get(at..)?.first_chunk::<4>()?))
}
