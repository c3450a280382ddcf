//! The link layers that DHCP is served on: Ethernet, and all others alike.

/// What the frames of an interface begin with, as packet sockets show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// An Ethernet header, perhaps with tags.
    #[default]
    Ethernet,
    /// The IP header: what is before it (InfiniBand, tunnels) the kernel makes and takes off.
    Cooked,
}

impl Framing {
    /// By the kind of hardware (`ARPHRD_`).
    #[must_use]
    pub const fn of(hardware: u16) -> Self {
        match hardware {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Self::Ethernet,
            _ => Self::Cooked,
        }
    }
}

/// The kernel's `MAX_ADDR_LEN`; InfiniBand has 20 bytes.
const MOST: usize = 32;

/// An address of any link layer; none, by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkAddress {
    len: u8,
    bytes: [u8; MOST],
}

impl LinkAddress {
    /// None if it is longer than any that the kernel has.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut address = Self::default();
        if let Some(to) = address.bytes.get_mut(..bytes.len()) {
            to.copy_from_slice(bytes);
            address.len = bytes.len() as u8;
        }
        address
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.len == 0
    }

    /// The address if it is one of Ethernet.
    #[must_use]
    pub fn mac(&self) -> Option<[u8; 6]> {
        self.as_bytes().try_into().ok()
    }
}

/// A `sockaddr_ll` with room for the addresses that do not fit into one.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SockAddr {
    pub family: u16,
    pub protocol: u16,
    pub ifindex: i32,
    pub hardware: u16,
    pub kind: u8,
    pub len: u8,
    pub address: [u8; MOST],
}

const _: () = assert!(size_of::<SockAddr>() == size_of::<libc::sockaddr_ll>() - 8 + MOST);

impl SockAddr {
    pub const EMPTY: Self = Self {
        family: libc::AF_PACKET as u16,
        protocol: 0,
        ifindex: 0,
        hardware: 0,
        kind: 0,
        len: 0,
        address: [0; MOST],
    };

    /// To send an IPv4 packet there.
    #[must_use]
    pub fn to(ifindex: u32, address: &LinkAddress) -> Self {
        Self {
            protocol: (libc::ETH_P_IP as u16).to_be(),
            ifindex: ifindex.cast_signed(),
            len: address.len,
            address: address.bytes,
            ..Self::EMPTY
        }
    }

    /// Who a packet came from.
    #[must_use]
    pub fn link_address(&self) -> LinkAddress {
        LinkAddress::new(self.address.get(..usize::from(self.len)).unwrap_or(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_any_length_up_to_the_kernels() {
        for len in [0, 6, 8, 20, 32] {
            let bytes: Vec<u8> = (1..=len).collect();
            let address = LinkAddress::new(&bytes);
            assert_eq!(address.as_bytes(), bytes);
            assert_eq!(address.is_none(), len == 0);
            assert_eq!(address.mac().is_some(), len == 6);
            assert_eq!(SockAddr::to(7, &address).link_address(), address);
        }
        assert!(LinkAddress::new(&[1; 33]).is_none());
    }

    #[test]
    fn only_ethernet_has_ethernet_headers() {
        let cooked = [libc::ARPHRD_INFINIBAND, libc::ARPHRD_NONE, libc::ARPHRD_PPP];
        for hardware in cooked {
            assert_eq!(Framing::of(hardware), Framing::Cooked);
        }
        assert_eq!(Framing::of(libc::ARPHRD_ETHER), Framing::Ethernet);
    }
}
