//! Option values: from text to bytes and back.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// What an option's value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ipv4,
    Ipv4List,
    /// An even number of addresses: target and router, or address and mask.
    Ipv4Pairs,
    /// Unsigned, big-endian.
    Uint {
        bytes: u8,
        min: u32,
    },
    UintList {
        bytes: u8,
        min: u32,
    },
    Int32,
    Bool,
    Text,
    /// A domain name as DNS encodes it (RFC 1035).
    Domain,
    DomainList,
    /// Classless static routes (RFC 3442): `10.0.0.0/8 via 10.0.0.1`.
    Routes,
    /// Bytes, written in hexadecimal.
    Binary,
}

/// Why a value cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {hint}")]
pub struct ValueError {
    /// Which of the items, if one is to blame.
    pub item: Option<usize>,
    pub problem: String,
    pub hint: String,
}

impl Kind {
    /// Whether a value may have several items.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(
            self,
            Self::Ipv4List
                | Self::Ipv4Pairs
                | Self::UintList { .. }
                | Self::DomainList
                | Self::Routes
        )
    }

    /// How to write an item.
    #[must_use]
    pub fn hint(self) -> String {
        match self {
            Self::Ipv4 | Self::Ipv4List | Self::Ipv4Pairs => {
                "write an IPv4 address like 10.0.0.1".to_owned()
            }
            Self::Uint { bytes, min } | Self::UintList { bytes, min } => {
                format!("write a whole number from {min} to {}", highest(bytes))
            }
            Self::Int32 => format!("write a whole number from {} to {}", i32::MIN, i32::MAX),
            Self::Bool => "write true or false".to_owned(),
            Self::Text => "write at least one character, none of them NUL".to_owned(),
            Self::Domain | Self::DomainList => {
                "write a domain name like example.org: labels of 1 to 63 letters, digits, \
                 hyphens or underscores"
                    .to_owned()
            }
            Self::Routes => "write \"10.1.0.0/16 via 10.0.0.1\"".to_owned(),
            Self::Binary => "write hexadecimal digits: 0x01ab or \"01:ab\"".to_owned(),
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Ipv4 | Self::Ipv4List | Self::Ipv4Pairs => "an IPv4 address",
            Self::Uint { .. } | Self::UintList { .. } | Self::Int32 => "a number that fits",
            Self::Bool => "a truth value",
            Self::Text => "a text",
            Self::Domain | Self::DomainList => "a domain name",
            Self::Routes => "a route",
            Self::Binary => "hexadecimal",
        }
    }
}

const fn highest(bytes: u8) -> u32 {
    u32::MAX >> (32 - 8 * bytes as u32)
}

/// Encodes the items of a value.
///
/// # Errors
/// If an item does not fit the kind, or there are too many or too few.
pub fn encode(kind: Kind, items: &[&str]) -> Result<Vec<u8>, ValueError> {
    check_count(kind, items.len())?;
    let mut data = Vec::new();
    for (at, item) in items.iter().enumerate() {
        encode_item(kind, item, &mut data).ok_or_else(|| ValueError {
            item: Some(at),
            problem: format!("{item:?} is not {}", kind.what()),
            hint: kind.hint(),
        })?;
    }
    Ok(data)
}

fn check_count(kind: Kind, count: usize) -> Result<(), ValueError> {
    let (problem, hint) = match count {
        0 => ("has no value".to_owned(), kind.hint()),
        2.. if !kind.is_list() => {
            let problem = format!("has {count} values, but takes one");
            (problem, "write one value, not a list".to_owned())
        }
        odd if kind == Kind::Ipv4Pairs && odd % 2 == 1 => (
            "has an odd number of addresses, but they come in pairs".to_owned(),
            "write target and router, or address and mask, after each other".to_owned(),
        ),
        _ => return Ok(()),
    };
    Err(ValueError {
        item: None,
        problem,
        hint,
    })
}

fn encode_item(kind: Kind, item: &str, data: &mut Vec<u8>) -> Option<()> {
    match kind {
        Kind::Ipv4 | Kind::Ipv4List | Kind::Ipv4Pairs => {
            data.extend(item.parse::<Ipv4Addr>().ok()?.octets());
        }
        Kind::Uint { bytes, min } | Kind::UintList { bytes, min } => {
            let number = item.parse::<u32>().ok()?;
            (min..=highest(bytes)).contains(&number).then_some(())?;
            data.extend(&number.to_be_bytes()[4 - usize::from(bytes)..]);
        }
        Kind::Int32 => data.extend(item.parse::<i32>().ok()?.to_be_bytes()),
        Kind::Bool => data.push(u8::from(item.parse::<bool>().ok()?)),
        Kind::Text => {
            (!item.is_empty() && !item.contains('\0')).then_some(())?;
            data.extend(item.bytes());
        }
        Kind::Domain | Kind::DomainList => encode_domain(item, data)?,
        Kind::Routes => encode_route(item, data)?,
        Kind::Binary => data.extend(hex(item)?),
    }
    Some(())
}

