//! Clients on InfiniBand (RFC 4390): their hardware address is too long for chaddr and changes,
//! so they are known by their client identifier alone.

use md5::{Digest, Md5};

use crate::config::model::Mac;

pub const HTYPE_INFINIBAND: u8 = 32;
/// The length of the hardware address, which some clients tell although chaddr has it not.
pub(super) const HLEN: u8 = 20;

/// What stands for the MAC of such a client. It has the group bit, as no host's MAC has; two
/// identifiers may still have the same one, so who uses it must compare identifiers too. It is on
/// disk, so it must be the same for ever: no seed, and a hash that is specified.
#[must_use]
pub fn pseudo_mac(client_id: &[u8]) -> Mac {
    let digest = Md5::digest(client_id);
    let mut mac: Mac = std::array::from_fn(|i| digest[i]);
    mac[0] |= 1;
    mac
}

/// Whether this is no host's MAC but stands for an identifier.
#[must_use]
pub const fn is_pseudo(mac: &Mac) -> bool {
    mac[0] & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_a_hosts_and_always_the_same() {
        // The digest of RFC 1321, appendix A.5, with the group bit.
        assert_eq!(pseudo_mac(b"a"), [0x0d, 0xc1, 0x75, 0xb9, 0xc0, 0xf1]);
        for i in 0..200u8 {
            assert!(is_pseudo(&pseudo_mac(&[0xff, i])));
        }
        assert_ne!(pseudo_mac(&[1]), pseudo_mac(&[2]));
    }
}
