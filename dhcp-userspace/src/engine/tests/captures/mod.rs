//! What real clients sent (`tests/captures`), handed to the engine byte for byte: the server has
//! the addresses that they talk about.
mod answers;
mod memo;
mod stages;

use std::net::Ipv4Addr;

use dhcp_common::Reason;
use dhcp_common::fast::Scratch;
use dhcp_common::layout::PORTS;
use dhcp_common::wire::{bootp, mac_bits};

use super::lab::{self, LINK, Lab, Reply, config, interface, ip, subnet};
use crate::captured::Capture;
use crate::config::model::{Mac, Subnet};
use crate::engine::Ignored;
use crate::fastpath::host::HostEnv;
use crate::net::frame::{Frame, parse};
use crate::packet::Request;

const SERVER: &str = "198.18.5.1";
const SERVER_MAC: Mac = [0x92, 0xb0, 0x35, 0x07, 0xf1, 0x6e];

/// The server's subnet; all addresses that the messages speak of are in the pool, and no others.
fn net_of(messages: &[Capture]) -> Subnet {
    let mut spoken: Vec<_> = messages.iter().filter_map(address_of).collect();
    spoken.sort();
    let first = spoken.first().copied().unwrap_or(ip("198.18.5.100"));
    let last = spoken.last().copied().unwrap_or(ip("198.18.5.199"));
    subnet("198.18.5.0/24", (&first.to_string(), &last.to_string()))
}

/// The address that a client asks for or has.
fn address_of(capture: &Capture) -> Option<Ipv4Addr> {
    let request = Request::parse(capture.message()).ok()?;
    let has = Some(request.ciaddr).filter(|address| !address.is_unspecified());
    let has = has.filter(|address| !address.is_broadcast());
    request.requested.or(has)
}

fn server(net: Subnet) -> Lab {
    let lab = Lab::new(config(vec![net]));
    let mut port = interface(LINK.ifindex, &["198.18.5.1/24"]);
    port.mac = SERVER_MAC;
    lab.engine.set_interfaces(vec![port], lab.now);
    let ports = &lab.engine.table().meta().ports;
    ports[LINK.ifindex as usize % PORTS].set(LINK.ifindex, mac_bits(&SERVER_MAC, 0));
    lab
}

impl Lab {
    fn hear(&mut self, capture: &Capture) -> Result<Option<Reply>, Ignored> {
        let frame = Frame::new(&capture.frame, LINK.ifindex, false);
        self.take(&parse(&frame).unwrap())
    }

    /// Answered, as a client waits for it.
    fn answer(&mut self, capture: &Capture) -> Reply {
        let heard = self.hear(capture);
        let what = || format!("{} {}", capture.client, capture.name);
        heard
            .unwrap_or_else(|why| panic!("{}: {why:?}", what()))
            .unwrap_or_else(|| panic!("{}: no reply", what()))
    }

    /// What the fast path makes of it; the reply, or the reason for none.
    fn fast_path(&self, capture: &Capture) -> Result<Vec<u8>, Reason> {
        let mut frame = capture.frame.clone();
        let mut host = HostEnv {
            table: self.engine.table(),
            ifindex: LINK.ifindex,
            now: self.now.boot,
            frame: &mut frame,
        };
        match host.answer(&mut Scratch::default()) {
            reason if reason.is_answer() => Ok(frame),
            reason => Err(reason),
        }
    }
}

/// A field of the header, of a request or reply.
fn header_address(message: &[u8], at: usize) -> Ipv4Addr {
    let bytes: [u8; 4] = message[at..at + 4].try_into().unwrap();
    bytes.into()
}

fn mac_of(message: &[u8]) -> Mac {
    message[bootp::CHADDR..][..6].try_into().unwrap()
}
