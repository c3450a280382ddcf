//! Frames and leases for the tests of this folder, and an independent idea of the right reply.

use std::net::Ipv4Addr;

use dhcp_common::Reason;
use dhcp_common::layout::PORTS;
use dhcp_common::memo;
use dhcp_common::slot::{Kind, Lease, Link, Splice};
use dhcp_common::template::{FIXED, Facts, MAX_BODY};
use dhcp_common::wire::{BOOTP_HEAD, MAGIC_COOKIE, Sum, mac_bits};

use crate::clock::SECOND;
use crate::config::Config;
use crate::config::model::{FastPath, Mac, Pool, Server, Subnet};
use crate::lease::table::{Size, Table};

pub const OURS: Mac = [0x02, 0, 0, 0, 0, 0x01];
pub const CLIENT: Mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// The frame's source: in RENEWING through a router this is not the client.
pub const ROUTER: Mac = [0x02, 0, 0, 0, 0, 0xfe];
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 7);
pub const NEXT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
pub const LEASE: u32 = 3600;
/// Index of lo, which every namespace has: test runs of a program want an interface.
pub const IFINDEX: u32 = 1;

/// A renewal as a client sends it.
#[derive(Clone)]
pub struct Request {
    /// Tag protocol and tag, outermost first.
    pub tags: Vec<(u16, u16)>,
    pub to: Mac,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub ports: (u16, u16),
    pub flags: u16,
    pub xid: u32,
    pub ciaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    pub chaddr: Mac,
    pub options: Vec<u8>,
}

/// Message type 3, client identifier, class, requested options, END.
pub fn options() -> Vec<u8> {
    let mut options = vec![53, 1, 3, 61, 7, 1];
    options.extend(CLIENT);
    options.extend([60, 3, b'a', b'b', b'c', 55, 3, 1, 3, 6, 255]);
    options
}

impl Default for Request {
    fn default() -> Self {
        Self {
            tags: Vec::new(),
            to: OURS,
            source: ADDRESS,
            destination: SERVER,
            ports: (68, 67),
            flags: 0,
            xid: 0x1234_5678,
            ciaddr: ADDRESS,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: CLIENT,
            options: options(),
        }
    }
}

impl Request {
    pub fn frame(&self) -> Vec<u8> {
        let mut head = vec![1, 1, 6, 3];
        head.extend(self.xid.to_be_bytes());
        head.extend([0, 77]); // secs
        head.extend(self.flags.to_be_bytes());
        head.extend(self.ciaddr.octets());
        head.extend([0, 0, 0, 0, 9, 9, 9, 9]); // yiaddr, siaddr: not to be echoed
        head.extend(self.giaddr.octets());
        head.extend(self.chaddr);
        head.extend([0; 10]);
        head.extend([b's'; 64]); // sname and file: not to be echoed either
        head.extend([b'f'; 128]);
        head.extend(MAGIC_COOKIE);
        head.extend(&self.options);
        let udp = udp(self.source, self.destination, self.ports, &head);
        let mut frame = link_header(self.to, ROUTER, &self.tags);
        frame.extend(ip(self.source, self.destination, &udp));
        frame
    }

    pub fn link(&self) -> Link {
        let tag = |i: usize| self.tags.get(i).map_or(0, |(_, tag)| tag & 0xfff);
        Link {
            ifindex: IFINDEX,
            outer: tag(0),
            inner: tag(1),
        }
    }
}

/// A renewal that differs in one thing from one that is answered, and what it must lead to.
pub fn refusals() -> Vec<(Reason, Request)> {
    let renewal = |change: &dyn Fn(&mut Request)| {
        let mut request = Request::default();
        change(&mut request);
        request
    };
    let boot = |change: &dyn Fn(&mut Request)| {
        renewal(&|r| {
            (r.ciaddr, r.source) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
            r.destination = Ipv4Addr::BROADCAST;
            change(r);
        })
    };
    let from =
        |address: [u8; 4]| renewal(&|r| (r.ciaddr, r.source) = (address.into(), address.into()));
    vec![
        (Reason::Hit, renewal(&|_| {})),
        (Reason::NotDhcp, renewal(&|r| r.ports.1 = 68)),
        (Reason::NotDhcp, renewal(&|r| r.tags = vec![(0x8100, 1); 3])),
        (Reason::NotRequest, renewal(&|r| r.ports.0 = 67)),
        (Reason::NotOurs, renewal(&|r| r.to = [2, 0, 0, 0, 0, 9])),
        (
            Reason::Relayed,
            renewal(&|r| (r.giaddr, r.ports.0) = ([10, 0, 2, 1].into(), 67)),
        ),
        (Reason::MemoMiss, boot(&|_| {})),
        (Reason::WrongSource, boot(&|r| r.source = ADDRESS)),
        (
            Reason::WrongServer,
            boot(&|r| r.destination = Request::default().destination),
        ),
        (
            Reason::WrongSource,
            renewal(&|r| r.source = [10, 0, 1, 8].into()),
        ),
        (Reason::LongOptions, renewal(&|r| r.options.resize(513, 0))),
        (Reason::NoBlock, from([10, 0, 2, 7])),
        (Reason::NoBlock, from([9, 0, 1, 7])),
        (Reason::NoLease, from([10, 0, 1, 8])),
        (Reason::OtherClient, renewal(&|r| r.chaddr[5] ^= 1)),
        (Reason::MemoMiss, renewal(&|r| r.options[2] = 1)),
        (
            Reason::MemoMiss,
            renewal(&|r| r.options.extend([12, 1, b'x', 255])),
        ),
        (
            Reason::WrongServer,
            renewal(&|r| r.destination = [10, 0, 0, 3].into()),
        ),
        (
            Reason::OtherLink,
            renewal(&|r| {
                r.destination = [255, 255, 255, 255].into();
                r.tags = vec![(0x8100, 5)];
            }),
        ),
    ]
}

