//! What hosts are called and known by.

use schemars::{Schema, json_schema};

use super::super::error::Problem;
use super::super::model::Mac;
use super::{Parse, pattern};

/// A hardware address; `:` and `-` between bytes, or nothing.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct MacAddress(pub Mac);

impl Parse for MacAddress {
    fn parse(text: &str) -> Result<Self, Problem> {
        let hint = "write six bytes in hexadecimal, like 52:54:00:12:34:56";
        let mac = mac(text)
            .ok_or_else(|| Problem::new(format!("{text:?} is not a hardware address"), hint))?;
        if mac[0] & 1 != 0 || mac == [0; 6] {
            let what = format!("{text} is no address of a single host");
            return Err(Problem::new(
                what,
                "write the address of the host's interface",
            ));
        }
        Ok(Self(mac))
    }

    fn schema() -> Schema {
        pattern("^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$")
    }
}

fn mac(text: &str) -> Option<Mac> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        let digits = part.bytes().all(|digit| digit.is_ascii_hexdigit());
        *byte = digits.then(|| u8::from_str_radix(part, 16).ok())??;
    }
    parts.next().is_none().then_some(mac)
}

/// A host name or domain name (RFC 1123) of at most 63 characters.
#[derive(Debug, Clone)]
pub(in super::super) struct Hostname(pub String);

impl Parse for Hostname {
    fn parse(text: &str) -> Result<Self, Problem> {
        let label = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            let whole = !label.is_empty() && label.bytes().all(inner);
            whole && !label.starts_with('-') && !label.ends_with('-')
        };
        if text.len() <= 63 && text.split('.').all(label) {
            return Ok(Self(text.to_owned()));
        }
        let what = format!("{text:?} is not a host name");
        let hint = "use at most 63 letters, digits, dots, and hyphens inside";
        Err(Problem::new(what, hint))
    }

    fn schema() -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 63,
            "pattern": "^[0-9A-Za-z]([0-9A-Za-z.-]*[0-9A-Za-z])?$",
        })
    }
}

/// A client identifier (option 61) with its type byte: hexadecimal with `:` or after `0x`, or
/// `text:` and the name, which stands for the type 0 (RFC 2132, 9.14) and the name's bytes.
#[derive(Debug, Clone)]
pub(in super::super) struct ClientId(pub Box<[u8]>);

impl Parse for ClientId {
    fn parse(text: &str) -> Result<Self, Problem> {
        let named = |name: &str| [&[0], name.as_bytes()].concat();
        let bytes = match text.strip_prefix("text:") {
            Some(name) => Some(named(name)),
            None => hex(text),
        };
        let hint = "write hexadecimal as the client sends it, like 01:52:54:00:12:34:56, or \
                    text:name for a name";
        let Some(bytes) = bytes else {
            let what = format!("{text:?} is not a client identifier");
            return Err(Problem::new(what, hint));
        };
        if !(2..=255).contains(&bytes.len()) {
            let what = format!("{text:?} has {} bytes", bytes.len());
            let hint = "a client identifier has 2 to 255, the first of which is its type";
            return Err(Problem::new(what, hint));
        }
        Ok(Self(bytes.into()))
    }

    fn schema() -> Schema {
        pattern("^(text:.+|0x([0-9A-Fa-f]{2})+|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})+)$")
    }
}

/// A UUID (option 97) as it is sent. With dashes it is read as firmware and dmidecode show it:
/// the first three fields of what is sent are little-endian (SMBIOS 2.6, RFC 4578). `0x` and 32
/// digits are the bytes themselves.
#[derive(Debug, Clone)]
pub(in super::super) struct Uuid(pub [u8; 16]);

impl Parse for Uuid {
    fn parse(text: &str) -> Result<Self, Problem> {
        let as_shown = text.contains('-');
        let digits = match as_shown {
            true => groups(text).map(|digits| format!("0x{digits}")),
            false => text.starts_with("0x").then(|| text.to_owned()),
        };
        let bytes = digits.and_then(|digits| hex(&digits)?.try_into().ok());
        let Some(mut bytes): Option<[u8; 16]> = bytes else {
            let hint = "write it as dmidecode shows it, like \
                        4c4c4544-0034-5910-8048-b2c04f4d3332, or 0x and the 32 digits that are sent";
            return Err(Problem::new(format!("{text:?} is not a UUID"), hint));
        };
        if as_shown {
            bytes[..4].reverse();
            bytes[4..6].reverse();
            bytes[6..8].reverse();
        }
        if bytes == [0; 16] || bytes == [0xff; 16] {
            let what = format!("{text} is what firmware without a UUID says");
            return Err(Problem::new(what, "use another key to know this host by"));
        }
        Ok(Self(bytes))
    }

