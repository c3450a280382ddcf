//! Frames of DHCP messages, changed in place. All start from untagged ones unless told otherwise.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use dhcp_common::wire::Sum;

const IP: usize = 14;
const BOOTP: usize = 42;
const OPTIONS: usize = BOOTP + 240;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub fn from_hex(text: &str) -> Result<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits
        .map(|pair| byte(pair).context("a hexadecimal byte"))
        .collect()
}

fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = frame.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

pub fn set_xid(frame: &mut [u8], xid: u32) {
    put(frame, BOOTP + 4, &xid.to_be_bytes());
}

pub fn set_chaddr(frame: &mut [u8], mac: u64) {
    put(frame, BOOTP + 28, &mac.to_be_bytes()[2..]);
}

pub fn set_giaddr(frame: &mut [u8], address: u32) {
    put(frame, BOOTP + 24, &address.to_be_bytes());
}

/// ciaddr and IP source.
pub fn set_addresses(frame: &mut [u8], address: u32) {
    put(frame, BOOTP + 12, &address.to_be_bytes());
    put(frame, IP + 12, &address.to_be_bytes());
    set_ip_checksum(frame);
}

/// Makes the IP header's checksum right, behind any number of tags.
pub fn set_ip_checksum(frame: &mut [u8]) {
    let tags = frame[12..]
        .chunks(4)
        .take_while(|tag| matches!(tag, [0x81, 0, ..] | [0x88, 0xa8, ..]));
    let ip = IP + 4 * tags.count();
    put(frame, ip + 10, &[0; 2]);
    if let Some(header) = frame.get(ip..ip + 20) {
        let sum = Sum::default().slice(header).checksum();
        put(frame, ip + 10, &sum.to_ne_bytes());
    }
}

/// Sent to everybody on the link, as in REBINDING.
pub fn broadcast(frame: &mut [u8]) {
    put(frame, 0, &[0xff; 6]);
    put(frame, IP + 16, &[0xff; 4]);
    set_ip_checksum(frame);
}

/// Puts VLAN tags, outermost first, behind the MAC addresses.
pub fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut out = frame[..12.min(frame.len())].to_vec();
    for (protocol, tag) in tags {
        out.extend(protocol.to_be_bytes());
        out.extend(tag.to_be_bytes());
    }
    out.extend(frame.get(12..).unwrap_or_default());
    out
}

/// Adds zero bytes to the options, with all lengths to match.
pub fn pad_options(frame: &mut Vec<u8>, more: usize) {
    frame.extend(std::iter::repeat_n(0, more));
    set_lengths(frame);
}

/// Makes IP and UDP say how long the frame is.
pub fn set_lengths(frame: &mut [u8]) {
    let len = frame.len() as u16;
    put(frame, IP + 2, &len.wrapping_sub(14).to_be_bytes());
    put(frame, IP + 24, &len.wrapping_sub(34).to_be_bytes());
    set_ip_checksum(frame);
}

fn set_client(frame: &mut [u8], mac: [u8; 6]) {
    let old: [u8; 6] = frame[BOOTP + 28..BOOTP + 34].try_into().expect("6 bytes");
    put(frame, 6, &mac);
    put(frame, BOOTP + 28, &mac);
    // The MAC also stands in many a client identifier.
    let found = frame[OPTIONS..].windows(6).position(|bytes| bytes == old);
    if let Some(at) = found {
        put(frame, OPTIONS + at, &mac);
    }
}

/// A captured renewal as client `mac` with `address` would send it to this server.
pub fn retarget(
    renewal: &[u8],
    mac: [u8; 6],
    server_mac: [u8; 6],
    address: Ipv4Addr,
    server: Ipv4Addr,
) -> Vec<u8> {
    let mut frame = renewal.to_vec();
    set_client(&mut frame, mac);
    put(&mut frame, 0, &server_mac);
    set_addresses(&mut frame, address.to_bits());
    put(&mut frame, IP + 16, &server.octets());
    set_ip_checksum(&mut frame);
    frame
}

/// The REQUEST that follows an OFFER, from a captured one.
pub fn select(selecting: &[u8], mac: [u8; 6], address: Ipv4Addr, server: Ipv4Addr) -> Vec<u8> {
    let mut frame = selecting.to_vec();
    set_client(&mut frame, mac);
    set_option(&mut frame, 50, &address.octets());
    set_option(&mut frame, 54, &server.octets());
    frame
}

/// A DISCOVER with the options of a captured REQUEST; what it must not have becomes padding.
pub fn discover_of(selecting: &[u8], mac: [u8; 6]) -> Vec<u8> {
    let mut frame = selecting.to_vec();
    set_client(&mut frame, mac);
    set_option(&mut frame, 53, &[1]);
    for code in [50, 54] {
        if let Some(at) = find_option(&frame, code) {
            put(&mut frame, at, &[0; 6]);
        }
    }
    frame
}

fn set_option(frame: &mut [u8], code: u8, value: &[u8]) {
    let at = find_option(frame, code).expect("the capture has the option");
    put(frame, at + 2, value);
}

fn find_option(frame: &[u8], code: u8) -> Option<usize> {
    let mut at = OPTIONS;
    loop {
        match *frame.get(at)? {
            0 => at += 1,
            255 => return None,
            found if found == code => return Some(at),
            _ => at += 2 + usize::from(*frame.get(at + 1)?),
        }
    }
}

pub fn yiaddr(frame: &[u8]) -> Ipv4Addr {
    let bytes: [u8; 4] = frame[BOOTP + 16..BOOTP + 20].try_into().expect("4 bytes");
    Ipv4Addr::from(bytes)
}
