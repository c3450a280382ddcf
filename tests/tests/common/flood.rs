//! DISCOVERs of random clients, as fast as one thread can send them.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use xdhcpd_tests::{Lab, lab::INTERFACE, link};

use super::message::{DISCOVER, Mac, Message};
use super::random::Random;

/// Frames of one system call.
const BATCH: usize = 64;
const SOURCE_MAC: usize = 6;
const UDP_CHECKSUM: usize = 40;
const XID: usize = 46;
const CHADDR: usize = 70;

pub struct Flood {
    socket: OwnedFd,
    template: Vec<u8>,
    clients: usize,
}

impl Flood {
    /// So many clients on the lab's client `number`. Their frames are addressed to the server's MAC:
    /// the switch would otherwise send each one to everybody, and be the bottleneck.
    pub fn new(lab: &Lab, number: usize, clients: usize) -> Result<Self> {
        let opened = lab.clients[number].enter(open)?;
        let mut message = Message::new(DISCOVER, [0; 6], 0).with(55, &[1, 3, 6, 15, 51, 54]);
        message.to_mac = lab.server.mac(INTERFACE)?;
        let mut template = message.frame();
        // None (RFC 768).
        template[UDP_CHECKSUM..UDP_CHECKSUM + 2].fill(0);
        Ok(Self {
            socket: opened.context("no packet socket")?,
            template,
            clients,
        })
    }

    /// Sends until told to stop; tells how many frames the interface took.
    pub fn run(&self, stop: &AtomicBool) -> Result<u64> {
        let mut random = Random::new(67);
        let mut frames = vec![self.template.clone(); BATCH];
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) {
            for frame in &mut frames {
                let mac = mac(random.below(self.clients));
                frame[SOURCE_MAC..SOURCE_MAC + 6].copy_from_slice(&mac);
                frame[CHADDR..CHADDR + 6].copy_from_slice(&mac);
                frame[XID..XID + 4].copy_from_slice(&(random.next() as u32).to_be_bytes());
            }
            sent += send(&self.socket, &mut frames)?;
        }
        Ok(sent)
    }
}

/// Spread over all six bytes, as random MACs are.
fn mac(number: usize) -> Mac {
    let mixed = (number as u64 + 1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .to_be_bytes();
    [0x06, mixed[0], mixed[1], mixed[2], mixed[3], mixed[4]]
}

/// A socket that hears nothing.
fn open() -> io::Result<OwnedFd> {
    // SAFETY: socket takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = link::index(INTERFACE)?;
    let size = size_of_val(&address) as u32;
    // SAFETY: the pointer and the length are those of the address.
    let bound = unsafe { libc::bind(fd, (&raw const address).cast(), size) };
    if bound < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

fn send(socket: &OwnedFd, frames: &mut [Vec<u8>]) -> Result<u64> {
    let mut parts: Vec<libc::iovec> = frames
        .iter_mut()
        .map(|frame| libc::iovec {
            iov_base: frame.as_mut_ptr().cast(),
            iov_len: frame.len(),
        })
        .collect();
    let message = |part: &mut libc::iovec| {
        // SAFETY: all zero is an empty message.
        let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
        message
    };
    let mut messages: Vec<libc::mmsghdr> = parts.iter_mut().map(message).collect();
    let (first, count) = (messages.as_mut_ptr(), messages.len() as u32);
    // SAFETY: every message names one frame, which outlives the call.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), first, count, 0) };
    match u64::try_from(sent) {
        Ok(sent) => Ok(sent),
        // The interface's queue is full.
        Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::ENOBUFS) => Ok(0),
        Err(_) => Err(io::Error::last_os_error()).context("the flood could not send"),
    }
}
