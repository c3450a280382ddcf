//! Sockets that wait for clients, and what to say when they cannot be had.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::shared::Shared;
use super::{NetbootError, http, root, tftp};
use crate::net::holder;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// A service that runs.
pub struct Listener {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listener {
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and waits until its port is free.
    pub fn close(self, runtime: &Runtime) {
        self.task.abort();
        // An error is what an aborted task ends with.
        let _ = runtime.block_on(self.task);
    }
}

/// Every transfer needs a socket and a file: takes as many as the system lets us have.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "limit of open files");
    }
}

/// Sees that files can be served from here.
pub fn check_root(root: &Path) -> Result<(), NetbootError> {
    let path = root.to_owned();
    root::check(root).map_err(|source| match source.raw_os_error() {
        Some(libc::ENOSYS) => NetbootError::Kernel { path },
        _ => NetbootError::Root { path, source },
    })
}

pub fn tftp(
    runtime: &Runtime,
    at: SocketAddrV4,
    shared: &Arc<Shared>,
) -> Result<Listener, NetbootError> {
    let listen = || {
        let socket = tftp::socket::bind(at)?;
        let _in = runtime.enter();
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let address = socket.local_addr()?;
        let task = runtime.spawn(tftp::serve(socket, Arc::clone(shared)));
        Ok(Listener { address, task })
    };
    listen().map_err(|error| refused("tftp", at.into(), error, holder::of_udp_port))
}

pub fn http(
    runtime: &Runtime,
    at: SocketAddr,
    shared: &Arc<Shared>,
) -> Result<Listener, NetbootError> {
    let listen = || {
        let listener = listening(at)?;
        let _in = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let task = runtime.spawn(http::serve(listener, Arc::clone(shared)));
        Ok(Listener { address, task })
    };
    listen().map_err(|error| refused("http", at, error, holder::of_tcp_port))
}

fn listening(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(at),
        socket2::Type::STREAM,
        None,
    )?;
    // Connections of an earlier run that linger do not keep the port.
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn refused(
    service: &'static str,
    address: SocketAddr,
    source: io::Error,
    holder: fn(u16) -> String,
) -> NetbootError {
    match source.raw_os_error() {
        Some(libc::EADDRINUSE) => NetbootError::InUse {
            service,
            address,
            holder: holder(address.port()),
        },
        Some(libc::EACCES) => NetbootError::NoBindService { service, address },
        Some(libc::EADDRNOTAVAIL) => NetbootError::NoSuchAddress { service, address },
        _ => NetbootError::Listen {
            service,
            address,
            source,
        },
    }
}
