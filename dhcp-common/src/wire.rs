//! Offsets and constants of Ethernet, IPv4, UDP and BOOTP/DHCP as they stand on the wire, and
//! the Internet checksum.
#![forbid(unsafe_code)]

pub const ETH_LEN: usize = 14;
pub const TAG_LEN: usize = 4;
/// Tags that are understood: one VLAN, or QinQ.
pub const MAX_TAGS: usize = 2;
pub const MAX_L2: usize = ETH_LEN + MAX_TAGS * TAG_LEN;

pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_VLAN: u16 = 0x8100;
pub const ETHERTYPE_QINQ: u16 = 0x88a8;

pub const IP_LEN: usize = 20;
pub const UDP_LEN: usize = 8;
pub const PROTO_UDP: u8 = 17;
pub const SERVER_PORT: u16 = 67;
pub const CLIENT_PORT: u16 = 68;
/// Where PXE clients ask a boot server, or a proxyDHCP server a second time (PXE 2.1 section 2.2).
pub const BOOT_SERVER_PORT: u16 = 4011;

/// The fixed part of a DHCP message, magic cookie included (RFC 2131 section 2).
pub const BOOTP_LEN: usize = 240;
/// The smallest message that every relay and boot ROM accepts (RFC 951; RFC 1542 section 2.1).
pub const BOOTP_MIN: usize = 300;
/// op to chaddr: what differs from one reply to the next.
pub const BOOTP_HEAD: usize = 44;
pub const MAGIC_COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];

pub const BOOTREQUEST: u8 = 1;
pub const BOOTREPLY: u8 = 2;
pub const HTYPE_ETHERNET: u8 = 1;
pub const BROADCAST_MAC: [u8; 6] = [0xff; 6];
pub const BROADCAST_IP: u32 = 0xffff_ffff;
/// The B bit of the flags field (RFC 2131 section 2).
pub const FLAG_BROADCAST: u16 = 0x8000;

/// Byte offsets within the BOOTP message.
pub mod bootp {
    pub const OP: usize = 0;
    pub const HTYPE: usize = 1;
    pub const HLEN: usize = 2;
    pub const HOPS: usize = 3;
    pub const XID: usize = 4;
    pub const SECS: usize = 8;
    pub const FLAGS: usize = 10;
    pub const CIADDR: usize = 12;
    pub const YIADDR: usize = 16;
    pub const SIADDR: usize = 20;
    pub const GIADDR: usize = 24;
    pub const CHADDR: usize = 28;
    pub const SNAME: usize = 44;
    pub const FILE: usize = 108;
    pub const COOKIE: usize = 236;
    pub const OPTIONS: usize = 240;
}

/// Option codes that the code itself must know (RFC 2132 and others).
pub mod option {
    pub const PAD: u8 = 0;
    pub const SUBNET_MASK: u8 = 1;
    pub const HOSTNAME: u8 = 12;
    pub const VENDOR_OPTIONS: u8 = 43;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER_ID: u8 = 54;
    pub const PARAMETER_LIST: u8 = 55;
    pub const MESSAGE: u8 = 56;
    pub const MAX_SIZE: u8 = 57;
    pub const RENEWAL_TIME: u8 = 58;
    pub const REBINDING_TIME: u8 = 59;
    pub const VENDOR_CLASS: u8 = 60;
    pub const CLIENT_ID: u8 = 61;
    pub const RAPID_COMMIT: u8 = 80;
    pub const RELAY_AGENT: u8 = 82;
    pub const UUID: u8 = 97;
    pub const SUBNET_SELECTION: u8 = 118;
    pub const END: u8 = 255;
}

