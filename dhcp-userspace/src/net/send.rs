//! Sending in batches. By the device's queue, not around it: so tcpdump on the server shows the
//! replies, and a busy device holds them back instead of losing them.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use dhcp_common::wire::{IP_LEN, UDP_LEN, bootp};
use libc::{iovec, mmsghdr};

use super::Socket;
use super::link::{Framing, LinkAddress, SockAddr};

/// Frames in a batch.
pub const SIZE: usize = 64;
/// How often a full queue is given a millisecond to drain before its frames are lost. Clients
/// ask again; those that follow must not wait much longer.
const PATIENCE: usize = 5;

/// Where the message of a reply without link header begins.
const BOOTP: usize = IP_LEN + UDP_LEN;

/// A frame and the way it goes.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub socket: Arc<Socket>,
    pub frame: Vec<u8>,
    /// Where that does not stand in the frame; if it is nowhere known, the frame goes to all.
    pub to: LinkAddress,
}

/// Frames that wait for one system call.
#[derive(Default)]
pub struct Batch {
    waiting: Vec<Parcel>,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

/// What became of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub sent: u64,
    pub failed: u64,
}

impl Batch {
    /// An empty buffer for a frame.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Gives a buffer back that was not needed.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SIZE {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    pub fn push(&mut self, parcel: Parcel) {
        self.waiting.push(parcel);
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= SIZE
    }

    /// Sends all that wait; a frame that the kernel refuses is counted and left out.
    pub fn flush(&mut self) -> Sent {
        let mut sent = Sent::default();
        let of_one_way = |a: &Parcel, b: &Parcel| {
            Arc::ptr_eq(&a.socket, &b.socket) && a.is_routed() == b.is_routed()
        };
        for run in self.waiting.chunk_by(of_one_way) {
            if run[0].is_routed() {
                run.iter().for_each(|parcel| parcel.route(&mut sent));
                continue;
            }
            for parcels in run.chunks(SIZE) {
                send(parcels[0].socket.as_raw_fd(), parcels, &mut sent);
            }
        }
        for parcel in std::mem::take(&mut self.waiting) {
            self.recycle(parcel.frame);
        }
        sent
    }
}

fn send(fd: RawFd, parcels: &[Parcel], sent: &mut Sent) {
    let mut done = 0;
    let mut waited = 0;
    while done < parcels.len() {
        match send_some(fd, &parcels[done..]) {
            Ok(count) => {
                sent.sent += count as u64;
                done += count;
            }
            Err(error) if is_full(&error) && waited < PATIENCE => {
                waited += 1;
                wait(fd);
            }
            Err(_) => {
                sent.failed += 1;
                done += 1;
            }
        }
    }
}

fn send_some(fd: RawFd, parcels: &[Parcel]) -> io::Result<usize> {
    let mut pieces: [iovec; SIZE] = std::array::from_fn(|i| {
        let frame = parcels.get(i).map_or(&[][..], |parcel| &parcel.frame);
        iovec {
            iov_base: frame.as_ptr().cast_mut().cast(),
            iov_len: frame.len(),
        }
    });
    let mut messages: [mmsghdr; SIZE] = std::array::from_fn(|i| message(&raw mut pieces[i]));
    let addresses = addresses(parcels);
    for (message, address) in messages.iter_mut().zip(&addresses) {
        message.msg_hdr.msg_name = (&raw const *address).cast_mut().cast();
        message.msg_hdr.msg_namelen = size_of::<SockAddr>() as libc::socklen_t;
    }
    let (first, count) = (messages.as_mut_ptr(), parcels.len() as libc::c_uint);
    // SAFETY: every one of the `count` messages names a frame and an address that outlive the call.
    let count = unsafe { libc::sendmmsg(fd, first, count, 0) };
    if count < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(count as usize)
    }
}

/// Where the frames go; none where they tell it themselves.
fn addresses(parcels: &[Parcel]) -> Vec<SockAddr> {
    let cooked = |parcel: &&Parcel| parcel.socket.framing == Framing::Cooked;
    parcels.iter().filter(cooked).map(Parcel::address).collect()
}

impl Parcel {
    pub(super) fn address(&self) -> SockAddr {
        let to_all = self.ip_destination() == Some(Ipv4Addr::BROADCAST);
        let to = if to_all || self.to.is_none() {
            &self.socket.broadcast
        } else {
            &self.to
        };
        SockAddr::to(self.socket.ifindex, to)
    }

    /// Whether the host is to find out the link address: nobody tells it, and the relay or client
    /// has its IP address already.
    fn is_routed(&self) -> bool {
        let has = |field: usize| {
            let bytes = self.frame.get(BOOTP + field..BOOTP + field + 4);
            bytes.is_some_and(|address| address != [0; 4])
        };
        self.socket.routed.is_some()
            && self.to.is_none()
            && self.ip_destination() != Some(Ipv4Addr::BROADCAST)
            && (has(bootp::CIADDR) || has(bootp::GIADDR))
    }

    fn route(&self, sent: &mut Sent) {
        let to = self.ip_destination().map(|to| SocketAddrV4::new(to, 0));
        let done = match (&self.socket.routed, to) {
            (Some(socket), Some(to)) => socket.send_to(&self.frame, &to.into()).is_ok(),
            _ => false,
        };
        sent.sent += u64::from(done);
        sent.failed += u64::from(!done);
    }

    /// Of a packet without link header.
    fn ip_destination(&self) -> Option<Ipv4Addr> {
        let bytes = self.frame.get(16..20)?.first_chunk::<4>()?;
        Some((*bytes).into())
    }
}

fn message(piece: *mut iovec) -> mmsghdr {
    // SAFETY: all zero is an empty message; some targets pad it with private fields.
    let mut message: mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = piece;
    message.msg_hdr.msg_iovlen = 1;
    message
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::ENOBUFS | libc::EINTR)
    )
}

fn wait(fd: RawFd) {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one valid entry. A full device queue leaves the socket writable: then this returns
    // at once, and the next try is the wait.
    unsafe { libc::poll(&raw mut poll, 1, 1) };
}
