//! What clients say, and what a server answers, in words that are the same for every server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::{Lab, RawSocket};

use crate::common::message::{
    ACK, BOOTP, DECLINE, DISCOVER, EVERYBODY, Message, OFFER, RELEASE, REQUEST,
};
use crate::common::raw_client::{Lease, RawClient};

/// How long a server that answers at all may take; who has not answered by then is silent.
const SILENCE: Duration = Duration::from_millis(1500);
const INFORM: u8 = 8;
const WISHES: [u8; 9] = [1, 3, 6, 12, 15, 28, 51, 58, 59];
/// A relay on the clients' network.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 9);

/// What was answered, aspect by aspect; empty for silence.
pub type Answer = BTreeMap<&'static str, String>;

pub type Question = fn(&Client<'_>) -> Result<Answer>;

/// What a client asks; the words are headings of the document.
pub const QUESTIONS: &[(&str, Question)] = &[
    ("DISCOVER", |c| c.says(&c.discover(1))),
    ("DISCOVER with the broadcast flag", |c| {
        let mut message = c.discover(2);
        message.flags = 0x8000;
        c.says(&message)
    }),
    ("DISCOVER without a parameter request list", |c| {
        c.says(&c.bare(3, DISCOVER))
    }),
    ("DISCOVER with a client identifier", |c| {
        c.says(&c.discover(4).with(61, &[255, 0, 0, 0, 1, 0, 3, 0, 1]))
    }),
    ("DISCOVER of a host with a reservation", |c| {
        c.says(&c.discover(0x63))
    }),
    ("DISCOVER by a relay with option 82", |c| {
        let mut message = c.discover(6).with(82, &[1, 2, 7, 7, 2, 1, 9]);
        message.giaddr = RELAY;
        message.source = RELAY;
        message.destination = SERVER;
        c.says(&message)
    }),
    (
        "DISCOVER with rapid commit (option 80), which is not enabled",
        |c| c.says(&c.discover(7).with(80, &[])),
    ),
    ("DISCOVER in a BOOTREPLY", |c| {
        let mut message = c.discover(8);
        message.op = 2;
        c.says(&message)
    }),
    ("REQUEST that takes the offer", |c| {
        let offer = c.offer(9)?;
        c.says(&c.raw(9)?.selecting(&offer))
    }),
    ("REQUEST that takes the offer of another server", |c| {
        c.offer(10)?;
        let message = c.bare(10, REQUEST).with(50, &STRANGER.octets());
        c.says(&message.with(54, &STRANGER.octets()))
    }),
    ("REQUEST that renews by unicast", |c| {
        let lease = c.bound(11)?;
        c.says(&c.raw(11)?.renewing(&lease))
    }),
    ("REQUEST that renews by broadcast", |c| {
        let lease = c.bound(12)?;
        c.says(&c.raw(12)?.rebinding(&lease))
    }),
    ("REQUEST after a reboot with the right address", |c| {
        let lease = c.bound(13)?;
        c.says(
            &c.bare(13, REQUEST)
                .with(50, &lease.address.octets())
                .with(55, &WISHES),
        )
    }),
    (
        "REQUEST after a reboot with another client's address",
        |c| {
            let other = c.bound(14)?;
            c.bound(15)?;
            c.says(&c.bare(15, REQUEST).with(50, &other.address.octets()))
        },
    ),
    (
        "REQUEST after a reboot with an address of another network",
        |c| {
            c.bound(16)?;
            c.says(&c.bare(16, REQUEST).with(50, &STRANGER.octets()))
        },
    ),
    (
        "REQUEST after a reboot of a client that is not known",
        |c| c.says(&c.bare(17, REQUEST).with(50, &[10, 77, 1, 200])),
    ),
    (
        "REQUEST after a reboot of a client that is not known, address of another network",
        |c| c.says(&c.bare(18, REQUEST).with(50, &STRANGER.octets())),
    ),
    ("REQUEST that renews what is not known", |c| {
        let lease = Lease {
            address: Ipv4Addr::new(10, 77, 1, 201),
            server: SERVER,
            server_mac: c.bound(19)?.server_mac,
        };
        c.says(&c.raw(20)?.renewing(&lease))
    }),
    ("INFORM", |c| {
        let address = Ipv4Addr::new(10, 77, 1, 250);
        let mut message = c.bare(21, INFORM).with(55, &WISHES);
        message.ciaddr = address;
        message.source = address;
        c.says(&message)
    }),
    ("DISCOVER after a RELEASE", |c| {
        let lease = c.bound(22)?;
        let mut release = c.bare(22, RELEASE).with(54, &SERVER.octets());
        release.ciaddr = lease.address;
        release.source = lease.address;
        release.destination = SERVER;
        release.to_mac = lease.server_mac;
        c.raw(22)?.send(&release)?;
        c.says_after(&c.discover(22), lease.address)
    }),
    ("DISCOVER after a DECLINE", |c| {
        let lease = c.bound(23)?;
        let decline = c.bare(23, DECLINE).with(54, &SERVER.octets());
        c.raw(23)?
            .send(&decline.with(50, &lease.address.octets()))?;
        c.says_after(&c.discover(23), lease.address)
    }),
];

/// The place from which all clients speak.
pub struct Client<'a> {
    pub lab: &'a Lab,
    pub socket: &'a RawSocket,
}