/// A sum of 16-bit words in one's complement, not folded yet. Words are added as they stand in
/// memory (RFC 1071 section 2 B: byte order does not matter as long as it is the same throughout).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    #[inline(always)]
    #[must_use]
    pub const fn of(word: u16) -> Self {
        Self(word as u64)
    }

    /// Adds a word as it stands in memory.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// Adds bytes four at a time, which gives the same folded sum with half the additions.
    #[inline(always)]
    #[must_use]
    pub fn bytes<const N: usize>(self, bytes: &[u8; N]) -> Self {
        const { assert!(N.is_multiple_of(4)) };
        let (words, _) = bytes.as_chunks::<4>();
        let mut sum = self.0;
        for word in words {
            sum += u64::from(u32::from_ne_bytes(*word));
        }
        Self(sum)
    }

    /// Adds any number of bytes; an odd last one counts as if a zero followed.
    #[must_use]
    pub fn slice(self, bytes: &[u8]) -> Self {
        let mut sum = self.0;
        let (pairs, rest) = bytes.as_chunks::<2>();
        for pair in pairs {
            sum += u64::from(u16::from_ne_bytes(*pair));
        }
        if let [last] = rest {
            sum += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        Self(sum)
    }

    /// The sum of the same bytes if they stood at an odd offset (RFC 1071 section 2 B).
    #[must_use]
    pub const fn at_odd_offset(self) -> Self {
        Self(self.fold().swap_bytes() as u64)
    }

    #[inline(always)]
    #[must_use]
    pub const fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The 16-bit one's complement sum (not inverted).
    #[inline(always)]
    #[must_use]
    pub const fn fold(self) -> u16 {
        let mut sum = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum as u16
    }

    /// The checksum field as it stands in memory.
    #[inline(always)]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }
}

/// The UDP checksum of 0 means "none", so a computed 0 is sent as all ones (RFC 768).
#[inline(always)]
#[must_use]
pub const fn udp_checksum(sum: Sum) -> u16 {
    match sum.checksum() {
        0 => 0xffff,
        other => other,
    }
}

#[inline(always)]
#[must_use]
pub fn be16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes(chunk(bytes, at))
}

#[inline(always)]
#[must_use]
pub fn be32<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes(chunk(bytes, at))
}

/// Some bytes at a constant place: one load where they are aligned.
#[inline(always)]
#[must_use]
pub fn chunk<const N: usize, const LEN: usize>(bytes: &[u8; N], at: usize) -> [u8; LEN] {
    let mut out = [0; LEN];
    out.copy_from_slice(&bytes[at..at + LEN]);
    out
}

/// A MAC address as the low 48 bits of a number, first byte highest.
#[inline(always)]
#[must_use]
pub fn mac_bits<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    (be16(bytes, at) as u64) << 32 | be32(bytes, at + 2) as u64
}

#[inline(always)]
#[must_use]
pub const fn mac_bytes(bits: u64) -> [u8; 6] {
    let b = bits.to_be_bytes();
    [b[2], b[3], b[4], b[5], b[6], b[7]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_rfc1071_example() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        let sum = Sum::default().bytes(&bytes);
        assert_eq!(sum.fold(), Sum::default().slice(&bytes).fold());
        assert_eq!(sum.fold(), u16::from_ne_bytes([0xdd, 0xf2]));
        assert_eq!(sum.checksum(), !u16::from_ne_bytes([0xdd, 0xf2]));
    }

    #[test]
    fn a_part_at_an_odd_offset_is_swapped() {
        let whole: [u8; 7] = [1, 2, 3, 250, 251, 252, 253];
        for cut in 0..=whole.len() {
            let (front, back) = whole.split_at(cut);
            let back = Sum::default().slice(back);
            let back = if cut % 2 == 1 {
                back.at_odd_offset()
            } else {
                back
            };
            let parts = Sum::default().slice(front).add(back);
            assert_eq!(
                parts.fold(),
                Sum::default().slice(&whole).fold(),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn zero_udp_checksum_is_sent_as_ones() {
        assert_eq!(udp_checksum(Sum::of(0xffff)), 0xffff);
        assert_eq!(udp_checksum(Sum::of(0x1234)), !0x1234);
    }

    #[test]
    fn mac_round_trip() {
        let mac = [0x52, 0x54, 0, 1, 2, 3];
        assert_eq!(mac_bits(&mac, 0), 0x5254_0001_0203);
        assert_eq!(mac_bytes(mac_bits(&mac, 0)), mac);
    }
}
