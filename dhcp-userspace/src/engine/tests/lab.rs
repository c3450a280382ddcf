//! A server on 10.0.0.1/16 with clients that speak bytes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use dhcp_common::slot::Link;
use dhcp_common::wire::{BOOTP_LEN, MAGIC_COOKIE, Sum, bootp};

use crate::clock::{Now, SECOND};
use crate::config::model::{
    Config, FastPath, FastPathMode, Identifier, Mac, OptionValue, Options, Pool, Reservation,
    Server, Subnet,
};
use crate::engine::{
    Commit, Engine, Event, EventKind, Explanation, Ignored, Incoming, Interface, Outcome,
};
use crate::journal::Record;
use crate::lease::table::{Size, Table};
use crate::packet::{Options as Walk, put};

pub(super) const LEASE: u64 = 3600 * SECOND;
pub(super) const OUR_MAC: Mac = [2, 0, 0, 0, 0, 1];
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const ANYONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
pub(super) const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;
pub(super) const LINK: Link = Link {
    ifindex: 3,
    outer: 0,
    inner: 0,
};
pub(super) const OTHER_LINK: Link = Link {
    ifindex: 4,
    outer: 0,
    inner: 0,
};

pub(super) fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

pub(super) fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    [0x52, 0x54, a, b, c, d]
}

pub(super) fn options(list: &[(u8, &[u8], bool)]) -> Arc<Options> {
    let values = list.iter().map(|(code, data, always_send)| {
        let value = OptionValue {
            data: data.to_vec(),
            always_send: *always_send,
        };
        (*code, value)
    });
    Arc::new(values.collect::<BTreeMap<_, _>>())
}

pub(super) fn subnet(prefix: &str, pool: (&str, &str)) -> Subnet {
    Subnet {
        pools: vec![Pool::open((ip(pool.0), ip(pool.1)))],
        options: options(&[
            (3, &[10, 0, 0, 254], false),
            (6, &[10, 0, 0, 2, 10, 0, 0, 3], false),
            (15, b"cluster.example", false),
        ]),
        ..Subnet::new(prefix.parse().unwrap())
    }
}

pub(super) fn reserve(subnet: &mut Subnet, mac: Mac, address: &str, hostname: Option<&str>) {
    let reservation = Reservation {
        hostname: hostname.map(str::to_owned),
        ..Reservation::new(Identifier::Mac(mac), Some(ip(address)))
    };
    subnet.hosts.insert(reservation);
}

pub(super) fn config(subnets: Vec<Subnet>) -> Config {
    Config {
        server: Server {
            offer_hold: Duration::from_secs(30),
            max_offers: 1000,
            decline_hold: Duration::from_secs(600),
            ..Server::default()
        },
        fast_path: FastPath {
            mode: FastPathMode::Off,
            reserve: 2.0,
            ..FastPath::default()
        },
        subnets,
        fingerprint: 1,
        ..Config::default()
    }
}

pub(super) fn interface(index: u32, addresses: &[&str]) -> Interface {
    Interface {
        index,
        name: format!("eth{index}"),
        mac: OUR_MAC,
        mtu: 1500,
        addresses: addresses.iter().map(|net| net.parse().unwrap()).collect(),
    }
}

/// A message to be sent: the parts that tests vary.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) mac: Mac,
    pub(super) link: Link,
    pub(super) l2: Vec<u8>,
    pub(super) source: Ipv4Addr,
    pub(super) source_port: u16,
    pub(super) destination: Ipv4Addr,
    pub(super) destination_port: u16,
    pub(super) secs: u16,
    pub(super) flags: u16,
    pub(super) ciaddr: Ipv4Addr,
    pub(super) giaddr: Ipv4Addr,
    pub(super) options: Vec<(u8, Vec<u8>)>,
    pub(super) padding: usize,
    /// What is to be otherwise than the rest says.
    pub(super) edit: fn(&mut Vec<u8>),
}

impl Message {
    pub(super) fn new(kind: u8, mac: Mac) -> Self {
        let mut l2 = vec![0xff; 6];
        l2.extend(mac);
        l2.extend([0x08, 0x00]);
        Self {
            mac,
            link: LINK,
            l2,
            source: ANYONE,
            source_port: 68,
            destination: ALL,
            destination_port: 67,
            secs: 0,
            flags: 0,
            ciaddr: ANYONE,
            giaddr: ANYONE,
            options: vec![(53, vec![kind])],
            padding: 0,
            edit: |_| {},
        }
    }

    pub(super) fn discover(mac: Mac) -> Self {
        Self::new(1, mac)
    }

    pub(super) fn selecting(mac: Mac, address: Ipv4Addr) -> Self {
        Self::new(3, mac).server(SERVER).requested(address)
    }

    pub(super) fn init_reboot(mac: Mac, address: Ipv4Addr) -> Self {
        Self::new(3, mac).requested(address)
    }

    pub(super) fn renewing(mac: Mac, address: Ipv4Addr) -> Self {
        let mut message = Self::rebinding(mac, address);
        message.destination = SERVER;
        message.l2[..6].copy_from_slice(&OUR_MAC);
        message
    }

