//! The network interfaces of this machine.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use socket2::{Domain, Socket, Type};

use super::NetError;
use crate::engine::Interface;

/// An interface, and what only `net` needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    pub interface: Interface,
    pub up: bool,
    pub ethernet: bool,
    /// For a VLAN subinterface: the interface below it and the tag.
    pub vlan: Option<(String, u16)>,
}

impl Nic {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.interface.name
    }

    #[must_use]
    pub fn index(&self) -> u32 {
        self.interface.index
    }
}

/// All interfaces, in the order of their indices.
///
/// # Errors
/// If the kernel does not tell.
pub fn list() -> Result<Vec<Nic>, NetError> {
    read().map_err(|source| NetError::List { source })
}

fn read() -> io::Result<Vec<Nic>> {
    let entries = Entries::get()?;
    let mut nics = links(&entries);
    for entry in entries.iter() {
        if let (Some(nic), Some(net)) = (nics.get_mut(&entry.name()), entry.ipv4()) {
            nic.interface.addresses.push(net);
        }
    }
    for (name, below, tag) in vlans() {
        if let Some(nic) = nics.get_mut(&name) {
            nic.vlan = Some((below, tag));
        }
    }
    let mtus = Mtus::open()?;
    for nic in nics.values_mut() {
        nic.interface.mtu = mtus.of(nic.name()).unwrap_or(1500);
    }
    let mut nics: Vec<_> = nics.into_values().collect();
    nics.sort_by_key(Nic::index);
    Ok(nics)
}

fn links(entries: &Entries) -> BTreeMap<String, Nic> {
    let link = |entry: Entry<'_>| {
        let link = entry.link()?;
        let [a, b, c, d, e, f, ..] = link.sll_addr;
        let interface = Interface {
            index: link.sll_ifindex as u32,
            name: entry.name(),
            mac: [a, b, c, d, e, f],
            mtu: 0,
            addresses: Vec::new(),
        };
        let nic = Nic {
            interface,
            up: entry.0.ifa_flags & libc::IFF_UP as u32 != 0,
            ethernet: link.sll_hatype == libc::ARPHRD_ETHER,
            vlan: None,
        };
        Some((entry.name(), nic))
    };
    entries.iter().filter_map(link).collect()
}

/// VLAN subinterfaces: name, interface below, tag. None where the kernel has no 802.1Q.
fn vlans() -> Vec<(String, String, u16)> {
    // Of the thread, not the process: its network namespace may be another one.
    let text = std::fs::read_to_string("/proc/thread-self/net/vlan/config").unwrap_or_default();
    parse_vlans(&text)
}

fn parse_vlans(text: &str) -> Vec<(String, String, u16)> {
    let line = |line: &str| {
        let mut fields = line.split('|').map(str::trim);
        let (name, tag, below) = (fields.next()?, fields.next()?, fields.next()?);
        Some((name.to_owned(), below.to_owned(), tag.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// What `getifaddrs` gave: a link entry for each interface, and an entry for each address.
struct Entries(*mut libc::ifaddrs);

struct Entry<'a>(&'a libc::ifaddrs);

impl Entries {
    fn get() -> io::Result<Self> {
        let mut first = std::ptr::null_mut();
        // SAFETY: `first` is a valid place for the list's head.
        if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(first))
    }

    fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        // SAFETY: the list ends with null, and lives until `self` is dropped.
        let entry = |at: *mut libc::ifaddrs| unsafe { at.as_ref() };
        std::iter::successors(entry(self.0), move |last| entry(last.ifa_next)).map(Entry)
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        // SAFETY: exactly what `get` was given; no borrow outlives `self`.
        unsafe { libc::freeifaddrs(self.0) };
    }
}

impl Entry<'_> {
    fn name(&self) -> String {
        // SAFETY: the kernel's names end with a zero byte and live as long as the list.
        let name = unsafe { CStr::from_ptr(self.0.ifa_name) };
        name.to_string_lossy().into_owned()
    }

    fn link(&self) -> Option<&libc::sockaddr_ll> {
        let right = family(self.0.ifa_addr) == Some(libc::AF_PACKET);
        // SAFETY: an address of this family is a `sockaddr_ll`, and lives as long as the list.
        right.then(|| unsafe { &*self.0.ifa_addr.cast() })
    }

    fn ipv4(&self) -> Option<Ipv4Net> {
        let address = ipv4(self.0.ifa_addr)?;
        let mask = ipv4(self.0.ifa_netmask)?;
        Ipv4Net::with_netmask(address, mask).ok()
    }
}

fn family(address: *const libc::sockaddr) -> Option<i32> {
    // SAFETY: null, or an address of the list, which begins with its family.
    unsafe { address.as_ref() }.map(|address| i32::from(address.sa_family))
}

fn ipv4(address: *const libc::sockaddr) -> Option<Ipv4Addr> {
    let right = family(address) == Some(libc::AF_INET);
    // SAFETY: an address of this family is a `sockaddr_in`, and the list lives during this call.
    let address: &libc::sockaddr_in = right.then(|| unsafe { &*address.cast() })?;
    Some(Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr)))
}

/// Asks the kernel for MTUs. By ioctl, because `/sys` shows the namespace it was mounted in.
struct Mtus(Socket);

impl Mtus {
    fn open() -> io::Result<Self> {
        Socket::new(Domain::IPV4, Type::DGRAM, None).map(Self)
    }

    fn of(&self, name: &str) -> Option<u32> {
        use std::os::fd::AsRawFd;
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_mtu: 0 },
        };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        // SAFETY: the request is an `ifreq` with a name, as SIOCGIFMTU wants it.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCGIFMTU, &raw mut request) };
        // SAFETY: all bytes of the union are set, and SIOCGIFMTU sets this field.
        let mtu = unsafe { request.ifr_ifru.ifru_mtu };
        (done == 0).then_some(mtu as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed_and_is_not_ethernet() {
        let nics = list().unwrap();
        let lo = nics.iter().find(|nic| nic.name() == "lo").unwrap();
        assert!(!lo.ethernet && lo.interface.mtu >= 1500);
    }

    #[test]
    fn vlan_subinterfaces_as_the_kernel_lists_them() {
        let text = "VLAN Dev name    | VLAN ID\nName-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD\n\
                    eth0.100       | 100  | eth0\nstorage        | 7  | bond0\n";
        let want = |name: &str, below: &str, tag| (name.to_owned(), below.to_owned(), tag);
        assert_eq!(
            parse_vlans(text),
            [want("eth0.100", "eth0", 100), want("storage", "bond0", 7)]
        );
        assert_eq!(parse_vlans(""), []);
    }
}
