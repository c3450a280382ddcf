//! Keeps UDP ports 67 and 4011: so that the host does not answer "port unreachable" to what the
//! packet sockets read, and so that two DHCP servers on one machine notice each other.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;

use dhcp_common::wire::{BOOT_SERVER_PORT, SERVER_PORT};
use socket2::{Domain, Protocol, Type};

use super::{NetError, filter, holder, socket};

/// Sockets that are bound and read nothing.
#[derive(Debug)]
pub struct Port67 {
    _socket: socket2::Socket,
    _boot_server: Option<socket2::Socket>,
}

/// Takes the ports. Another may have 4011, which only PXE needs: that is logged.
///
/// # Errors
/// If another process holds port 67, or this one may not.
pub fn take() -> Result<Port67, NetError> {
    let socket = hold(SERVER_PORT).map_err(refused)?;
    let boot_server = hold(BOOT_SERVER_PORT).inspect_err(|error| {
        let holder = holder::of_udp_port(BOOT_SERVER_PORT);
        tracing::warn!(
            %error, holder,
            "UDP port {BOOT_SERVER_PORT} could not be taken: PXE clients that ask there may hear \
             two servers"
        );
    });
    Ok(Port67 {
        _socket: socket,
        _boot_server: boot_server.ok(),
    })
}

fn hold(port: u16) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket::attach_filter(socket.as_raw_fd(), &filter::NONE)?;
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    socket.bind(&address.into())?;
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
