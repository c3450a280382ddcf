//! What the kernel tells about network interfaces: addresses of the link layer, kind, veth peer,
//! XDP programs attached.
//! Attribute numbers are those of `linux/if_link.h`.

use std::io::{self, Read, Write};

use socket2::{Domain, Protocol, Socket, Type};

use super::link::{Framing, LinkAddress};

/// An interface as `RTM_NEWLINK` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    pub index: u32,
    pub name: String,
    pub loopback: bool,
    pub up: bool,
    pub framing: Framing,
    pub address: LinkAddress,
    /// Where frames for all go.
    pub broadcast: LinkAddress,
    pub mtu: u32,
    /// `veth`, `bridge`, `vlan`, ...; empty for hardware and virtio.
    pub kind: String,
    /// The veth peer, or the interface below; 0: none.
    pub lower: u32,
    /// The namespace of `lower` as this one numbers it; `None`: this one.
    pub lower_namespace: Option<i32>,
    pub xdp: Attached,
}

/// Identifiers of the XDP programs attached to an interface; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    pub native: u32,
    pub generic: u32,
    pub hardware: u32,
}

impl Attached {
    /// One of the programs attached, if any.
    #[must_use]
    pub fn any(self) -> Option<u32> {
        [self.native, self.generic, self.hardware]
            .into_iter()
            .find(|id| *id != 0)
    }
}

/// All interfaces of this network namespace.
///
/// # Errors
/// If the kernel does not tell.
pub fn devices() -> io::Result<Vec<Device>> {
    const DUMP: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    ask(DUMP, 0, None)
}

/// One interface of another network namespace, if this process may look there.
///
/// # Errors
/// If there is none or the kernel does not tell.
pub fn device_in(namespace: i32, index: u32) -> io::Result<Device> {
    let devices = ask(libc::NLM_F_REQUEST as u16, index, Some(namespace))?;
    let device = devices.into_iter().next();
    device.ok_or_else(|| io::ErrorKind::NotFound.into())
}

const ADDRESS: u16 = 1;
const BROADCAST: u16 = 2;
const NAME: u16 = 3;
const MTU: u16 = 4;
const LINK: u16 = 5;
const LINKINFO: u16 = 18;
const INFO_KIND: u16 = 1;
const LINK_NETNSID: u16 = 37;
const XDP: u16 = 43;
const XDP_DRV_PROG_ID: u16 = 5;
const XDP_SKB_PROG_ID: u16 = 6;
const XDP_HW_PROG_ID: u16 = 7;
const TARGET_NETNSID: u16 = 46;

const HEADER: usize = 16;

fn ask(flags: u16, index: u32, namespace: Option<i32>) -> io::Result<Vec<Device>> {
    let protocol = Some(Protocol::from(libc::NETLINK_ROUTE));
    let mut socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, protocol)?;
    socket.write_all(&request(flags, index, namespace))?;
    let mut devices = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let len = socket.read(&mut buffer)?;
        if read_messages(&buffer[..len], &mut devices)? || flags & libc::NLM_F_DUMP as u16 == 0 {
            return Ok(devices);
        }
    }
}

/// `nlmsghdr`, `ifinfomsg` and perhaps the namespace to look in.
fn request(flags: u16, index: u32, namespace: Option<i32>) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend([0; 8]);
    if let Some(namespace) = namespace {
        body.extend(8u16.to_ne_bytes());
        body.extend(TARGET_NETNSID.to_ne_bytes());
        body.extend(namespace.to_ne_bytes());
    }
    let mut message = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    message.extend(libc::RTM_GETLINK.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// Reads the messages of a datagram; tells whether the answer is complete.
fn read_messages(mut bytes: &[u8], devices: &mut Vec<Device>) -> io::Result<bool> {
    while let Some(header) = bytes.first_chunk::<HEADER>() {
        let len = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = i32::from(u16::from_ne_bytes([header[4], header[5]]));
        let body = bytes.get(HEADER..len).ok_or(io::ErrorKind::InvalidData)?;
        match kind {
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => {
                let code = body
                    .first_chunk()
                    .map_or(0, |code| i32::from_ne_bytes(*code));
                return Err(io::Error::from_raw_os_error(-code));
            }
            _ => devices.extend(device(body)),
        }
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn device(body: &[u8]) -> Option<Device> {
    let (info, rest) = body.split_first_chunk::<16>()?;
    let word = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    let has = |flag: i32| word(8) & flag as u32 != 0;
    let mut device = Device {
        index: word(4),
        loopback: has(libc::IFF_LOOPBACK),
        up: has(libc::IFF_UP),
        framing: Framing::of(u16::from_ne_bytes([info[2], info[3]])),
        ..Device::default()
    };
    for (kind, value) in Attributes(rest) {
        match kind {
            ADDRESS => device.address = LinkAddress::new(value),
            BROADCAST => device.broadcast = LinkAddress::new(value),
            NAME => device.name = text(value),
            MTU => device.mtu = number(value),
            LINK => device.lower = number(value),
            LINK_NETNSID => device.lower_namespace = Some(number(value).cast_signed()),
            LINKINFO => {
                let kind = Attributes(value).find(|(kind, _)| *kind == INFO_KIND);
                device.kind = kind.map_or(String::new(), |(_, value)| text(value));
            }
            XDP => device.xdp = attached(value),
            _ => {}
        }
    }
    Some(device)
}

fn attached(value: &[u8]) -> Attached {
    let mut attached = Attached::default();
    for (kind, value) in Attributes(value) {
        match kind {
            XDP_DRV_PROG_ID => attached.native = number(value),
            XDP_SKB_PROG_ID => attached.generic = number(value),
            XDP_HW_PROG_ID => attached.hardware = number(value),
            _ => {}
        }
    }
    attached
}

/// Netlink attributes: type without its flags, and value.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.0.first_chunk::<4>()?;
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

fn number(value: &[u8]) -> u32 {
    value
        .first_chunk()
        .map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_by_dump_and_alone() {
        let all = devices().unwrap();
        let lo = all.iter().find(|device| device.name == "lo").unwrap();
        assert!(lo.loopback && lo.up && lo.index == 1 && lo.kind.is_empty() && lo.mtu >= 1500);
    }

    #[test]
    fn damaged_answers_are_errors_or_ignored() {
        let mut devices = Vec::new();
        assert!(read_messages(&[255; 40], &mut devices).is_err());
        assert!(!read_messages(&[0; 8], &mut devices).unwrap());
        assert_eq!(Attributes(&[9, 0, 1, 0, 1]).next(), None);
        assert_eq!(Attributes(&[2, 0, 1, 0]).next(), None);
        assert!(devices.is_empty());
    }

    #[test]
    fn unknown_namespaces_are_errors() {
        assert!(device_in(0x7fff_0000, 1).is_err());
    }
}
