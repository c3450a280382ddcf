//! Many clients behind one packet socket, which look at every byte of every reply.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dhcp_userspace::clock::{Now, SECOND};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::wait::Deadline;
use xdhcpd_tests::{Lab, RawSocket, wait_until};

use super::message::{ACK, DISCOVER, Mac, Message, NAK, OFFER, REQUEST, check_sums};

/// Without a reply for so long, what is open is given up.
const PATIENCE: Duration = Duration::from_secs(3);
const TICKS_PER_SECOND: u32 = 100;
/// Requests open at once while clients bind one after the other.
const WINDOW: usize = 64;
const ATTEMPTS: usize = 10;

/// Of an untagged frame.
const UDP_CHECKSUM: Range<usize> = 40..42;
const XID: Range<usize> = 46..50;

pub struct Node {
    pub mac: Mac,
    /// What it holds since its first ACK.
    pub address: Option<Ipv4Addr>,
    /// The options of that ACK; every other one has the same.
    options: Vec<(u8, Vec<u8>)>,
    /// The first answer to a renewal, without what differs; every other one has the same bytes.
    renewal: Vec<u8>,
    /// Until when it may use the address at least; seconds since 1970.
    pub told_until: u64,
}

pub struct Fleet {
    socket: RawSocket,
    server: Mac,
    numbers: Range<usize>,
    pub nodes: Vec<Node>,
    next_xid: u32,
}

/// How many renewals have been sent, for those who act in between.
#[derive(Default)]
pub struct Progress(AtomicUsize);

impl Progress {
    pub fn wait(&self, sent: usize) -> Result<()> {
        wait_until("renewals to be sent", Duration::from_secs(120), || {
            Ok((self.0.load(Ordering::Relaxed) >= sent).then_some(()))
        })
    }
}

#[derive(Clone, Copy)]
pub struct Traffic {
    pub per_second: u32,
    pub count: usize,
}

/// A reply.
#[derive(Debug)]
struct Heard {
    message: Message,
    /// The frame without xid and the checksum over it.
    rest: Vec<u8>,
}

impl Heard {
    fn new(mut frame: Vec<u8>, message: Message) -> Result<Self> {
        check_sums(&frame).with_context(|| format!("{message:?}"))?;
        for differs in [UDP_CHECKSUM, XID] {
            frame[differs].fill(0);
        }
        let rest = frame;
        Ok(Self { message, rest })
    }
}

/// A request that is not answered yet.
#[derive(Clone, Copy)]
struct Open {
    node: usize,
    /// Seconds since 1970.
    sent: u64,
    /// The how manieth of its kind.
    number: usize,
}

impl Fleet {
    /// Clients with these numbers, which make their MACs, on the lab's first client's cable.
    pub fn new(lab: &Lab, numbers: Range<usize>) -> Result<Self> {
        Self::at(lab, INTERFACE, numbers)
    }

    /// The same where the server's interface has another name.
    pub fn at(lab: &Lab, server: &str, numbers: Range<usize>) -> Result<Self> {
        Self::behind(lab, (server, 0), numbers)
    }

    /// The same on another client's cable.
    pub fn behind(
        lab: &Lab,
        (server, cable): (&str, usize),
        numbers: Range<usize>,
    ) -> Result<Self> {
        let node = |number: usize| Node {
            mac: mac(number),
            address: None,
            options: Vec::new(),
            renewal: Vec::new(),
            told_until: 0,
        };
        Ok(Self {
            socket: RawSocket::open(&lab.clients[cable], INTERFACE)?,
            server: lab.server.mac(server)?,
            next_xid: (numbers.start as u32) << 12,
            nodes: numbers.clone().map(node).collect(),
            numbers,
        })
    }

    /// The same clients at a server whose hardware address may have changed.
    pub fn follow(mut self, lab: &Lab, interface: &str) -> Result<Self> {
        self.server = lab.server.mac(interface)?;
        for node in &mut self.nodes {
            node.renewal.clear();
        }
        Ok(self)
    }

    /// All get an address, a few at a time; who gets none in several attempts is an error.
    pub fn bind(&mut self) -> Result<()> {
        self.bind_by(WINDOW)
    }

    /// The same, all at once.
    pub fn storm(&mut self) -> Result<()> {
        self.bind_by(usize::MAX)
    }

    fn bind_by(&mut self, window: usize) -> Result<()> {
        for _ in 0..ATTEMPTS {
            if self.unbound().is_empty() {
                return Ok(());
            }
            self.try_bind(window)?;
        }
        let left = self.unbound().len();
        ensure!(left == 0, "{left} clients got no address");
        Ok(())
    }

