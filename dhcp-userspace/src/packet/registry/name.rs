//! Domain names on the wire (RFC 1035 sections 3.1 and 4.1.4).

use std::collections::HashMap;

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// The two high bits of a length that is a pointer.
const POINTER: u8 = 0xc0;
/// A pointer has 14 bits.
const FAR: usize = 1 << 14;

fn labels(name: &str) -> Option<Vec<&str>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels: Vec<&str> = name.split('.').collect();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let good = |label: &&str| (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(allowed);
    (name.len() <= MAX_NAME && labels.iter().all(good)).then_some(labels)
}

/// Appends a name whole.
pub(super) fn put(name: &str, data: &mut Vec<u8>) -> Option<()> {
    for label in labels(name)? {
        put_label(label, data);
    }
    data.push(0);
    Some(())
}

fn put_label(label: &str, data: &mut Vec<u8>) {
    data.push(label.len() as u8);
    data.extend(label.bytes());
}

/// Where the ends of names stand that were written already.
#[derive(Default)]
pub(super) struct Names(HashMap<String, u16>);

impl Names {
    /// Appends a name; an end that it shares with one before is pointed to.
    pub(super) fn put(&mut self, name: &str, data: &mut Vec<u8>) -> Option<()> {
        let labels = labels(name)?;
        for at in 0..labels.len() {
            let end = labels[at..].join(".").to_ascii_lowercase();
            if let Some(known) = self.0.get(&end) {
                let [high, low] = known.to_be_bytes();
                data.extend([POINTER | high, low]);
                return Some(());
            }
            if let Some(place) = u16::try_from(data.len())
                .ok()
                .filter(|at| usize::from(*at) < FAR)
            {
                self.0.insert(end, place);
            }
            put_label(labels[at], data);
        }
        data.push(0);
        Some(())
    }
}

/// Reads the name at `at`; tells where the next thing stands. Pointers lead backwards only, so
/// there is no loop.
pub(super) fn read(whole: &[u8], at: usize) -> Option<(String, usize)> {
    let mut labels: Vec<&str> = Vec::new();
    let (mut here, mut behind, mut limit) = (at, None, at);
    loop {
        let len = *whole.get(here)?;
        match len {
            0 => break,
            POINTER.. => {
                let low = *whole.get(here + 1)?;
                behind.get_or_insert(here + 2);
                here = usize::from(u16::from_be_bytes([len & !POINTER, low]));
                (here < limit).then_some(())?;
                limit = here;
            }
            64.. => return None,
            _ => {
                let label = whole.get(here + 1..here + 1 + usize::from(len))?;
                labels.push(std::str::from_utf8(label).ok()?);
                here += 1 + usize::from(len);
            }
        }
    }
    let name = labels.join(".");
    // What could not be written as text is not a name for anybody here.
    self::labels(&name)?;
    Some((name, behind.unwrap_or(here + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of RFC 3397 section 2.
    #[test]
    fn shared_ends_are_pointed_to() {
        let mut data = Vec::new();
        let mut names = Names::default();
        names.put("eng.apple.com.", &mut data).unwrap();
        names.put("marketing.apple.com", &mut data).unwrap();
        assert_eq!(data, b"\x03eng\x05apple\x03com\0\x09marketing\xc0\x04");
        let (first, at) = read(&data, 0).unwrap();
        assert_eq!((first.as_str(), at), ("eng.apple.com", 15));
        let (second, at) = read(&data, at).unwrap();
        assert_eq!((second.as_str(), at), ("marketing.apple.com", data.len()));
    }

    #[test]
    fn pointers_that_lead_forward_or_around_are_refused() {
        for data in [
            &b"\xc0\x00"[..],
            b"\xc0\x02\x01a\0",
            b"\x01a\xc0\x00",
            b"\x01a\xc0",
            b"\x40a",
        ] {
            assert_eq!(read(data, 0), None, "{data:?}");
        }
        assert_eq!(read(b"\x01a\0\xc0\x00", 3), Some(("a".to_owned(), 5)));
        assert_eq!(read(b"\0", 0), None, "the root is no name to search");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = format!("{}.{}", "a".repeat(63), "b.".repeat(100));
        for name in ["", ".", "a..b", "a b", &"a".repeat(64), &long] {
            assert_eq!(put(name, &mut Vec::new()), None, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn names_come_back(names in prop::collection::vec("[a-z]{1,3}(\\.[a-c]{1,2}){0,4}", 1..20)) {
            let (mut data, mut plain, mut known) = (Vec::new(), Vec::new(), Names::default());
            for name in &names {
                known.put(name, &mut data).unwrap();
                put(name, &mut plain).unwrap();
            }
            prop_assert!(data.len() <= plain.len());
            for data in [data, plain] {
                let mut at = 0;
                for name in &names {
                    let (read, next) = read(&data, at).unwrap();
                    prop_assert_eq!(&read, name);
                    at = next;
                }
                prop_assert_eq!(at, data.len());
            }
        }

        #[test]
        fn nothing_panics(data in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xc0u8), 0u8..8], 0..40), at in 0usize..45) {
            let _ = read(&data, at);
        }
    }
}
