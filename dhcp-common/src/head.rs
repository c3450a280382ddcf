//! The headers of a reply: link, IP, UDP and the BOOTP head, which differ from client to client.
//! The fast path and the daemon's replies are both written here.
#![forbid(unsafe_code)]

use crate::fast::Peek;
use crate::wire::{
    BOOTP_HEAD, BOOTP_LEN, BOOTP_MIN, BOOTREPLY, HTYPE_ETHERNET, IP_LEN, PROTO_UDP, Sum, UDP_LEN,
    bootp, chunk, mac_bytes, udp_checksum,
};

/// Link header (right-aligned to [`HEAD_IP`]), IP and UDP header and the BOOTP head of a reply.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Head(pub [u8; HEAD_LEN]);

pub const HEAD_IP: usize = 24;
const HEAD_UDP: usize = HEAD_IP + IP_LEN;
const HEAD_BOOTP: usize = HEAD_UDP + UDP_LEN;
pub const HEAD_LEN: usize = HEAD_BOOTP + BOOTP_HEAD;

impl Default for Head {
    fn default() -> Self {
        Self([0; HEAD_LEN])
    }
}

/// The length of a BOOTP message whose options without END reach up to `open`.
#[inline(always)]
#[must_use]
pub const fn padded_len(open: usize) -> usize {
    if open < BOOTP_MIN {
        BOOTP_MIN
    } else {
        open + 1
    }
}

/// op to chaddr: xid, flags, ciaddr and chaddr are the request's; hops and secs are 0.
#[inline(always)]
pub fn write_bootp(head: &mut Head, b: &[u8; BOOTP_LEN], yiaddr: u32, siaddr: u32) {
    let h = &mut head.0;
    put(h, HEAD_BOOTP + bootp::OP, [BOOTREPLY, HTYPE_ETHERNET, 6, 0]);
    copy::<4>(h, HEAD_BOOTP + bootp::XID, b, bootp::XID);
    put(
        h,
        HEAD_BOOTP + bootp::SECS,
        [0, 0, b[bootp::FLAGS], b[bootp::FLAGS + 1]],
    );
    copy::<4>(h, HEAD_BOOTP + bootp::CIADDR, b, bootp::CIADDR);
    put(h, HEAD_BOOTP + bootp::YIADDR, yiaddr.to_be_bytes());
    put(h, HEAD_BOOTP + bootp::SIADDR, siaddr.to_be_bytes());
    put(h, HEAD_BOOTP + bootp::GIADDR, [0; 4]);
    copy::<16>(h, HEAD_BOOTP + bootp::CHADDR, b, bootp::CHADDR);
}

/// What [`write_ip_udp`] must know beside the BOOTP head.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub source: u32,
    pub destination: u32,
    pub source_port: u16,
    pub port: u16,
    /// Bytes of the BOOTP message.
    pub bootp: usize,
    /// Checksum of the message behind its head.
    pub rest: Sum,
}

/// Writes the IP and UDP headers of a reply; the BOOTP head is there already.
#[inline(always)]
pub fn write_ip_udp(head: &mut Head, header: &Header) {
    let udp_len = (UDP_LEN + header.bootp) as u16;
    let ip_len = udp_len + IP_LEN as u16;
    let source = header.source.to_be_bytes();
    let destination = header.destination.to_be_bytes();
    let h = &mut head.0;
    let [len_high, len_low] = ip_len.to_be_bytes();
    put(h, HEAD_IP, [0x45, 0, len_high, len_low]);
    put(h, HEAD_IP + 4, [0, 0, 0x40, 0]); // No identification; "don't fragment".
    put(h, HEAD_IP + 8, [64, PROTO_UDP, 0, 0]);
    put(h, HEAD_IP + 12, source);
    put(h, HEAD_IP + 16, destination);
    let addresses = Sum::default().bytes(&source).bytes(&destination);
    let sum = addresses
        .word(u16::from_ne_bytes([0x45, 0]))
        .word(ip_len.to_be())
        .word(u16::from_ne_bytes([0x40, 0]))
        .word(u16::from_ne_bytes([64, PROTO_UDP]));
    put(h, HEAD_IP + 10, sum.checksum().to_ne_bytes());

    put(h, HEAD_UDP, header.source_port.to_be_bytes());
    put(h, HEAD_UDP + 2, header.port.to_be_bytes());
    put(h, HEAD_UDP + 4, udp_len.to_be_bytes());
    // The pseudo header has the length a second time (RFC 768).
    let sum = addresses
        .word(u16::from_ne_bytes([0, PROTO_UDP]))
        .word(udp_len.to_be())
        .word(udp_len.to_be())
        .word(header.source_port.to_be())
        .word(header.port.to_be())
        .add(header.rest);
    let sum = sum.bytes(&chunk::<HEAD_LEN, BOOTP_HEAD>(h, HEAD_BOOTP));
    put(h, HEAD_UDP + 6, udp_checksum(sum).to_ne_bytes());
}

/// Writes the link header before the IP header, with the same tags as the frame that came. `macs` are
/// those of receiver and sender. Tells where it starts.
#[inline(always)]
pub fn write_l2(head: &mut Head, peek: &Peek, l2: usize, macs: [u64; 2]) -> usize {
    match l2 {
        14 => l2_of::<14, 2>(head, peek, macs),
        18 => l2_of::<18, 6>(head, peek, macs),
        _ => l2_of::<22, 10>(head, peek, macs),
    }
}

/// `L2` is the header's length, `REST` that of tags and type.
#[inline(always)]
fn l2_of<const L2: usize, const REST: usize>(
    head: &mut Head,
    peek: &Peek,
    [to, from]: [u64; 2],
) -> usize {
    let start = HEAD_IP - L2;
    put(&mut head.0, start, mac_bytes(to));
    put(&mut head.0, start + 6, mac_bytes(from));
    copy::<REST>(&mut head.0, start + 12, &peek.0, 12);
    start
}

#[inline(always)]
fn put<const N: usize>(to: &mut [u8; HEAD_LEN], at: usize, bytes: [u8; N]) {
    to[at..at + N].copy_from_slice(&bytes);
}

#[inline(always)]
fn copy<const N: usize>(to: &mut [u8; HEAD_LEN], at: usize, from: &[u8], from_at: usize) {
    to[at..at + N].copy_from_slice(&from[from_at..from_at + N]);
}
