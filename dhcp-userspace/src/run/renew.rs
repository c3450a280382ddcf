//! Clients that are told to renew now (FORCERENEW).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use dhcp_common::slot::Kind;
use dhcp_common::wire::{CLIENT_PORT, ETH_LEN};
use ipnet::Ipv4Net;
use socket2::{Domain, Protocol, Type};

use super::shared::Shared;
use super::{leases, ticket};
use crate::clock::Now;
use crate::engine::{Event, EventKind, Forced, LeaseView, NotForced};
use crate::net::link::{Framing, LinkAddress};
use crate::net::send;

/// So many at once, and then a pause: their renewals all come to the daemon. 2000 in a second.
const AT_ONCE: usize = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// Tells one client, or all of a subnet; tells what was done.
///
/// # Errors
/// If there is no such client, or it cannot be told.
pub fn renew(
    shared: &Shared,
    key: Option<&str>,
    subnet: Option<Ipv4Net>,
) -> Result<Vec<String>, String> {
    if !shared.config.load().server.forcerenew {
        return Err(NotForced::Off.to_string());
    }
    match (key, subnet) {
        (Some(key), None) => Ok(vec![tell(shared, &leases::find(shared, key)?)?]),
        (None, Some(subnet)) => Ok(tell_all(shared, subnet)),
        _ => Err("give an address or MAC, or else --subnet".to_owned()),
    }
}

fn tell_all(shared: &Shared, subnet: Ipv4Net) -> Vec<String> {
    let mut views = shared.core.engine.leases();
    views.retain(|view| view.kind == Kind::Bound && subnet.contains(&view.address));
    let mut done = Vec::with_capacity(views.len());
    for views in views.chunks(AT_ONCE) {
        if !done.is_empty() {
            std::thread::sleep(PAUSE);
        }
        let told = views.iter().map(|view| tell(shared, view));
        done.extend(told.map(|outcome| outcome.unwrap_or_else(|error| error)));
    }
    done
}

fn tell(shared: &Shared, view: &LeaseView) -> Result<String, String> {
    let now = Now::read();
    let address = view.address;
    let forced = shared.core.engine.force_renew(address, now);
    let forced = forced.map_err(|error| error.to_string())?;
    let event = Event {
        kind: EventKind::ForceRenew,
        mac: forced.mac,
        address,
        ifindex: forced.ifindex.unwrap_or(0),
    };
    let stale = if forced.unheard {
        "; the server has not heard it since it was started, so only a client that does not check \
         the xid will listen"
    } else if forced.renewed_by_kernel {
        "; the kernel has renewed it since, so only a client that keeps its xid will listen"
    } else {
        ""
    };
    send(shared, forced).map_err(|error| format!("{address}: cannot send: {error}"))?;
    shared.core.happened(&event, now);
    Ok(format!("{address} was told to renew{stale}"))
}

fn send(shared: &Shared, forced: Forced) -> io::Result<()> {
    let Some(ifindex) = forced.ifindex else {
        return route(forced.address, &forced.frame);
    };
    let ports = shared.ports.lock().expect("no panics while held");
    let gone = || {
        io::Error::new(
            io::ErrorKind::NotConnected,
            "its interface is served no longer",
        )
    };
    let socket = ports.socket(ifindex).ok_or_else(gone)?;
    drop(ports);
    if socket.framing != Framing::Ethernet {
        return route(forced.address, &forced.frame[ETH_LEN..]);
    }
    let mut out = send::Batch::default();
    out.push(send::Parcel {
        socket,
        frame: forced.frame,
        to: LinkAddress::default(),
    });
    ticket::flush(&shared.core, &mut out);
    Ok(())
}

/// Behind routers there is no MAC to send to: this host routes the packet.
fn route(address: Ipv4Addr, packet: &[u8]) -> io::Result<()> {
    let raw = Protocol::from(libc::IPPROTO_RAW);
    let socket = socket2::Socket::new(Domain::IPV4, Type::RAW, Some(raw))?;
    let to = SocketAddr::from((address, CLIENT_PORT));
    socket.send_to(packet, &to.into()).map(drop)
}
