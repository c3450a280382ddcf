//! What every reply must be, whatever was asked; read by another library as well.

use std::net::Ipv4Addr;

use dhcp_common::wire::{BOOTP_LEN, BOOTREPLY, IP_LEN, MAGIC_COOKIE, Sum, UDP_LEN, bootp, option};
use dhcp_userspace::engine::Incoming;
use dhcp_userspace::packet::{MessageType, Options, Request};
use dhcproto::v4::{DhcpOption, Message, OptionCode};
use dhcproto::{Decodable, Decoder};

/// Headers and what an interface carries.
const MTU: usize = 1500;

/// What a reply says.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub kind: MessageType,
    pub yiaddr: Ipv4Addr,
    /// Option 51.
    pub lease_secs: Option<u32>,
}

/// Takes a frame of the server apart. `None`: BOOTP, which tells no times.
///
/// # Panics
/// If it is not as replies must be.
#[must_use]
pub fn check(frame: &[u8], packet: &Incoming<'_>, request: &Request<'_>) -> Option<Read> {
    let message = message_of(frame, packet.l2.len());
    assert!(message.len() >= bootp::COOKIE + 64, "300 bytes at least");
    assert_eq!(message[bootp::OP], BOOTREPLY);
    assert_eq!(message[bootp::XID..bootp::SECS], request.xid.to_be_bytes());
    assert_eq!(
        message[bootp::GIADDR..bootp::CHADDR],
        *request.giaddr_bytes()
    );
    if !request.is_infiniband() {
        assert_eq!(&message[bootp::CHADDR..bootp::SNAME], request.chaddr());
    }
    if request.message_type == MessageType::Bootp {
        return None;
    }
    assert_eq!(message[bootp::COOKIE..bootp::OPTIONS], MAGIC_COOKIE);
    Some(read(message))
}

/// What UDP carries, behind headers that are right.
fn message_of(frame: &[u8], l2: usize) -> &[u8] {
    let ip = &frame[l2..];
    assert_eq!(ip[0], 0x45);
    assert!(ip.len() <= MTU, "{} bytes do not fit the link", ip.len());
    assert_eq!(Sum::default().slice(&ip[..IP_LEN]).fold(), 0xffff, "IP");
    assert_eq!(usize::from(be16(ip, 2)), ip.len());
    let udp = &ip[IP_LEN..];
    assert_eq!(usize::from(be16(udp, 4)), udp.len());
    let sum = Sum::default()
        .bytes(&address(ip, 12))
        .bytes(&address(ip, 16))
        .word(17u16.to_be())
        .word((udp.len() as u16).to_be())
        .slice(udp);
    assert_eq!(sum.fold(), 0xffff, "UDP");
    &udp[UDP_LEN..]
}

fn read(message: &[u8]) -> Read {
    let region = &message[BOOTP_LEN..];
    let mut options = Options::new(region);
    let fields: Vec<_> = options
        .by_ref()
        .map(|field| field.expect("whole options"))
        .collect();
    assert_eq!(region.get(options.position()), Some(&option::END));
    assert_eq!(fields[0].code, option::MESSAGE_TYPE);
    let value = |code: u8| {
        let mut all = fields.iter().filter(|field| field.code == code);
        let found = all.next().map(|field| field.value);
        assert!(
            !matches!(code, 51..=54) || all.next().is_none(),
            "{code} twice"
        );
        found
    };
    let agent = fields
        .iter()
        .position(|field| field.code == option::RELAY_AGENT);
    let last = agent.is_none_or(|at| {
        fields[at..]
            .iter()
            .all(|field| field.code == option::RELAY_AGENT)
    });
    assert!(last, "option 82 is not the last one");
    let read = Read {
        kind: kind(value(option::MESSAGE_TYPE).expect("it is the first one")[0]),
        yiaddr: Ipv4Addr::from(address(message, bootp::YIADDR)),
        lease_secs: value(option::LEASE_TIME)
            .map(|secs| u32::from_be_bytes(secs.try_into().expect("4 bytes"))),
    };
    as_others_read_it(message, &read);
    read
}

fn kind(code: u8) -> MessageType {
    match code {
        2 => MessageType::Offer,
        5 => MessageType::Ack,
        6 => MessageType::Nak,
        11 => MessageType::LeaseUnassigned,
        12 => MessageType::LeaseUnknown,
        13 => MessageType::LeaseActive,
        15 => MessageType::LeaseQueryDone,
        code => panic!("a server says no {code}"),
    }
}

fn as_others_read_it(message: &[u8], read: &Read) {
    let theirs = Message::decode(&mut Decoder::new(message)).expect("dhcproto reads it");
    assert_eq!(theirs.yiaddr(), read.yiaddr);
    let kind = theirs.opts().msg_type().map(u8::from);
    assert_eq!(kind, Some(read.kind as u8));
    let secs = match theirs.opts().get(OptionCode::AddressLeaseTime) {
        Some(DhcpOption::AddressLeaseTime(secs)) => Some(*secs),
        _ => None,
    };
    assert_eq!(secs, read.lease_secs);
}

fn address(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes[at..at + 4].try_into().expect("4 bytes")
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
