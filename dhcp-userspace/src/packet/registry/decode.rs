//! Option values: from bytes to text.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, ip_mask_to_prefix};

use super::encode::{encode, identifier};
use super::kind::{Field, Kind, Repeat};
use super::{name, resolver};

/// The items of a value as [`encode`] takes them; `None`: the bytes do not fit the kind, and
/// only hexadecimal tells them.
#[must_use]
pub fn items(kind: &Kind, data: &[u8]) -> Option<Vec<String>> {
    if kind.fields.is_empty() {
        return data.is_empty().then(|| vec!["true".to_owned()]);
    }
    let mut reader = Reader { data, at: 0 };
    let mut items = Vec::new();
    while !reader.rest().is_empty() {
        items.push(reader.item(kind.field(items.len())?)?);
    }
    let parts = kind.fields.len();
    let whole = match kind.repeat {
        Repeat::Never => items.len() == parts,
        Repeat::Last => items.len() >= parts,
        Repeat::All => !items.is_empty() && items.len().is_multiple_of(parts),
    };
    let texts: Vec<&str> = items.iter().map(String::as_str).collect();
    // Some bytes mean the same as others: those that nobody would write are not shown as text.
    let same = whole && encode(kind, &texts).is_ok_and(|again| again == data);
    same.then_some(items)
}

/// A value as text that [`encode`] takes; hexadecimal where the bytes do not fit the kind.
#[must_use]
pub fn show(kind: &Kind, data: &[u8]) -> String {
    items(kind, data).map_or_else(|| to_hex(data), |items| items.join(", "))
}

/// `0x01ab`.
#[must_use]
pub fn to_hex(data: &[u8]) -> String {
    let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

struct Reader<'a> {
    /// All of the value: pointers in names count from its start.
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.data[self.at..]
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, _) = self.rest().split_at_checked(len)?;
        self.at += len;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn uint(&mut self, bytes: u8) -> Option<u64> {
        let taken = self.take(usize::from(bytes))?;
        Some(
            taken
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    }

    fn item(&mut self, field: Field) -> Option<String> {
        Some(match field {
            Field::Ipv4 => self.ipv4()?,
            Field::Ipv6 => Ipv6Addr::from(self.array()?).to_string(),
            Field::Network => self.network()?,
            Field::Mac => colons(self.take(6)?),
            Field::Uint { bytes, .. } => self.uint(bytes)?.to_string(),
            Field::Int { bytes } => {
                let unused = 64 - 8 * u32::from(bytes);
                (((self.uint(bytes)? << unused) as i64) >> unused).to_string()
            }
            Field::Bool => (self.uint(1)? != 0).to_string(),
            Field::Text => text(self.all())?,
            Field::Counted { bytes } => {
                let len = usize::try_from(self.uint(bytes)?).ok()?;
                text_or_hex(self.take(len)?)
            }
            Field::Domain | Field::SearchDomain => self.name()?,
            Field::Route => self.route()?,
            Field::Group { in_bytes } => self.group(in_bytes)?,
            Field::SipServer => self.sip()?,
            Field::Resolver => {
                let len = self.uint(2)?;
                resolver::show(self.take(len as usize)?)?
            }
            Field::Uuid => uuid(self.take(16)?),
            Field::Identifier => show_identifier(self.all()),
            Field::Hex => to_hex(self.all()),
        })
    }

    fn all(&mut self) -> &'a [u8] {
        let rest = self.rest();
        self.at = self.data.len();
        rest
    }

    fn ipv4(&mut self) -> Option<String> {
        Some(Ipv4Addr::from(self.array::<4>()?).to_string())
    }

    fn network(&mut self) -> Option<String> {
        let address = Ipv4Addr::from(self.array::<4>()?);
        let mask = Ipv4Addr::from(self.array::<4>()?);
        Some(match ip_mask_to_prefix(mask.into()) {
            Ok(prefix) => format!("{address}/{prefix}"),
            Err(_) => format!("{address}/{mask}"),
        })
    }

    fn name(&mut self) -> Option<String> {
        let (name, next) = name::read(self.data, self.at)?;
        self.at = next;
        Some(name)
    }

    fn route(&mut self) -> Option<String> {
        let [len] = self.array()?;
        let covered = self.take(usize::from(len.div_ceil(8)))?;
        let mut octets = [0; 4];
        octets.get_mut(..covered.len())?.copy_from_slice(covered);
        let net = Ipv4Net::new(octets.into(), len).ok()?;
        Some(format!("{net} via {}", self.ipv4()?))
    }

    fn group(&mut self, in_bytes: bool) -> Option<String> {
        let [len] = self.array()?;
        let size = if in_bytes { 1 } else { 4 };
        let (addresses, odd) = self.take(usize::from(len) * size)?.as_chunks::<4>();
        let addresses: Vec<String> = addresses
            .iter()
            .map(|four| Ipv4Addr::from(*four).to_string())
            .collect();
        odd.is_empty().then(|| addresses.join(" "))
    }

    fn sip(&mut self) -> Option<String> {
        self.at = self.at.max(1);
        match self.data[0] {
            0 => self.name(),
            1 => self.ipv4(),
            _ => None,
        }
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.contains(char::is_control)).then(|| text.to_owned())
}

fn text_or_hex(bytes: &[u8]) -> String {
    text(bytes)
        .filter(|text| !text.starts_with("0x"))
        .unwrap_or_else(|| to_hex(bytes))
}

/// A client identifier or the like, as [`identifier`] reads it.
#[must_use]
pub fn show_identifier(bytes: &[u8]) -> String {
    let plain = text(bytes).filter(|text| identifier(text).is_some_and(|read| read == bytes));
    match plain {
        Some(text) => text,
        None if bytes.len() < 2 => to_hex(bytes),
        None => colons(bytes),
    }
}

fn colons(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(":")
}

fn uuid(bytes: &[u8]) -> String {
    let mut text = to_hex(bytes).split_off(2);
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}
