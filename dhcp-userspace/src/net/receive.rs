//! Receiving in batches: one system call for up to [`SIZE`] frames.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::AsRawFd;

use dhcp_common::wire::{ETHERTYPE_VLAN, TAG_LEN};
use libc::{cmsghdr, iovec, mmsghdr, timespec, tpacket_auxdata};

use super::Socket;
use super::frame::{Frame, Malformed};
use super::link::{Framing, LinkAddress, SockAddr};
use crate::clock::SECOND;

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

/// The control messages of a frame, with their headers: when it came, and what the packet socket knows of
/// it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

const HEADER: usize = size_of::<cmsghdr>();
const CONTROL: usize = space(size_of::<timespec>()) + space(size_of::<tpacket_auxdata>());

/// What a control message of so many bytes takes.
const fn space(data: usize) -> usize {
    HEADER + data.next_multiple_of(size_of::<usize>())
}

/// What the control messages tell, all zero where they do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    status: u32,
    vlan_tci: u16,
    vlan_tpid: u16,
    /// Nanoseconds since 1970.
    arrived: u64,
}

#[derive(Clone, Copy, Default)]
struct Received {
    len: usize,
    truncated: bool,
}

const NO_CONTROL: Control = Control([0; CONTROL]);

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
        let data = self.controls[index].told();
        let trusted = libc::TP_STATUS_CSUMNOTREADY | CHECKSUM_RIGHT;
        let verify_udp = data.status & trusted == 0;
        let whole = &mut self.buffers[index].0[..TAG_LEN + len];
        let untouched = data.status & TAG_VALID == 0 || self.framing == Framing::Cooked;
        let start = if untouched {
            TAG_LEN
        } else {
            put_back(whole, &data)
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
            arrived: data.arrived,
        })
    }
}

impl Control {
    fn told(&self) -> Told {
        let mut told = Told::default();
        let mut rest = &self.0[..];
        while let Some((kind, data, behind)) = split(rest) {
            match kind {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => told.arrived = nanoseconds(data),
                (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                    told.status =
                        u32::from_ne_bytes(part(data, offset_of!(tpacket_auxdata, tp_status)));
                    let tci = offset_of!(tpacket_auxdata, tp_vlan_tci);
                    told.vlan_tci = u16::from_ne_bytes(part(data, tci));
                    let tpid = offset_of!(tpacket_auxdata, tp_vlan_tpid);
                    told.vlan_tpid = u16::from_ne_bytes(part(data, tpid));
                }
                _ => {}
            }
            rest = behind;
        }
        told
    }
}

/// Level and type of a control message.
type Kind = (i32, i32);

/// The first control message with its data, and what stands behind it.
fn split(rest: &[u8]) -> Option<(Kind, &[u8], &[u8])> {
    let len = usize::from_ne_bytes(*rest.first_chunk()?);
    let data = rest.get(HEADER..len)?;
    let level = i32::from_ne_bytes(part(rest, offset_of!(cmsghdr, cmsg_level)));
    let kind = i32::from_ne_bytes(part(rest, offset_of!(cmsghdr, cmsg_type)));
    let behind = rest.get(len.next_multiple_of(size_of::<usize>())..);
    Some(((level, kind), data, behind.unwrap_or_default()))
}

/// Zeros where there are no such bytes.
fn part<const N: usize>(data: &[u8], at: usize) -> [u8; N] {
    let there = data.get(at..).and_then(<[u8]>::first_chunk);
    there.copied().unwrap_or([0; N])
}

fn nanoseconds(data: &[u8]) -> u64 {
    let number = |at| i64::from_ne_bytes(part(data, at)).max(0).cast_unsigned();
    number(0).saturating_mul(SECOND).saturating_add(number(8))
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
fn put_back(whole: &mut [u8], data: &Told) -> usize {
    whole.copy_within(TAG_LEN..TAG_LEN + MACS, 0);
    let typed = data.status & TAG_TYPE_VALID != 0;
    let kind = if typed {
        data.vlan_tpid
    } else {
        ETHERTYPE_VLAN
    };
    whole[MACS..MACS + 2].copy_from_slice(&kind.to_be_bytes());
    whole[MACS + 2..MACS + 4].copy_from_slice(&data.vlan_tci.to_be_bytes());
    0
}

#[cfg(test)]
mod tests {
    use super::super::tests::{request, tag};
    use super::*;

    /// A batch as if the kernel had given this frame.
    fn given(frame: &[u8], data: Told) -> Batch {
        let mut batch = Batch::default();
        batch.buffers[0].0[TAG_LEN..TAG_LEN + frame.len()].copy_from_slice(frame);
        batch.controls[0] = written(&data);
        batch.headers[0] = Received {
            len: frame.len(),
            truncated: false,
        };
        batch
    }

    /// As the kernel writes it.
    fn written(told: &Told) -> Control {
        let mut bytes = Vec::new();
        let mut put = |level: i32, kind: i32, data: &[u8]| {
            bytes.extend((HEADER + data.len()).to_ne_bytes());
            bytes.extend(level.to_ne_bytes().into_iter().chain(kind.to_ne_bytes()));
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        };
        let (seconds, rest) = (told.arrived / SECOND, told.arrived % SECOND);
        let time = [seconds.to_ne_bytes(), rest.to_ne_bytes()].concat();
        put(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &time);
        let mut auxdata = told.status.to_ne_bytes().to_vec();
        auxdata.resize(offset_of!(tpacket_auxdata, tp_vlan_tci), 0);
        auxdata.extend(told.vlan_tci.to_ne_bytes());
        auxdata.extend(told.vlan_tpid.to_ne_bytes());
        put(libc::SOL_PACKET, libc::PACKET_AUXDATA, &auxdata);
        let mut control = NO_CONTROL;
        control.0[..bytes.len()].copy_from_slice(&bytes);
        control
    }

    #[test]
    fn control_messages_are_read_as_they_are_written() {
        let told = Told {
            arrived: 1_700_000_000 * SECOND + 7,
            ..data(9, 100, 0x88a8)
        };
        assert_eq!(written(&told).told(), told);
        assert_eq!(NO_CONTROL.told(), Told::default());
        let mut cut = written(&told);
        cut.0[0] = 200;
        assert_eq!(cut.told(), Told::default(), "longer than what is there");
    }

    fn data(status: u32, tci: u16, kind: u16) -> Told {
        Told {
            status,
            vlan_tci: tci,
            vlan_tpid: kind,
            arrived: 0,
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
