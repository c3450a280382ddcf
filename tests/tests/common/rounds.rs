//! Steady load of everything that DHCP clients do, in rounds of the same work: clients that never come
//! back, clients that only ask, renewals in the kernel and in the daemon, releases, declines.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::wait::Deadline;
use xdhcpd_tests::{Lab, RawSocket};

use super::books::mac_text;
use super::message::{ACK, DECLINE, DISCOVER, Mac, Message, OFFER, RELEASE, REQUEST};
use super::random::Random;

/// The client's own address: it is a relay too, and asks about leases.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 77, 3, 1);
/// Hosts with a reservation each, which renew again and again.
const KNOWN: usize = 32;
/// What a round consists of.
const STRANGERS: usize = 16;
const NEWCOMERS: usize = 32;
const RELAYED: usize = 8;
const RELEASED: usize = 26;
const DECLINED: usize = 3;
const CHANGED: usize = 8;
/// Without a reply for so long, the rest is given up.
const PATIENCE: Duration = Duration::from_secs(1);
const WISHES: [u8; 7] = [1, 3, 6, 12, 15, 58, 59];

/// A host with a reservation.
struct Known {
    mac: Mac,
    address: Ipv4Addr,
    /// What it says in option 60; when it changes, the kernel does not know the renewal.
    class: u32,
}

pub struct Rounds {
    socket: RawSocket,
    server: Mac,
    known: Vec<Known>,
    random: Random,
    next: u32,
    /// What was done, by name.
    pub done: BTreeMap<&'static str, u64>,
}

/// The reservations of the known hosts, in YAML.
pub fn reservations() -> String {
    let row = |number| {
        let (mac, address) = (mac_text(known_mac(number)), known_address(number));
        format!("      - {{mac: '{mac}', address: {address}, lease_time: 1h}}\n")
    };
    (0..KNOWN).map(row).collect()
}

fn known_mac(number: usize) -> Mac {
    [0x02, 0xfd, 0, 0, 0, number as u8]
}

fn known_address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 2, number as u8)
}

impl Rounds {
    /// On the cable of the lab's first client, which gets the relay's address.
    pub fn new(lab: &Lab, seed: u64) -> Result<Self> {
        let client = &lab.clients[0];
        client.ip(&format!("address add {RELAY}/16 dev {INTERFACE}"))?;
        let known = |number| Known {
            mac: known_mac(number),
            address: known_address(number),
            class: 0,
        };
        Ok(Self {
            socket: RawSocket::open(client, INTERFACE)?,
            server: lab.server.mac(INTERFACE)?,
            known: (0..KNOWN).map(known).collect(),
            random: Random::new(seed),
            next: 1,
            done: BTreeMap::new(),
        })
    }

    /// The known hosts get their leases.
    pub fn begin(&mut self) -> Result<()> {
        let discovers = self
            .known
            .iter()
            .map(|host| Message::new(DISCOVER, host.mac, 0));
        let offers = self.ask(discovers.collect())?;
        let acks = self.take(&offers)?;
        ensure!(
            acks.len() == KNOWN,
            "{} of {KNOWN} known hosts were served",
            acks.len()
        );
        Ok(())
    }

    pub fn round(&mut self) -> Result<()> {
        let strangers = (0..STRANGERS).map(|_| self.newcomer(DISCOVER)).collect();
        self.ask(strangers)?;
        self.newcomers()?;
        self.renewals()
    }

    fn count(&mut self, what: &'static str, times: usize) {
        *self.done.entry(what).or_default() += times as u64;
    }

    /// Clients that nobody has seen before. Most release what they got, some decline it, and some just
    /// vanish.
    fn newcomers(&mut self) -> Result<()> {
        let mut discovers: Vec<_> = (0..NEWCOMERS).map(|_| self.newcomer(DISCOVER)).collect();
        for message in &mut discovers[..RELAYED] {
            self.relay(message);
        }
        let offers = self.ask(discovers)?;
        let acks = self.take(&offers)?;
        self.count("binds", acks.len());
        for (number, ack) in acks.iter().enumerate() {
            if number < RELEASED {
                self.release(ack)?;
            } else if number < RELEASED + DECLINED {
                self.decline(ack)?;
            }
        }
        Ok(())
    }

    /// The first message of a client with a MAC, a host name and a client-id of its own.
    fn newcomer(&mut self, kind: u8) -> Message {
        let [.., a, b, c, d] = self.random.next().to_be_bytes();
        let mac = [0x02, 0xfc, a, b, c, d];
        let name = format!("host-{a:02x}{b:02x}{c:02x}{d:02x}");
        let identifier = [&[1][..], &mac].concat();
        let message = Message::new(kind, mac, 0).with(55, &WISHES);
        message.with(12, name.as_bytes()).with(61, &identifier)
    }

