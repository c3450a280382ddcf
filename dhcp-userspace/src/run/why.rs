//! `xdhcpctl fastpath why`: what would become of a client's next renewal.

use dhcp_common::Reason;
use dhcp_common::memo;
use dhcp_common::slot::{Kind, Lease};
use dhcp_common::wire::{
    BOOTP_LEN, BOOTREQUEST, CLIENT_PORT, ETHERTYPE_IPV4, ETHERTYPE_QINQ, ETHERTYPE_VLAN,
    HTYPE_ETHERNET, IP_LEN, MAGIC_COOKIE, PROTO_UDP, SERVER_PORT, Sum, UDP_LEN, bootp, option,
};

use super::leases;
use super::report::state_name;
use super::shared::Shared;
use crate::clock::{Now, SECOND};
use crate::config::model::Mac;
use crate::control::protocol::format_mac;
use crate::control::render::duration;
use crate::engine::LeaseView;
use crate::fastpath::{PortMode, PortReport};
use crate::net::Nic;

/// Tells in a sentence or two.
///
/// # Errors
/// If the client has no lease, or the kernel cannot be asked.
pub fn why(shared: &Shared, mac: &str) -> Result<String, String> {
    let view = leases::find(shared, mac)?;
    let table = shared.core.engine.table();
    let index = table.index(view.address).ok_or("the lease is gone")?;
    let lease = table.slot(index).lease();
    let state = state_name(view.kind).unwrap_or("free");
    let begin = format!("{} has {} ({state})", format_mac(&view.mac), view.address);
    if view.kind != Kind::Bound {
        return Ok(format!(
            "{begin}. The kernel renews bound leases only: its next request goes to the daemon."
        ));
    }
    if lease.memo == memo::NONE {
        return Ok(format!("{begin}. {}", no_memo(&view)));
    }
    let server = table.template(lease.template).facts().server;
    let Some(place) = Place::of(shared, &lease, server) else {
        return Ok(format!("{begin}. Its interface is not served any more."));
    };
    let now = Now::read();
    let frame = renewal(&place, &view);
    let fastpath = shared.fastpath.lock().expect("no panics while held");
    let reason = fastpath.explain(&frame, place.port.ifindex, Some(lease.memo), now);
    let reason = reason.map_err(|error| error.to_string())?;
    Ok(format!(
        "{begin}. {}",
        verdict(reason, &place.port, &lease, now)
    ))
}

fn no_memo(view: &LeaseView) -> String {
    let behind = if view.link.ifindex == 0 {
        "It is behind a router or relay, whose packets go to the daemon"
    } else {
        "The daemon has not yet answered a request of it that the kernel could repeat: the next \
         renewal goes to the daemon, and teaches the kernel unless options 61, 82 or its hostname \
         rule that out"
    };
    format!("{behind}.")
}

fn verdict(reason: Reason, port: &PortReport, lease: &Lease, now: Now) -> String {
    let PortReport {
        name, mode, why, ..
    } = port;
    let who = match mode {
        PortMode::Userspace => format!("the daemon's own fast path (no XDP on {name}: {why})"),
        _ => format!("the kernel ({mode} XDP on {name})"),
    };
    let left = |until: u64| duration(until.saturating_sub(now.boot) / SECOND);
    match reason {
        Reason::Hit => format!(
            "Its next renewal would be answered by {who}, {} times so far; the lease ends in {}, \
             the promise in {}.",
            lease.renewals,
            left(lease.expires),
            left(lease.reserved_until)
        ),
        Reason::Promise => format!(
            "Its next renewal goes to the daemon: {} The promise ends in {}.",
            reason.describe(),
            left(lease.reserved_until)
        ),
        _ => format!("Its next renewal goes to the daemon: {}", reason.describe()),
    }
}

/// Where the client is, and whom it would ask.
struct Place {
    port: PortReport,
    our_mac: Mac,
    tags: [u16; 2],
    server: u32,
}

