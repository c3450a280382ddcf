//! The patterns of the short form: all of a value, or what it begins with.

use crate::packet::Request;

use super::error::SyntaxError;

pub const USER_CLASS: u8 = 77;
pub const ARCH: u8 = 93;
const MAC_LEN: usize = 6;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    bytes: Box<[u8]>,
    /// More may follow.
    open: bool,
}

impl Pattern {
    /// Text; a star at its end stands for the rest.
    pub fn text(pattern: &str) -> Self {
        let (text, open) = without_star(pattern);
        Self {
            bytes: text.as_bytes().into(),
            open,
        }
    }

    /// The whole of a text, stars included.
    pub fn exactly(text: &str) -> Self {
        Self {
            bytes: text.as_bytes().into(),
            open: false,
        }
    }

    /// Text, or bytes after `0x`.
    pub fn text_or_hex(pattern: &str) -> Result<Self, SyntaxError> {
        let hex = pattern
            .strip_prefix("0x")
            .or_else(|| pattern.strip_prefix("0X"));
        let Some(hex) = hex else {
            return Ok(Self::text(pattern));
        };
        let (digits, open) = without_star(hex);
        let bytes = from_hex(digits).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| not_hex(pattern, digits))?;
        Ok(Self {
            bytes: bytes.into(),
            open,
        })
    }

    /// A MAC address, or its first bytes and a star.
    pub fn mac(pattern: &str) -> Result<Self, SyntaxError> {
        let (text, open) = without_star(pattern);
        let text = if open {
            text.trim_end_matches([':', '-'])
        } else {
            text
        };
        let pairs: Option<Vec<u8>> = match text {
            "" => None,
            _ => text.split([':', '-']).map(pair).collect(),
        };
        let bytes = pairs.ok_or_else(|| not_mac(pattern))?;
        let fits = if open {
            bytes.len() < MAC_LEN
        } else {
            bytes.len() == MAC_LEN
        };
        if !fits {
            return Err(not_mac(pattern));
        }
        Ok(Self {
            bytes: bytes.into(),
            open,
        })
    }

    pub fn matches(&self, value: &[u8]) -> bool {
        if self.open {
            return value.starts_with(&self.bytes);
        }
        *value == *self.bytes
    }

    /// Some clients end a text with zeros.
    pub fn matches_text(&self, value: &[u8]) -> bool {
        self.matches(value) || self.matches(without_zeros(value))
    }
}

pub fn without_zeros(value: &[u8]) -> &[u8] {
    let zeros = value.iter().rev().take_while(|byte| **byte == 0).count();
    &value[..value.len() - zeros]
}

/// Option 93 may list several (RFC 4578 section 2.1).
pub fn has_arch(request: &Request<'_>, code: u16) -> bool {
    let listed = request.option(ARCH).unwrap_or_default();
    let (codes, _) = listed.as_chunks::<2>();
    codes.contains(&code.to_be_bytes())
}

/// Option 77 is a list of texts with their lengths (RFC 3004), or as most firmware sends it,
/// one text.
pub fn in_user_class(request: &Request<'_>, pattern: &Pattern) -> bool {
    let value = request.option(USER_CLASS);
    value.is_some_and(|value| pattern.matches_text(&value) || any_item(&value, pattern))
}

fn any_item(value: &[u8], pattern: &Pattern) -> bool {
    let (mut rest, mut found) = (value, false);
    while let [len, after @ ..] = rest {
        let Some((item, next)) = after.split_at_checked(usize::from(*len)) else {
            return false; // One text after all.
        };
        found |= pattern.matches(item);
        rest = next;
    }
    found
}

fn without_star(pattern: &str) -> (&str, bool) {
    pattern
        .strip_suffix('*')
        .map_or((pattern, false), |text| (text, true))
}

/// Bytes of pairs of digits.
fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|pair| std::str::from_utf8(pair).ok().and_then(self::pair));
    bytes.collect::<Option<_>>().filter(|_| odd.is_empty())
}

