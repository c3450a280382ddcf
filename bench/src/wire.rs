//! The generator's cable: packet sockets that send and receive whole frames in batches.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use xdhcpd_tests::{Namespace, link};

use crate::request::Frame;

/// Frames that go with one system call.
const BATCH: usize = 64;
/// A reply is not larger; one that is would be cut off, and found wrong.
const LARGEST: usize = 1024;
/// So that a burst of answers is not lost while the generator sends.
const RECEIVE_BUFFER: libc::c_int = 256 << 20;

pub struct Wire {
    sender: OwnedFd,
    receiver: OwnedFd,
    waiting: Vec<Frame>,
    inbox: Vec<[u8; LARGEST]>,
    /// Frames that the interface did not take.
    pub refused: u64,
}

impl Wire {
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        let opened = namespace.enter(|| Ok((sender(interface)?, receiver(interface)?)));
        let opened: io::Result<_> = opened?;
        let (sender, receiver) =
            opened.with_context(|| format!("no packet socket on {interface}"))?;
        Ok(Self {
            sender,
            receiver,
            waiting: Vec::with_capacity(BATCH),
            inbox: vec![[0; LARGEST]; BATCH],
            refused: 0,
        })
    }

    /// Sends it with the next batch.
    pub fn send(&mut self, frame: &Frame) -> Result<()> {
        self.waiting.push(*frame);
        if self.waiting.len() == BATCH {
            self.flush()?;
        }
        Ok(())
    }

    pub fn flush(&mut self) -> Result<()> {
        let mut sent = 0;
        while sent < self.waiting.len() {
            sent += match send_batch(&self.sender, &mut self.waiting[sent..]) {
                Ok(count) => count,
                Err(error) if is_full(&error) => {
                    self.refused += 1;
                    1
                }
                Err(error) => return Err(error).context("could not send"),
            };
        }
        self.waiting.clear();
        Ok(())
    }

    /// Shows what has come by now, a batch at most; tells how many frames that were.
    pub fn receive(&mut self, mut see: impl FnMut(&[u8])) -> Result<usize> {
        let mut lengths = [0; BATCH];
        let count = receive_batch(&self.receiver, &mut self.inbox, &mut lengths)?;
        for (frame, length) in self.inbox.iter().zip(lengths).take(count) {
            see(&frame[..length.min(LARGEST)]);
        }
        Ok(count)
    }

    /// Sleeps until something comes, at most so long.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        let mut poll = libc::pollfd {
            fd: self.receiver.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let limit = libc::timespec {
            tv_sec: limit.as_secs().cast_signed(),
            tv_nsec: limit.subsec_nanos().into(),
        };
        // SAFETY: one pollfd and a time, which live until the call returns.
        let result = unsafe { libc::ppoll(&raw mut poll, 1, &raw const limit, std::ptr::null()) };
        match check(result as isize) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN))
}

/// Past the queueing discipline, and hearing nothing.
fn sender(interface: &str) -> io::Result<OwnedFd> {
    let socket = socket(interface, 0)?;
    set(&socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)?;
    Ok(socket)
}

/// IPv4, and nothing of our own.
fn receiver(interface: &str) -> io::Result<OwnedFd> {
    let socket = socket(interface, libc::ETH_P_IP as u16)?;
    set(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
    set(
        &socket,
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        RECEIVE_BUFFER,
    )?;
    Ok(socket)
}

fn socket(interface: &str, protocol: u16) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket takes no pointers.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) } as isize)? as i32;
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = link::index(interface)?;
    let size = size_of_val(&address) as u32;
    // SAFETY: the pointer and the length are those of the address.
    check(unsafe { libc::bind(fd, (&raw const address).cast(), size) } as isize)?;
    Ok(socket)
}

fn set(socket: &OwnedFd, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let size = size_of_val(&value) as u32;
    let value = (&raw const value).cast();
    // SAFETY: the pointer and the length are those of the option's value.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, size) } as isize)?;
    Ok(())
}

fn send_batch(socket: &OwnedFd, frames: &mut [Frame]) -> io::Result<usize> {
    let mut parts = frames
        .iter_mut()
        .map(|frame| part(frame))
        .collect::<Vec<_>>();
    let mut messages = parts.iter_mut().map(message).collect::<Vec<_>>();
    let (fd, count) = (socket.as_raw_fd(), messages.len() as u32);
    // SAFETY: the messages name buffers that outlive the call, with their lengths.
    let sent = unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), count, 0) };
    Ok(check(sent as isize)? as usize)
}

fn receive_batch(
    socket: &OwnedFd,
    inbox: &mut [[u8; LARGEST]],
    lengths: &mut [usize; BATCH],
) -> Result<usize> {
    let mut parts = inbox
        .iter_mut()
        .map(|frame| part(frame))
        .collect::<Vec<_>>();
    let mut messages = parts.iter_mut().map(message).collect::<Vec<_>>();
    let (fd, count) = (socket.as_raw_fd(), messages.len() as u32);
    let (first, now) = (messages.as_mut_ptr(), std::ptr::null_mut());
    // SAFETY: the messages name buffers that outlive the call, with their lengths.
    let received = unsafe { libc::recvmmsg(fd, first, count, libc::MSG_DONTWAIT, now) };
    match check(received as isize) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error).context("could not receive"),
        Ok(count) => {
            for (length, message) in lengths.iter_mut().zip(&messages) {
                *length = message.msg_len as usize;
            }
            Ok(count as usize)
        }
    }
}

fn part(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    }
}

fn message(part: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: all zero is a valid mmsghdr.
    let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
    message.msg_hdr.msg_iov = part;
    message.msg_hdr.msg_iovlen = 1;
    message
}

fn check(result: isize) -> io::Result<isize> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
