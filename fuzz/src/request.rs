//! What clients and relays send: frames, or messages that came on some link from some address.
//!
//! A part begins with a byte that says how it comes, and what happens meanwhile.

use std::net::Ipv4Addr;

use dhcp_common::slot::Link;
use dhcp_common::wire::Sum;
use dhcp_userspace::clock::SECOND;
use dhcp_userspace::engine::Incoming;
use dhcp_userspace::net::frame::{Frame, parse};
use dhcp_userspace::net::link::Framing;

use crate::input::parts;
use crate::site::{Disk, LINKS, RELAY, SERVER, Site};

/// Messages of one input; what comes behind them is left.
const MANY: usize = 64;

/// The first byte of a part.
#[derive(Clone, Copy, Debug)]
pub struct How(pub u8);

impl How {
    const IS_FRAME: u8 = 0x80;
    const DISK_IS_FULL: u8 = 0x40;
    const IS_COOKED: u8 = 0x20;

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    fn disk(self) -> Disk {
        match self.has(Self::DISK_IS_FULL) {
            true => Disk::IsFull,
            false => Disk::Works,
        }
    }

    /// Two bits: how long it was quiet before.
    fn quiet(self) -> u64 {
        [0, 1, 600, 4000][usize::from(self.0 & 3)] * SECOND
    }

    /// Three bits: the link, and whether the message was sent to the server itself.
    fn place(self) -> usize {
        usize::from(self.0 >> 2 & 7)
    }
}

pub fn run(data: &[u8]) {
    let mut site = Site::default();
    for part in parts(data).take(MANY) {
        let Some((how, rest)) = part.split_first() else {
            continue;
        };
        let how = How(*how);
        site.pass(how.quiet());
        match how.has(How::IS_FRAME) {
            true => frame(&mut site, how, rest.to_vec()),
            false => message(&mut site, how, rest),
        }
    }
    site.check_books();
    site.check_export();
}

fn frame(site: &mut Site, how: How, mut bytes: Vec<u8>) {
    let is_cooked = how.has(How::IS_COOKED);
    set_ip_checksum(&mut bytes, if is_cooked { 0 } else { 14 });
    let framing = match is_cooked {
        true => Framing::Cooked,
        false => Framing::Ethernet,
    };
    let frame = Frame {
        framing,
        ..Frame::new(&bytes, LINKS[how.place() % 3], false)
    };
    if let Ok(packet) = parse(&frame) {
        let _ = site.send(&packet, how.disk());
    }
}

/// Without this hardly a mutation would get any further.
fn set_ip_checksum(bytes: &mut [u8], at: usize) {
    if let Some(header) = bytes.get_mut(at..at + 20) {
        header[10..12].fill(0);
        let sum = Sum::default().slice(header).checksum();
        header[10..12].copy_from_slice(&sum.to_ne_bytes());
    }
}

fn message(site: &mut Site, how: How, payload: &[u8]) {
    let l2 = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0, 0, 1, 8, 0,
    ];
    let tagged = [&l2[..12], &[0x81, 0, 0, 8, 8, 0]].concat();
    let (outer, l2): (u16, &[u8]) = match how.place() {
        5 => (8, &tagged),
        _ => (0, &l2),
    };
    let ciaddr = payload.get(12..16).and_then(|bytes| bytes.try_into().ok());
    let (source, source_port, destination) = match how.place() {
        3 => (RELAY, 67, SERVER),
        4 => (
            ciaddr.map_or(Ipv4Addr::UNSPECIFIED, <Ipv4Addr as From<[u8; 4]>>::from),
            68,
            SERVER,
        ),
        _ => (Ipv4Addr::UNSPECIFIED, 68, Ipv4Addr::BROADCAST),
    };
    let packet = Incoming {
        link: Link {
            ifindex: LINKS[if how.place() < 3 { how.place() } else { 0 }],
            outer,
            inner: 0,
        },
        l2,
        source,
        source_port,
        destination,
        destination_port: if how.has(How::IS_COOKED) { 4011 } else { 67 },
        payload,
        arrived: 0,
    };
    let _ = site.send(&packet, how.disk());
}