/// Times of a lease that is not extended at `now`, and why.
pub fn untimely(now: u64) -> [(Reason, u64, u64); 2] {
    let until = now + u64::from(LEASE) * SECOND;
    [
        (Reason::Lapsed, now, 2 * until),
        (Reason::Promise, now + SECOND, until - 1),
    ]
}

pub fn link_header(to: Mac, from: Mac, tags: &[(u16, u16)]) -> Vec<u8> {
    let mut header = [to, from].concat();
    for (protocol, tag) in tags {
        header.extend(protocol.to_be_bytes());
        header.extend(tag.to_be_bytes());
    }
    header.extend([0x08, 0x00]);
    header
}

pub fn ip(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum = checksum(&packet).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    packet.extend(payload);
    packet
}

pub fn udp(source: Ipv4Addr, destination: Ipv4Addr, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len() as u16).to_be_bytes();
    let mut datagram = ports.0.to_be_bytes().to_vec();
    datagram.extend(ports.1.to_be_bytes());
    datagram.extend(len);
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let mut pseudo = [source.octets(), destination.octets()].concat();
    pseudo.extend([0, 17, len[0], len[1]]);
    pseudo.extend(&datagram);
    let sum = match checksum(&pseudo) {
        0 => 0xffff,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// RFC 1071, the plainest way: big-endian words, one carry at a time.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u16;
    for pair in bytes.chunks(2) {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let (next, carry) = sum.overflowing_add(word);
        sum = next + u16::from(carry);
    }
    !sum
}

/// What the engine has rendered for a client.
#[derive(Clone)]
pub struct Reply {
    /// Options of the template, without END.
    pub options: Vec<u8>,
    pub tail: Vec<u8>,
    /// Offset and length of options to cut from the request.
    pub id: (u16, u8),
    pub agent: (u16, u8),
}

impl Default for Reply {
    fn default() -> Self {
        let mut options = vec![53, 1, 5, 54, 4];
        options.extend(SERVER.octets());
        options.extend([51, 4]);
        options.extend(LEASE.to_be_bytes());
        Self {
            options,
            tail: Vec::new(),
            id: (0, 0),
            agent: (0, 0),
        }
    }
}

impl Reply {
    /// Template options padded with option 224 so that they are `len` bytes long.
    pub fn of_len(len: usize) -> Self {
        let mut reply = Self::default();
        while reply.options.len() < len {
            let rest = (len - reply.options.len()).min(255);
            // Pads where an option does not fit.
            let option = match rest {
                1 => vec![0],
                _ => [vec![224, rest as u8 - 2], vec![0xa7; rest - 2]].concat(),
            };
            reply.options.extend(option);
        }
        reply
    }

    /// With option 61 of [`options`].
    pub fn with_id(self) -> Self {
        Self { id: (3, 9), ..self }
    }

    fn client_part(&self, request: &[u8]) -> Vec<u8> {
        let cut = |(at, len): (u16, u8)| &request[at.into()..][..len.into()];
        [&self.tail, cut(self.id), cut(self.agent)].concat()
    }

    fn body(&self) -> Vec<u8> {
        let mut body = vec![b'N'; 64];
        body.extend([b'F'; 128]);
        body.extend(MAGIC_COOKIE);
        body.extend(&self.options);
        body
    }

    fn splice(&self, request: &[u8]) -> Splice {
        let mut part = self.client_part(request);
        part.push(255);
        let sum = Sum::default().slice(&part);
        let odd = (FIXED + self.options.len()) % 2 == 1;
        let sum = if odd { sum.at_odd_offset() } else { sum };
        Splice {
            id_at: self.id.0,
            id_len: self.id.1,
            agent_at: self.agent.0,
            agent_len: self.agent.1,
            tail_len: self.tail.len() as u8,
            sum: sum.fold(),
        }
    }

