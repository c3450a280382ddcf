//! Clients that ask in their own time, and again if they hear nothing, and note how long it took.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use dhcp_userspace::clock::Now;
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::{Lab, RawSocket};

use super::message::{ACK, DISCOVER, Mac, Message, NAK, OFFER, REQUEST};

/// Seconds between a client's attempts, the last one for all later ones: iPXE's and those of most
/// others, doubling from one second.
const RETRIES: [u64; 4] = [1, 2, 4, 8];
const TICK: Duration = Duration::from_millis(2);
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
const SECS: usize = 50;
const UDP_CHECKSUM: usize = 40;

/// What a client wants.
#[derive(Clone, Copy)]
pub enum Task {
    /// Extend this lease.
    Renew(Ipv4Addr),
    /// Get an address, from DISCOVER to ACK.
    Bind,
}

struct Client {
    mac: Mac,
    task: Task,
    /// When it begins; nanoseconds, as everything here.
    begins: u64,
    /// What it was offered.
    offer: Option<Ipv4Addr>,
    xid: u32,
    attempts: usize,
    next: u64,
    took: Option<u64>,
    /// Whether it ever had to ask again.
    again: bool,
    /// What it sends next is not a repetition.
    fresh: bool,
    refused: u32,
}

/// What has come of it.
#[derive(Debug)]
pub struct Outcome {
    pub asked: usize,
    pub answered: usize,
    /// Of those, the ones that never had to ask again.
    pub at_once: usize,
    pub refused: u32,
    /// Milliseconds from the first packet to the last, in order.
    pub took: Vec<f64>,
}

impl Outcome {
    pub fn percentile(&self, percent: usize) -> f64 {
        let at = self.took.len().saturating_sub(1) * percent / 100;
        self.took.get(at).copied().unwrap_or(f64::NAN)
    }
}

pub struct Crowd {
    socket: RawSocket,
    server: Mac,
    clients: Vec<Client>,
}

impl Crowd {
    pub fn new(lab: &Lab, number: usize) -> Result<Self> {
        Ok(Self {
            socket: RawSocket::open(&lab.clients[number], INTERFACE)?,
            server: lab.server.mac(INTERFACE)?,
            clients: Vec::new(),
        })
    }

    /// A client that begins after a while.
    pub fn add(&mut self, mac: Mac, task: Task, after: Duration) {
        self.clients.push(Client {
            mac,
            task,
            begins: after.as_nanos() as u64,
            offer: None,
            xid: 0,
            attempts: 0,
            next: 0,
            took: None,
            again: false,
            fresh: true,
            refused: 0,
        });
    }

    /// All of them, until everybody is served or `patience` is over.
    pub fn run(mut self, patience: Duration) -> Result<Outcome> {
        let start = Now::read().boot;
        let mut open = HashMap::new();
        let mut next_xid = 1;
        for client in &mut self.clients {
            client.begins += start;
            client.next = client.begins;
        }
        let end = start + patience.as_nanos() as u64;
        while self.clients.iter().any(|client| client.took.is_none()) && Now::read().boot < end {
            self.send_due(&mut open, &mut next_xid)?;
            while let Some(frame) = self.socket.receive(TICK)? {
                if let Some(reply) = Message::read(&frame).filter(|reply| reply.op == 2) {
                    self.hear(&reply, &open);
                }
                self.send_due(&mut open, &mut next_xid)?;
            }
        }
        Ok(self.outcome())
    }

    fn send_due(&mut self, open: &mut HashMap<u32, usize>, next_xid: &mut u32) -> Result<()> {
        let now = Now::read().boot;
        for (number, client) in self.clients.iter_mut().enumerate() {
            if client.took.is_some() || client.next > now {
                continue;
            }
            if client.xid == 0 {
                client.xid = *next_xid;
                *next_xid += 1;
                open.insert(client.xid, number);
            }
            self.socket.send(&client.request(self.server, now))?;
            let wait = RETRIES[client.attempts.min(RETRIES.len() - 1)];
            client.again |= !std::mem::take(&mut client.fresh);
            client.attempts += 1;
            client.next = now + wait * SECOND;
        }
        Ok(())
    }

    fn hear(&mut self, reply: &Message, open: &HashMap<u32, usize>) {
        let Some(number) = open.get(&reply.xid) else {
            return;
        };
        let client = &mut self.clients[*number];
        if client.xid == reply.xid && client.mac == reply.chaddr && client.took.is_none() {
            client.hear(reply, Now::read().boot);
        }
    }

    fn outcome(&self) -> Outcome {
        let all = self.clients.iter();
        let milliseconds = |took: u64| took as f64 / MILLISECOND as f64;
        let mut took: Vec<f64> = all
            .clone()
            .filter_map(|c| c.took)
            .map(milliseconds)
            .collect();
        took.sort_by(f64::total_cmp);
        Outcome {
            asked: self.clients.len(),
            answered: took.len(),
            at_once: all.clone().filter(|c| c.took.is_some() && !c.again).count(),
            refused: all.map(|client| client.refused).sum(),
            took,
        }
    }
}

impl Client {
    fn request(&self, server: Mac, now: u64) -> Vec<u8> {
        let message = match (self.task, self.offer) {
            (Task::Renew(address), _) => Message {
                to_mac: server,
                source: address,
                destination: SERVER,
                ciaddr: address,
                ..self.message(REQUEST)
            },
            (Task::Bind, None) => self.message(DISCOVER),
            (Task::Bind, Some(address)) => {
                let request = self.message(REQUEST).with(50, &address.octets());
                request.with(54, &SERVER.octets())
            }
        };
        let mut frame = message.frame();
        let secs = ((now - self.begins) / SECOND) as u16;
        frame[SECS..SECS + 2].copy_from_slice(&secs.to_be_bytes());
        frame[UDP_CHECKSUM..UDP_CHECKSUM + 2].fill(0);
        frame
    }

    fn message(&self, kind: u8) -> Message {
        let identifier = [&[1][..], &self.mac].concat();
        let message = Message::new(kind, self.mac, self.xid).with(61, &identifier);
        message.with(55, &[1, 3, 6, 15, 51, 54, 58, 59])
    }

    fn hear(&mut self, reply: &Message, now: u64) {
        match reply.kind() {
            Some(ACK) => self.took = Some(now - self.begins),
            Some(OFFER) if self.offer.is_none() => {
                self.offer = Some(reply.yiaddr);
                self.restart(now);
            }
            Some(NAK) => {
                self.refused += 1;
                self.offer = None;
                self.restart(now);
            }
            _ => {}
        }
    }

    /// The same transaction's next message, at once.
    fn restart(&mut self, now: u64) {
        self.next = now;
        self.fresh = true;
        self.attempts = 0;
    }
}

impl Outcome {
    /// One line about it.
    pub fn line(&self, what: &str) -> String {
        let [p50, p99] = [50, 99].map(|percent| self.percentile(percent));
        format!(
            "{what}: {} of {} answered, {} without asking again, {} refused; p50 {p50:.2} ms, \
             p99 {p99:.1} ms",
            self.answered, self.asked, self.at_once, self.refused
        )
    }

    pub fn all_answered(&self) -> Result<()> {
        let all = (self.answered == self.asked).then_some(());
        all.with_context(|| format!("only {} of {} were answered", self.answered, self.asked))
    }
}
