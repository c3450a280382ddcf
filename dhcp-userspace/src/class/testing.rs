//! What the tests of this module share.

use std::net::Ipv4Addr;

use dhcp_common::wire::{BOOTP_LEN, MAGIC_COOKIE, bootp};

use super::{ClassId, ClassSet, Subject, SyntaxError, Test};
use crate::captured;
pub(crate) use crate::captured::bytes_of;
use crate::packet::{Request, registry};

pub const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0xab];

/// A DISCOVER with these options.
pub fn message(options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; BOOTP_LEN];
    bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
    bytes[bootp::CHADDR..][..6].copy_from_slice(&MAC);
    bytes[bootp::COOKIE..].copy_from_slice(&MAGIC_COOKIE);
    bytes.extend([53, 1, 1]);
    bytes.extend(options);
    bytes.push(255);
    bytes
}

pub fn relayed(giaddr: Ipv4Addr, options: &[u8]) -> Vec<u8> {
    let mut bytes = message(options);
    bytes[bootp::GIADDR..][..4].copy_from_slice(&giaddr.octets());
    bytes
}

/// Code, length, value.
pub fn opt(code: u8, value: &[u8]) -> Vec<u8> {
    let len = u8::try_from(value.len()).unwrap();
    [&[code, len], value].concat()
}

/// The classes `first` (0) and `second` (1) stand before.
pub fn parse(text: &str) -> Result<Test, SyntaxError> {
    let class = |name: &str| match name {
        "first" => Some(ClassId(0)),
        "second" => Some(ClassId(1)),
        _ => None,
    };
    Test::parse(text, &class, &|name| {
        registry::by_name(name).map(|option| option.code)
    })
}

pub fn matches_as(test: &Test, message: &[u8], members: &[ClassId], known: bool) -> bool {
    let request = Request::parse(message).unwrap();
    let members: ClassSet = members.iter().copied().collect();
    test.matches(&Subject {
        request: &request,
        members: &members,
        known,
        relay_agent: None,
    })
}

pub fn matches(test: &Test, message: &[u8]) -> bool {
    matches_as(test, message, &[], false)
}

/// Whether a test in Kea's language holds.
pub fn holds(text: &str, message: &[u8]) -> bool {
    let test = parse(text).unwrap_or_else(|error| panic!("{}", error.show(text)));
    matches(&test, message)
}

/// The requests that a real client sent, without the headers before BOOTP.
pub fn captured(client: &str) -> Vec<(String, Vec<u8>)> {
    captured::of(client)
        .into_iter()
        .map(|capture| (capture.name.clone(), capture.message().to_vec()))
        .collect()
}
