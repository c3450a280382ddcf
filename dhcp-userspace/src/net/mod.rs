//! Frames in and out: interfaces, AF_PACKET sockets, batches. The only place that knows sockets
//! that carry DHCP.
//!
//! A frame comes in from the socket of its interface and worker ([`socket::open`]) in a batch
//! ([`receive::Batch`]), is shown as it was on the wire ([`receive::Batch::frame`]), checked and
//! taken apart ([`frame::parse`]). Replies are whole frames and leave by the same socket
//! ([`send::Batch`]).

pub mod filter;
pub mod frame;
pub mod holder;
pub mod interface;
pub mod link;
pub mod netlink;
pub mod port67;
pub mod receive;
pub mod select;
pub mod send;
pub mod socket;
#[cfg(test)]
pub(crate) mod tests;

pub use interface::Nic;
pub use socket::Socket;

/// Why the network cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("there is no interface {name}; this machine has {existing}")]
    NoSuchInterface { name: String, existing: String },
    #[error("interface {name} is a loopback: no client is there; name another")]
    Loopback { name: String },
    #[error(
        "no permission to open a packet socket on {interface}: xdhcpd needs CAP_NET_RAW \
         (start it as root or by its systemd unit)"
    )]
    NoNetRaw { interface: String },
    #[error("cannot open a packet socket on {interface} ({step}): {source}")]
    Packet {
        interface: String,
        step: &'static str,
        source: std::io::Error,
    },
    #[error(
        "UDP port 67 is in use by {holder}: another DHCP server or relay runs on this machine; \
         stop it first (say, `systemctl disable --now` its unit)"
    )]
    PortInUse { holder: String },
    #[error(
        "no permission to bind UDP port 67: xdhcpd needs CAP_NET_BIND_SERVICE (start it as root \
         or by its systemd unit)"
    )]
    NoBindService,
    #[error("cannot bind UDP port 67: {source}")]
    Port { source: std::io::Error },
    #[error("cannot list the network interfaces: {source}")]
    List { source: std::io::Error },
}