fn encode_domain(name: &str, data: &mut Vec<u8>) -> Option<()> {
    let name = name.strip_suffix('.').unwrap_or(name);
    (name.len() <= 253).then_some(())?;
    for label in name.split('.') {
        let fits = (1..=63).contains(&label.len());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (fits && label.bytes().all(allowed)).then_some(())?;
        data.push(label.len() as u8);
        data.extend(label.bytes());
    }
    data.push(0);
    Some(())
}

/// RFC 3442: the prefix length, the octets of the destination that it covers, the router.
fn encode_route(route: &str, data: &mut Vec<u8>) -> Option<()> {
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

fn hex(text: &str) -> Option<Vec<u8>> {
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

/// A value as text that [`encode`] takes; hexadecimal where the bytes do not fit the kind.
#[must_use]
pub fn show(kind: Kind, data: &[u8]) -> String {
    match items(kind, data) {
        Some(items) if !items.is_empty() => items.join(", "),
        _ => to_hex(data),
    }
}

fn to_hex(data: &[u8]) -> String {
    let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

fn items(kind: Kind, data: &[u8]) -> Option<Vec<String>> {
    match kind {
        Kind::Ipv4 | Kind::Ipv4List | Kind::Ipv4Pairs => each(data, 4, |four| {
            Ipv4Addr::from_octets(four.try_into().unwrap_or_default()).to_string()
        }),
        Kind::Uint { bytes, .. } | Kind::UintList { bytes, .. } => {
            each(data, usize::from(bytes), |number| {
                let value = number
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | u32::from(*byte));
                value.to_string()
            })
        }
        Kind::Int32 => Some(vec![i32::from_be_bytes(data.try_into().ok()?).to_string()]),
        Kind::Bool => match data {
            [0] => Some(vec!["false".to_owned()]),
            [1] => Some(vec!["true".to_owned()]),
            _ => None,
        },
        Kind::Text => Some(vec![
            std::str::from_utf8(data).ok()?.escape_debug().to_string(),
        ]),
        Kind::Domain | Kind::DomainList => split(data, domain),
        Kind::Routes => split(data, route),
        Kind::Binary => None,
    }
}

fn each(data: &[u8], size: usize, show: impl Fn(&[u8]) -> String) -> Option<Vec<String>> {
    let chunks = data.chunks_exact(size);
    chunks
        .remainder()
        .is_empty()
        .then(|| chunks.map(show).collect())
}

type Split<'a> = Option<(String, &'a [u8])>;

fn split<'a>(mut data: &'a [u8], one: impl Fn(&'a [u8]) -> Split<'a>) -> Option<Vec<String>> {
    let mut items = Vec::new();
    while !data.is_empty() {
        let (item, rest) = one(data)?;
        items.push(item);
        data = rest;
    }
    Some(items)
}

fn domain(mut data: &[u8]) -> Split<'_> {
    let mut labels = Vec::new();
    loop {
        let (len, rest) = data.split_first()?;
        if *len == 0 {
            return Some((labels.join("."), rest));
        }
        let (label, rest) = rest.split_at_checked(usize::from(*len))?;
        labels.push(std::str::from_utf8(label).ok()?);
        data = rest;
    }
}

