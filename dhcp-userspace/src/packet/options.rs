//! Options as they stand on the wire: code, length, value (RFC 2132 section 2).

use dhcp_common::wire::option;

/// One option where it stands in its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub code: u8,
    /// Offset of the code in the region.
    pub at: usize,
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Bytes with code and length.
    #[must_use]
    pub fn size(&self) -> usize {
        2 + self.value.len()
    }
}

/// An option runs past the end of its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

/// The options of a region up to END, or up to the end where END is missing.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    region: &'a [u8],
    at: usize,
}

impl<'a> Options<'a> {
    #[must_use]
    pub fn new(region: &'a [u8]) -> Self {
        Self { region, at: 0 }
    }

    /// Where the walk stands: at END, at the end of the region, or at a truncated option once
    /// it is over.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<Field<'a>, Truncated>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.region.get(self.at) == Some(&option::PAD) {
            self.at += 1;
        }
        let at = self.at;
        let code = *self.region.get(at)?;
        if code == option::END {
            return None;
        }
        let value = self
            .region
            .get(at + 1)
            .and_then(|len| self.region.get(at + 2..at + 2 + usize::from(*len)));
        let Some(value) = value else {
            self.region = &self.region[..at];
            return Some(Err(Truncated));
        };
        self.at = at + 2 + value.len();
        Some(Ok(Field { code, at, value }))
    }
}

/// Bytes that [`put`] writes for a value.
#[must_use]
pub(super) fn encoded_len(value: &[u8]) -> usize {
    value.len() + 2 * value.len().div_ceil(255).max(1)
}

/// Writes an option, split where it is longer than 255 bytes (RFC 3396 section 7).
pub fn put(to: &mut Vec<u8>, code: u8, value: &[u8]) {
    if value.is_empty() {
        to.extend([code, 0]);
    }
    for part in value.chunks(255) {
        to.extend([code, part.len() as u8]);
        to.extend(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn padding_is_skipped_and_end_ends() {
        let region = [0, 53, 1, 3, 0, 0, 61, 0, 255, 12, 9];
        let fields: Vec<_> = Options::new(&region).map(Result::unwrap).collect();
        assert_eq!(fields.len(), 2);
        assert_eq!((fields[0].at, fields[0].value), (1, &[3][..]));
        assert_eq!((fields[1].at, fields[1].size()), (6, 2));
    }

    #[test]
    fn an_option_past_the_end_is_truncated_once() {
        for region in [&[12][..], &[12, 1], &[53, 1, 3, 12, 5, 1]] {
            let mut options = Options::new(region);
            assert!(options.any(|field| field == Err(Truncated)));
            assert_eq!(options.next(), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_put_is_read_back_joined(code in 1u8..255, value in prop::collection::vec(any::<u8>(), 0..1000)) {
            let mut bytes = Vec::new();
            put(&mut bytes, code, &value);
            prop_assert_eq!(bytes.len(), encoded_len(&value));
            let joined: Vec<u8> = Options::new(&bytes).flat_map(|f| f.unwrap().value.to_vec()).collect();
            prop_assert_eq!(joined, value);
        }
    }
}
