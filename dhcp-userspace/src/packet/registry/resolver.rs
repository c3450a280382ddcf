//! Encrypted resolvers (RFC 9463 section 5.1): `1 dns.example 10.0.0.1 alpn=dot port=853`.
//!
//! The parameters are those of RFC 9461; one of another number is written `key7=0x01ab`.

use std::net::Ipv4Addr;

use super::encode::hex;
use super::name;

const ALPN: u16 = 1;
const PORT: u16 = 3;
const DOHPATH: u16 = 7;

/// Appends one resolver.
pub(super) fn put(text: &str, data: &mut Vec<u8>) -> Option<()> {
    let mut words = text.split_whitespace();
    let mut instance = words.next()?.parse::<u16>().ok()?.to_be_bytes().to_vec();
    let mut encoded = Vec::new();
    name::put(words.next()?, &mut encoded)?;
    instance.push(u8::try_from(encoded.len()).ok()?);
    instance.extend(encoded);
    let (parameters, addresses): (Vec<&str>, Vec<&str>) = words.partition(|w| w.contains('='));
    if !addresses.is_empty() {
        let bytes = addresses.iter().map(|address| address.parse::<Ipv4Addr>());
        let bytes: Vec<Ipv4Addr> = bytes.collect::<Result<_, _>>().ok()?;
        instance.push(u8::try_from(4 * bytes.len()).ok()?);
        instance.extend(bytes.iter().flat_map(Ipv4Addr::octets));
        put_parameters(&parameters, &mut instance)?;
    } else if !parameters.is_empty() {
        // With the name alone (ADN-only mode) the rest is left away.
        return None;
    }
    data.extend(u16::try_from(instance.len()).ok()?.to_be_bytes());
    data.extend(instance);
    Some(())
}

/// Ascending by key, each once (RFC 9460 section 2.2).
fn put_parameters(written: &[&str], data: &mut Vec<u8>) -> Option<()> {
    let parameters: Option<Vec<(u16, Vec<u8>)>> = written.iter().map(|w| parameter(w)).collect();
    let mut parameters = parameters?;
    parameters.sort();
    let unique = parameters.windows(2).all(|two| two[0].0 != two[1].0);
    unique.then_some(())?;
    for (key, value) in parameters {
        data.extend(key.to_be_bytes());
        data.extend(u16::try_from(value.len()).ok()?.to_be_bytes());
        data.extend(value);
    }
    Some(())
}

fn parameter(written: &str) -> Option<(u16, Vec<u8>)> {
    let (key, value) = written.split_once('=')?;
    Some(match key {
        "alpn" => (ALPN, alpn(value)?),
        "port" => (PORT, value.parse::<u16>().ok()?.to_be_bytes().to_vec()),
        "dohpath" => (DOHPATH, value.as_bytes().to_vec()),
        other => {
            let number = other.strip_prefix("key")?.parse().ok()?;
            let value = if value.is_empty() {
                Vec::new()
            } else {
                hex(value)?
            };
            (number, value)
        }
    })
}

fn alpn(value: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for id in value.split(',') {
        (!id.is_empty()).then_some(())?;
        bytes.push(u8::try_from(id.len()).ok()?);
        bytes.extend(id.bytes());
    }
    Some(bytes)
}

/// A resolver as it is written; `None`: only hexadecimal tells it.
pub(super) fn show(instance: &[u8]) -> Option<String> {
    let (priority, rest) = instance.split_first_chunk::<2>()?;
    let (len, rest) = rest.split_first()?;
    let (encoded, rest) = rest.split_at_checked(usize::from(*len))?;
    let (name, end) = name::read(encoded, 0)?;
    (end == encoded.len()).then_some(())?;
    let mut words = vec![u16::from_be_bytes(*priority).to_string(), name];
    if let Some((len, rest)) = rest.split_first() {
        let (addresses, rest) = rest.split_at_checked(usize::from(*len))?;
        let (addresses, odd) = addresses.as_chunks::<4>();
        (odd.is_empty() && !addresses.is_empty()).then_some(())?;
        words.extend(
            addresses
                .iter()
                .map(|four| Ipv4Addr::from(*four).to_string()),
        );
        show_parameters(rest, &mut words)?;
    }
    Some(words.join(" "))
}

fn show_parameters(mut data: &[u8], words: &mut Vec<String>) -> Option<()> {
    while !data.is_empty() {
        let (key, rest) = data.split_first_chunk::<2>()?;
        let (len, rest) = rest.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        words.push(show_parameter(u16::from_be_bytes(*key), value));
        data = rest;
    }
    Some(())
}

fn show_parameter(key: u16, value: &[u8]) -> String {
    let plain = match key {
        ALPN => show_alpn(value).map(|ids| format!("alpn={ids}")),
        PORT => value
            .try_into()
            .ok()
            .map(|port| format!("port={}", u16::from_be_bytes(port))),
        DOHPATH => word(value).map(|path| format!("dohpath={path}")),
        _ => None,
    };
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    plain.unwrap_or_else(|| format!("key{key}={digits}"))
}

fn show_alpn(mut value: &[u8]) -> Option<String> {
    let mut ids = Vec::new();
    while let Some((len, rest)) = value.split_first() {
        let (id, rest) = rest.split_at_checked(usize::from(*len))?;
        ids.push(word(id).filter(|id| !id.contains(','))?);
        value = rest;
    }
    (!ids.is_empty()).then(|| ids.join(","))
}

fn word(bytes: &[u8]) -> Option<&str> {
    let good = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(bytes).ok().filter(|_| good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_resolver_is_written_as_the_rfc_lays_it_out() {
        let text = "1 dns.example 10.0.0.1 10.0.0.2 alpn=dot,h2 port=8530 dohpath=/q{?dns}";
        let mut data = Vec::new();
        put(text, &mut data).unwrap();
        let expected = b"\x00\x3e\x00\x01\x0d\x03dns\x07example\0\x08\x0a\0\0\x01\x0a\0\0\x02\
            \0\x01\0\x07\x03dot\x02h2\0\x03\0\x02\x21\x52\0\x07\0\x08/q{?dns}";
        assert_eq!(data[2..], expected[2..]);
        assert_eq!(usize::from(data[1]), data.len() - 2);
        assert_eq!(show(&data[2..]).as_deref(), Some(text));
        for wrong in [
            "",
            "1",
            "x dns.example",
            "1 dns.example port=1",
            "1 d 10.0.0.1 x=1",
        ] {
            assert_eq!(put(wrong, &mut Vec::new()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_was_written(data in prop::collection::vec(0u8..12, 0..40)) {
            if let Some(text) = show(&data) {
                let mut again = Vec::new();
                if put(&text, &mut again).is_some() {
                    prop_assert_eq!(show(&again[2..]), Some(text));
                }
            }
        }
    }
}