    pub fn unbound(&self) -> Vec<usize> {
        let nodes = 0..self.nodes.len();
        nodes
            .filter(|node| self.nodes[*node].address.is_none())
            .collect()
    }

    /// One DISCOVER from each client without an address, and one REQUEST for each OFFER.
    pub fn try_bind(&mut self, window: usize) -> Result<()> {
        let discovers = self.unbound().into_iter();
        let discovers = discovers.map(|node| (node, discover(self.nodes[node].mac)));
        let offers = self.ask(discovers.collect(), window)?;
        let mut requests = Vec::new();
        for (open, offer) in &offers {
            ensure!(
                offer.message.kind() == Some(OFFER),
                "to a DISCOVER: {offer:?}"
            );
            let mac = self.nodes[open.node].mac;
            requests.push((open.node, select(mac, offer.message.yiaddr)));
        }
        for (open, ack) in self.ask(requests, window)? {
            self.bound(open, &ack.message)
                .with_context(|| format!("{ack:?}"))?;
        }
        Ok(())
    }

    /// One DISCOVER from each client, and nothing more; tells how many OFFERs there were.
    pub fn offers(&mut self, window: usize) -> Result<usize> {
        let discovers = self.nodes.iter().map(|node| discover(node.mac));
        let discovers = discovers.enumerate().collect();
        Ok(self.ask(discovers, window)?.len())
    }

    fn bound(&mut self, open: Open, ack: &Message) -> Result<()> {
        ensure!(ack.kind() == Some(ACK), "to a REQUEST: no ACK");
        let node = &mut self.nodes[open.node];
        node.address = Some(ack.yiaddr);
        node.options.clone_from(&ack.options);
        node.told_until = open.sent + lease_secs(ack)?;
        Ok(())
    }

