//! The configuration as it is written. These types are also the JSON Schema: what is said here
//! about a field is what an editor shows.
//!
//! Names of this server's own keys have underscores; names that DHCP and Kea know (options, and
//! the fields under `boot`) have their hyphens.

mod boot;
mod clients;
mod levels;
mod options;
mod services;

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::decode::{Later, Placed};
use super::model::FastPathMode;
use super::scalar::{
    AbsolutePath, AddressOrNet, AutoOr, Between, InterfaceName, Name, Pattern, Reserve, Scalar,
    SocketPath,
};
pub(super) use boot::{Boot, Menu, MenuItem};
pub(super) use clients::{Class, HostGroup, IDENTIFIERS, Match, Reservation};
pub(super) use levels::{ConflictCheck, Defaults, Network, Pool, Subnet};
pub(super) use options::{
    Enterprise, Entry, OptionDefinition, OptionEntry, OptionItem, OptionName, Options, SubOptions,
};
pub(super) use services::{FileService, Guard, Leasequery};

pub(super) const MAX_WORKERS: u32 = 256;
/// As many as a /8 has: the table's memory for it is 2 GiB.
pub(super) const MAX_ADDRESSES: u32 = 1 << 24;
/// 512 MiB.
pub(super) const MAX_BOOT_MEMOS: u32 = 1 << 24;

/// Configuration of xdhcpd, a DHCPv4 server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Document {
    /// Interfaces to serve. Without this key: every one that has an address in a subnet, or that
    /// a subnet names.
    pub interfaces: Vec<Scalar<InterfaceName>>,
    /// The daemon itself.
    pub server: Server,
    /// The answers from the kernel.
    pub fast_path: FastPath,
    /// Protection from floods and misbehaving clients.
    pub guard: Guard,
    /// Boot files from this host, by TFTP and HTTP. Without this key there are none.
    pub boot: Option<Placed<FileService>>,
    /// Who may ask for the leases of others (RFC 4388, RFC 6926).
    pub leasequery: Leasequery,
    /// Options that the registry does not know, and sub-options of vendors.
    pub option_definitions: Vec<Placed<OptionDefinition>>,
    /// What holds for every subnet that does not say otherwise.
    pub defaults: Defaults,
    /// Clients that have something in common. The order counts: later ones win, and a test may
    /// ask for classes above it.
    pub classes: Vec<Placed<Class>>,
    /// Shared networks: several subnets on one link.
    pub networks: Vec<Placed<Network>>,
    /// Subnets, their pools and hosts.
    pub subnets: Vec<Placed<Subnet>>,
    /// Hosts that share settings.
    pub host_groups: Vec<Placed<HostGroup>>,
    /// Known hosts. One with an address belongs to the subnet that contains it; one without is
    /// known in every subnet.
    pub reservations: Later<Reservation>,
    /// More files with `networks`, `subnets`, `host_groups`, `reservations` and `include`. `*`
    /// and `?` stand for parts of a name; paths start at the directory of this file.
    pub include: Vec<Scalar<Pattern>>,
}

/// An included file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Inventory {
    /// Shared networks: several subnets on one link.
    pub networks: Vec<Placed<Network>>,
    /// Subnets, their pools and hosts.
    pub subnets: Vec<Placed<Subnet>>,
    /// Hosts that share settings.
    pub host_groups: Vec<Placed<HostGroup>>,
    /// Known hosts. One with an address belongs to the subnet that contains it; one without is
    /// known in every subnet.
    pub reservations: Later<Reservation>,
    /// More files; paths start at the directory of this file.
    pub include: Vec<Scalar<Pattern>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    /// Threads that answer packets; `auto` is one per core.
    #[schemars(extend("default" = "auto"))]
    pub workers: Option<Scalar<AutoOr<1, MAX_WORKERS>>>,
    /// User that the daemon becomes when root starts it. Without this key it stays root.
    pub user: Option<Scalar<Name>>,
    /// Directory of the journal: the leases.
    #[schemars(extend("default" = "/var/lib/xdhcpd"))]
    pub state_dir: Option<Scalar<AbsolutePath>>,
    /// Unix socket on which xdhcpctl finds the daemon.
    #[schemars(extend("default" = "/run/xdhcpd/control.sock"))]
    pub control_socket: Option<Scalar<SocketPath>>,
    /// Address and port of the Prometheus endpoint. Without this key there is none.
    pub metrics: Option<Scalar<SocketAddr>>,
    /// How long an offered address is held for the client, 1s to 10m.
    #[schemars(extend("default" = "10s"))]
    pub offer_hold: Option<Scalar<Duration>>,
    /// Offers open at once, at most.
    #[schemars(extend("default" = 65536))]
    pub max_offers: Option<Scalar<Between<1, MAX_ADDRESSES>>>,
    /// How long an address that a client has declined is given to nobody, 1s to 365d.
    #[schemars(extend("default" = "1d"))]
    pub decline_hold: Option<Scalar<Duration>>,
    /// Whether clients that this server does not know are told so (DHCPNAK); `false` lets
    /// another server answer them. For every subnet that does not say otherwise.
    #[schemars(extend("default" = false))]
    pub authoritative: Option<Scalar<bool>>,
    /// Whether clients on the server's own links are served.
    #[schemars(extend("default" = true))]
    pub serve_local: Option<Scalar<bool>>,
    /// Whether clients behind relays are served.
    #[schemars(extend("default" = true))]
    pub serve_relayed: Option<Scalar<bool>>,
    /// Relays whose messages are taken: addresses or networks. Both the relay's address in the
    /// message (giaddr) and the sender's must be among them. Without this key: all.
    pub allowed_relays: Vec<Scalar<AddressOrNet>>,
    /// Whether clients that can be told to renew (FORCERENEW) get the nonce for it (RFC 6704).
    #[schemars(extend("default" = true))]
    pub forcerenew: Option<Scalar<bool>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FastPath {
    /// How the XDP program is attached: `native` in the driver, `generic` in the network stack,
    /// `auto` the better one that works, `off` not at all.
    #[schemars(extend("default" = "auto"))]
    pub mode: Option<Scalar<FastPathMode>>,
    /// How far ahead leases are promised on disk, in lease times. More means fewer writes, and
    /// longer renewals without the daemon; an address that its client forgets is taken longer.
    #[schemars(extend("default" = 2.5))]
    pub reserve: Option<Scalar<Reserve>>,
    /// Directory in a bpffs where maps and links outlive the daemon.
    #[schemars(extend("default" = "/sys/fs/bpf/xdhcpd"))]
    pub pin_dir: Option<Scalar<AbsolutePath>>,
    /// Addresses the lease table has room for, in blocks of 256; `auto` is twice what the
    /// subnets need, but no more than 65,536 beyond it.
    #[schemars(extend("default" = "auto"))]
    pub capacity: Option<Scalar<AutoOr<256, MAX_ADDRESSES>>>,
    /// Replies to DISCOVER, SELECTING and INIT-REBOOT that the kernel can repeat, so that a fleet
    /// that boots again asks the daemon nothing; `auto` is four for each address that the subnets
    /// need, at most 1048576; 0 is none.
    #[schemars(extend("default" = "auto"))]
    pub boot_memos: Option<Scalar<AutoOr<0, MAX_BOOT_MEMOS>>>,
}
