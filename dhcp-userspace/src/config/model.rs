//! The configuration as it is meant: validated, defaults filled in, options encoded.
//!
//! Made from the YAML by [`super::load`]; the engine reads nothing else.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dhcp_common::memo;
use ipnet::Ipv4Net;

/// A hardware address of an Ethernet client.
pub type Mac = [u8; 6];

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Interfaces to serve; empty: every one that has an address in a subnet, or that a subnet
    /// names.
    pub interfaces: Vec<String>,
    pub server: Server,
    pub fast_path: FastPath,
    pub subnets: Vec<Subnet>,
    /// All files that were read, the main one first.
    pub files: Vec<PathBuf>,
    /// Where included files are, or may appear.
    pub include_directories: Vec<PathBuf>,
    /// The same for two configurations that answer every client alike.
    pub fingerprint: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Worker threads; `None`: one per core.
    pub workers: Option<usize>,
    pub state_dir: PathBuf,
    /// Where `xdhcpctl` finds the daemon.
    pub control_socket: PathBuf,
    /// Address and port of the Prometheus endpoint, if any.
    pub metrics: Option<std::net::SocketAddr>,
    /// How long an offered address is held.
    pub offer_hold: Duration,
    /// Offers open at once, at most.
    pub max_offers: usize,
    /// How long a declined address stays in quarantine.
    pub decline_hold: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FastPathMode {
    Auto,
    Native,
    Generic,
    Off,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FastPath {
    pub mode: FastPathMode,
    /// How far ahead leases are promised on disk, in lease times (more than 1.5).
    pub reserve: f64,
    /// Directory in a bpffs under which this server pins its maps and links.
    pub pin_dir: PathBuf,
    /// Addresses the table has room for; `None`: twice what the subnets need.
    pub capacity: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Subnet {
    pub prefix: Ipv4Net,
    /// Serve this subnet on this interface even without an address there, optionally on VLANs.
    pub interface: Option<String>,
    /// VLAN tags, outermost first; 0: none.
    pub vlan: [u16; 2],
    /// The address to answer with (option 54); `None`: the interface's own.
    pub server_address: Option<Ipv4Addr>,
    /// Inclusive ranges, ascending and disjoint.
    pub pools: Vec<(Ipv4Addr, Ipv4Addr)>,
    pub authoritative: bool,
    pub times: Times,
    /// Options for every client here, `defaults` included.
    pub options: Arc<Options>,
    pub boot: Boot,
    pub reservations: HashMap<Mac, Reservation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Option 51, whole seconds.
    pub lease: Duration,
    /// Option 58 (T1).
    pub renew: Duration,
    /// Option 59 (T2).
    pub rebind: Duration,
}

/// A host with a fixed address.
#[derive(Debug, Clone, PartialEq)]
pub struct Reservation {
    pub address: Ipv4Addr,
    /// Sent as option 12.
    pub hostname: Option<String>,
    /// `None`: the subnet's.
    pub times: Option<Times>,
    /// The subnet's options with the host's own on top; `None`: the subnet's.
    pub options: Option<Arc<Options>>,
    /// `None`: the subnet's.
    pub boot: Option<Boot>,
}

/// The header fields siaddr, sname and file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Boot {
    pub next_server: Option<Ipv4Addr>,
    /// At most 63 bytes.
    pub server_name: String,
    /// At most 127 bytes.
    pub file: String,
}

/// Encoded options by code. Never holds what the engine itself puts in a reply: 50-59 but 56,
/// 61, 82, 0, 255, and 12 of a reservation.
pub type Options = BTreeMap<u8, OptionValue>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OptionValue {
    /// May be longer than 255 bytes: split on the wire (RFC 3396).
    pub data: Vec<u8>,
    /// Sent whether the client asks for it or not.
    pub always_send: bool,
}

const _: () = assert!(memo::MAX_REGION >= 312);