    /// Each client renews once; tells which of them heard nothing.
    pub fn renew_once(&mut self) -> Result<Vec<usize>> {
        let mut requests = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let address = node.address.context("only who has an address renews")?;
            requests.push((number, self.renewal(node.mac, address)));
        }
        let mut silent: HashSet<_> = (0..self.nodes.len()).collect();
        for (open, ack) in self.ask(requests, WINDOW)? {
            self.renewed(open, &ack)?;
            silent.remove(&open.node);
        }
        Ok(silent.into_iter().collect())
    }

    /// One client after the other renews at a steady rate. Every renewal gets exactly one right
    /// answer, or this is an error.
    pub fn renew(&mut self, traffic: Traffic, progress: &Progress) -> Result<()> {
        let mut open = HashMap::new();
        let per_tick = (traffic.per_second / TICKS_PER_SECOND) as usize;
        let tick = Duration::from_secs(1) / TICKS_PER_SECOND;
        for number in 0..traffic.count {
            if number % per_tick == 0 {
                self.hear_renewals(&mut open, Deadline::after(tick), false)?;
            }
            self.send_renewal(number, &mut open)?;
            progress.0.store(number + 1, Ordering::Relaxed);
        }
        self.hear_renewals(&mut open, Deadline::after(PATIENCE), true)?;
        let mut silent: Vec<_> = open.values().map(|open| open.number).collect();
        silent.sort_unstable();
        let sent = traffic.count;
        ensure!(
            silent.is_empty(),
            "{} of {sent} renewals were not answered: {silent:?}",
            silent.len()
        );
        Ok(())
    }

    fn send_renewal(&mut self, number: usize, open: &mut HashMap<u32, Open>) -> Result<()> {
        let node = number % self.nodes.len();
        let (mac, address) = (self.nodes[node].mac, self.nodes[node].address);
        let address = address.context("only who has an address renews")?;
        let mut request = self.renewal(mac, address);
        open.insert(
            self.next_xid,
            Open {
                node,
                sent: unix(),
                number,
            },
        );
        self.send(&mut request)
    }

    fn hear_renewals(
        &mut self,
        open: &mut HashMap<u32, Open>,
        until: Deadline,
        stop_when_done: bool,
    ) -> Result<()> {
        while !(stop_when_done && open.is_empty())
            && let Some(reply) = self.hear(until)?
        {
            let asked = open.remove(&reply.message.xid);
            let asked = asked.with_context(|| format!("answered twice, or unasked: {reply:?}"))?;
            self.renewed(asked, &reply)?;
        }
        Ok(())
    }

    /// A renewal's answer is right in every field, and has the options of the first ACK.
    fn renewed(&mut self, open: Open, reply: &Heard) -> Result<()> {
        let node = &mut self.nodes[open.node];
        let address = node.address.context("it has an address")?;
        let want = Message {
            to_mac: node.mac,
            from_mac: self.server,
            source: SERVER,
            destination: address,
            op: 2,
            xid: reply.message.xid,
            ciaddr: address,
            yiaddr: address,
            options: node.options.clone(),
            ..Message::new(ACK, node.mac, 0)
        };
        let number = open.number;
        ensure!(
            reply.message == want,
            "renewal {number}: {reply:?}, not {want:?}"
        );
        if node.renewal.is_empty() {
            node.renewal.clone_from(&reply.rest);
        }
        ensure!(
            reply.rest == node.renewal,
            "renewal {number}: other bytes: {reply:?}"
        );
        node.told_until = open.sent + lease_secs(&reply.message)?;
        Ok(())
    }

    /// Sends all, with at most `window` unanswered; gives the replies. Who hears nothing is left
    /// out; who hears two is an error, and so is a NAK.
    fn ask(
        &mut self,
        requests: Vec<(usize, Message)>,
        window: usize,
    ) -> Result<Vec<(Open, Heard)>> {
        let mut left = requests.into_iter().enumerate();
        let (mut open, mut answered) = (HashMap::new(), HashSet::new());
        let mut replies = Vec::new();
        loop {
            for (number, (node, mut request)) in
                left.by_ref().take(window.saturating_sub(open.len()))
            {
                open.insert(
                    self.next_xid,
                    Open {
                        node,
                        sent: unix(),
                        number,
                    },
                );
                self.send(&mut request)?;
            }
            if open.is_empty() {
                return Ok(replies);
            }
            let Some(reply) = self.hear(Deadline::after(PATIENCE))? else {
                // These are given up; others may still wait for their turn.
                open.clear();
                continue;
            };
            ensure!(reply.message.kind() != Some(NAK), "refused: {reply:?}");
            ensure!(
                !answered.contains(&reply.message.xid),
                "answered twice: {reply:?}"
            );
            // One that is not open any more came too late.
            if let Some(asked) = open.remove(&reply.message.xid) {
                answered.insert(reply.message.xid);
                replies.push((asked, reply));
            }
        }
    }

    fn renewal(&self, mac: Mac, address: Ipv4Addr) -> Message {
        Message {
            to_mac: self.server,
            source: address,
            destination: SERVER,
            ciaddr: address,
            ..message(REQUEST, mac)
        }
    }

    fn send(&mut self, request: &mut Message) -> Result<()> {
        request.xid = self.next_xid;
        self.next_xid += 1;
        self.socket.send(&request.frame())
    }

    /// The next reply to one of these clients.
    fn hear(&self, until: Deadline) -> Result<Option<Heard>> {
        while let Some(frame) = self.socket.receive(until.left())? {
            let message = Message::read(&frame).filter(|message| !message.is_request());
            if let Some(message) = message.filter(|message| self.is_ours(message.chaddr)) {
                return Heard::new(frame, message).map(Some);
            }
        }
        Ok(None)
    }

    fn is_ours(&self, of: Mac) -> bool {
        number(of).is_some_and(|number| self.numbers.contains(&number))
    }

    /// The addresses, by client; an error if two have the same.
    pub fn addresses(&self) -> Result<HashMap<Ipv4Addr, Mac>> {
        let mut addresses = HashMap::new();
        for node in &self.nodes {
            let address = node.address.context("a client without address")?;
            if let Some(other) = addresses.insert(address, node.mac) {
                bail!("{address} was given to {other:02x?} and {:02x?}", node.mac);
            }
        }
        Ok(addresses)
    }
}

fn discover(mac: Mac) -> Message {
    message(DISCOVER, mac)
}

/// Takes an offer.
fn select(mac: Mac, address: Ipv4Addr) -> Message {
    let message = message(REQUEST, mac).with(50, &address.octets());
    message.with(54, &SERVER.octets())
}

fn message(kind: u8, mac: Mac) -> Message {
    let identifier = [&[1][..], &mac].concat();
    let message = Message::new(kind, mac, 0).with(61, &identifier);
    message.with(55, &[1, 3, 6, 15, 51, 54, 58, 59])
}

fn lease_secs(ack: &Message) -> Result<u64> {
    let time = ack.option(51).context("no lease time")?;
    Ok(u32::from_be_bytes(time.try_into()?).into())
}

pub fn mac(number: usize) -> Mac {
    let [.., a, b, c] = (number as u32).to_be_bytes();
    [0x02, 0xfe, 0, a, b, c]
}

fn number(mac: Mac) -> Option<usize> {
    let [0x02, 0xfe, 0, a, b, c] = mac else {
        return None;
    };
    Some(u32::from_be_bytes([0, a, b, c]) as usize)
}

fn unix() -> u64 {
    Now::read().unix / SECOND
}
