//! Whole Ethernet frames, for what no client would send: tags, odd headers, floods.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::link;
use crate::namespace::Namespace;
use crate::wait::Deadline;

/// IEEE 802.1Q and 802.1ad tag protocol identifiers.
pub const VLAN: u16 = 0x8100;
pub const QINQ: u16 = 0x88a8;

const ADDRESSES: usize = 12;
const LARGEST_FRAME: usize = 64 * 1024;
const RECEIVE_BUFFER: libc::c_int = 16 << 20;

/// An AF_PACKET socket on one interface.
pub struct RawSocket {
    socket: OwnedFd,
}

impl RawSocket {
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        let opened = namespace.enter(|| open(interface))?;
        let socket = opened.with_context(|| format!("no packet socket on {interface}"))?;
        Ok(Self { socket })
    }

    pub fn send(&self, frame: &[u8]) -> Result<()> {
        // SAFETY: the pointer and the length are those of the slice.
        let sent = unsafe {
            libc::send(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
            )
        };
        check(sent).context("could not send a frame")?;
        Ok(())
    }

    /// The next frame that arrives, with its tags; `None` when none does within `limit`.
    pub fn receive(&self, limit: Duration) -> Result<Option<Vec<u8>>> {
        self.receive_that(limit, |_| true)
    }

    /// The next frame that `wanted` likes.
    pub fn receive_that(
        &self,
        limit: Duration,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>> {
        let deadline = Deadline::after(limit);
        while self.wait_readable(deadline.left())? {
            if let Some(frame) = receive_now(&self.socket)?.filter(|frame| wanted(frame)) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn wait_readable(&self, limit: Duration) -> Result<bool> {
        let mut poll = libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one pollfd, which lives until the call returns.
        let ready = check(unsafe { libc::poll(&raw mut poll, 1, limit_ms) } as isize)?;
        Ok(ready > 0)
    }
}

/// Inserts tags, outermost first, behind the addresses.
pub fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let bytes = tags
        .iter()
        .flat_map(|(protocol, tag)| [protocol.to_be_bytes(), tag.to_be_bytes()]);
    let (addresses, rest) = frame.split_at(ADDRESSES);
    [addresses, bytes.collect::<Vec<_>>().as_flattened(), rest].concat()
}

pub(crate) fn open(interface: &str) -> io::Result<OwnedFd> {
    let every_protocol = (libc::ETH_P_ALL as u16).to_be();
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: socket takes no pointers.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) } as isize)?;
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    enable_auxdata(&socket)?;
    enlarge_buffer(&socket)?;

    // SAFETY: all zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = every_protocol;
    address.sll_ifindex = link::index(interface)?;
    let size = size_of_val(&address) as u32;
    // SAFETY: the pointer and the length are those of the address.
    check(unsafe { libc::bind(fd as i32, (&raw const address).cast(), size) } as isize)?;
    Ok(socket)
}

/// The kernel takes the outer tag off and tells it beside the frame.
fn enable_auxdata(socket: &OwnedFd) -> io::Result<isize> {
    set_option(socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)
}

/// So that a burst is not lost while the reader has no CPU.
fn enlarge_buffer(socket: &OwnedFd) -> io::Result<isize> {
    set_option(
        socket,
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        RECEIVE_BUFFER,
    )
}

pub(crate) fn set_option(
    socket: &OwnedFd,
    level: i32,
    name: i32,
    value: libc::c_int,
) -> io::Result<isize> {
    let size = size_of_val(&value) as u32;
    let value = (&raw const value).cast();
    // SAFETY: the pointer and the length are those of the option's value.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, size) } as isize)
}

/// `None` for what we sent ourselves.
fn receive_now(socket: &OwnedFd) -> Result<Option<Vec<u8>>> {
    let mut frame = vec![0u8; LARGEST_FRAME];
    let mut control = [0u64; 16];
    // SAFETY: all zero is a valid sockaddr_ll.
    let mut from: libc::sockaddr_ll = unsafe { mem::zeroed() };
    let mut part = libc::iovec {
        iov_base: frame.as_mut_ptr().cast(),
        iov_len: frame.len(),
    };
    // SAFETY: all zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of_val(&from) as u32;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;

    // SAFETY: the message names buffers that outlive the call, with their lengths.
    let length = check(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) })?;
    if from.sll_pkttype == libc::PACKET_OUTGOING {
        return Ok(None);
    }
    frame.truncate(length as usize);
    Ok(Some(match stripped_tag(&message) {
        Some(tag) => tagged(&frame, &[tag]),
        None => frame,
    }))
}

fn stripped_tag(message: &libc::msghdr) -> Option<(u16, u16)> {
    // SAFETY: the message's control buffer is as long as it says.
    let first = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: it is null or points into the control buffer, which the kernel has filled.
    let header = unsafe { first.as_ref() }?;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // SAFETY: the first header is in the control buffer, and its data follows it.
    let data = unsafe { libc::CMSG_DATA(first) }.cast::<libc::tpacket_auxdata>();
    // SAFETY: a PACKET_AUXDATA message holds this structure.
    let auxdata = unsafe { data.read_unaligned() };
    let valid = auxdata.tp_status & libc::TP_STATUS_VLAN_VALID != 0;
    let protocol = match auxdata.tp_status & libc::TP_STATUS_VLAN_TPID_VALID {
        0 => VLAN,
        _ => auxdata.tp_vlan_tpid,
    };
    valid.then_some((protocol, auxdata.tp_vlan_tci))
}

pub(crate) fn check(result: isize) -> io::Result<isize> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_between_addresses_and_type() {
        let frame = [&[1; 6][..], &[2; 6], &[0x08, 0x00, 9]].concat();
        let expected = [
            &frame[..12],
            &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 42],
            &[0x08, 0x00, 9],
        ]
        .concat();
        assert_eq!(tagged(&frame, &[(QINQ, 7), (VLAN, 42)]), expected);
    }
}
