//! Option 82: whatever a relay puts into it, clients are told apart by it or not, and it comes back
//! as it was.

use std::net::Ipv4Addr;

use dhcp_userspace::packet::{Request, put, registry, suboption};

use crate::input::parts;
use crate::site::{L2, RELAY, Site};

/// Clients behind the relay; a part begins with the number of the one that asks.
const CLIENTS: u8 = 4;
/// What is behind is left.
const MANY: usize = 32;

pub fn run(data: &[u8]) {
    let mut site = Site::default();
    for part in parts(data).take(MANY) {
        let Some((who, agent)) = part.split_first() else {
            continue;
        };
        let offered = ask(&mut site, *who, agent, &[53, 1, 1]);
        if let Some(address) = offered {
            let [a, b, c, d] = address.octets();
            let _ = ask(
                &mut site,
                *who,
                agent,
                &[53, 1, 3, 54, 4, 10, 0, 0, 1, 50, 4, a, b, c, d],
            );
        }
    }
    site.check_books();
}

/// What one client asks by the relay; the address in the answer.
fn ask(site: &mut Site, who: u8, agent: &[u8], options: &[u8]) -> Option<Ipv4Addr> {
    let payload = message(who, agent, options);
    if let Ok(request) = Request::parse(&payload) {
        agrees(&request, agent);
    }
    let reply = site.relayed(&payload)?;
    let reply = &reply[L2.len() + 28..];
    assert_eq!(agent_in(reply), agent, "option 82 comes back as it was");
    let address: [u8; 4] = reply[16..20].try_into().expect("4 bytes");
    Some(address.into())
}

fn message(who: u8, agent: &[u8], options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[..4].copy_from_slice(&[1, 1, 6, 1]);
    bytes[24..28].copy_from_slice(&RELAY.octets());
    bytes[28..34].copy_from_slice(&[0x52, 0x54, 0, 0, 1, who % CLIENTS]);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend(options);
    put(&mut bytes, 82, agent);
    bytes.push(255);
    bytes
}

/// Both ways to look into it say the same.
fn agrees(request: &Request<'_>, agent: &[u8]) {
    assert_eq!(request.relay_agent().as_deref(), Some(agent));
    for code in [1, 2, 5, 11, 19, 151] {
        let found = request.relay_suboption(code);
        assert_eq!(found.as_deref(), suboption(agent, code));
        if let Some(all) = registry::suboptions(agent, false) {
            let first = all.iter().find(|(other, _)| *other == code);
            assert_eq!(first.map(|(_, value)| *value), found.as_deref());
        }
    }
}

fn agent_in(reply: &[u8]) -> Vec<u8> {
    let fields = dhcp_userspace::packet::Options::new(&reply[240..]).flatten();
    let agent = fields.filter(|field| field.code == 82);
    agent.flat_map(|field| field.value.to_vec()).collect()
}