    /// Makes of a message what a relay passes on of it.
    fn relay(&mut self, message: &mut Message) {
        let port = format!("port-{}", self.random.below(1 << 20));
        let circuit = [&[1, port.len() as u8], port.as_bytes()].concat();
        message.options.push((82, circuit));
        message.giaddr = RELAY;
        message.to_mac = self.server;
        message.source = RELAY;
        message.destination = SERVER;
    }

    /// Takes all offers; gives the ACKs.
    fn take(&mut self, offers: &[Message]) -> Result<Vec<Message>> {
        let requests = offers.iter().filter(|offer| offer.kind() == Some(OFFER));
        let requests: Vec<_> = requests.map(|offer| self.select(offer)).collect();
        let mut acks = self.ask(requests)?;
        acks.retain(|ack| ack.kind() == Some(ACK));
        Ok(acks)
    }

    fn select(&mut self, offer: &Message) -> Message {
        let message = Message::new(REQUEST, offer.chaddr, 0).with(55, &WISHES);
        let message = message.with(50, &offer.yiaddr.octets());
        let mut message = message.with(54, &SERVER.octets());
        if offer.giaddr == RELAY {
            self.relay(&mut message);
        }
        message
    }

    fn release(&mut self, ack: &Message) -> Result<()> {
        let mut release = Message::new(RELEASE, ack.chaddr, 0).with(54, &SERVER.octets());
        release.to_mac = self.server;
        (release.ciaddr, release.source) = (ack.yiaddr, ack.yiaddr);
        release.destination = SERVER;
        self.count("releases", 1);
        self.socket.send(&release.frame())
    }

    fn decline(&mut self, ack: &Message) -> Result<()> {
        let decline = Message::new(DECLINE, ack.chaddr, 0).with(54, &SERVER.octets());
        let decline = decline.with(50, &ack.yiaddr.octets());
        self.count("declines", 1);
        self.socket.send(&decline.frame())
    }

    /// Some known hosts say something new, which the daemon answers; then all renew as before, which
    /// the kernel answers.
    fn renewals(&mut self) -> Result<()> {
        let first = self.random.below(KNOWN);
        let changed: Vec<_> = (0..CHANGED).map(|i| (first + i) % KNOWN).collect();
        for host in &changed {
            self.known[*host].class += 1;
        }
        self.renew(&changed)?;
        self.renew(&(0..KNOWN).collect::<Vec<_>>())
    }

    fn renew(&mut self, hosts: &[usize]) -> Result<()> {
        let requests = hosts.iter().map(|host| self.renewal(&self.known[*host]));
        let replies = self.ask(requests.collect())?;
        for reply in &replies {
            ensure!(reply.kind() == Some(ACK), "a renewal: {reply:?}");
            let host = self.known.iter().find(|host| host.mac == reply.chaddr);
            let host = host.with_context(|| format!("nobody's: {reply:?}"))?;
            ensure!(reply.yiaddr == host.address, "another's address: {reply:?}");
        }
        self.count("renewals", replies.len());
        Ok(())
    }

    fn renewal(&self, host: &Known) -> Message {
        let class = format!("class {}", host.class);
        let mut message = Message::new(REQUEST, host.mac, 0).with(55, &WISHES);
        message = message.with(60, class.as_bytes());
        message.to_mac = self.server;
        (message.ciaddr, message.source) = (host.address, host.address);
        message.destination = SERVER;
        message
    }

    /// Sends all and gives the answers. What is not answered is not asked again.
    fn ask(&mut self, messages: Vec<Message>) -> Result<Vec<Message>> {
        let mut open = HashMap::new();
        for mut message in messages {
            message.xid = self.next;
            self.next += 1;
            open.insert(message.xid, message.chaddr);
            self.socket.send(&message.frame())?;
        }
        self.count("questions", open.len());
        let mut replies = Vec::new();
        while !open.is_empty()
            && let Some(frame) = self.socket.receive(Deadline::after(PATIENCE).left())?
        {
            let reply = Message::read(&frame).filter(|reply| reply.op == 2);
            if let Some(reply) = reply
                && open.get(&reply.xid) == Some(&reply.chaddr)
            {
                open.remove(&reply.xid);
                replies.push(reply);
            }
        }
        self.count("unanswered", open.len());
        Ok(replies)
    }
}
