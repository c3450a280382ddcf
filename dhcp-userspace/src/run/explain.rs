//! `xdhcpctl explain`: what would be made of a client's DISCOVER.

use std::net::Ipv4Addr;

use dhcp_common::slot::Link;
use dhcp_common::wire::{
    BOOTP_LEN, BOOTREQUEST, CLIENT_PORT, HTYPE_ETHERNET, MAGIC_COOKIE, SERVER_PORT, bootp, option,
};

use super::shared::Shared;
use crate::clock::Now;
use crate::config::model::Mac;
use crate::control::protocol::{Explained, FreePool, Question, parse_mac};
use crate::engine::{Explanation, Incoming};
use crate::net::Nic;
use crate::packet::registry::{BINARY, Definitions, TOP, ValueError, encode};

/// The client that is asked about if no MAC is said: one that nobody has.
const NOBODY: Mac = [2, 0, 0, 0, 0, 0];
/// The only message that is asked about.
const DISCOVER: u8 = 1;
const USER_CLASS: u8 = 77;
const CLIENT_ARCH: u8 = 93;
/// Sub-options of option 82.
const CIRCUIT_ID: u8 = 1;
const REMOTE_ID: u8 = 2;

/// One row for each subnet that the client may be in, in the order in which they are tried.
///
/// # Errors
/// If the question is wrong, or such a client would not be answered anywhere.
pub fn explain(shared: &Shared, question: &Question) -> Result<Vec<Explained>, String> {
    let payload = discover(question, &shared.config.load().definitions)?;
    let served = shared.ports.lock().expect("no panics while held").served();
    let packet = Incoming {
        link: link(question, &served)?,
        l2: &[],
        source: question.relay.unwrap_or(Ipv4Addr::UNSPECIFIED),
        source_port: if question.relay.is_some() {
            SERVER_PORT
        } else {
            CLIENT_PORT
        },
        destination: Ipv4Addr::BROADCAST,
        destination_port: SERVER_PORT,
        payload: &payload,
        arrived: 0,
    };
    let told = shared.core.engine.explain(Now::read(), &packet);
    let told = told.map_err(|why| format!("such a client is not answered: {}", why.label()))?;
    if told.is_empty() {
        return Err("no subnet is served there: see `subnet` and `relays`".to_owned());
    }
    Ok(told.into_iter().map(explained).collect())
}

fn explained(told: Explanation) -> Explained {
    Explained {
        subnet: told.subnet,
        network: told.network,
        host: told.host,
        classes: told.classes,
        ready_made: told.ready_made.into_iter().map(str::to_owned).collect(),
        refused: told.refused.map(|why| why.label().to_owned()),
        address: told.address,
        pool: told.pool.map(|(first, last)| format!("{first}-{last}")),
        free: told.free.into_iter().map(free_pool).collect(),
        lease_secs: told.lease_time.as_secs(),
        next_server: told.next_server,
        boot_file: told.boot_file,
    }
}

fn free_pool((first, last, free): (Ipv4Addr, Ipv4Addr, u64)) -> FreePool {
    FreePool {
        pool: format!("{first}-{last}"),
        free,
    }
}

/// Where the message comes in. Which interface a relay's come by changes nothing.
fn link(question: &Question, served: &[Nic]) -> Result<Link, String> {
    let nic = match (&question.interface, served) {
        (Some(name), _) => served.iter().find(|nic| nic.name() == *name),
        (None, [only]) => Some(only),
        (None, [first, ..]) if question.relay.is_some() => Some(first),
        (None, _) => None,
    };
    let nic = nic.ok_or_else(|| {
        let names: Vec<&str> = served.iter().map(Nic::name).collect();
        let names = names.join(", ");
        format!("say by which interface, with --interface; those served are: {names}")
    })?;
    let (outer, inner) = match *question.vlan {
        [] => (0, 0),
        [tag] => (tag, 0),
        [outer, inner] => (outer, inner),
        _ => return Err("more than two VLAN tags".to_owned()),
    };
    Ok(Link {
        ifindex: nic.index(),
        outer,
        inner,
    })
}

fn discover(question: &Question, definitions: &Definitions) -> Result<Vec<u8>, String> {
    let mac = match &question.mac {
        Some(text) => parse_mac(text).ok_or_else(|| format!("{text:?} is no MAC"))?,
        None => NOBODY,
    };
    let relay = question.relay.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let mut message = vec![0; BOOTP_LEN];
    message[..3].copy_from_slice(&[BOOTREQUEST, HTYPE_ETHERNET, 6]);
    message[bootp::GIADDR..][..4].copy_from_slice(&relay.octets());
    message[bootp::CHADDR..][..6].copy_from_slice(&mac);
    message[bootp::COOKIE..].copy_from_slice(&MAGIC_COOKIE);
    for (code, data) in options(question, definitions)? {
        put(code, &data, &mut message)?;
    }
    message.push(option::END);
    Ok(message)
}

fn put(code: u8, data: &[u8], to: &mut Vec<u8>) -> Result<(), String> {
    let len = u8::try_from(data.len()).map_err(|_| format!("{code} is longer than 255 bytes"))?;
    to.extend([code, len]);
    to.extend(data);
    Ok(())
}

fn options(question: &Question, known: &Definitions) -> Result<Vec<(u8, Vec<u8>)>, String> {
    let text = |code, text: &Option<String>| Some((code, text.clone()?.into_bytes()));
    let arch = question.arch.map(|arch| arch.to_be_bytes().to_vec());
    let mut all = vec![(option::MESSAGE_TYPE, vec![DISCOVER])];
    all.extend(text(option::VENDOR_CLASS, &question.vendor_class));
    all.extend(text(USER_CLASS, &question.user_class));
    all.extend(arch.map(|arch| (CLIENT_ARCH, arch)));
    for written in &question.options {
        all.push(option_of(written, known)?);
    }
    let mut agent = Vec::new();
    for (code, id) in [
        (CIRCUIT_ID, &question.circuit_id),
        (REMOTE_ID, &question.remote_id),
    ] {
        if let Some(id) = id {
            put(code, &bytes(id)?, &mut agent)?;
        }
    }
    if !agent.is_empty() {
        all.push((option::RELAY_AGENT, agent));
    }
    Ok(all)
}

/// `CODE=VALUE`; the code may be a name.
fn option_of(written: &str, definitions: &Definitions) -> Result<(u8, Vec<u8>), String> {
    let wrong = || format!("{written:?} is no option: write CODE=VALUE, as in 60=PXEClient");
    let (name, value) = written.split_once('=').ok_or_else(wrong)?;
    let named = || Some(definitions.by_name(TOP, name)?.code);
    let code = name.parse().ok().or_else(named);
    let code = code.filter(|code| (1..255).contains(code));
    let code = code.ok_or_else(|| format!("there is no option {name}"))?;
    match definitions.by_code(TOP, code) {
        Some(known) if *known.kind != BINARY && !value.starts_with("0x") => {
            let items = || encode(known.kind, &value.split(',').collect::<Vec<_>>());
            let data = encode(known.kind, &[value]).or_else(|_| items());
            let told = |error: ValueError| format!("option {name}: {value}: {error}");
            Ok((code, data.map_err(told)?))
        }
        _ => Ok((code, bytes(value)?)),
    }
}

/// A text, or 0x and hexadecimal.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let Some(digits) = text.strip_prefix("0x") else {
        return Ok(text.as_bytes().to_vec());
    };
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let all: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(pair).collect();
    all.ok_or_else(|| format!("{text} is no hexadecimal: write two digits for each byte"))
}
