//! The configuration as it is meant: validated, defaults filled in, options encoded.
//!
//! Made from the YAML by [`super::load`]; the engine reads nothing else.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dhcp_common::memo;
use ipnet::Ipv4Net;

pub use super::hosts::{Hosts, Identifier, Keys};
pub use super::metadata::Metadata;
pub use super::shared::SharedLevel;
use crate::class::{ClassId, Test};
use crate::packet::registry::Definitions;

/// A hardware address of an Ethernet client.
pub type Mac = [u8; 6];

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// Interfaces to serve; empty: every one that has an address in a subnet, or that a subnet
    /// names.
    pub interfaces: Vec<String>,
    pub server: Server,
    pub fast_path: FastPath,
    pub guard: Guard,
    /// Boot files from this host; `None`: none.
    pub boot: Option<FileService>,
    pub leasequery: Leasequery,
    /// Those ready-made ones that are used, then those defined, in order. [`ClassId`] counts here.
    pub classes: Vec<Class>,
    /// Names of shared networks; [`Subnet::network`] counts here.
    pub networks: Vec<String>,
    pub subnets: Vec<Subnet>,
    /// Hosts that are known in every subnet: without an address of their own.
    pub hosts: Hosts,
    /// All files that were read, the main one first.
    pub files: Vec<PathBuf>,
    /// Where included files are, or may appear.
    pub include_directories: Vec<PathBuf>,
    /// The same for two configurations that answer every client alike, in every process of one
    /// build.
    pub fingerprint: u64,
    /// Options that are defined: to tell their names.
    pub definitions: Definitions,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Worker threads; `None`: one per core.
    pub workers: Option<usize>,
    pub state_dir: PathBuf,
    /// Where `xdhcpctl` finds the daemon.
    pub control_socket: PathBuf,
    /// Address and port of the Prometheus endpoint, if any.
    pub metrics: Option<SocketAddr>,
    /// Who the daemon becomes when root starts it; none: it stays root.
    pub user: Option<String>,
    /// How long an offered address is held.
    pub offer_hold: Duration,
    /// Offers open at once, at most.
    pub max_offers: usize,
    /// How long a declined address stays in quarantine.
    pub decline_hold: Duration,
    /// Whether clients on the server's own links are served.
    pub serve_local: bool,
    /// Whether clients behind relays are served.
    pub serve_relayed: bool,
    /// Relays whose messages are taken, by giaddr and UDP source both; empty: all.
    pub allowed_relays: Vec<Ipv4Net>,
    /// Whether clients that can be told to renew (RFC 6704) get the nonce for it.
    pub forcerenew: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            workers: None,
            state_dir: PathBuf::from("/var/lib/xdhcpd"),
            control_socket: PathBuf::from("/run/xdhcpd/control.sock"),
            metrics: None,
            user: None,
            offer_hold: Duration::from_secs(10),
            max_offers: 65536,
            decline_hold: Duration::from_secs(86_400),
            serve_local: true,
            serve_relayed: true,
            allowed_relays: Vec::new(),
            forcerenew: true,
        }
    }
}

/// Protection from floods and misbehaving clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    pub enabled: bool,
    /// Requests of unknown clients, by ingress.
    pub unknown_rate: Rate,
    /// Packets that a client may be ahead of one a second.
    pub misbehaving_threshold: u32,
    pub misbehaving_hold: Duration,
    /// How long a client that nothing is meant for is not heard.
    pub suspicious_hold: Duration,
    /// Open offers by circuit (option 82).
    pub offers_per_circuit: u32,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            enabled: true,
            unknown_rate: Rate::Auto,
            misbehaving_threshold: 10,
            misbehaving_hold: Duration::from_secs(150),
            suspicious_hold: Duration::from_secs(60),
            offers_per_circuit: 64,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// As many as the workers manage, while they do not manage all.
    Auto,
    Off,
    PerSecond(u32),
}

/// TFTP and HTTP from one directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileService {
    pub root: PathBuf,
    pub tftp: Option<SocketAddrV4>,
    pub http: Option<SocketAddr>,
    /// Transfers at once, of each kind.
    pub max_transfers: usize,
}

/// Who may ask for leases (RFC 4388, RFC 6926).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leasequery {
    /// Empty: nobody.
    pub allowed: Vec<Ipv4Net>,
    /// Whether TCP port 67 is served too (bulk leasequery).
    pub bulk: bool,
}

/// Clients that have something in common.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct Class {
    pub name: String,
    /// `None`: only hosts that name the class are members.
    pub test: Option<Test>,
    pub level: Level,
    /// Members are not answered at all.
    pub ignore: bool,
}

/// What a pool, class or host says beside what its subnet says. From the least specific:
/// defaults, shared network, subnet, pool, classes in their order, host.
#[derive(Debug, Clone, Default, PartialEq, Hash)]
pub struct Level {
    pub times: Option<Times>,
    pub options: Overrides,
    pub boot: BootOverrides,
}

impl Level {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_none() && self.options.is_empty() && self.boot == BootOverrides::default()
    }
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
    /// Addresses the table has room for; `None`: twice what the subnets need, but no
    /// more than 65,536 beyond it.
    pub capacity: Option<u32>,
    /// Replies to clients that boot that the kernel has room for; `None`: four for each address.
    pub boot_memos: Option<u32>,
}

