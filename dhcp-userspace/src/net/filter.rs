//! Classic BPF programs: which frames reach the daemon, and which worker.
//!
//! They run before a VLAN tag that the NIC or the kernel took out is put back: such a tag is in
//! the frame's metadata and shifts nothing.

use libc::sock_filter;

use super::link::Framing;

const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const LOAD_HALF_AT_X: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
const LOAD_WORD_AT_X: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_IND) as u16;
/// X = 4 * (byte & 15): the length of an IP header.
const LOAD_IP_LEN: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const IF_BITS: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const RETURN_A: u16 = (libc::BPF_RET | libc::BPF_A) as u16;

/// Offsets count from the link header, wherever the kernel has the packet's start just then:
/// before it for a socket's filter, behind it for a fanout program.
const LINK: u32 = libc::SKF_LL_OFF as u32;
/// The same for the IP header of a packet whose link header is not looked at.
const NETWORK: u32 = libc::SKF_NET_OFF as u32;
const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
const TAG_TAKEN_OUT: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_VLAN_TAG_PRESENT) as u32;

const IPV4: u32 = dhcp_common::wire::ETHERTYPE_IPV4 as u32;
const VLAN: u32 = dhcp_common::wire::ETHERTYPE_VLAN as u32;
const QINQ: u32 = dhcp_common::wire::ETHERTYPE_QINQ as u32;
const ARP: u32 = libc::ETH_P_ARP as u32;
const UDP: u32 = dhcp_common::wire::PROTO_UDP as u32;
const PORT: u32 = dhcp_common::wire::SERVER_PORT as u32;
const BOOT_PORT: u32 = dhcp_common::wire::BOOT_SERVER_PORT as u32;
/// "More fragments" and the offset.
const FRAGMENT: u32 = 0x3fff;
/// The last four bytes of chaddr, behind the IP header.
const CHADDR_LOW: u32 = 8 + 28 + 2;

const fn op(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

const fn branch(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Nothing: for sockets that are not ready yet, and for the one that keeps port 67.
pub const NONE: [sock_filter; 1] = [op(RETURN, 0)];

/// Takes UDP packets to ports 67 and 4011, whole ones, not for another host; of Ethernet under at
/// most two tags.
#[must_use]
pub fn requests(framing: Framing) -> Vec<sock_filter> {
    let mut program = not_for_others().to_vec();
    program.extend(of_framing(framing, to_our_ports));
    program
}

/// The worker of a frame that [`requests`] takes, by chaddr: one client's packets stay in order.
#[must_use]
pub fn worker(framing: Framing) -> Vec<sock_filter> {
    of_framing(framing, low_chaddr)
}

/// Takes ARP replies, not for another host, under at most one tag beside the one that was taken
/// out.
#[must_use]
pub fn arp_replies() -> Vec<sock_filter> {
    const REPLY: u32 = 2;
    let mut program = not_for_others().to_vec();
    program.extend([
        op(LOAD_HALF, LINK + 12),
        branch(IF_EQUAL, ARP, 6, 0),
        branch(IF_EQUAL, VLAN, 1, 0),
        branch(IF_EQUAL, QINQ, 0, 7),
        op(LOAD_HALF, LINK + 16),
        branch(IF_EQUAL, ARP, 0, 5),
        op(LOAD_HALF, LINK + 18 + 6),
        branch(IF_EQUAL, REPLY, 2, 3),
        op(LOAD_HALF, LINK + 14 + 6),
        branch(IF_EQUAL, REPLY, 0, 1),
        op(RETURN, u32::MAX),
        op(RETURN, 0),
    ]);
    program
}

/// Ends the program unless the frame is for this host or for several.
const fn not_for_others() -> [sock_filter; 3] {
    [
        op(LOAD_WORD, PACKET_TYPE),
        branch(IF_GREATER, 2, 0, 1),
        op(RETURN, 0),
    ]
}

/// What each of the three places of an IP header, or the only one, goes on with.
type Block = fn(u32) -> [sock_filter; BLOCK as usize];

fn of_framing(framing: Framing, then: Block) -> Vec<sock_filter> {
    match framing {
        Framing::Ethernet => by_tags(then),
        Framing::Cooked => then(NETWORK).to_vec(),
    }
}

/// Finds the IP header under the tags, and goes on with `then(its offset)`, [`BLOCK`] long.
fn by_tags(then: Block) -> Vec<sock_filter> {
    let (untagged, tagged, twice) = (11, 11 + BLOCK, 11 + 2 * BLOCK);
    let drop = 10;
    let goto = |from: u8, to: u8| to - from - 1;
    let mut program = vec![
        op(LOAD_HALF, LINK + 12),
        branch(IF_EQUAL, IPV4, goto(1, untagged), 0),
        branch(IF_EQUAL, VLAN, 1, 0),
        branch(IF_EQUAL, QINQ, 0, goto(3, drop)),
        op(LOAD_HALF, LINK + 16),
        branch(IF_EQUAL, IPV4, goto(5, tagged), 0),
        // A second tag in the frame: two at most, with the one that was taken out.
        op(LOAD_WORD, TAG_TAKEN_OUT),
        branch(IF_EQUAL, 0, 0, goto(7, drop)),
        op(LOAD_HALF, LINK + 20),
        branch(IF_EQUAL, IPV4, goto(9, twice), goto(9, drop)),
        op(RETURN, 0),
    ];
    for ip in [14, 18, 22] {
        program.extend(then(LINK + ip));
    }
    program
}

const BLOCK: u8 = 10;

fn to_our_ports(ip: u32) -> [sock_filter; BLOCK as usize] {
    [
        op(LOAD_BYTE, ip + 9),
        branch(IF_EQUAL, UDP, 0, 7),
        op(LOAD_HALF, ip + 6),
        branch(IF_BITS, FRAGMENT, 5, 0),
        op(LOAD_IP_LEN, ip),
        op(LOAD_HALF_AT_X, ip + 2),
        branch(IF_EQUAL, PORT, 1, 0),
        branch(IF_EQUAL, BOOT_PORT, 0, 1),
        op(RETURN, u32::MAX),
        op(RETURN, 0),
    ]
}

fn low_chaddr(ip: u32) -> [sock_filter; BLOCK as usize] {
    let mut block = [op(RETURN_A, 0); BLOCK as usize];
    block[0] = op(LOAD_IP_LEN, ip);
    block[1] = op(LOAD_WORD_AT_X, ip + CHADDR_LOW);
    block
}
