//! The network interfaces of this machine.

use std::ffi::CStr;
use std::io;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::NetError;
use super::link::{Framing, LinkAddress};
use super::netlink::{self, Device};
use crate::engine::Interface;

/// An interface, and what only `net` needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    pub interface: Interface,
    pub up: bool,
    pub loopback: bool,
    pub framing: Framing,
    /// Where frames for all go.
    pub broadcast: LinkAddress,
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
    let mut nics: Vec<_> = netlink::devices()?.into_iter().map(nic).collect();
    let entries = Entries::get()?;
    for (name, net) in entries.iter().filter_map(|entry| entry.ipv4()) {
        if let Some(nic) = nics.iter_mut().find(|nic| nic.name() == name) {
            nic.interface.addresses.push(net);
        }
    }
    for (name, below, tag) in vlans() {
        if let Some(nic) = nics.iter_mut().find(|nic| nic.name() == name) {
            nic.vlan = Some((below, tag));
        }
    }
    nics.sort_by_key(Nic::index);
    Ok(nics)
}

fn nic(device: Device) -> Nic {
    // No frame of another kind of link bears a MAC: replies there have none to show.
    let mac = match device.framing {
        Framing::Ethernet => device.address.mac().unwrap_or_default(),
        Framing::Cooked => Default::default(),
    };
    Nic {
        interface: Interface {
            index: device.index,
            name: device.name,
            mac,
            mtu: device.mtu,
            addresses: Vec::new(),
        },
        up: device.up,
        loopback: device.loopback,
        framing: device.framing,
        broadcast: device.broadcast,
        vlan: None,
    }
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

/// What `getifaddrs` gave: entries of interfaces and of addresses.
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
    /// An IPv4 address with its network, and the interface that has it.
    fn ipv4(&self) -> Option<(String, Ipv4Net)> {
        let address = ipv4(self.0.ifa_addr)?;
        let mask = ipv4(self.0.ifa_netmask)?;
        Some((self.name(), Ipv4Net::with_netmask(address, mask).ok()?))
    }

    fn name(&self) -> String {
        // SAFETY: the kernel's names end with a zero byte and live as long as the list.
        let name = unsafe { CStr::from_ptr(self.0.ifa_name) };
        let name = name.to_string_lossy();
        // An address may have a label, as of old: `eth0:1`.
        name.split(':').next().unwrap_or_default().to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed_as_such() {
        let nics = list().unwrap();
        let lo = nics.iter().find(|nic| nic.name() == "lo").unwrap();
        assert!(lo.loopback && lo.interface.mtu >= 1500);
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
