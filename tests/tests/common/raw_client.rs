//! A DHCP client of few words: it says exactly what a test wants, under any VLAN tags.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use xdhcpd_tests::{Namespace, RawSocket};

use super::books::SOON;
use super::message::{ACK, DISCOVER, Mac, Message, OFFER, REQUEST, Tags};

/// The options that it asks for: mask, router, DNS, host name, domain, T1 and T2.
const WISHES: [u8; 7] = [1, 3, 6, 12, 15, 58, 59];

pub struct RawClient {
    socket: RawSocket,
    pub mac: Mac,
    pub tags: Tags,
}

/// An address, and who gave it.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    pub address: Ipv4Addr,
    pub server: Ipv4Addr,
    pub server_mac: Mac,
}

impl RawClient {
    /// On an interface of `namespace`; its MAC is `52:54:00:00:77:number`.
    pub fn new(namespace: &Namespace, interface: &str, number: u8) -> Result<Self> {
        Ok(Self {
            socket: RawSocket::open(namespace, interface)?,
            mac: [0x52, 0x54, 0, 0, 0x77, number],
            tags: Tags::new(),
        })
    }

    pub fn tagged(mut self, tags: &[(u16, u16)]) -> Self {
        self.tags = tags.to_vec();
        self
    }

    pub fn message(&self, kind: u8) -> Message {
        static XID: AtomicU32 = AtomicU32::new(0x7d00_0000);
        let xid = XID.fetch_add(1, Ordering::Relaxed);
        let mut message = Message::new(kind, self.mac, xid);
        message.tags.clone_from(&self.tags);
        message
    }

    pub fn discover(&self) -> Message {
        self.message(DISCOVER).with(55, &WISHES)
    }

    /// Takes an offer.
    pub fn selecting(&self, offer: &Message) -> Message {
        let server = offer.option(54).unwrap_or_default();
        self.message(REQUEST)
            .with(50, &offer.yiaddr.octets())
            .with(54, server)
            .with(55, &WISHES)
    }

    /// Asks by unicast for more time.
    pub fn renewing(&self, lease: &Lease) -> Message {
        let mut message = self.message(REQUEST).with(55, &WISHES);
        message.to_mac = lease.server_mac;
        message.ciaddr = lease.address;
        message.source = lease.address;
        message.destination = lease.server;
        message
    }

    /// The same by broadcast.
    pub fn rebinding(&self, lease: &Lease) -> Message {
        let mut message = self.renewing(lease);
        message.to_mac = super::message::EVERYBODY;
        message.destination = Ipv4Addr::BROADCAST;
        message
    }

    pub fn send(&self, message: &Message) -> Result<()> {
        self.socket.send(&message.frame())
    }

    /// Sends a message and waits for the reply.
    pub fn ask(&self, message: &Message) -> Result<Message> {
        let what = || format!("no reply to {message:?}");
        self.ask_frame(message)
            .and_then(|frame| Message::read(&frame).context("no DHCP"))
            .with_context(what)
    }

    /// As [`Self::ask`]; the reply as it came.
    pub fn ask_frame(&self, message: &Message) -> Result<Vec<u8>> {
        self.send(message)?;
        let xid = message.xid;
        let is_reply =
            |frame: &[u8]| Message::read(frame).is_some_and(|got| got.op == 2 && got.xid == xid);
        self.socket
            .receive_that(SOON, is_reply)?
            .context("the server kept silent")
    }

    /// Sends a message that is to have no answer, then one that has: replies come in order.
    pub fn ask_in_vain(&self, message: &Message, then: &Message) -> Result<Message> {
        self.send(message)?;
        self.send(then)?;
        let wanted = [message.xid, then.xid];
        let is_reply = |frame: &[u8]| {
            Message::read(frame).is_some_and(|got| got.op == 2 && wanted.contains(&got.xid))
        };
        let frame = self.socket.receive_that(SOON, is_reply)?;
        let reply = frame
            .as_deref()
            .and_then(Message::read)
            .context("no reply")?;
        ensure!(
            reply.xid == then.xid,
            "answered, but should not be: {reply:?}"
        );
        Ok(reply)
    }

    /// DISCOVER to ACK.
    pub fn bind(&self) -> Result<Lease> {
        let offer = self.ask(&self.discover())?;
        ensure!(offer.kind() == Some(OFFER), "no offer: {offer:?}");
        let ack = self.ask(&self.selecting(&offer))?;
        ensure!(ack.kind() == Some(ACK), "no lease: {ack:?}");
        ensure!(ack.tags == self.tags, "in another VLAN: {ack:?}");
        lease_of(&ack)
    }
}

fn lease_of(ack: &Message) -> Result<Lease> {
    let server = ack.option(54).and_then(|value| value.try_into().ok());
    let server: [u8; 4] = server.context("no server identifier")?;
    Ok(Lease {
        address: ack.yiaddr,
        server: server.into(),
        server_mac: ack.from_mac,
    })
}