impl Client<'_> {
    fn raw(&self, number: u8) -> Result<RawClient> {
        RawClient::new(&self.lab.clients[0], INTERFACE, number)
    }

    fn bare(&self, number: u8, kind: u8) -> Message {
        let xid = 0x7e00_0000 | u32::from(number) << 8 | u32::from(kind);
        Message::new(kind, [0x52, 0x54, 0, 0, 0x77, number], xid)
    }

    fn discover(&self, number: u8) -> Message {
        self.bare(number, DISCOVER).with(55, &WISHES)
    }

    fn offer(&self, number: u8) -> Result<Message> {
        self.raw(number)?.ask(&self.discover(number))
    }

    fn bound(&self, number: u8) -> Result<Lease> {
        self.raw(number)?.bind()
    }

    fn says(&self, message: &Message) -> Result<Answer> {
        self.says_after(message, Ipv4Addr::UNSPECIFIED)
    }

    /// `before` is the address that the client had.
    fn says_after(&self, message: &Message, before: Ipv4Addr) -> Result<Answer> {
        self.socket.send(&message.frame())?;
        let is_answer = |frame: &[u8]| {
            Message::read(frame).is_some_and(|got| {
                got.op == 2
                    && got.xid == message.xid
                    && got.chaddr == message.chaddr
                    && got.source == SERVER
            })
        };
        match self.socket.receive_that(SILENCE, is_answer)? {
            Some(frame) => describe(&frame, message, before),
            None => Ok(Answer::from([("answer", "silence".to_owned())])),
        }
    }
}

fn describe(frame: &[u8], asked: &Message, before: Ipv4Addr) -> Result<Answer> {
    let reply = Message::read(frame).context("a reply")?;
    let bootp = &frame[14 + 28..];
    let kind = match reply.kind() {
        Some(OFFER) => "OFFER".to_owned(),
        Some(ACK) => "ACK".to_owned(),
        Some(6) => "NAK".to_owned(),
        other => format!("{other:?}"),
    };
    let word = |address: Ipv4Addr| match address {
        Ipv4Addr::UNSPECIFIED => "0.0.0.0".to_owned(),
        SERVER => "the server".to_owned(),
        address if address == before => "the same as before".to_owned(),
        address if address.octets()[..3] == [10, 77, 1] => "one of the pool".to_owned(),
        address => address.to_string(),
    };
    let to = match reply.destination {
        Ipv4Addr::BROADCAST => "255.255.255.255".to_owned(),
        address if address == reply.yiaddr => "yiaddr".to_owned(),
        address if address == asked.ciaddr => "ciaddr".to_owned(),
        address if address == asked.giaddr => "giaddr".to_owned(),
        address => address.to_string(),
    };
    let link = if reply.to_mac == EVERYBODY {
        "broadcast"
    } else {
        "unicast"
    };
    let text = |field: &[u8]| {
        let text: Vec<u8> = field
            .iter()
            .copied()
            .take_while(|byte| *byte != 0)
            .collect();
        format!("{:?}", String::from_utf8_lossy(&text))
    };
    let padded = if frame.len() - 42 < 300 {
        "less than 300"
    } else {
        "300 or more"
    };
    let siaddr: [u8; 4] = bootp[20..24].try_into()?;
    let codes: Vec<String> = reply
        .options
        .iter()
        .map(|(code, _)| code.to_string())
        .collect();
    let mut answer = Answer::from([
        ("answer", kind),
        ("sent to", format!("{to} by link-layer {link}")),
        ("flags", format!("{:#06x}", reply.flags)),
        ("ciaddr", word(reply.ciaddr)),
        ("yiaddr", word(reply.yiaddr)),
        ("siaddr", word(siaddr.into())),
        ("sname", text(&bootp[44..108])),
        ("file", text(&bootp[108..236])),
        ("BOOTP bytes", padded.to_owned()),
        ("options", codes.join(" ")),
    ]);
    debug_assert!(bootp.len() >= BOOTP);
    for (code, name) in VALUES {
        if let Some(value) = reply.option(*code) {
            answer.insert(name, shown(*code, value));
        }
    }
    Ok(answer)
}

/// T1 and T2, which dnsmasq shortens by a random time.
fn in_parts_of_an_hour(seconds: u32) -> String {
    match seconds {
        1800 => "1/2 of the lease".to_owned(),
        3150 => "7/8 of the lease".to_owned(),
        ..1800 => "a little less than 1/2".to_owned(),
        _ => "a little less than 7/8".to_owned(),
    }
}

/// Options whose values are compared.
const VALUES: &[(u8, &str)] = &[
    (1, "subnet-mask (1)"),
    (3, "routers (3)"),
    (6, "domain-name-servers (6)"),
    (12, "host-name (12)"),
    (15, "domain-name (15)"),
    (28, "broadcast-address (28)"),
    (51, "lease time (51)"),
    (54, "server identifier (54)"),
    (56, "message (56)"),
    (58, "T1 (58)"),
    (59, "T2 (59)"),
    (61, "client identifier (61)"),
    (80, "rapid commit (80)"),
    (82, "relay agent (82)"),
];

fn shown(code: u8, value: &[u8]) -> String {
    if let (58 | 59, Ok(seconds)) = (code, value.try_into()) {
        return in_parts_of_an_hour(u32::from_be_bytes(seconds));
    }
    let printable = |byte: &u8| (0x20..0x7f).contains(byte);
    match value {
        value if value.len() > 4 && value.iter().all(printable) => {
            String::from_utf8_lossy(value).into_owned()
        }
        value => value.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
