//! Hears all that clients on one link send and receive, and when.

use std::cell::Cell;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};

use super::clock::{self, SECOND};
use crate::namespace::Namespace;
use crate::raw;

/// Longer than any DHCP message that has no jumbo frames.
const LONGEST: usize = 4096;

pub struct Ear {
    socket: OwnedFd,
    /// When the last frame was on the wire.
    last: Cell<u64>,
}

/// A frame, and when it was on the wire, on [`clock::boot`].
pub struct Frame<'a> {
    pub bytes: &'a [u8],
    pub at: u64,
}

impl Ear {
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        let opened = namespace.enter(|| {
            let socket = raw::open(interface)?;
            raw::set_option(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
            Ok::<_, io::Error>(socket)
        })?;
        let socket = opened.with_context(|| format!("cannot watch {interface}"))?;
        Ok(Self {
            socket,
            last: Cell::new(0),
        })
    }

    pub fn descriptor(&self) -> i32 {
        self.socket.as_raw_fd()
    }

    /// All that has come in since the last time. `ahead`: how far the clock of the stamps is.
    pub fn drain(&self, ahead: u64, mut each: impl FnMut(Frame<'_>)) -> Result<()> {
        let mut buffer = [0; LONGEST];
        loop {
            match receive(&self.socket, &mut buffer) {
                Ok((length, stamp)) => {
                    let at = stamp.map_or_else(clock::boot, |stamp| stamp.saturating_sub(ahead));
                    each(Frame {
                        bytes: &buffer[..length],
                        at: self.in_order(at),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Its interface is down, or was deleted: what follows tells.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(error) => return Err(error).context("the ledger cannot read a link"),
            }
        }
    }

    /// What follows on one link is later: `ahead` is not exact, and an answer does not come before its question.
    fn in_order(&self, at: u64) -> u64 {
        let at = at.max(self.last.get());
        self.last.set(at);
        at
    }

    /// How many frames have been lost since the last time because nobody read them in time.
    pub fn missed(&self) -> u64 {
        let mut stats = libc::tpacket_stats {
            tp_packets: 0,
            tp_drops: 0,
        };
        let mut size = size_of_val(&stats) as libc::socklen_t;
        let (level, name) = (libc::SOL_PACKET, libc::PACKET_STATISTICS);
        let place = (&raw mut stats).cast();
        // SAFETY: the pointer and the length are those of the structure that this option fills.
        unsafe { libc::getsockopt(self.descriptor(), level, name, place, &raw mut size) };
        stats.tp_drops.into()
    }
}

/// The length of a frame, and when it was on the wire, on the clock of [`clock::real_ahead`].
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
    let mut control = [0u64; 16];
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: the message names buffers that outlive the call, with their lengths.
    let length = raw::check(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) })?;
    Ok((length as usize, stamp(&message)))
}

fn stamp(message: &libc::msghdr) -> Option<u64> {
    // SAFETY: the message's control buffer is as long as it says.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    loop {
        // SAFETY: it is null or points into the control buffer, which the kernel has filled.
        let part = unsafe { header.as_ref() }?;
        if (part.cmsg_level, part.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            // SAFETY: the header is in the control buffer, and its data follows it.
            let data = unsafe { libc::CMSG_DATA(header) }.cast::<libc::timespec>();
            // SAFETY: an SCM_TIMESTAMPNS message holds this structure.
            let time = unsafe { data.read_unaligned() };
            return Some(time.tv_sec as u64 * SECOND + time.tv_nsec as u64);
        }
        // SAFETY: the header is one of the message's.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
}
