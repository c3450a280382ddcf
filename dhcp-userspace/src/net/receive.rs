//! Receiving in batches: one system call for up to [`SIZE`] frames.

use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;

use dhcp_common::wire::{ETHERTYPE_VLAN, TAG_LEN};
use libc::{cmsghdr, iovec, mmsghdr, tpacket_auxdata};

use super::Socket;
use super::frame::{Frame, Malformed};
use super::link::{Framing, LinkAddress, SockAddr};

/// Frames in a batch.
pub const SIZE: usize = 64;
/// A DHCP message of an Ethernet frame, and then some. Longer ones are refused as malformed.
const ROOM: usize = 2048;
const MACS: usize = 12;

/// The kernel took a tag out of the frame, and `tp_vlan_tci` has it.
const TAG_VALID: u32 = 1 << 4;
/// `tp_vlan_tpid` has the tag's type.
const TAG_TYPE_VALID: u32 = 1 << 6;
/// The NIC found the UDP checksum right.
const CHECKSUM_RIGHT: u32 = 1 << 7;

/// Frames of one socket, as received last.
pub struct Batch {
    buffers: Box<[Buffer; SIZE]>,
    controls: Box<[Control; SIZE]>,
    headers: Box<[Received; SIZE]>,
    /// Who sent them, where the frames do not tell.
    senders: Box<[SockAddr; SIZE]>,
    ifindex: u32,
    framing: Framing,
}

/// A frame behind room for the tag that the kernel took out.
#[derive(Clone, Copy)]
struct Buffer([u8; TAG_LEN + ROOM]);

/// The one control message that a packet socket sends, with its header.
#[derive(Clone, Copy)]
#[repr(C)]
struct Control {
    header: cmsghdr,
    data: tpacket_auxdata,
}

#[derive(Clone, Copy, Default)]
struct Received {
    len: usize,
    truncated: bool,
}

const NO_CONTROL: Control = Control {
    header: cmsghdr {
        cmsg_len: 0,
        cmsg_level: 0,
        cmsg_type: 0,
    },
    data: tpacket_auxdata {
        tp_status: 0,
        tp_len: 0,
        tp_snaplen: 0,
        tp_mac: 0,
        tp_net: 0,
        tp_vlan_tci: 0,
        tp_vlan_tpid: 0,
    },
};

impl Default for Batch {
    fn default() -> Self {
        Self {
            buffers: Box::new([Buffer([0; TAG_LEN + ROOM]); SIZE]),
            controls: Box::new([NO_CONTROL; SIZE]),
            headers: Box::new([Received::default(); SIZE]),
            senders: Box::new([SockAddr::EMPTY; SIZE]),
            ifindex: 0,
            framing: Framing::Ethernet,
        }
    }
}

impl Batch {
    /// Takes what the socket has; tells how many frames. 0: nothing is there.
    ///
    /// # Errors
    /// If the interface is gone or down.
    pub fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        self.receive_up_to(SIZE, socket)
    }

    /// As [`Self::receive`], one frame at most.
    #[cfg(test)]
    pub(crate) fn receive_one(&mut self, socket: &Socket) -> io::Result<usize> {
        self.receive_up_to(1, socket)
    }

    fn receive_up_to(&mut self, most: usize, socket: &Socket) -> io::Result<usize> {
        self.ifindex = socket.ifindex;
        self.framing = socket.framing;
        let mut pieces: [iovec; SIZE] = std::array::from_fn(|i| iovec {
            iov_base: self.buffers[i].0[TAG_LEN..].as_mut_ptr().cast(),
            iov_len: ROOM,
        });
        self.controls.fill(NO_CONTROL);
        let mut messages: [mmsghdr; SIZE] =
            std::array::from_fn(|i| message(&raw mut pieces[i], &raw mut self.controls[i]));
        if self.framing == Framing::Cooked {
            self.ask_for_senders(&mut messages);
        }
        let (first, count) = (messages.as_mut_ptr(), most.min(SIZE) as libc::c_uint);
        let fd = socket.as_raw_fd();
        // SAFETY: every message names buffers of the lengths it gives, which outlive the call.
        let got = unsafe { libc::recvmmsg(fd, first, count, 0, std::ptr::null_mut()) };
        if got < 0 {
            return nothing_or(io::Error::last_os_error());
        }
        for (to, from) in self.headers.iter_mut().zip(&messages[..got as usize]) {
            to.len = from.msg_len as usize;
            to.truncated = from.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        }
        Ok(got as usize)
    }

    fn ask_for_senders(&mut self, messages: &mut [mmsghdr; SIZE]) {
        self.senders.fill(SockAddr::EMPTY);
        for (message, sender) in messages.iter_mut().zip(self.senders.iter_mut()) {
            message.msg_hdr.msg_name = (&raw mut *sender).cast();
            message.msg_hdr.msg_namelen = size_of::<SockAddr>() as libc::socklen_t;
        }
    }

    /// A received frame as it was on the wire: with the tag that the kernel took out.
    ///
    /// # Errors
    /// If it is too long or too short for any DHCP message.
    pub fn frame(&mut self, index: usize) -> Result<Frame<'_>, Malformed> {
        let Received { len, truncated } = self.headers[index];
        if truncated || len < MACS + 2 {
            return Err(Malformed);
        }
        let data = self.controls[index].auxdata();
        let trusted = libc::TP_STATUS_CSUMNOTREADY | CHECKSUM_RIGHT;
        let verify_udp = data.tp_status & trusted == 0;
        let whole = &mut self.buffers[index].0[..TAG_LEN + len];
        let untouched = data.tp_status & TAG_VALID == 0 || self.framing == Framing::Cooked;
        let start = if untouched {
            TAG_LEN
        } else {
            put_back(whole, data)
        };
        let from = match self.framing {
            Framing::Ethernet => LinkAddress::default(),
            Framing::Cooked => self.senders[index].link_address(),
        };
        Ok(Frame {
            bytes: &whole[start..],
            ifindex: self.ifindex,
            verify_udp,
            framing: self.framing,
            from,
        })
    }
}

