//! The clients: any number of them, each made of its number alone.

use std::net::Ipv4Addr;

pub type Mac = [u8; 6];

/// The server's address. All clients are in 10.64.0.0/10.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub const SUBNET: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
pub const PREFIX: u8 = 10;
/// Where clients that hold a lease from the beginning have it: the n-th at `BOUND + n`.
pub const BOUND: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 0);
/// The pool of those that ask for one, with place for 2^20.
pub const FRESH: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 0);
/// Seconds of every lease.
pub const LEASE: u32 = 3600;

/// New clients count from here, so that none is taken for one that holds a lease.
pub const FIRST_FRESH: u32 = 1 << 24;

const OUI: [u8; 2] = [0x02, 0xfb];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub u32);

impl Client {
    pub fn mac(self) -> Mac {
        let [a, b, c, d] = self.0.to_be_bytes();
        [OUI[0], OUI[1], a, b, c, d]
    }

    pub fn of_mac(mac: Mac) -> Option<Self> {
        let (oui, number) = mac.split_first_chunk()?;
        (*oui == OUI).then_some(Self(u32::from_be_bytes(number.try_into().ok()?)))
    }

    /// Where it is, if it holds a lease from the beginning.
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(BOUND.to_bits() + self.0)
    }
}

/// The last of so many addresses.
pub fn last(first: Ipv4Addr, count: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(first.to_bits() + count.max(1) - 1)
}

/// Numbers in no order, the same in every run (xorshift64*).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((bits * u64::from(bound)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_million_clients_are_distinct_and_known_by_their_macs() {
        let macs: HashSet<Mac> = (0..1 << 20).map(|number| Client(number).mac()).collect();
        assert_eq!(macs.len(), 1 << 20);
        assert_eq!(
            Client::of_mac(Client(0xabcdef).mac()),
            Some(Client(0xabcdef))
        );
        assert_eq!(Client::of_mac([0x52, 0x54, 0, 0, 0, 1]), None);
    }

    #[test]
    fn random_numbers_reach_everybody() {
        let (mut random, mut seen) = (Random::new(7), HashSet::new());
        for _ in 0..10_000 {
            let number = random.below(1000);
            assert!(number < 1000);
            seen.insert(number);
        }
        assert_eq!(seen.len(), 1000);
    }
}
