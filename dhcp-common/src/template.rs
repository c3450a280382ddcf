//! Rendered replies, shared by all clients whose replies differ only in the BOOTP head and the
//! client part ([`crate::slot::Splice`]).
//!
//! A template holds everything from `sname` on: sname, file, magic cookie, the options but those
//! of the client part, then END and padding for the case that there is no client part.
//! Immutable once a slot names it; reused only once every program run is over that may have begun
//! while one did.
#![forbid(unsafe_code)]

use crate::wire::{BOOTP_HEAD, BOOTP_LEN};
use crate::word::Word;

/// Bytes of option space in a template.
pub const MAX_OPTIONS: usize = 508;
/// sname, file and magic cookie.
pub const FIXED: usize = BOOTP_LEN - BOOTP_HEAD;
const BODY_WORDS: usize = (FIXED + MAX_OPTIONS) / 8;
/// Bytes in a template's body at most.
pub const MAX_BODY: usize = BODY_WORDS * 8;

/// The longest tail: a hostname option of 61 characters and its marker.
pub const MAX_TAIL: usize = 63;
/// The per-client bytes that come neither from the template nor from the request.
pub type Tail = [Word; 8];

/// END and the padding that a reply may need behind it.
pub static END_PAD: [u8; 64] = {
    let mut bytes = [0; 64];
    bytes[0] = crate::wire::option::END;
    bytes
};

#[derive(Debug)]
#[repr(C, align(64))]
pub struct Template {
    /// Server identifier and source address << 32, siaddr.
    addresses: Word,
    /// Lease time in seconds << 32, checksum of the full body << 16, checksum without END.
    lease: Word,
    /// Length of the full body << 16, length without END and padding.
    lengths: Word,
    spare: [Word; 5],
    body: [Word; BODY_WORDS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Template>() == 768);

/// The scalar fields of a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    pub server: u32,
    pub siaddr: u32,
    pub lease_secs: u32,
    /// Checksum of the body with END and padding.
    pub full_sum: u16,
    /// Checksum of the body without END and padding.
    pub open_sum: u16,
    /// Bytes of the body with END and padding.
    pub full_len: u16,
    /// Bytes of the body without END and padding.
    pub open_len: u16,
}

impl Template {
    #[inline(always)]
    #[must_use]
    pub fn facts(&self) -> Facts {
        let (addresses, lease, lengths) = (
            self.addresses.load(),
            self.lease.load(),
            self.lengths.load(),
        );
        Facts {
            server: (addresses >> 32) as u32,
            siaddr: addresses as u32,
            lease_secs: (lease >> 32) as u32,
            full_sum: (lease >> 16) as u16,
            open_sum: lease as u16,
            full_len: (lengths >> 16) as u16,
            open_len: lengths as u16,
        }
    }

    /// The body as it stands in memory.
    #[inline(always)]
    #[must_use]
    pub fn body(&self) -> &[Word; BODY_WORDS] {
        &self.body
    }
}

#[cfg(not(target_arch = "bpf"))]
impl Template {
    /// Writes a template that no slot names.
    pub fn write(&self, facts: &Facts, body: &[u8; MAX_BODY]) {
        self.addresses
            .store(u64::from(facts.server) << 32 | u64::from(facts.siaddr));
        let sums = u64::from(facts.full_sum) << 16 | u64::from(facts.open_sum);
        self.lease.store(u64::from(facts.lease_secs) << 32 | sums);
        self.lengths
            .store(u64::from(facts.full_len) << 16 | u64::from(facts.open_len));
        let (chunks, _) = body.as_chunks::<8>();
        for (word, chunk) in self.body.iter().zip(chunks) {
            word.store(u64::from_ne_bytes(*chunk));
        }
    }
}

/// Copies words to bytes as they stand in memory.
#[cfg(not(target_arch = "bpf"))]
pub fn copy_words(words: &[Word], to: &mut [u8]) {
    for (word, chunk) in words.iter().zip(to.chunks_mut(8)) {
        let bytes = word.load().to_ne_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
}
