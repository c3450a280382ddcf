//! All that happened, as one number.

use std::hash::{DefaultHasher, Hasher};

/// Its key is no secret and always the same, so numbers of different processes can be compared.
#[derive(Default)]
pub(super) struct Digest(DefaultHasher);

impl Digest {
    pub(super) fn packet(&mut self, time: u64, bytes: &[u8]) {
        self.0.write_u64(time);
        self.bytes(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.write_usize(bytes.len());
        self.0.write(bytes);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.finish()
    }
}
