//! The configuration as it is written. These types are also the JSON Schema: what is said here
//! about a field is what an editor shows.
//!
//! Names of this server's own keys have underscores; names that DHCP and Kea know (options, and
//! the fields under `boot`) have their hyphens.

mod options;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::Deserialize;

use super::decode::{OneOrMany, Placed};
use super::model::FastPathMode;
use super::range::Range;
use super::scalar::{
    AbsolutePath, AutoOr, Between, Field, Hostname, InterfaceName, MacAddress, Pattern, Reserve,
    Scalar, SocketPath,
};

pub(super) use options::{
    Enterprise, Entry, OptionDefinition, OptionEntry, OptionItem, OptionName, Options, SubOptions,
};

pub(super) const MAX_WORKERS: u32 = 256;
/// As many as a /8 has: the table's memory for it is 2 GiB.
pub(super) const MAX_ADDRESSES: u32 = 1 << 24;

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
    /// Options that the registry does not know, and sub-options of vendors.
    pub option_definitions: Vec<Placed<OptionDefinition>>,
    /// What holds for every subnet that does not say otherwise.
    pub defaults: Defaults,
    /// Networks, their pools and hosts.
    pub subnets: Vec<Placed<Subnet>>,
    /// Hosts with fixed addresses; each belongs to the subnet that contains its address.
    pub reservations: Vec<Placed<Reservation>>,
    /// More files with `subnets`, `reservations` and `include`. `*` and `?` stand for parts of a
    /// name; paths start at the directory of this file.
    pub include: Vec<Scalar<Pattern>>,
}

/// An included file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Inventory {
    /// Networks, their pools and hosts.
    pub subnets: Vec<Placed<Subnet>>,
    /// Hosts with fixed addresses; each belongs to the subnet that contains its address.
    pub reservations: Vec<Placed<Reservation>>,
    /// More files; paths start at the directory of this file.
    pub include: Vec<Scalar<Pattern>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    /// Threads that answer packets; `auto` is one per core.
    #[schemars(extend("default" = "auto"))]
    pub workers: Option<Scalar<AutoOr<1, MAX_WORKERS>>>,
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
    /// subnets need.
    #[schemars(extend("default" = "auto"))]
    pub capacity: Option<Scalar<AutoOr<256, MAX_ADDRESSES>>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Defaults {
    /// How long an address is leased (option 51), 30s to 365d.
    #[schemars(extend("default" = "1h"))]
    pub lease_time: Option<Scalar<Duration>>,
    /// When the client renews with this server (T1, option 58). Without this key: half the lease
    /// time.
    pub renew_time: Option<Scalar<Duration>>,
    /// When the client renews with any server (T2, option 59). Without this key: seven eighths
    /// of the lease time.
    pub rebind_time: Option<Scalar<Duration>>,
    /// DHCP options.
    pub options: Options,
    /// Where to boot from.
    pub boot: Boot,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["subnet"]))]
pub(super) struct Subnet {
    /// The network, like 10.0.0.0/24.
    pub subnet: Option<Scalar<Ipv4Net>>,
    /// Serve this subnet on this interface, even without an address there.
    pub interface: Option<Scalar<InterfaceName>>,
    /// VLAN tag on that interface, or two of them: outer, inner.
    pub vlan: Option<OneOrMany<Scalar<Between<1, 4094>>>>,
    /// The address to answer with (option 54). Without this key: the interface's own.
    pub server_address: Option<Scalar<Ipv4Addr>>,
    /// Addresses for clients without a reservation: ranges, single addresses or prefixes.
    pub pools: Vec<Scalar<Range>>,
    /// Whether clients that this server does not know are told so. Without this key: as
    /// `server.authoritative` says.
    pub authoritative: Option<Scalar<bool>>,
    /// How long an address is leased (option 51), 30s to 365d.
    pub lease_time: Option<Scalar<Duration>>,
    /// When the client renews with this server (T1, option 58).
    pub renew_time: Option<Scalar<Duration>>,
    /// When the client renews with any server (T2, option 59).
    pub rebind_time: Option<Scalar<Duration>>,
    /// DHCP options, on top of the defaults; an empty list takes a default away.
    pub options: Options,
    /// Where to boot from.
    pub boot: Boot,
    /// Hosts with fixed addresses in this subnet.
    pub reservations: Vec<Placed<Reservation>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["mac", "address"]))]
pub(super) struct Reservation {
    /// Hardware address of the host.
    pub mac: Option<Scalar<MacAddress>>,
    /// The address it gets; may be in a pool, which then gives it to nobody else.
    pub address: Option<Scalar<Ipv4Addr>>,
    /// Name of the host (option 12).
    pub hostname: Option<Scalar<Hostname>>,
    /// How long the address is leased (option 51), 30s to 365d.
    pub lease_time: Option<Scalar<Duration>>,
    /// When the client renews with this server (T1, option 58).
    pub renew_time: Option<Scalar<Duration>>,
    /// When the client renews with any server (T2, option 59).
    pub rebind_time: Option<Scalar<Duration>>,
    /// DHCP options, on top of the subnet's; an empty list takes one away.
    pub options: Options,
    /// Where to boot from, on top of the subnet's.
    pub boot: Boot,
}

/// The header fields for netboot; an empty text takes an inherited one away.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Boot {
    /// The server to boot from (siaddr).
    #[serde(rename = "next-server")]
    pub next_server: Option<Scalar<Ipv4Addr>>,
    /// Its name (sname), at most 63 bytes.
    #[serde(rename = "server-name")]
    pub server_name: Option<Scalar<Field<63>>>,
    /// The boot file (file, or option 67 where it is longer than 127 bytes), at most 255 bytes.
    pub file: Option<Scalar<Field<255>>>,
}
