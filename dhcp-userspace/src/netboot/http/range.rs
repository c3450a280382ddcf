//! The `Range` header (RFC 9110, 14).

use std::ops::Range;

#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// No range, several, or one in a unit or form that is not known: all of the file is right.
    Whole,
    Some(Range<u64>),
    /// Nothing of the file is in the range.
    Nothing,
}

/// The part of a file of `size` bytes that the header asks for.
#[must_use]
pub fn part(header: &str, size: u64) -> Part {
    let Some(spec) = header.trim().strip_prefix("bytes=") else {
        return Part::Whole;
    };
    let Some((first, last)) = spec.split_once('-') else {
        return Part::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => within(first, last.saturating_add(1), size),
        (Some(first), None) if last.is_empty() => within(first, size, size),
        (None, Some(count)) if first.is_empty() => within(size.saturating_sub(count), size, size),
        _ => Part::Whole,
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn within(start: u64, end: u64, size: u64) -> Part {
    let end = end.min(size);
    match start < end {
        true => Part::Some(start..end),
        false => Part::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let rows = [
            ("bytes=0-0", Part::Some(0..1)),
            ("bytes=2-5", Part::Some(2..6)),
            ("bytes=2-", Part::Some(2..10)),
            ("bytes=2-99", Part::Some(2..10)),
            ("bytes=-3", Part::Some(7..10)),
            ("bytes=-99", Part::Some(0..10)),
            ("bytes=0-18446744073709551615", Part::Some(0..10)),
            ("bytes=10-", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes", Part::Whole),
            ("lines=1-2", Part::Whole),
        ];
        for (header, want) in rows {
            assert_eq!(part(header, 10), want, "{header}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Nothing);
    }
}