impl Default for FastPath {
    fn default() -> Self {
        Self {
            mode: FastPathMode::Auto,
            reserve: 2.5,
            pin_dir: PathBuf::from("/sys/fs/bpf/xdhcpd"),
            capacity: None,
            boot_memos: None,
        }
    }
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
    /// The shared network that it belongs to.
    pub network: Option<usize>,
    /// Relays whose clients are here although their giaddr is not.
    pub relays: Vec<Ipv4Addr>,
    /// Only members of one of these are served here; empty: all.
    pub classes: Vec<ClassId>,
    /// Ascending and disjoint.
    pub pools: Vec<Pool>,
    pub policy: Policy,
    pub times: Times,
    /// The shortest and the longest lease that a client may ask for (option 51).
    pub lease_bounds: (Duration, Duration),
    /// Options for every client here, `defaults` and the shared network's included.
    pub options: Arc<Options>,
    pub boot: Boot,
    pub hosts: Hosts,
}

impl Subnet {
    /// A subnet of which nothing else is said.
    #[must_use]
    pub fn new(prefix: Ipv4Net) -> Self {
        let times = Times::of(Duration::from_secs(3600));
        Self {
            prefix,
            interface: None,
            vlan: [0, 0],
            server_address: None,
            network: None,
            relays: Vec::new(),
            classes: Vec::new(),
            pools: Vec::new(),
            policy: Policy::default(),
            times,
            lease_bounds: (times.lease, times.lease),
            options: Arc::default(),
            boot: Boot::default(),
            hosts: Hosts::default(),
        }
    }
}

/// How a subnet treats its clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    pub authoritative: bool,
    /// DISCOVER with option 80 is answered with an ACK (RFC 4039).
    pub rapid_commit: bool,
    pub bootp: Bootp,
    /// How long an OFFER waits, for another server to be first.
    pub offer_delay: Duration,
    /// A DISCOVER is answered once its secs field says as much.
    pub min_secs: u16,
    pub conflict_check: Option<ConflictCheck>,
    /// No addresses: another server gives them, this one says where to boot from.
    pub proxy: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Bootp {
    #[default]
    Off,
    /// Hosts with a reservation.
    Reserved,
    /// All; an address from a pool is leased for good.
    Dynamic,
}

/// Asks for strangers with an address before it is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConflictCheck {
    pub wait: Duration,
    /// Reserved addresses too.
    pub reservations: bool,
}

/// An inclusive range.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct Pool {
    pub first: Ipv4Addr,
    pub last: Ipv4Addr,
    /// Only members of one of these get addresses here; empty: all.
    pub classes: Vec<ClassId>,
    pub level: Level,
}

impl Pool {
    /// A pool for all, with nothing of its own.
    #[must_use]
    pub fn open((first, last): (Ipv4Addr, Ipv4Addr)) -> Self {
        Self {
            first,
            last,
            classes: Vec::new(),
            level: Level::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Times {
    /// Option 51, whole seconds.
    pub lease: Duration,
    /// Option 58 (T1).
    pub renew: Duration,
    /// Option 59 (T2).
    pub rebind: Duration,
}

impl Times {
    /// T1 at half and T2 at seven eighths of a lease (RFC 2131, 4.4.5), rounded down.
    #[must_use]
    pub const fn of(lease: Duration) -> Self {
        let seconds = lease.as_secs();
        Self {
            lease,
            renew: Duration::from_secs(seconds / 2),
            rebind: Duration::from_secs(seconds * 7 / 8),
        }
    }
}

/// A host that is known by something that it says.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct Reservation {
    pub identifier: Identifier,
    /// `None`: from one of the pools.
    pub address: Option<Ipv4Addr>,
    /// Sent as option 12.
    pub hostname: Option<String>,
    pub level: SharedLevel,
    /// Classes that it is a member of, whatever their tests say.
    pub classes: Vec<ClassId>,
    /// Anything, for inventories.
    pub metadata: Metadata,
}

impl Reservation {
    /// A host of which nothing else is said.
    #[must_use]
    pub fn new(identifier: Identifier, address: Option<Ipv4Addr>) -> Self {
        Self {
            identifier,
            address,
            hostname: None,
            level: SharedLevel::default(),
            classes: Vec::new(),
            metadata: Metadata::default(),
        }
    }
}

/// Where to boot from: the header fields siaddr, sname and file, options 66 and 67, and the PXE
/// menu of option 43.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Boot {
    pub next_server: Option<Ipv4Addr>,
    /// At most 63 bytes.
    pub server_name: String,
    /// At most 255 bytes; the header field has room for 127.
    pub file: String,
    pub menu: Option<Arc<Menu>>,
}

/// What a level says of [`Boot`]; an empty text or `Some(None)` takes away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct BootOverrides {
    pub next_server: Option<Option<Ipv4Addr>>,
    pub server_name: Option<String>,
    pub file: Option<String>,
    pub menu: Option<Option<Arc<Menu>>>,
}

impl Boot {
    /// This with what a more specific level says on top.
    #[must_use]
    pub fn overridden(&self, by: &BootOverrides) -> Self {
        let or = |own: &String, new: &Option<String>| new.clone().unwrap_or_else(|| own.clone());
        Self {
            next_server: by.next_server.unwrap_or(self.next_server),
            server_name: or(&self.server_name, &by.server_name),
            file: or(&self.file, &by.file),
            menu: by.menu.clone().unwrap_or_else(|| self.menu.clone()),
        }
    }
}

/// A PXE boot menu (PXE 2.1, section 2.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Menu {
    pub prompt: String,
    /// Before the first item is taken; `None`: it waits.
    pub timeout: Option<Duration>,
    pub items: Vec<MenuItem>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MenuItem {
    pub text: String,
    /// Empty: boot from the local disk.
    pub file: String,
    /// Who serves the file; `None`: the subnet's next-server, or this server.
    pub server: Option<Ipv4Addr>,
}

/// Changes to options: `None` takes one away.
pub type Overrides = BTreeMap<u8, Option<OptionValue>>;

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