    pub(super) fn rebinding(mac: Mac, address: Ipv4Addr) -> Self {
        let mut message = Self::new(3, mac);
        message.ciaddr = address;
        message.source = address;
        message
    }

    pub(super) fn release(mac: Mac, address: Ipv4Addr) -> Self {
        let mut message = Self::renewing(mac, address);
        message.options = vec![(53, vec![7])];
        message
    }

    pub(super) fn decline(mac: Mac, address: Ipv4Addr) -> Self {
        Self::new(4, mac).server(SERVER).requested(address)
    }

    pub(super) fn server(self, address: Ipv4Addr) -> Self {
        self.with(54, &address.octets())
    }

    pub(super) fn requested(self, address: Ipv4Addr) -> Self {
        self.with(50, &address.octets())
    }

    pub(super) fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.options.push((code, value.to_vec()));
        self
    }

    pub(super) fn relayed(mut self, giaddr: &str) -> Self {
        self.giaddr = ip(giaddr);
        self.source = self.giaddr;
        self.source_port = 67;
        self.destination = SERVER;
        self.l2[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x99]);
        self
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        let mut bytes = vec![0; BOOTP_LEN];
        bytes[..8].copy_from_slice(&[1, 1, 6, 3, 0xde, 0xad, 0xbe, 0xef]);
        bytes[bootp::SECS..][..2].copy_from_slice(&self.secs.to_be_bytes());
        bytes[bootp::FLAGS..][..2].copy_from_slice(&self.flags.to_be_bytes());
        bytes[bootp::CIADDR..][..4].copy_from_slice(&self.ciaddr.octets());
        bytes[bootp::GIADDR..][..4].copy_from_slice(&self.giaddr.octets());
        bytes[bootp::CHADDR..][..6].copy_from_slice(&self.mac);
        bytes[bootp::SNAME..][..4].copy_from_slice(b"junk");
        bytes[bootp::FILE..][..4].copy_from_slice(b"junk");
        bytes[bootp::COOKIE..].copy_from_slice(&MAGIC_COOKIE);
        for (code, value) in &self.options {
            put(&mut bytes, *code, value);
        }
        bytes.push(255);
        bytes.resize(bytes.len() + self.padding, 0);
        (self.edit)(&mut bytes);
        bytes
    }

    pub(super) fn incoming<'a>(&'a self, payload: &'a [u8]) -> Incoming<'a> {
        Incoming {
            link: self.link,
            l2: &self.l2,
            source: self.source,
            source_port: self.source_port,
            destination: self.destination,
            destination_port: self.destination_port,
            payload,
            arrived: 0,
        }
    }

    /// The whole frame, for the fast path.
    pub(super) fn frame(&self) -> Vec<u8> {
        let payload = self.payload();
        let mut frame = self.l2.clone();
        let ip_len = (28 + payload.len()) as u16;
        frame.extend([0x45, 0]);
        frame.extend(ip_len.to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend(self.source.octets());
        frame.extend(self.destination.octets());
        let ip = self.l2.len();
        let sum = Sum::default().slice(&frame[ip..]).checksum();
        frame[ip + 10..ip + 12].copy_from_slice(&sum.to_ne_bytes());
        frame.extend(self.source_port.to_be_bytes());
        frame.extend(67u16.to_be_bytes());
        frame.extend((ip_len - 20).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        frame
    }
}

/// A reply, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) frame: Vec<u8>,
    l2: usize,
    pub(super) options: Vec<(u8, Vec<u8>)>,
    pub(super) event: EventKind,
}

impl Reply {
    fn new(frame: Vec<u8>, l2: usize, event: EventKind) -> Self {
        let region = &frame[l2 + 28 + BOOTP_LEN..];
        let fields = Walk::new(region).map(|field| field.unwrap());
        let options = fields.map(|f| (f.code, f.value.to_vec())).collect();
        Self {
            options,
            l2,
            event,
            frame,
        }
    }

    /// A message behind room for IP and UDP headers.
    pub(super) fn of_message(frame: Vec<u8>) -> Self {
        Self::new(frame, 0, EventKind::LeaseQuery)
    }

    pub(super) fn message(&self) -> &[u8] {
        &self.frame[self.l2 + 28..]
    }

    pub(super) fn ip(&self) -> &[u8] {
        &self.frame[self.l2..]
    }

    pub(super) fn address(&self, at: usize) -> Ipv4Addr {
        let bytes: [u8; 4] = self.message()[at..at + 4].try_into().unwrap();
        bytes.into()
    }

    pub(super) fn yiaddr(&self) -> Ipv4Addr {
        self.address(bootp::YIADDR)
    }

    /// IP destination and port.
    pub(super) fn to(&self) -> (Ipv4Addr, u16) {
        let bytes: [u8; 4] = self.ip()[16..20].try_into().unwrap();
        let port = u16::from_be_bytes(self.ip()[22..24].try_into().unwrap());
        (bytes.into(), port)
    }

    pub(super) fn to_mac(&self) -> Mac {
        self.frame[..6].try_into().unwrap()
    }