    fn schema() -> Schema {
        pattern("^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|0x[0-9A-Fa-f]{32})$")
    }
}

/// The digits of `8-4-4-4-12`.
fn groups(text: &str) -> Option<String> {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    (lengths == [8, 4, 4, 4, 12]).then(|| text.replace('-', ""))
}

/// What a relay says of a client (sub-options of option 82): text, or `0x` and hexadecimal.
#[derive(Debug, Clone)]
pub(in super::super) struct AgentId(pub Box<[u8]>);

impl Parse for AgentId {
    fn parse(text: &str) -> Result<Self, Problem> {
        let bytes = match text.starts_with("0x") {
            true => hex(text),
            false => Some(text.as_bytes().to_vec()),
        };
        let hint = "write text, or 0x and two digits for each byte";
        let Some(bytes) = bytes else {
            return Err(Problem::new(format!("{text:?} is not hexadecimal"), hint));
        };
        if !(1..=253).contains(&bytes.len()) {
            let what = format!("{} bytes cannot be sent by a relay", bytes.len());
            return Err(Problem::new(what, "write 1 to 253"));
        }
        Ok(Self(bytes.into()))
    }

    fn schema() -> Schema {
        json_schema!({"type": ["string", "number"], "minLength": 1})
    }
}

/// The bytes of `0x01ab` or `01:ab`.
fn hex(text: &str) -> Option<Vec<u8>> {
    let byte = |digits: &str| {
        let both = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        both.then(|| u8::from_str_radix(digits, 16).ok())?
    };
    let Some(digits) = text.strip_prefix("0x") else {
        return text
            .contains(':')
            .then(|| text.split(':').map(byte).collect())?;
    };
    let starts = (0..digits.len()).step_by(2);
    starts.map(|at| byte(digits.get(at..at + 2)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses() {
        let read = |text| MacAddress::parse(text).map(|mac| mac.0);
        assert_eq!(read("52:54:00:aB:00:01"), Ok([0x52, 0x54, 0, 0xab, 0, 1]));
        assert_eq!(read("52-54-00-ab-00-01"), Ok([0x52, 0x54, 0, 0xab, 0, 1]));
        for text in [
            "",
            "52:54:00:ab:00",
            "52:54:00:ab:00:01:02",
            "52:54:00:ab:00:+1",
            "5254.00ab.0001",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn host_names() {
        for text in ["a", "node-001", "n1.cluster.example", &"a".repeat(63)] {
            assert!(Hostname::parse(text).is_ok(), "{text}");
        }
        for text in ["", "-a", "a-", "a..b", "a_b", "a b", &"a".repeat(64)] {
            assert!(Hostname::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn client_identifiers_are_bytes_or_names() {
        let read = |text| ClientId::parse(text).map(|id| id.0.to_vec());
        assert_eq!(
            read("01:52:54:00:12:34:56"),
            Ok(vec![1, 0x52, 0x54, 0, 0x12, 0x34, 0x56])
        );
        assert_eq!(read("0xff0102"), Ok(vec![0xff, 1, 2]));
        assert_eq!(read("text:foo"), Ok(b"\0foo".to_vec()));
        let long = format!("text:{}", "a".repeat(255));
        for text in [
            "", "foo", "01", "0x01", "0x0", "01:2", "01:+2", "text:", "0x01é", &long,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn uuids_are_written_as_firmware_shows_them_and_kept_as_it_sends_them() {
        let read = |text| Uuid::parse(text).map(|uuid| uuid.0);
        let sent: [u8; 16] = *b"\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
        assert_eq!(read("00112233-4455-6677-8899-aAbbccddeeff"), Ok(sent));
        assert_eq!(read("0x33221100554477668899aabbccddeeff"), Ok(sent));
        for text in [
            "",
            "00112233445566778899aabbccddeeff",
            "00112233-4455-6677-8899-aabbccddeef",
            "0011223-34455-6677-8899-aabbccddeeff",
            "0x3322110055447766",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_relays_say_is_text_or_bytes() {
        let read = |text| AgentId::parse(text).map(|id| id.0.to_vec());
        assert_eq!(read("sw1/ge-0/0/1:100"), Ok(b"sw1/ge-0/0/1:100".to_vec()));
        assert_eq!(read("0x0004000a"), Ok(vec![0, 4, 0, 10]));
        for text in ["", "0x", "0x1", "0xyz", &"a".repeat(254)] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
