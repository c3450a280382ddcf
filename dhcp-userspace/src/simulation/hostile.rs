//! Who speaks in others' names, or asks for what is others'.

use std::net::Ipv4Addr;

use super::client::Client;
use super::dice::Dice;
use super::nature::Kind;
use super::packet::{Origin, Packet};
use super::site::{PLACES, SERVER};
use super::wire::{self, ANYONE, Ask};

/// The attacker's own MACs.
const OWN: [u8; 5] = [0x66, 0x66, 0, 0, 0];
/// So many clients have one that is impersonated.
const ONE_OF: usize = 7;

/// A message to hurt somebody with.
pub(super) fn packet(clients: &mut [Client], dice: &mut Dice, now: u64) -> Option<Packet> {
    let number = dice.range(0, clients.len() as u64 - 1) as usize / ONE_OF * ONE_OF;
    let victim = &mut clients[number];
    let place = match dice.range(0, 3) {
        0 => dice.range(0, PLACES.len() as u64 - 1) as usize,
        _ => victim.place,
    };
    let steals = dice.percent(40);
    // Where BOOTP and DHCP are spoken in one name, DHCP wins: an address for good becomes a lease.
    if !steals && victim.nature.kind == Kind::Bootp {
        return None;
    }
    let mac = if steals {
        let [a, b, c, d, e] = OWN;
        [a, b, c, d, e, dice.range(0, 30) as u8]
    } else {
        victim.impersonated = true;
        victim.mac
    };
    let his = victim.address();
    let any = Ipv4Addr::new(
        10,
        dice.range(0, 6) as u8,
        dice.range(0, 3) as u8,
        dice.range(0, 255) as u8,
    );
    let address = if dice.percent(80) { his? } else { any };
    let mut persona = victim.persona();
    if dice.percent(50) {
        persona.push((15, vec![b'x'; dice.range(1, 9) as usize]));
    }
    let kind = dice.pick(&[
        Some(wire::DISCOVER),
        Some(wire::REQUEST),
        Some(wire::REQUEST),
        Some(wire::REQUEST),
        Some(wire::RELEASE),
        Some(wire::DECLINE),
        Some(wire::INFORM),
        None,
    ]);
    let mut ask = Ask {
        kind,
        mac,
        xid: dice.seed() as u32,
        secs: 0,
        ciaddr: ANYONE,
        unicast: None,
        requested: None,
        server: None,
        persona: &persona,
    };
    match kind {
        Some(wire::RELEASE | wire::INFORM) => (ask.ciaddr, ask.unicast) = (address, Some(SERVER)),
        Some(wire::DISCOVER | wire::DECLINE) => ask.requested = Some(address),
        Some(wire::REQUEST) => fill(&mut ask, address, dice),
        _ => {}
    }
    let origin = Origin {
        mac,
        address: ask.requested.unwrap_or(ask.ciaddr),
        kind,
        place,
        sent: now,
        honest: false,
    };
    Some(Packet {
        bytes: ask.frame(&PLACES[place]),
        origin,
        conflicts: 0,
    })
}

/// One of the four questions that a REQUEST can be, or another server's.
fn fill(ask: &mut Ask<'_>, address: Ipv4Addr, dice: &mut Dice) {
    match dice.range(0, 4) {
        0 => (ask.requested, ask.server) = (Some(address), Some(SERVER)),
        1 => ask.requested = Some(address),
        2 => ask.ciaddr = address,
        3 => (ask.ciaddr, ask.unicast) = (address, Some(SERVER)),
        _ => (ask.requested, ask.server) = (Some(address), Some(Ipv4Addr::new(10, 0, 3, 77))),
    }
}