fn route(data: &[u8]) -> Split<'_> {
    let (len, rest) = data.split_first()?;
    let (covered, rest) = rest.split_at_checked(usize::from(len.div_ceil(8)))?;
    let (router, rest) = rest.split_first_chunk::<4>()?;
    let mut octets = [0; 4];
    octets.get_mut(..covered.len())?.copy_from_slice(covered);
    let net = Ipv4Net::new(octets.into(), *len).ok()?;
    Some((format!("{net} via {}", Ipv4Addr::from(*router)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ok(kind: Kind, items: &[&str]) -> Vec<u8> {
        encode(kind, items).unwrap()
    }

    #[test]
    fn values_are_encoded_as_the_rfcs_say() {
        assert_eq!(
            ok(Kind::Ipv4List, &["10.0.0.1", "10.0.0.2"]),
            [10, 0, 0, 1, 10, 0, 0, 2]
        );
        assert_eq!(
            ok(Kind::Uint { bytes: 2, min: 68 }, &["9000"]),
            [0x23, 0x28]
        );
        assert_eq!(ok(Kind::Int32, &["-3600"]), (-3600i32).to_be_bytes());
        assert_eq!(ok(Kind::Bool, &["true"]), [1]);
        assert_eq!(
            ok(Kind::DomainList, &["a.bc", "d."]),
            b"\x01a\x02bc\0\x01d\0"
        );
        let routes = ["0.0.0.0/0 via 10.0.0.1", "10.128.0.0/9 via 10.0.0.2"];
        assert_eq!(
            ok(Kind::Routes, &routes),
            [0, 10, 0, 0, 1, 9, 10, 128, 10, 0, 0, 2]
        );
        for text in ["0x01AB", "01:ab", "01ab"] {
            assert_eq!(ok(Kind::Binary, &[text]), [1, 0xab]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_named() {
        let refused = |kind, items: &[&str]| encode(kind, items).unwrap_err().to_string();
        assert_eq!(
            refused(Kind::Ipv4List, &["10.0.0.1", "10.0.0.256"]),
            "\"10.0.0.256\" is not an IPv4 address; write an IPv4 address like 10.0.0.1"
        );
        assert_eq!(
            refused(Kind::Uint { bytes: 2, min: 68 }, &["67"]),
            "\"67\" is not a number that fits; write a whole number from 68 to 65535"
        );
        assert_eq!(
            refused(Kind::Bool, &["true", "false"]),
            "has 2 values, but takes one; write one value, not a list"
        );
        assert!(refused(Kind::Ipv4Pairs, &["10.0.0.1"]).contains("in pairs"));
        assert!(refused(Kind::Routes, &["10.0.0.1/8 via 10.0.0.1"]).contains("not a route"));
        assert!(refused(Kind::Binary, &["0x123"]).contains("not hexadecimal"));
        assert!(refused(Kind::Domain, &["a..b"]).contains("not a domain name"));
        assert!(refused(Kind::Text, &[""]).contains("not a text"));
        assert!(refused(Kind::Ipv4List, &[]).contains("has no value"));
    }

    #[test]
    fn bytes_that_do_not_fit_are_shown_in_hexadecimal() {
        assert_eq!(show(Kind::Ipv4List, &[1, 2, 3]), "0x010203");
        assert_eq!(
            show(Kind::Routes, &[33, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            "0x21000000000000000000"
        );
        assert_eq!(show(Kind::DomainList, &[5, b'a']), "0x0561");
        assert_eq!(show(Kind::Text, b"x"), "x");
    }

    fn kinds() -> impl Strategy<Value = (Kind, String)> {
        let net = (any::<u32>(), 0..=32u8, any::<u32>()).prop_map(|(addr, len, router)| {
            let net = Ipv4Net::new(addr.into(), len).unwrap().trunc();
            format!("{net} via {}", Ipv4Addr::from(router))
        });
        prop_oneof![
            any::<u32>().prop_map(|bits| (Kind::Ipv4, Ipv4Addr::from(bits).to_string())),
            any::<u8>().prop_map(|n| (Kind::Uint { bytes: 1, min: 0 }, n.to_string())),
            any::<u32>().prop_map(|n| (Kind::UintList { bytes: 4, min: 0 }, n.to_string())),
            any::<i32>().prop_map(|n| (Kind::Int32, n.to_string())),
            any::<bool>().prop_map(|b| (Kind::Bool, b.to_string())),
            "[a-z0-9/: ]{1,40}".prop_map(|text| (Kind::Text, text)),
            "[a-z0-9]{1,20}(\\.[a-z0-9-]{1,20}){0,3}".prop_map(|name| (Kind::DomainList, name)),
            net.prop_map(|route| (Kind::Routes, route)),
            "0x([0-9a-f]{2}){1,20}".prop_map(|digits| (Kind::Binary, digits)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_shown_encodes_to_the_same((kind, text) in kinds()) {
            let data = encode(kind, &[&text]).unwrap();
            prop_assert_eq!(show(kind, &data), text);
        }

        #[test]
        fn any_bytes_can_be_shown((kind, _) in kinds(), data: Vec<u8>) {
            let _ = show(kind, &data);
        }
    }
}