fn pair(digits: &str) -> Option<u8> {
    let is_pair = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_pair)
}

fn not_hex(pattern: &str, digits: &str) -> SyntaxError {
    let problem = match digits.len() % 2 {
        1 => format!("'{pattern}' has an odd number of hexadecimal digits"),
        _ => format!("'{pattern}' is not hexadecimal"),
    };
    let hint = "after 0x write two hexadecimal digits for each byte, for example 0x00a1f0, or \
                0x00a1* for everything that begins so";
    SyntaxError::new(0..pattern.len(), problem, hint)
}

fn not_mac(pattern: &str) -> SyntaxError {
    let problem = format!("'{pattern}' is neither a MAC address nor the beginning of one");
    let hint = "write all of it, 52:54:00:12:34:56, or whole bytes and a star, 52:54:00:*";
    SyntaxError::new(0..pattern.len(), problem, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_equal_or_begins_so() {
        let all = Pattern::text("PXEClient");
        assert!(all.matches_text(b"PXEClient"));
        assert!(all.matches_text(b"PXEClient\0\0"));
        assert!(!all.matches_text(b"PXEClient:Arch"));
        let open = Pattern::text("PXEClient*");
        assert!(open.matches_text(b"PXEClient:Arch:00007"));
        assert!(!open.matches_text(b"PXE"));
        assert!(Pattern::text("*").matches(b""));
        assert!(!Pattern::exactly("a*").matches(b"ab"));
    }

    #[test]
    fn hex_is_bytes() {
        let hex = |pattern| Pattern::text_or_hex(pattern).unwrap();
        assert!(hex("0x00A1").matches(&[0, 0xa1]));
        assert!(hex("0x00a1*").matches(&[0, 0xa1, 9]));
        assert!(hex("port-7").matches(b"port-7"));
        let error = |pattern| Pattern::text_or_hex(pattern).unwrap_err();
        assert_eq!(
            error("0x001").problem,
            "'0x001' has an odd number of hexadecimal digits"
        );
        assert_eq!(error("0x0g").problem, "'0x0g' is not hexadecimal");
        assert_eq!(error("0x+1").problem, "'0x+1' is not hexadecimal");
        assert_eq!(error("0x*").at, 0..3);
        assert!(
            error("0x")
                .hint
                .contains("two hexadecimal digits for each byte")
        );
    }

    #[test]
    fn macs() {
        let mac = |pattern| Pattern::mac(pattern).unwrap();
        let whole = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
        for pattern in [
            "52:54:00:12:34:56",
            "52-54-00-12-34-56",
            "52:54:00:*",
            "52:54:00*",
        ] {
            assert!(mac(pattern).matches(&whole), "{pattern}");
        }
        assert!(!mac("52:54:01:*").matches(&whole));
        for wrong in [
            "",
            "*",
            "52:54",
            "52:5:*",
            "52:54:00:12:34:56:*",
            "5g:*",
            "52:54:00:12:34:56:78",
        ] {
            let error = Pattern::mac(wrong).unwrap_err();
            assert!(error.problem.contains("neither a MAC address"), "{wrong}");
        }
    }

    #[test]
    fn items_of_a_user_class() {
        let ipxe = Pattern::text("iPXE");
        assert!(any_item(b"\x04gPXE\x04iPXE", &ipxe));
        assert!(any_item(b"\x04iPXE\x04gPXE", &ipxe));
        assert!(!any_item(b"\x04iPXE\x09cut", &ipxe), "not a list");
        assert!(!any_item(b"iPXE", &ipxe));
        assert!(!any_item(b"", &Pattern::text("*")));
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern: String, value in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = Pattern::text(&pattern).matches_text(&value);
            let _ = Pattern::text_or_hex(&pattern).map(|p| p.matches(&value));
            let _ = Pattern::text_or_hex(&format!("0x{pattern}"));
            let _ = Pattern::mac(&pattern);
            let _ = any_item(&value, &Pattern::text(&pattern));
        }
    }
}
