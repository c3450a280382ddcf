//! What the functions of the language do to bytes.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::tree::{Cut, Shown};

/// A part of bytes; copied only where the bytes are ours.
pub fn part(bytes: Cow<'_, [u8]>, range: Range<usize>) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[range]),
        Cow::Owned(bytes) => Cow::Owned(bytes[range].to_vec()),
    }
}

/// The part that `substring` means in a value of this length. A negative start counts from the
/// end, a negative length towards the beginning.
pub fn substring(len: usize, cut: Cut) -> Range<usize> {
    let whole = i64::try_from(len).unwrap_or(i64::MAX);
    if cut.start < -whole || cut.start >= whole {
        return 0..0;
    }
    let start = if cut.start < 0 {
        whole + cut.start
    } else {
        cut.start
    };
    let other = cut
        .len
        .map_or(whole, |len| start.saturating_add(len))
        .clamp(0, whole);
    index(start.min(other))..index(start.max(other))
}

fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// The field of this number, from 1, between any of the delimiters.
pub fn split(bytes: &[u8], delimiters: &[u8], field: usize) -> Range<usize> {
    if delimiters.is_empty() {
        return 0..bytes.len();
    }
    let mut start = 0;
    let mut fields = bytes.split(|byte| delimiters.contains(byte)).map(|field| {
        let range = start..start + field.len();
        start = range.end + 1;
        range
    });
    fields.nth(field.saturating_sub(1)).unwrap_or(0..0)
}

/// Lower case, of ASCII letters.
pub fn lower(bytes: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if bytes.iter().any(u8::is_ascii_uppercase) {
        return Cow::Owned(bytes.to_ascii_lowercase());
    }
    bytes
}

/// Upper case, of ASCII letters.
pub fn upper(bytes: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if bytes.iter().any(u8::is_ascii_lowercase) {
        return Cow::Owned(bytes.to_ascii_uppercase());
    }
    bytes
}

pub fn hex_string(bytes: &[u8], separator: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Vec::with_capacity(bytes.len() * (2 + separator.len()));
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 {
            text.extend_from_slice(separator);
        }
        text.extend([byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
    }
    text
}

/// An address or a number in words; nothing of nothing. None: not of the length it must have.
pub fn show(bytes: &[u8], shown: Shown) -> Option<Vec<u8>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let text = match shown {
        Shown::Address => address(bytes)?,
        Shown::Signed(width) | Shown::Unsigned(width) if bytes.len() != width => return None,
        Shown::Signed(_) => signed(bytes).to_string(),
        Shown::Unsigned(_) => unsigned(bytes).to_string(),
    };
    Some(text.into_bytes())
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(address) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(address).to_string());
    }
    let address = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(address).to_string())
}

fn unsigned(bytes: &[u8]) -> i64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | i64::from(*byte))
}

fn signed(bytes: &[u8]) -> i64 {
    let number = unsigned(bytes);
    let bits = bytes.len() * 8;
    let negative = number >> (bits - 1) & 1 == 1;
    number - i64::from(negative) * (1 << bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub(text: &str, start: i64, len: Option<i64>) -> &str {
        &text[substring(text.len(), Cut { start, len })]
    }

    #[test]
    fn substrings_are_those_of_kea_s_manual() {
        assert_eq!(sub("foobar", 0, Some(6)), "foobar");
        assert_eq!(sub("foobar", 3, Some(3)), "bar");
        assert_eq!(sub("foobar", 3, None), "bar");
        assert_eq!(sub("foobar", 1, Some(4)), "ooba");
        assert_eq!(sub("foobar", -5, Some(4)), "ooba");
        assert_eq!(sub("foobar", -1, Some(-3)), "oba");
        assert_eq!(sub("foobar", 4, Some(-2)), "ob");
        assert_eq!(sub("foobar", 10, Some(2)), "");
        assert_eq!(sub("foobar", 4, Some(100)), "ar");
        assert_eq!(sub("foobar", 2, Some(-100)), "fo");
        assert_eq!(sub("foobar", -7, None), "");
        assert_eq!(sub("foobar", 1, Some(i64::MIN)), "f");
        assert_eq!(sub("", 0, None), "");
    }

    #[test]
    fn fields_are_those_of_kea_s_manual() {
        let field = |n| &"one.two..four"[split(b"one.two..four", b".", n)];
        assert_eq!([field(1), field(2), field(3)], ["one", "two", ""]);
        assert_eq!([field(4), field(5), field(usize::MAX)], ["four", "", ""]);
        assert_eq!(split(b"a-b.c", b".-", 3), 4..5);
        assert_eq!(split(b"abc", b"", 7), 0..3);
        assert_eq!(split(b"", b".", 1), 0..0);
    }

    #[test]
    fn numbers_and_addresses_in_words() {
        let show =
            |bytes: &[u8], kind| show(bytes, kind).map(|text| String::from_utf8(text).unwrap());
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(show(&[192, 10, 0, 1], Shown::Address), text("192.10.0.1"));
        assert_eq!(show(&[0; 16], Shown::Address), text("::"));
        assert_eq!(show(&[0; 5], Shown::Address), None);
        assert_eq!(show(&[255], Shown::Signed(1)), text("-1"));
        assert_eq!(show(&[255], Shown::Unsigned(1)), text("255"));
        assert_eq!(show(&[0x80, 0], Shown::Signed(2)), text("-32768"));
        assert_eq!(show(&[255; 4], Shown::Unsigned(4)), text("4294967295"));
        assert_eq!(show(&[255; 4], Shown::Signed(4)), text("-1"));
        assert_eq!(show(&[1, 2], Shown::Unsigned(1)), None);
        assert_eq!(show(&[], Shown::Unsigned(4)), text(""));
    }

    #[test]
    fn hex_has_the_separator_between_only() {
        assert_eq!(hex_string(&[0x52, 0xf0, 1], b":"), b"52:f0:01");
        assert_eq!(hex_string(&[1, 2], b""), b"0102");
        assert_eq!(hex_string(&[], b":"), b"");
    }

    #[test]
    fn case_copies_only_what_changes() {
        assert!(matches!(lower(Cow::Borrowed(b"abc1")), Cow::Borrowed(_)));
        assert_eq!(&*lower(Cow::Borrowed(b"PXE\xc4")), b"pxe\xc4");
        assert_eq!(&*upper(Cow::Borrowed(b"iPxe")), b"IPXE");
    }
}