    /// The whole reply frame, written down without the code under test.
    pub fn frame(&self, request: &Request) -> Vec<u8> {
        let mut bootp = vec![2, 1, 6, 0];
        bootp.extend(request.xid.to_be_bytes());
        bootp.extend([0, 0]);
        bootp.extend(request.flags.to_be_bytes());
        bootp.extend(request.ciaddr.octets());
        bootp.extend(request.ciaddr.octets());
        bootp.extend(NEXT.octets());
        bootp.extend([0; 4]);
        bootp.extend(request.chaddr);
        bootp.extend([0; 10]);
        bootp.extend(self.body());
        bootp.extend(self.client_part(&request.options));
        bootp.push(255);
        bootp.resize(bootp.len().max(300), 0);
        let udp = udp(SERVER, request.ciaddr, (67, 68), &bootp);
        let mut frame = link_header(ROUTER, OURS, &request.tags);
        frame.extend(ip(SERVER, request.ciaddr, &udp));
        frame
    }
}

/// A time at which the lease of [`publish`] lives.
pub const NOW: u64 = 1_000 * SECOND;

pub fn table() -> Table {
    let table = Table::anonymous(Size::for_addresses(2, 2).with_boots(64)).expect("some memory");
    set_up(&table);
    table
}

/// Serves [`IFINDEX`] and makes room for [`ADDRESS`].
pub fn set_up(table: &Table) {
    table.meta().ports[IFINDEX as usize % PORTS].set(IFINDEX, mac_bits(&OURS, 0));
    table.add(ADDRESS).expect("the table has room");
}

/// Publishes a lease for `request` with this reply; `now` is what its times start at.
pub fn publish(table: &Table, request: &Request, reply: &Reply, now: u64) -> u32 {
    publish_with(table, request, reply, |lease| {
        lease.expires = now + 100 * SECOND;
        lease.reserved_until = now + 3 * u64::from(LEASE) * SECOND;
    })
}

pub fn publish_with(
    table: &Table,
    request: &Request,
    reply: &Reply,
    change: impl FnOnce(&mut Lease),
) -> u32 {
    write_template(table, 1, reply);
    let index = table.index(ADDRESS).expect("set up");
    for (i, word) in table.tail(index).iter().enumerate() {
        let byte = |at: usize| reply.tail.get(at).copied().unwrap_or(0xee);
        word.store(u64::from_ne_bytes(std::array::from_fn(|j| byte(i * 8 + j))));
    }
    let mut lease = Lease {
        chaddr: mac_bits(&request.chaddr, 0),
        memo: memo_of(table, &request.options),
        link: request.link(),
        template: 1,
        splice: reply.splice(&request.options),
        ..Lease::default()
    };
    change(&mut lease);
    let slot = table.slot(index);
    assert!(slot.try_lock(), "nobody else is here");
    slot.close();
    slot.publish(Kind::Bound, true, &lease);
    index
}

fn write_template(table: &Table, index: u32, reply: &Reply) {
    let mut body = reply.body();
    let open_len = body.len() as u16;
    let open_sum = Sum::default().slice(&body).fold();
    body.push(255);
    body.resize(body.len().max(300 - BOOTP_HEAD), 0);
    let facts = Facts {
        server: SERVER.to_bits(),
        siaddr: NEXT.to_bits(),
        lease_secs: LEASE,
        full_sum: Sum::default().slice(&body).fold(),
        open_sum,
        full_len: body.len() as u16,
        open_len,
    };
    // What lies behind the body must never be sent.
    body.resize(MAX_BODY, 0xdd);
    let whole = body.try_into().expect("just resized");
    table.template(index).write(&facts, &whole);
}

pub fn memo_of(table: &Table, options: &[u8]) -> u64 {
    let mut region = [0u64; memo::MAX_REGION / 8];
    for (chunk, word) in options.chunks(8).zip(&mut region) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_ne_bytes(bytes);
    }
    memo::hash(
        &region,
        options.len().min(memo::MAX_REGION),
        &table.meta().key,
    )
}

/// A configuration of one subnet with these pools (`first-last`, by spaces) that nothing serves.
/// Its paths exist nowhere: a test as root must not touch the pins of a server of this machine.
pub fn config(pools: &str) -> Config {
    let address = |text: &str| text.parse::<Ipv4Addr>().expect("an address");
    let range = |text: &str| text.split_once('-').map(|(a, b)| (address(a), address(b)));
    let ranges = pools.split_whitespace().filter_map(range);
    let mut subnet = Subnet::new("10.0.0.0/8".parse().expect("a prefix"));
    subnet.pools = ranges.map(Pool::open).collect();
    Config {
        server: Server {
            state_dir: "/nonexistent/state".into(),
            control_socket: "/nonexistent/socket".into(),
            ..Server::default()
        },
        fast_path: FastPath {
            pin_dir: "/nonexistent/pins".into(),
            ..FastPath::default()
        },
        subnets: vec![subnet],
        ..Config::default()
    }
}
