//! The envelope of everything in a journal file; the picture is in [`super`].

use std::ops::RangeInclusive;

use crc32fast::Hasher;

pub(super) const HEADER: usize = 16;
/// Where the version stands. Its value is a rare byte, which the search for the next frame uses.
pub(super) const VERSION_AT: usize = 6;
pub(super) const VERSION: u8 = 0xd1;
/// Set in the type of the first frame after a sync.
const FIRST: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Type {
    Lease = 1,
    Clock = 2,
    Bounds = 3,
}

impl Type {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Lease),
            2 => Some(Self::Clock),
            3 => Some(Self::Bounds),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Type,
    /// All frames before this one were synced before it was written.
    pub(super) first: bool,
    pub(super) sequence: u64,
    pub(super) payload: &'a [u8],
}

/// Bytes that a payload takes on disk.
pub(super) const fn size(payload: usize) -> usize {
    HEADER + payload
}

impl<'a> Frame<'a> {
    /// Appends the frame to `out`.
    pub(super) fn seal(&self, key: u32, out: &mut Vec<u8>) {
        let start = out.len();
        let kind = self.kind as u8 | if self.first { FIRST } else { 0 };
        out.extend([0; 4]);
        out.extend((self.payload.len() as u16).to_le_bytes());
        out.extend([VERSION, kind]);
        out.extend(self.sequence.to_le_bytes());
        out.extend(self.payload);
        let sum = checksum(key, &out[start + 4..]);
        out[start..start + 4].copy_from_slice(&sum.to_le_bytes());
    }

    /// The frame that `bytes` are, if nothing in it was changed.
    pub(super) fn open(key: u32, bytes: &'a [u8]) -> Option<Self> {
        let frame = Self::unchecked(bytes)?;
        is_intact(key, bytes).then_some(frame)
    }

    /// What the bytes claim to be.
    pub(super) fn claims(bytes: &[u8]) -> Option<Type> {
        Type::from_byte(bytes.get(7)? & !FIRST)
    }

    pub(super) fn unchecked(bytes: &'a [u8]) -> Option<Self> {
        let (header, payload) = bytes.split_first_chunk::<HEADER>()?;
        Some(Self {
            kind: Type::from_byte(header[7] & !FIRST)?,
            first: header[7] & FIRST != 0,
            sequence: read_u64(header, 8),
            payload,
        })
    }
}

/// The size of the frame that starts with this header, if it may be one with such a sequence
/// number: cheap, so that a search can ask it of every byte.
pub(super) fn peek(header: &[u8; HEADER], sequences: &RangeInclusive<u64>) -> Option<usize> {
    let may_be = header[VERSION_AT] == VERSION
        && Type::from_byte(header[7] & !FIRST).is_some()
        && sequences.contains(&read_u64(header, 8));
    may_be.then(|| length(header))
}

/// The size of the frame if the header may be one of a later version.
pub(super) fn peek_newer(header: &[u8; HEADER]) -> Option<usize> {
    (VERSION + 1..=0xdf)
        .contains(&header[VERSION_AT])
        .then(|| length(header))
}

/// Whether the bytes are a frame of any version.
pub(super) fn is_intact(key: u32, bytes: &[u8]) -> bool {
    read_u32(bytes, 0) == checksum(key, &bytes[4..])
}

pub(super) fn length(header: &[u8; HEADER]) -> usize {
    size(usize::from(u16::from_le_bytes([header[4], header[5]])))
}

/// Keyed, because parts of payloads are chosen by clients: without the key they cannot hide in
/// an option what the search after damage would take for a frame.
fn checksum(key: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(key);
    hasher.update(bytes);
    hasher.finalize()
}

pub(super) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

pub(super) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame<'_> = Frame {
        kind: Type::Clock,
        first: true,
        sequence: 0x0807_0605_0403_0201,
        payload: b"abc",
    };

    #[test]
    fn looks_as_documented() {
        let mut bytes = Vec::new();
        FRAME.seal(0, &mut bytes);
        assert_eq!(
            bytes[4..],
            *b"\x03\0\xd1\x82\x01\x02\x03\x04\x05\x06\x07\x08abc"
        );
        assert_eq!(bytes[..4], crc32fast::hash(&bytes[4..]).to_le_bytes());
    }

    #[test]
    fn any_change_and_any_other_key_is_noticed() {
        let mut bytes = Vec::new();
        FRAME.seal(7, &mut bytes);
        assert_eq!(Frame::open(7, &bytes), Some(FRAME));
        assert_eq!(Frame::open(8, &bytes), None);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frame::open(7, &changed), None, "bit {bit}");
        }
        assert_eq!(Frame::open(7, &[0; 64]), None, "zeros are no frame");
    }
}