    pub(super) fn kind(&self) -> u8 {
        self.option(53).unwrap()[0]
    }

    pub(super) fn option(&self, code: u8) -> Option<&[u8]> {
        let found = self.options.iter().find(|(other, _)| *other == code);
        found.map(|(_, value)| value.as_slice())
    }

    pub(super) fn codes(&self) -> Vec<u8> {
        self.options.iter().map(|(code, _)| *code).collect()
    }
}

pub(super) struct Lab {
    pub(super) engine: Engine,
    pub(super) now: Now,
    /// Every record written.
    pub(super) records: Vec<Record>,
    pub(super) events: Vec<Event>,
}

impl Lab {
    pub(super) fn new(config: Config) -> Self {
        let table = Table::anonymous(Size::for_addresses(64, 8).with_boots(4096)).unwrap();
        let lab = Self::over(config, Arc::new(table));
        lab.engine.restore([], lab.now);
        lab
    }

    pub(super) fn over(config: Config, table: Arc<Table>) -> Self {
        let now = Now {
            boot: 1000 * SECOND,
            unix: 1_800_000_000 * SECOND,
        };
        let engine = Engine::new(Arc::new(config), table).unwrap();
        let ports = vec![
            interface(3, &["10.0.0.1/16"]),
            interface(4, &["192.168.7.1/24"]),
        ];
        engine.set_interfaces(ports, now);
        Self {
            engine,
            now,
            records: Vec::new(),
            events: Vec::new(),
        }
    }

    /// One subnet, ten addresses from 10.0.1.10 on.
    pub(super) fn small() -> Self {
        Self::new(config(vec![subnet(
            "10.0.0.0/16",
            ("10.0.1.10", "10.0.1.19"),
        )]))
    }

    pub(super) fn pass(&mut self, time: u64) {
        self.now.boot += time;
        self.now.unix += time;
    }

    pub(super) fn handle(&self, message: &Message, reply: &mut Vec<u8>) -> Outcome {
        let payload = message.payload();
        self.engine
            .handle(self.now, &message.incoming(&payload), reply)
    }

    pub(super) fn explain(&self, message: &Message) -> Result<Vec<Explanation>, Ignored> {
        let payload = message.payload();
        self.engine.explain(self.now, &message.incoming(&payload))
    }

    /// Another configuration, which is this one changed.
    pub(super) fn reload(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = (*self.engine.config()).clone();
        config.fingerprint += 1;
        change(&mut config);
        self.engine.reload(config.into(), self.now).unwrap();
    }

    /// Hands a message in and does what the outcome says.
    pub(super) fn send(&mut self, message: &Message) -> Result<Option<Reply>, Ignored> {
        let payload = message.payload();
        self.take(&message.incoming(&payload))
    }

    /// As [`Self::send`], for a packet that came from elsewhere.
    pub(super) fn take(&mut self, packet: &Incoming<'_>) -> Result<Option<Reply>, Ignored> {
        let mut frame = Vec::new();
        let event = match self.engine.handle(self.now, packet, &mut frame) {
            Outcome::Ignore(why) => return Err(why),
            Outcome::Busy => panic!("busy"),
            Outcome::Reply(event) => event,
            Outcome::Later(later) => later.event,
            Outcome::Commit(commit) => {
                let event = commit.event.clone().unwrap();
                self.commit(commit);
                event
            }
        };
        let kind = event.kind;
        self.events.push(event);
        let l2 = packet.l2.len();
        Ok((!frame.is_empty()).then(|| Reply::new(frame, l2, kind)))
    }

    pub(super) fn commit(&mut self, commit: Commit) {
        self.records.push(commit.record);
        self.engine.complete(&commit.change, self.now);
    }

    pub(super) fn reply(&mut self, message: &Message) -> Reply {
        self.send(message).unwrap().expect("a reply")
    }

    pub(super) fn ignored(&mut self, message: &Message) -> Ignored {
        self.send(message)
            .map(|reply| reply.map(|r| r.kind()))
            .unwrap_err()
    }

    /// DISCOVER to ACK; the address.
    pub(super) fn bind(&mut self, mac: Mac) -> Ipv4Addr {
        let offer = self.reply(&Message::discover(mac));
        assert_eq!(offer.kind(), 2);
        let ack = self.reply(&Message::selecting(mac, offer.yiaddr()));
        assert_eq!(ack.kind(), 5);
        assert_eq!(ack.yiaddr(), offer.yiaddr());
        ack.yiaddr()
    }

    pub(super) fn sweep(&mut self) {
        let mut promises = Vec::new();
        let events = &mut self.events;
        self.engine
            .sweep(self.now, &|| true, &mut |swept| match swept {
                crate::engine::Swept::Promise(commit) => promises.push(commit),
                crate::engine::Swept::Event(event) => events.push(event),
            });
        for commit in promises {
            self.commit(commit);
        }
    }

    pub(super) fn seen(&self, kind: EventKind) -> usize {
        self.events
            .iter()
            .filter(|event| event.kind == kind)
            .count()
    }
}
