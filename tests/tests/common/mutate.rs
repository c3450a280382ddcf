//! Frames that are not quite what clients send.

use std::net::Ipv4Addr;

use super::frame;
use super::random::Random;

/// Changes a frame in one or two ways, or not at all.
pub fn mutate(frame: &mut Vec<u8>, random: &mut Random) {
    frame::set_xid(frame, random.next() as u32);
    for _ in 0..random.below(3) {
        match random.below(12) {
            0 => flip(frame, 0, 60, random),
            1 => flip(frame, 14, 54, random),
            2 => flip(frame, 42, 90, random),
            3 => flip(frame, 278, 400, random),
            4 => frame.truncate(random.below(frame.len()).max(14)),
            5 => frame::pad_options(frame, random.below(340)),
            6 => frame.extend(std::iter::repeat_n(0xa5, random.below(100))),
            7 => frame::set_chaddr(frame, random.next()),
            8 => frame::set_addresses(frame, somewhere(random)),
            9 => *frame = frame::tagged(frame, &[(0x8100, random.next() as u16)]),
            10 => frame::set_giaddr(frame, random.next() as u32),
            _ => frame::broadcast(frame),
        }
    }
}

/// An address in the subnet, mostly not leased, or anywhere.
fn somewhere(random: &mut Random) -> u32 {
    let any = random.next() as u32;
    if random.one_in(2) {
        any
    } else {
        Ipv4Addr::new(10, 77, 0, 0).to_bits() | any & 0xfff
    }
}

/// Changes one byte in a region; in half of the cases the IP checksum fits again.
fn flip(frame: &mut [u8], from: usize, to: usize, random: &mut Random) {
    let to = to.min(frame.len());
    if from < to {
        let at = from + random.below(to - from);
        frame[at] ^= 1 << random.below(8);
    }
    if random.one_in(2) {
        frame::set_ip_checksum(frame);
    }
}