impl Place {
    fn of(shared: &Shared, lease: &Lease, server: u32) -> Option<Self> {
        let served = shared.ports.lock().expect("no panics while held").served();
        let is_place = |nic: &Nic| match lease.link.ifindex {
            // Behind a router: its packets come in where the server's address is.
            0 => has_address(nic, server),
            index => nic.index() == index,
        };
        let nic = served.into_iter().find(is_place)?;
        let index = nic.index();
        let report = shared
            .fastpath
            .lock()
            .expect("no panics while held")
            .report();
        Some(Self {
            port: report.into_iter().find(|port| port.ifindex == index)?,
            our_mac: nic.interface.mac,
            tags: [lease.link.outer, lease.link.inner],
            server,
        })
    }
}

fn has_address(nic: &Nic, server: u32) -> bool {
    let mut addresses = nic.interface.addresses.iter();
    addresses.any(|net| net.addr().to_bits() == server)
}

/// A unicast renewal of the client, but for its options, which its memo stands for.
fn renewal(place: &Place, view: &LeaseView) -> Vec<u8> {
    let mut message = vec![0; BOOTP_LEN];
    message[..3].copy_from_slice(&[BOOTREQUEST, HTYPE_ETHERNET, 6]);
    message[bootp::CIADDR..][..4].copy_from_slice(&view.address.octets());
    message[bootp::CHADDR..][..6].copy_from_slice(&view.mac);
    message[bootp::COOKIE..].copy_from_slice(&MAGIC_COOKIE);
    message.extend([option::MESSAGE_TYPE, 1, 3, option::END]);

    let udp_len = (UDP_LEN + message.len()) as u16;
    let mut ip = vec![0x45, 0];
    ip.extend((IP_LEN as u16 + udp_len).to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, PROTO_UDP, 0, 0]);
    ip.extend(view.address.octets());
    ip.extend(place.server.to_be_bytes());
    let sum = Sum::default().slice(&ip).checksum();
    ip[10..12].copy_from_slice(&sum.to_ne_bytes());

    let mut frame = link_header(place, &view.mac);
    frame.extend(ip);
    for field in [CLIENT_PORT, SERVER_PORT, udp_len, 0] {
        frame.extend(field.to_be_bytes());
    }
    frame.extend(message);
    frame
}

fn link_header(place: &Place, from: &Mac) -> Vec<u8> {
    let mut header = place.our_mac.to_vec();
    header.extend(from);
    let tags: &[(u16, u16)] = match place.tags {
        [0, _] => &[],
        [tag, 0] => &[(ETHERTYPE_VLAN, tag)],
        [outer, inner] => &[(ETHERTYPE_QINQ, outer), (ETHERTYPE_VLAN, inner)],
    };
    for (kind, tag) in tags {
        header.extend(kind.to_be_bytes());
        header.extend(tag.to_be_bytes());
    }
    header.extend(ETHERTYPE_IPV4.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::frame::{Frame, parse};
    use dhcp_common::slot::Link;

    #[test]
    fn the_frame_is_a_right_renewal_under_any_tags() {
        for tags in [[0, 0], [100, 0], [7, 100]] {
            let port = PortReport {
                ifindex: 3,
                name: "eth0".into(),
                mode: PortMode::Native,
                why: String::new(),
            };
            let place = Place {
                port,
                our_mac: [2; 6],
                tags,
                server: 0x0a00_0001,
            };
            let view = LeaseView {
                address: [10, 0, 0, 9].into(),
                mac: [4; 6],
                kind: Kind::Bound,
                expires: 0,
                reserved_until: 0,
                since: 0,
                client_id: vec![],
                hostname: vec![],
                relay_agent: Vec::new(),
                subnet: None,
                link: Link::default(),
                renewals: 0,
                memo: true,
            };
            let bytes = renewal(&place, &view);
            let incoming = parse(&Frame::new(&bytes, 3, true)).unwrap();
            assert_eq!(
                incoming.link,
                Link {
                    ifindex: 3,
                    outer: tags[0],
                    inner: tags[1]
                }
            );
            assert_eq!(
                (incoming.source, incoming.destination),
                (view.address, [10, 0, 0, 1].into())
            );
            let request = crate::packet::Request::parse(incoming.payload).unwrap();
            assert_eq!(request.ciaddr, view.address);
        }
    }
}
