//! A server of a few subnets without a network: messages go in, and what becomes of them is held
//! against the books of an observer.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use dhcp_common::slot::{Kind, Link};
use dhcp_userspace::clock::{Now, SECOND};
use dhcp_userspace::config::{self, Config};
use dhcp_userspace::engine::{Commit, Engine, Incoming, Interface, Outcome, Swept};
use dhcp_userspace::lease::table::{Size, Table};
use dhcp_userspace::lease::yaml::File;
use dhcp_userspace::packet::Request;

use crate::books::Books;
use crate::reply;

pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
/// Of what the relay's router sends.
pub const L2: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x99, 8, 0];
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Interfaces: one that clients are on, one for proxyDHCP, one without a subnet.
pub const LINKS: [u32; 3] = [3, 4, 5];

/// Little enough to be made for every input.
const SIZE: Size = Size {
    blocks: 8,
    pages: 4,
    templates: 64,
    buckets: 8,
};

const CONFIG: &str = include_str!("site.yaml");

pub struct Site {
    pub engine: Engine,
    pub now: Now,
    books: Books,
    reply: Vec<u8>,
}

/// What becomes of the record of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Works,
    IsFull,
}

fn config() -> Arc<Config> {
    static CONFIGURATION: OnceLock<Arc<Config>> = OnceLock::new();
    let config = CONFIGURATION.get_or_init(|| {
        let config = config::parse(CONFIG, Path::new("/nowhere/site.yaml"));
        Arc::new(config.expect("the site's configuration is right"))
    });
    Arc::clone(config)
}

impl Default for Site {
    fn default() -> Self {
        Self::new(config()).expect("the site fits into its table")
    }
}

impl Site {
    /// `None` if the table has no room for the configuration.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Option<Self> {
        let now = Now {
            boot: 1_000_000 * SECOND,
            unix: 1_800_000_000 * SECOND,
        };
        let table = Table::anonymous(SIZE).expect("there is memory");
        let engine = Engine::new(config, Arc::new(table)).ok()?;
        engine.set_interfaces(interfaces(), now);
        engine.restore([], now);
        engine.set_secret([7; 32]);
        Some(Self {
            engine,
            now,
            books: Books::default(),
            reply: Vec::new(),
        })
    }

    /// A message by way of the relay, on a disk that works; the reply's frame.
    pub fn relayed(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let packet = Incoming {
            link: Link {
                ifindex: 3,
                outer: 0,
                inner: 0,
            },
            l2: &L2,
            source: RELAY,
            source_port: 67,
            destination: SERVER,
            destination_port: 67,
            payload,
            arrived: 0,
        };
        self.send(&packet, Disk::Works).map(<[u8]>::to_vec)
    }

    /// Hands a message in, does what the outcome says, and tells the reply that was sent.
    pub fn send(&mut self, packet: &Incoming<'_>, disk: Disk) -> Option<&[u8]> {
        let mut frame = std::mem::take(&mut self.reply);
        let outcome = self.engine.handle(self.now, packet, &mut frame);
        let sent = self.settle(outcome, disk);
        self.reply = frame;
        if !sent || self.reply.is_empty() {
            self.note_request(packet);
            return None;
        }
        let request = Request::parse(packet.payload).expect("the engine has answered it");
        let read = reply::check(&self.reply, packet, &request);
        self.note_request(packet);
        if let Some(read) = read {
            self.books.sent(&read, &request, self.now);
        }
        Some(&self.reply)
    }

    /// Whether a reply, if there is one, may be sent.
    fn settle(&mut self, outcome: Outcome, disk: Disk) -> bool {
        match outcome {
            Outcome::Commit(commit) => match disk {
                Disk::Works => {
                    self.commit(&commit);
                    true
                }
                Disk::IsFull => {
                    self.engine.refuse(&commit.change, self.now);
                    false
                }
            },
            Outcome::Busy => panic!("nobody else is here"),
            Outcome::Reply(_) | Outcome::Later(_) => true,
            Outcome::Ignore(_) => false,
        }
    }

    fn commit(&mut self, commit: &Commit) {
        self.books.durable(&commit.record);
        self.engine.complete(&commit.change, self.now);
    }

    fn note_request(&mut self, packet: &Incoming<'_>) {
        if let Ok(request) = Request::parse(packet.payload) {
            self.books.heard(&request);
        }
    }

    /// Time passes, and the sweeper comes by.
    pub fn pass(&mut self, time: u64) {
        if time == 0 {
            return;
        }
        self.check_books();
        self.now.boot += time;
        self.now.unix += time;
        let mut promises = Vec::new();
        self.engine.sweep(self.now, &|| true, &mut |swept| {
            if let Swept::Promise(commit) = swept {
                promises.push(commit);
            }
        });
        promises.iter().for_each(|commit| self.commit(commit));
    }

    /// Pools, slots and counters tell the same.
    pub fn check_books(&self) {
        let leases = self.engine.leases();
        let offered = leases
            .iter()
            .filter(|lease| lease.kind == Kind::Offered)
            .count();
        assert_eq!(self.engine.open_offers(), offered, "open offers");
        let memos = leases.iter().filter(|lease| lease.memo).count();
        let boots = self.engine.table().boots();
        let boots = boots.filter(|entry| entry.read().is_some()).count();
        let most = memos + boots;
        assert!(self.engine.templates_in_use() <= most, "templates in use");
        for lease in leases.iter().filter(|lease| lease.kind == Kind::Bound) {
            assert!(lease.reserved_until >= lease.expires, "{lease:?}");
        }
        self.books.hold_of(&leases, self.now);
    }
}

impl Site {
    /// What clients said of themselves can be exported, and imported again.
    pub fn check_export(&self) {
        let file = File::new(&self.engine.leases(), self.now);
        let text = file.to_string();
        assert_eq!(File::parse(&text).as_ref(), Ok(&file), "{text}");
    }
}

fn interfaces() -> Vec<Interface> {
    let networks: [&[&str]; 3] = [&["10.0.0.1/16"], &["192.168.1.1/24"], &[]];
    let interface = |(index, nets): (u32, &[&str])| Interface {
        index,
        name: format!("eth{index}"),
        mac: SERVER_MAC,
        mtu: 1500,
        addresses: nets
            .iter()
            .map(|net| net.parse().expect("a network"))
            .collect(),
    };
    LINKS.into_iter().zip(networks).map(interface).collect()
}
