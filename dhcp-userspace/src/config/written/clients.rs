//! What holds for few clients: by what they say, or by who they are.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::super::decode::{Later, OneOrMany, Passage, Placed};
use super::super::scalar::{
    AddressOrNet, AgentId, Between, ClientId, Hostname, MacAddress, Name, Scalar, Uuid,
};
use super::{Boot, Options};

/// Values of which one is enough.
type AnyOf<T> = Option<OneOrMany<Scalar<T>>>;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub(in super::super) struct Class {
    /// What it is called elsewhere. One of the ready-made names alone stands for the ready-made
    /// test.
    pub name: Option<Scalar<Name>>,
    /// What its members' messages look like. Without `match` and `test` only hosts that name
    /// the class are members.
    #[serde(rename = "match")]
    pub matches: Option<Placed<Match>>,
    /// An expression that is true for its members.
    pub test: Option<Passage>,
    /// Whether its members are not answered at all.
    #[schemars(extend("default" = false))]
    pub ignore: Option<Scalar<bool>>,
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

/// What a message looks like. All keys must fit; of several values one is enough. `*` stands for
/// anything in a text.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Match {
    /// Client architecture (option 93): 0 is BIOS, 7 and 9 are UEFI on x86-64.
    pub arch: AnyOf<Between<0, 65535>>,
    /// Vendor class (option 60).
    #[serde(rename = "vendor-class")]
    pub vendor_class: AnyOf<String>,
    /// User class (option 77).
    #[serde(rename = "user-class")]
    pub user_class: AnyOf<String>,
    /// Hardware address, like 52:54:00:*.
    pub mac: AnyOf<String>,
    /// The port of the relay (option 82, sub-option 1).
    #[serde(rename = "circuit-id")]
    pub circuit_id: AnyOf<String>,
    /// The far end as the relay names it (option 82, sub-option 2).
    #[serde(rename = "remote-id")]
    pub remote_id: AnyOf<String>,
    /// Addresses or networks of relays (giaddr).
    pub relay: AnyOf<AddressOrNet>,
    /// Other options by name or number: a text, 0x and hexadecimal, or `exists`.
    pub option: OptionMatches,
}

/// Options by name or number, and what they must look like.
#[derive(Debug, Default)]
pub(in super::super) struct OptionMatches(pub Vec<(Placed<String>, OneOrMany<Scalar<String>>)>);

impl<'de> Deserialize<'de> for OptionMatches {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MatchesVisitor)
    }
}

struct MatchesVisitor;

impl<'de> Visitor<'de> for MatchesVisitor {
    type Value = OptionMatches;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping from options to values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OptionMatches, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = map.next_entry()? {
            all.push(entry);
        }
        Ok(OptionMatches(all))
    }
}

impl JsonSchema for OptionMatches {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OptionMatches".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = OneOrMany::<Scalar<String>>::json_schema(generator);
        json_schema!({"type": "object", "additionalProperties": value})
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub(in super::super) struct HostGroup {
    /// Reservations name it by this.
    pub name: Option<Scalar<Name>>,
    /// Another group that this one inherits from.
    pub group: Option<Scalar<Name>>,
    /// Classes that its hosts are members of.
    pub classes: Vec<Scalar<Name>>,
    /// Anything about its hosts, for inventories.
    pub metadata: BTreeMap<String, Value>,
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
    /// Its hosts; those that name it under `group` are too.
    pub reservations: Later<Reservation>,
}

/// A known host: one key that it is known by, and what it gets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&IDENTIFIERS)))]
pub(in super::super) struct Reservation {
    /// Hardware address of the host.
    pub mac: Option<Scalar<MacAddress>>,
    /// Client identifier (option 61) in hexadecimal, or text:name.
    #[serde(rename = "client-id")]
    pub client_id: Option<Scalar<ClientId>>,
    /// UUID of the machine (option 97), as its firmware and dmidecode show it.
    pub uuid: Option<Scalar<Uuid>>,
    /// The port of the relay (option 82, sub-option 1), as text or 0x and hexadecimal.
    #[serde(rename = "circuit-id")]
    pub circuit_id: Option<Scalar<AgentId>>,
    /// The far end as the relay names it (option 82, sub-option 2), as text or 0x and
    /// hexadecimal.
    #[serde(rename = "remote-id")]
    pub remote_id: Option<Scalar<AgentId>>,
    /// What its messages look like.
    #[serde(rename = "match")]
    pub matches: Option<Placed<Match>>,
    /// An expression that is true for its messages.
    pub test: Option<Passage>,
    /// The address it gets; may be in a pool, which then gives it to nobody else. Without this
    /// key: one from a pool.
    pub address: Option<Scalar<Ipv4Addr>>,
    /// Name of the host (option 12).
    pub hostname: Option<Scalar<Hostname>>,
    /// The host group that it inherits from.
    pub group: Option<Scalar<Name>>,
    /// Classes that it is a member of, whatever their tests say.
    pub classes: Vec<Scalar<Name>>,
    /// Anything about it, for inventories.
    pub metadata: BTreeMap<String, Value>,
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

/// The keys that a host may be known by.
pub(in super::super) const IDENTIFIERS: [&str; 7] = [
    "mac",
    "client-id",
    "uuid",
    "circuit-id",
    "remote-id",
    "match",
    "test",
];

fn one_of(keys: &[&str]) -> Value {
    let each = keys
        .iter()
        .map(|key| serde_json::json!({"required": [key]}));
    each.collect()
}
