//! What holds for many clients: by the network that they are in.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::super::decode::{KeyOrMap, Later, OneOrMany, Placed, Short};
use super::super::model::Bootp;
use super::super::range::Range;
use super::super::scalar::{Between, InterfaceName, Name, Parse, Scalar, Switch};
use super::{Boot, Options, Reservation};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Defaults {
    /// How long an address is leased (option 51), 30s to 365d.
    #[schemars(extend("default" = "1h"))]
    pub lease_time: Option<Scalar<Duration>>,
    /// When the client renews with this server (T1, option 58). Without this key: half the lease
    /// time.
    pub renew_time: Option<Scalar<Duration>>,
    /// When the client renews with any server (T2, option 59). Without this key: seven eighths
    /// of the lease time.
    pub rebind_time: Option<Scalar<Duration>>,
    /// The shortest lease that a client may ask for. Without this key: the lease time.
    pub min_lease_time: Option<Scalar<Duration>>,
    /// The longest lease that a client may ask for. Without this key: the lease time.
    pub max_lease_time: Option<Scalar<Duration>>,
    /// Whether clients that this server does not know are told so (DHCPNAK). Without this key: as
    /// `server.authoritative` says.
    pub authoritative: Option<Scalar<bool>>,
    /// Whether a client that can is given its address at once, without an offer (RFC 4039).
    #[schemars(extend("default" = false))]
    pub rapid_commit: Option<Scalar<bool>>,
    /// Whether clients that know no DHCP get addresses, for good: `off`, those with a
    /// reservation (`reserved`), or all (`dynamic`).
    #[schemars(extend("default" = "off"))]
    pub bootp: Option<Scalar<Bootp>>,
    /// How long an offer waits for another server to be first, 0s to 30s.
    #[schemars(extend("default" = "0s"))]
    pub offer_delay: Option<Scalar<Duration>>,
    /// For how many seconds a client must have tried (field secs) before it gets an offer.
    #[schemars(extend("default" = 0))]
    pub min_secs: Option<Scalar<Between<0, 65535>>>,
    /// Whether an address is looked for on the network before it is offered: `off`, `on`, or
    /// what to do.
    #[schemars(extend("default" = "off"))]
    pub conflict_check: Option<Placed<KeyOrMap<ConflictCheck>>>,
    /// DHCP options.
    pub options: Options,
    /// Where to boot from.
    pub boot: Boot,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub(in super::super) struct Network {
    /// Subnets name it by this.
    pub name: Option<Scalar<Name>>,
    /// Its subnets; those that name it under `network` are too.
    pub subnets: Vec<Placed<Subnet>>,
    /// How long an address is leased (option 51), 30s to 365d.
    pub lease_time: Option<Scalar<Duration>>,
    /// When the client renews with this server (T1, option 58).
    pub renew_time: Option<Scalar<Duration>>,
    /// When the client renews with any server (T2, option 59).
    pub rebind_time: Option<Scalar<Duration>>,
    /// The shortest lease that a client may ask for. Without this key: the lease time.
    pub min_lease_time: Option<Scalar<Duration>>,
    /// The longest lease that a client may ask for. Without this key: the lease time.
    pub max_lease_time: Option<Scalar<Duration>>,
    /// Whether clients that this server does not know are told so (DHCPNAK). Without this key: as
    /// the defaults say.
    pub authoritative: Option<Scalar<bool>>,
    /// Whether a client that can is given its address at once, without an offer (RFC 4039).
    pub rapid_commit: Option<Scalar<bool>>,
    /// Whether clients that know no DHCP get addresses, for good: `off`, those with a
    /// reservation (`reserved`), or all (`dynamic`).
    pub bootp: Option<Scalar<Bootp>>,
    /// How long an offer waits for another server to be first, 0s to 30s.
    pub offer_delay: Option<Scalar<Duration>>,
    /// For how many seconds a client must have tried (field secs) before it gets an offer.
    pub min_secs: Option<Scalar<Between<0, 65535>>>,
    /// Whether an address is looked for on the network before it is offered: `off`, `on`, or
    /// what to do.
    pub conflict_check: Option<Placed<KeyOrMap<ConflictCheck>>>,
    /// DHCP options, on top of those of the level around; an empty list takes one away.
    pub options: Options,
    /// Where to boot from, on top of what the level around says.
    pub boot: Boot,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["subnet"]))]
