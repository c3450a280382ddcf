//! Asks the server who holds an address: DHCPLEASEQUERY (RFC 4388), as a relay does.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::book::{Claim, Hardware};
use super::clock;
use super::wire::{self, Ends, Mac, Message};
use crate::lab::{INTERFACE, SERVER};
use crate::namespace::Namespace;
use crate::raw::RawSocket;
use crate::wait::Deadline;

/// The address that the asker has on the lab's network: the server's configuration allows it to ask, see [`ALLOWED`].
pub const ASKER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
/// What a configuration says at its top level so that the asker gets answers.
pub const ALLOWED: &str = "leasequery: {allowed: [10.77.0.9]}\n";

const LEASEQUERY: u8 = 10;
const LEASEACTIVE: u8 = 13;
const REPLIES: [u8; 3] = [11, 12, LEASEACTIVE];
const RELAY_PORT: u16 = 67;
/// Questions open at once.
const WINDOW: usize = 64;
/// After so long without an answer, what is open is asked again.
const AGAIN: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Nobody,
    /// Whose it is, and until when at most: lease queries tell whole seconds.
    Client {
        mac: Mac,
        until: u64,
    },
}

pub struct Asker {
    socket: RawSocket,
    mac: Mac,
    server: Mac,
    next_xid: u32,
}

impl Asker {
    /// On the interface of a client of the lab.
    pub fn new(client: &Namespace, server: &Namespace) -> Result<Self> {
        Ok(Self {
            socket: RawSocket::open(client, INTERFACE)?,
            mac: client.mac(INTERFACE)?,
            server: server.mac(INTERFACE)?,
            next_xid: 0x1ed9_0000,
        })
    }

    /// Who holds these addresses. A server that does not say is an error.
    pub fn ask(&mut self, addresses: &[Ipv4Addr]) -> Result<HashMap<Ipv4Addr, Holder>> {
        let mut answers = HashMap::new();
        for window in addresses.chunks(WINDOW) {
            let mut open: HashSet<_> = window.iter().copied().collect();
            let deadline = Deadline::after(PATIENCE);
            while !open.is_empty() {
                let left = deadline.left();
                ensure!(!left.is_zero(), "no word of {open:?} for {PATIENCE:?}");
                self.ask_once(&mut open, &mut answers)?;
            }
        }
        Ok(answers)
    }

    fn ask_once(
        &mut self,
        open: &mut HashSet<Ipv4Addr>,
        answers: &mut HashMap<Ipv4Addr, Holder>,
    ) -> Result<()> {
        let xid = self.next_xid;
        self.next_xid += 1;
        for address in &*open {
            self.socket.send(&self.query(xid, *address))?;
        }
        while !open.is_empty()
            && let Some(reply) = self.reply(xid)?
        {
            if open.remove(&reply.ciaddr) {
                answers.insert(reply.ciaddr, holder(&reply));
            }
        }
        Ok(())
    }

    fn reply(&self, xid: u32) -> Result<Option<Message>> {
        let is_answer = |message: &Message| {
            message.is_reply && message.xid == xid && REPLIES.contains(&message.kind)
        };
        let read = |frame: &[u8]| Message::read(frame).filter(is_answer);
        let frame = self
            .socket
            .receive_that(AGAIN, |frame| read(frame).is_some())?;
        Ok(frame.and_then(|frame| read(&frame)))
    }

    fn query(&self, xid: u32, about: Ipv4Addr) -> Vec<u8> {
        let mut message = wire::head(xid, about, ASKER, None);
        message.extend([53, 1, LEASEQUERY, 55, 1, 51, 255]);
        let ends = Ends {
            from: self.mac,
            to: self.server,
            source: ASKER,
            destination: SERVER,
            source_port: RELAY_PORT,
        };
        wire::frame(&ends, &message)
    }
}

fn holder(reply: &Message) -> Holder {
    if reply.kind != LEASEACTIVE {
        return Holder::Nobody;
    }
    let until = match reply.lease {
        None => 0,
        Some(u32::MAX) => u64::MAX,
        Some(secs) => clock::boot() + (u64::from(secs) + 1) * clock::SECOND,
    };
    Holder::Client {
        mac: reply.chaddr,
        until,
    }
}

/// What is wrong with the answer, by what the holder was told; `None` if nothing is.
pub fn fault(claim: &Claim, answer: Holder) -> Option<String> {
    let Claim { address, mac, .. } = *claim;
    let of = Hardware(mac);
    match answer {
        Holder::Nobody => Some(format!("{address} of {of} is unknown")),
        Holder::Client { mac: other, .. } if other != mac => {
            let other = Hardware(other);
            Some(format!("{address} of {of} is said to be {other}'s"))
        }
        Holder::Client { until, .. } if until < claim.until => {
            let less = (claim.until - until) as f64 / clock::SECOND as f64;
            Some(format!("{address} of {of} ends {less:.3} s too early"))
        }
        Holder::Client { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 7];
    const CLAIM: Claim = Claim {
        address: Ipv4Addr::new(10, 77, 1, 7),
        mac: MAC,
        until: 100 * clock::SECOND,
        asked: 0,
        first: 0,
        since: 0,
        link: 0,
    };

    fn said(mac: Mac, until: u64) -> Option<String> {
        fault(&CLAIM, Holder::Client { mac, until })
    }

    #[test]
    fn a_claim_that_is_kept_is_no_fault() {
        assert_eq!(said(MAC, CLAIM.until), None);
        assert_eq!(said(MAC, u64::MAX), None);
    }

    #[test]
    fn each_way_to_lose_a_claim_is_found() {
        let unknown = fault(&CLAIM, Holder::Nobody).unwrap();
        assert_eq!(unknown, "10.77.1.7 of 02:00:00:00:00:07 is unknown");
        let anothers = said([2, 0, 0, 0, 0, 8], u64::MAX).unwrap();
        assert!(anothers.ends_with("is said to be 02:00:00:00:00:08's"));
        let short = said(MAC, CLAIM.until - clock::SECOND).unwrap();
        assert!(short.ends_with("ends 1.000 s too early"), "{short}");
    }

    #[test]
    fn an_answer_tells_the_latest_end_that_it_may_mean() {
        let reply = |kind, lease| Message {
            is_reply: true,
            kind,
            xid: 1,
            ciaddr: CLAIM.address,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: MAC,
            requested: None,
            lease,
        };
        let before = clock::boot();
        let Holder::Client { mac, until } = holder(&reply(LEASEACTIVE, Some(60))) else {
            panic!("an active lease has a holder");
        };
        let after = clock::boot() + 61 * clock::SECOND;
        assert_eq!(mac, MAC);
        assert!((before + 61 * clock::SECOND..=after).contains(&until));
        assert_eq!(holder(&reply(12, None)), Holder::Nobody);
    }
}
