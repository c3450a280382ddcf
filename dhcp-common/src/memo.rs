//! The memo: a keyed hash of a request's whole option region.
//!
//! NH of UMAC (RFC 4418 section 5.2) over 64-bit words with a random key word for each place: two
//! different regions collide with probability 2^-32 at most over the choice of the key, whatever
//! bytes an attacker picks, at one multiplication for eight bytes. The key is made with the
//! table and never leaves the machine.
//!
//! Trailing zero bytes do not enter: option 0 is padding, and a client pads the same request
//! differently on the way through firmware and OS. The engine memoises only requests whose last
//! non-zero byte is the END option, so equal memos mean equal options.
#![forbid(unsafe_code)]

use crate::word::Word;

/// The longest option region that is hashed, in bytes. Longer requests go to the daemon.
pub const MAX_REGION: usize = 512;
const WORDS: usize = MAX_REGION / 8;

/// The random key words of a table.
pub type Key = [Word; WORDS];

/// The value that stands for "no memo"; [`hash`] never gives it.
pub const NONE: u64 = 0;

/// Hashes the first `len` bytes of `region`, of its first [`MAX_REGION`]; `region` may hold anything
/// behind them.
#[inline(always)]
#[must_use]
pub fn hash<const N: usize>(region: &[u64; N], len: usize, key: &Key) -> u64 {
    let words = const { if N < WORDS { N } else { WORDS } };
    const { assert!(N >= WORDS || N.is_power_of_two()) };
    let whole = len / 8;
    let mut state = State::default();
    let mut i = 0;
    while i < words && i < whole {
        state.add(region[i & (words - 1)], key[i & (words - 1)].load());
        i += 1;
    }
    if i < words {
        let rest = (1u64 << (8 * (len & 7))) - 1;
        state.add(
            region[i & (words - 1)] & rest.to_le(),
            key[i & (words - 1)].load(),
        );
    }
    state.upto_last | u64::from(state.upto_last == NONE)
}

#[derive(Default)]
struct State {
    sum: u64,
    /// The sum up to the last word that was not zero.
    upto_last: u64,
}

impl State {
    #[inline(always)]
    fn add(&mut self, word: u64, key: u64) {
        let word = u64::from_le(word);
        let low = (word as u32).wrapping_add(key as u32);
        let high = ((word >> 32) as u32).wrapping_add((key >> 32) as u32);
        self.sum = self.sum.wrapping_add(u64::from(low) * u64::from(high));
        if word != 0 {
            self.upto_last = self.sum;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn key() -> Key {
        core::array::from_fn(|i| Word::new((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    fn region(bytes: &[u8], filler: u8) -> [u64; WORDS] {
        let mut all = [filler; MAX_REGION];
        all[..bytes.len()].copy_from_slice(bytes);
        core::array::from_fn(|i| u64::from_ne_bytes(all[i * 8..][..8].try_into().unwrap()))
    }

    #[test]
    fn trailing_zeros_and_what_lies_behind_do_not_matter() {
        for len in 1..=200 {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8 | 1).collect();
            let want = hash(&region(&bytes, 0), bytes.len(), &key());
            assert_eq!(hash(&region(&bytes, 0xa5), bytes.len(), &key()), want);
            for pad in [1, 7, 8, 9, 60, 312] {
                assert_eq!(
                    hash(&region(&bytes, 0), bytes.len() + pad, &key()),
                    want,
                    "{len}+{pad}"
                );
            }
        }
    }

    #[test]
    fn every_bit_matters() {
        let bytes: Vec<u8> = (0..64).map(|i| i * 3 + 1).collect();
        let want = hash(&region(&bytes, 0), bytes.len(), &key());
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(
                hash(&region(&other, 0), other.len(), &key()),
                want,
                "bit {bit}"
            );
        }
        assert_ne!(hash(&region(&bytes[..63], 0), 63, &key()), want);
    }

    #[test]
    fn the_largest_region_fits_and_an_empty_one_is_not_none() {
        assert_ne!(hash(&region(&[1; MAX_REGION], 0), MAX_REGION, &key()), NONE);
        assert_ne!(hash(&region(&[], 0xff), 0, &key()), NONE);
    }
}