impl Control {
    /// The auxiliary data; all zero if there is none.
    fn auxdata(&self) -> &tpacket_auxdata {
        let there = self.header.cmsg_level == libc::SOL_PACKET
            && self.header.cmsg_type == libc::PACKET_AUXDATA;
        if there { &self.data } else { &NO_CONTROL.data }
    }
}

fn message(piece: *mut iovec, control: *mut Control) -> mmsghdr {
    // SAFETY: all zero is an empty message; some targets pad it with private fields.
    let mut message: mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = piece;
    message.msg_hdr.msg_iovlen = 1;
    message.msg_hdr.msg_control = control.cast();
    message.msg_hdr.msg_controllen = size_of::<Control>() as _;
    message
}

fn nothing_or(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
        _ => Err(error),
    }
}

/// Puts the tag between the MAC addresses and the type; tells where the frame starts now.
fn put_back(whole: &mut [u8], data: &tpacket_auxdata) -> usize {
    whole.copy_within(TAG_LEN..TAG_LEN + MACS, 0);
    let typed = data.tp_status & TAG_TYPE_VALID != 0;
    let kind = if typed {
        data.tp_vlan_tpid
    } else {
        ETHERTYPE_VLAN
    };
    whole[MACS..MACS + 2].copy_from_slice(&kind.to_be_bytes());
    whole[MACS + 2..MACS + 4].copy_from_slice(&data.tp_vlan_tci.to_be_bytes());
    0
}

#[cfg(test)]
mod tests {
    use super::super::tests::{request, tag};
    use super::*;

    /// A batch as if the kernel had given this frame.
    fn given(frame: &[u8], data: tpacket_auxdata) -> Batch {
        let mut batch = Batch::default();
        batch.buffers[0].0[TAG_LEN..TAG_LEN + frame.len()].copy_from_slice(frame);
        let header = cmsghdr {
            cmsg_len: size_of::<Control>() as _,
            cmsg_level: libc::SOL_PACKET,
            cmsg_type: libc::PACKET_AUXDATA,
        };
        batch.controls[0] = Control { header, data };
        batch.headers[0] = Received {
            len: frame.len(),
            truncated: false,
        };
        batch
    }

    fn data(status: u32, tci: u16, kind: u16) -> tpacket_auxdata {
        tpacket_auxdata {
            tp_status: status,
            tp_vlan_tci: tci,
            tp_vlan_tpid: kind,
            ..NO_CONTROL.data
        }
    }

    #[test]
    fn a_tag_taken_out_is_put_back() {
        let plain = request(1);
        let inner = tag(&plain, 0x8100, 9);
        let rows = [
            (data(0, 0, 0), &plain, plain.clone()),
            (data(TAG_VALID, 100, 0), &plain, tag(&plain, 0x8100, 100)),
            (
                data(TAG_VALID | TAG_TYPE_VALID, 0x3064, 0x88a8),
                &plain,
                tag(&plain, 0x88a8, 0x3064),
            ),
            (
                data(TAG_VALID | TAG_TYPE_VALID, 7, 0x88a8),
                &inner,
                tag(&inner, 0x88a8, 7),
            ),
            // Priority tag: number 0, yet a tag.
            (
                data(TAG_VALID | TAG_TYPE_VALID, 0xe000, 0x8100),
                &plain,
                tag(&plain, 0x8100, 0xe000),
            ),
        ];
        for (data, frame, want) in rows {
            assert_eq!(given(frame, data).frame(0).unwrap().bytes, want);
        }
    }

    #[test]
    fn checksums_that_were_left_open_are_not_verified() {
        for (status, verify) in [(0, true), (1 << 3, false), (1 << 7, false), (1 << 4, true)] {
            let mut batch = given(&request(1), data(status, 0, 0));
            assert_eq!(
                batch.frame(0).unwrap().verify_udp,
                verify,
                "status {status:#x}"
            );
        }
    }

    #[test]
    fn too_long_and_too_short_are_malformed() {
        let mut batch = given(&request(1), data(0, 0, 0));
        batch.headers[0].truncated = true;
        assert!(batch.frame(0).is_err());
        batch.headers[0] = Received {
            len: 13,
            truncated: false,
        };
        assert!(batch.frame(0).is_err());
    }
}
