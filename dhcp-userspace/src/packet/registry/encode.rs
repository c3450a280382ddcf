//! Option values: from text to bytes.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use super::kind::{Field, Kind, Repeat, highest};
use super::name::{self, Names};
use super::resolver;

/// Why a value cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {hint}")]
pub struct ValueError {
    /// Which of the items, if one is to blame.
    pub item: Option<usize>,
    pub problem: String,
    pub hint: String,
}

impl ValueError {
    fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            item: None,
            problem: problem.into(),
            hint: hint.into(),
        }
    }
}

/// Encodes the items of a value.
///
/// # Errors
/// If an item does not fit the kind, or there are too many or too few.
pub fn encode(kind: &Kind, items: &[&str]) -> Result<Vec<u8>, ValueError> {
    if kind.fields.is_empty() {
        return match items {
            ["true"] => Ok(Vec::new()),
            _ => Err(ValueError::new("takes no value", kind.hint())),
        };
    }
    let items = expand(kind, items);
    check_count(kind, &items)?;
    let mut encoder = Encoder::default();
    for (index, item) in items.iter().enumerate() {
        let Some(field) = kind.field(index) else {
            continue;
        };
        encoder.put(field, &item.text).ok_or_else(|| ValueError {
            item: Some(item.origin),
            problem: format!("{:?} is not {}", item.text, field.what()),
            hint: field.hint(),
        })?;
    }
    Ok(encoder.data)
}

/// An item, and which of those that were given it comes from.
struct Item {
    origin: usize,
    text: String,
}

/// A single text with commas is a list, `10.0.0.0/8` is address and mask, and `10.0.0.5 via
/// 10.0.0.1` two addresses.
fn expand(kind: &Kind, items: &[&str]) -> Vec<Item> {
    let commas = kind.is_list() && !kind.fields.iter().any(|field| field.has_commas());
    let pairs = kind.repeat == Repeat::All && *kind.fields == [Field::Ipv4, Field::Ipv4];
    let mut all = Vec::new();
    for (origin, given) in items.iter().enumerate() {
        let alone = commas && items.len() == 1;
        let parts: Vec<&str> = match alone {
            true => given.split(',').map(str::trim).collect(),
            false => vec![given],
        };
        for part in parts {
            let texts = pairs.then(|| pair(part)).flatten();
            let texts = texts.map_or_else(|| vec![part.to_owned()], |pair| pair.to_vec());
            all.extend(texts.into_iter().map(|text| Item { origin, text }));
        }
    }
    all
}

fn pair(text: &str) -> Option<[String; 2]> {
    if let Some((first, second)) = text.split_once(" via ") {
        return Some([first.trim().to_owned(), second.trim().to_owned()]);
    }
    let (address, mask) = network(text)?;
    Some([address.to_string(), mask.to_string()])
}

fn check_count(kind: &Kind, items: &[Item]) -> Result<(), ValueError> {
    let (count, parts) = (items.len(), kind.fields.len());
    let (problem, hint) = match kind.repeat {
        _ if count == 0 => ("has no value".to_owned(), kind.hint()),
        Repeat::Never if parts == 1 && count > 1 => (
            format!("has {count} values, but takes one"),
            "write one value, not a list".to_owned(),
        ),
        Repeat::Never if count != parts => (
            format!("has {}, but takes {parts}", values(count)),
            kind.hint(),
        ),
        Repeat::Last if count < parts => (
            format!("has {}, but takes at least {parts}", values(count)),
            kind.hint(),
        ),
        Repeat::All if *kind.fields == [Field::Ipv4, Field::Ipv4] && count % 2 == 1 => (
            "has an odd number of addresses, but they come in pairs".to_owned(),
            "write target and router, or address and mask, after each other".to_owned(),
        ),
        Repeat::All if !count.is_multiple_of(parts) => (
            format!("has {}, but they come in groups of {parts}", values(count)),
            kind.hint(),
        ),
        _ => return Ok(()),
    };
    Err(ValueError::new(problem, hint))
}

fn values(count: usize) -> String {
    match count {
        1 => "1 value".to_owned(),
        count => format!("{count} values"),
    }
}

#[derive(Default)]
struct Encoder {
    data: Vec<u8>,
    names: Names,
}

impl Encoder {
    fn put(&mut self, field: Field, item: &str) -> Option<()> {
        let data = &mut self.data;
        match field {
            Field::Ipv4 => data.extend(item.parse::<Ipv4Addr>().ok()?.octets()),
            Field::Ipv6 => data.extend(item.parse::<Ipv6Addr>().ok()?.octets()),
            Field::Network => {
                let (address, mask) = network(item)?;
                data.extend(address.octets().into_iter().chain(mask.octets()));
            }
            Field::Mac => data.extend(mac(item)?),
            Field::Uint { bytes, min } => put_uint(item, bytes, min, data)?,
            Field::Int { bytes } => put_int(item, bytes, data)?,
            Field::Bool => data.push(u8::from(item.parse::<bool>().ok()?)),
            Field::Text => data.extend(text(item)?),
            Field::Counted { bytes } => put_counted(&text_or_hex(item)?, bytes, data)?,
            Field::Domain => name::put(item, data)?,
            Field::SearchDomain => self.names.put(item, data)?,
            Field::Route => put_route(item, data)?,
            Field::Group { in_bytes } => put_group(item, in_bytes, data)?,
            Field::SipServer => put_sip(item, data)?,
            Field::Resolver => resolver::put(item, data)?,
            Field::Uuid => data.extend(uuid(item)?),
            Field::Identifier => data.extend(identifier(item)?),
            Field::Hex => data.extend(hex(item)?),
        }
        Some(())
    }
}