pub(in super::super) struct Subnet {
    /// The network, like 10.0.0.0/24.
    pub subnet: Option<Scalar<Ipv4Net>>,
    /// The shared network that it belongs to, by its name.
    pub network: Option<Scalar<Name>>,
    /// Serve this subnet on this interface, even without an address there.
    pub interface: Option<Scalar<InterfaceName>>,
    /// VLAN tag on that interface, or two of them: outer, inner.
    pub vlan: Option<OneOrMany<Scalar<Between<1, 4094>>>>,
    /// The address to answer with (option 54). Without this key: the interface's own.
    pub server_address: Option<Scalar<Ipv4Addr>>,
    /// Relays whose clients are in this subnet although the relay's address is not.
    pub relays: Vec<Scalar<Ipv4Addr>>,
    /// Only members of one of these classes are served here. Without this key: all clients.
    pub classes: Vec<Scalar<Name>>,
    /// Addresses for clients without a reservation: ranges, single addresses or prefixes.
    pub pools: Vec<Placed<KeyOrMap<Pool>>>,
    /// Another server gives the addresses here; this one says where to boot from (ProxyDHCP).
    pub proxy: Option<Scalar<bool>>,
    /// How long an address is leased (option 51), 30s to 365d.
    pub lease_time: Option<Scalar<Duration>>,
    /// When the client renews with this server (T1, option 58).
    pub renew_time: Option<Scalar<Duration>>,
    /// When the client renews with any server (T2, option 59).
    pub rebind_time: Option<Scalar<Duration>>,
    /// The shortest lease that a client may ask for. Without this key: the lease time.
    pub min_lease_time: Option<Scalar<Duration>>,
    /// The longest lease that a client may ask for. Without this key: the lease time.
    pub max_lease_time: Option<Scalar<Duration>>,
    /// Whether clients that this server does not know are told so (DHCPNAK). Without this key: as
    /// the shared network or the defaults say.
    pub authoritative: Option<Scalar<bool>>,
    /// Whether a client that can is given its address at once, without an offer (RFC 4039).
    pub rapid_commit: Option<Scalar<bool>>,
    /// Whether clients that know no DHCP get addresses, for good: `off`, those with a
    /// reservation (`reserved`), or all (`dynamic`).
    pub bootp: Option<Scalar<Bootp>>,
    /// How long an offer waits for another server to be first, 0s to 30s.
    pub offer_delay: Option<Scalar<Duration>>,
    /// For how many seconds a client must have tried (field secs) before it gets an offer.
    pub min_secs: Option<Scalar<Between<0, 65535>>>,
    /// Whether an address is looked for on the network before it is offered: `off`, `on`, or
    /// what to do.
    pub conflict_check: Option<Placed<KeyOrMap<ConflictCheck>>>,
    /// DHCP options, on top of those of the level around; an empty list takes one away.
    pub options: Options,
    /// Where to boot from, on top of what the level around says.
    pub boot: Boot,
    /// Known hosts of this subnet.
    pub reservations: Later<Reservation>,
}

/// The long form of a pool.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["range"]))]
pub(in super::super) struct Pool {
    /// A range, a single address or a prefix.
    pub range: Option<Scalar<Range>>,
    /// Only members of one of these classes get addresses here. Without this key: all clients.
    pub classes: Vec<Scalar<Name>>,
    /// How long an address is leased (option 51), 30s to 365d.
    pub lease_time: Option<Scalar<Duration>>,
    /// When the client renews with this server (T1, option 58).
    pub renew_time: Option<Scalar<Duration>>,
    /// When the client renews with any server (T2, option 59).
    pub rebind_time: Option<Scalar<Duration>>,
    /// DHCP options, on top of those of the level around; an empty list takes one away.
    pub options: Options,
    /// Where to boot from, on top of what the level around says.
    pub boot: Boot,
}

impl Short for Pool {
    const NAME: &'static str = "KeyOrMap range";

    fn schema() -> Schema {
        Range::schema()
    }
}

/// The long form of a conflict check.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct ConflictCheck {
    /// Whether there is one.
    #[schemars(extend("default" = true))]
    pub enabled: Option<Scalar<Switch>>,
    /// How long the server waits for a stranger to answer, 50ms to 5s.
    #[schemars(extend("default" = "500ms"))]
    pub wait: Option<Scalar<Duration>>,
    /// Whether addresses of reservations are looked for too.
    #[schemars(extend("default" = false))]
    pub reservations: Option<Scalar<bool>>,
}

impl Short for ConflictCheck {
    const NAME: &'static str = "KeyOrMap enabled";

    fn schema() -> Schema {
        Switch::schema()
    }
}
