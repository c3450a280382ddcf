//! Why boot files cannot be served.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum NetbootError {
    #[error(
        "boot.root: {path} cannot be served ({source}): make the directory, or name the one that \
         has the boot files"
    )]
    Root { path: PathBuf, source: io::Error },
    #[error(
        "boot.root: this kernel cannot confine look-ups to {path} (openat2, since Linux 5.6; some \
         containers forbid it): leave out `boot` and serve the files by another program"
    )]
    Kernel { path: PathBuf },
    #[error(
        "boot.{service}: {address} is in use by {holder}: stop that first (say, `systemctl disable \
         --now` its unit), or set boot.{service} to another address, or to off"
    )]
    InUse {
        service: &'static str,
        address: SocketAddr,
        holder: String,
    },
    #[error(
        "boot.{service}: no permission to listen on {address}: xdhcpd needs CAP_NET_BIND_SERVICE \
         (start it as root or by its systemd unit)"
    )]
    NoBindService {
        service: &'static str,
        address: SocketAddr,
    },
    #[error(
        "boot.{service}: {address} is no address of this machine: use 0.0.0.0, or one that it has"
    )]
    NoSuchAddress {
        service: &'static str,
        address: SocketAddr,
    },
    #[error("boot.{service}: cannot listen on {address}: {source}")]
    Listen {
        service: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot start the threads that serve boot files: {source}")]
    Threads { source: io::Error },
}