fn text(item: &str) -> Option<std::str::Bytes<'_>> {
    (!item.is_empty() && !item.contains('\0')).then(|| item.bytes())
}

fn put_uint(item: &str, bytes: u8, min: u32, data: &mut Vec<u8>) -> Option<()> {
    let number = match item.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).ok()?
        }
        _ => item.parse().ok()?,
    };
    (u64::from(min)..=highest(bytes))
        .contains(&number)
        .then_some(())?;
    data.extend(&number.to_be_bytes()[8 - usize::from(bytes)..]);
    Some(())
}

fn put_int(item: &str, bytes: u8, data: &mut Vec<u8>) -> Option<()> {
    let number: i64 = item.parse().ok()?;
    let most = (highest(bytes) / 2) as i64;
    (-most - 1..=most).contains(&number).then_some(())?;
    data.extend(&number.to_be_bytes()[8 - usize::from(bytes)..]);
    Some(())
}

fn put_counted(value: &[u8], bytes: u8, data: &mut Vec<u8>) -> Option<()> {
    let len = value.len() as u64;
    (1..=highest(bytes)).contains(&len).then_some(())?;
    data.extend(&len.to_be_bytes()[8 - usize::from(bytes)..]);
    data.extend(value);
    Some(())
}

/// `10.0.0.0/8` or `10.0.0.0/255.0.0.0`.
fn network(text: &str) -> Option<(Ipv4Addr, Ipv4Addr)> {
    if let Ok(net) = text.parse::<Ipv4Net>() {
        return Some((net.addr(), net.netmask()));
    }
    let (address, mask) = text.split_once('/')?;
    Some((address.parse().ok()?, mask.parse().ok()?))
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text
        .split([':', '-'])
        .map(|digits| hex_byte(digits.as_bytes()))
        .collect();
    bytes?.try_into().ok()
}

/// RFC 3442: the prefix length, the octets of the destination that it covers, the router.
fn put_route(route: &str, data: &mut Vec<u8>) -> Option<()> {
    let (net, router) = route.split_once(" via ")?;
    let net: Ipv4Net = net.trim().parse().ok()?;
    let router: Ipv4Addr = router.trim().parse().ok()?;
    (net.trunc() == net).then_some(())?;
    let octets = usize::from(net.prefix_len().div_ceil(8));
    data.push(net.prefix_len());
    data.extend(&net.addr().octets()[..octets]);
    data.extend(router.octets());
    Some(())
}

fn put_group(group: &str, in_bytes: bool, data: &mut Vec<u8>) -> Option<()> {
    let addresses: Result<Vec<Ipv4Addr>, _> = group.split_whitespace().map(str::parse).collect();
    let addresses = addresses.ok().filter(|all| !all.is_empty())?;
    let size = if in_bytes { 4 } else { 1 };
    data.push(u8::try_from(addresses.len() * size).ok()?);
    data.extend(addresses.iter().flat_map(Ipv4Addr::octets));
    Some(())
}

/// RFC 3361: what the first server is, all are.
fn put_sip(server: &str, data: &mut Vec<u8>) -> Option<()> {
    let address = server.parse::<Ipv4Addr>().ok();
    let encoding = u8::from(address.is_some());
    match data.first() {
        None => data.push(encoding),
        Some(first) => (*first == encoding).then_some(())?,
    }
    match address {
        Some(address) => data.extend(address.octets()),
        None => name::put(server, data)?,
    }
    Some(())
}

fn uuid(text: &str) -> Option<Vec<u8>> {
    let groups = text.split('-').map(str::len);
    let shaped = groups.eq([8, 4, 4, 4, 12]);
    shaped.then(|| hex(&text.replace('-', ""))).flatten()
}

/// A client identifier or the like: `01:52:54:...`, `0x01ab`, or a text as it is.
///
/// Two hexadecimal digits between colons, twice at least, are bytes; any other text is one.
#[must_use]
pub fn identifier(item: &str) -> Option<Vec<u8>> {
    let bytes = item.starts_with("0x") || item.contains(':');
    match bytes.then(|| hex(item)).flatten() {
        Some(bytes) => Some(bytes),
        None if item.starts_with("0x") => None,
        None => text(item).map(Iterator::collect),
    }
}

fn text_or_hex(item: &str) -> Option<Vec<u8>> {
    match item.starts_with("0x") {
        true => hex(item),
        false => text(item).map(Iterator::collect),
    }
}

pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    if digits.is_empty() {
        return None;
    }
    if digits.contains(&b':') {
        return digits.split(|byte| *byte == b':').map(hex_byte).collect();
    }
    digits.chunks(2).map(hex_byte).collect()
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match digits {
        [high, low] => Some((digit(*high)? << 4 | digit(*low)?) as u8),
        _ => None,
    }
}
