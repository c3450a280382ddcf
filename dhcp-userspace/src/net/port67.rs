//! Keeps UDP port 67: so that the host does not answer "port unreachable" to what the packet
//! sockets read, and so that two DHCP servers on one machine notice each other.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;

use dhcp_common::wire::SERVER_PORT;
use socket2::{Domain, Protocol, Type};

use super::{NetError, filter, holder, socket};

/// A socket that is bound and reads nothing.
#[derive(Debug)]
pub struct Port67 {
    _socket: socket2::Socket,
}

/// Takes the port.
///
/// # Errors
/// If another process holds it, or this one may not.
pub fn take() -> Result<Port67, NetError> {
    let socket = open().map_err(|source| NetError::Port { source })?;
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, SERVER_PORT));
    match socket.bind(&address.into()) {
        Ok(()) => Ok(Port67 { _socket: socket }),
        Err(error) => Err(refused(error)),
    }
}

fn open() -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket::attach_filter(socket.as_raw_fd(), &filter::NONE)?;
    Ok(socket)
}

fn refused(source: io::Error) -> NetError {
    match source.raw_os_error() {
        Some(libc::EADDRINUSE) => NetError::PortInUse {
            holder: holder::of_udp_port(SERVER_PORT),
        },
        Some(libc::EACCES) => NetError::NoBindService,
        _ => NetError::Port { source },
    }
}
