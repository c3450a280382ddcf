//! What goes over the control socket.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Done with a [`Status`].
    Status,
    /// An item for each [`Lease`], done with `null`.
    Leases(Filter),
    /// Done with the [`Lease`] of an address or MAC.
    Lease { key: String },
    /// Items are pieces of a YAML document, done with `null`.
    Export,
    /// Done with [`Changes`]; changes leases only if `apply` is set.
    Import { text: String, apply: bool },
    /// Tells a client (by address or MAC) to renew, or all of a subnet; done with [`Changes`].
    Renew {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subnet: Option<Ipv4Net>,
    },
    /// Done with a [`FastPath`].
    Fastpath,
    /// Done with a [`crate::netboot::Report`].
    Boot,
    /// Traces the packets of a MAC in the kernel, or of none.
    Trace { mac: Option<String> },
    /// Done with a text: why the kernel does or does not answer a client.
    Why { mac: String },
    /// Done with a list of [`Explained`]: what would be made of a client.
    Explain(Question),
    /// Takes the kernel programs out; done with [`Changes`].
    Detach,
    /// Done with [`Changes`] to the configuration.
    Reload,
    /// Done with a [`GuardList`].
    GuardList,
    /// Ends the blocks of a MAC, or all; done with [`Changes`].
    GuardClear { mac: Option<String> },
    /// Items are [`Happened`], without end.
    Events,
}

impl Request {
    /// What it is called, if it changes anything.
    #[must_use]
    pub const fn change(&self) -> Option<&'static str> {
        match self {
            Self::Import { apply: true, .. } => Some("import"),
            Self::Renew { .. } => Some("renew"),
            Self::Trace { .. } => Some("trace"),
            Self::Detach => Some("detach"),
            Self::Reload => Some("reload"),
            Self::GuardClear { .. } => Some("guard-clear"),
            Self::Import { apply: false, .. }
            | Self::Status
            | Self::Leases(_)
            | Self::Lease { .. }
            | Self::Export
            | Self::Fastpath
            | Self::Boot
            | Self::Why { .. }
            | Self::Explain(_)
            | Self::GuardList
            | Self::Events => None,
        }
    }
}

/// Which leases to list; what is not set does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<Ipv4Net>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// What a client would say, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub struct Question {
    /// Its MAC; without this, one that nobody has.
    #[arg(long)]
    pub mac: Option<String>,
    /// The interface that it is on, or its relay.
    #[arg(long)]
    pub interface: Option<String>,
    /// The VLAN that it is in, or two of them: OUTER,INNER.
    #[arg(long, value_delimiter = ',')]
    pub vlan: Vec<u16>,
    /// The address of its relay (giaddr).
    #[arg(long, value_name = "GIADDR")]
    pub relay: Option<Ipv4Addr>,
    /// What its relay says of its port (option 82), as text or 0x and hexadecimal.
    #[arg(long)]
    pub circuit_id: Option<String>,
    /// What its relay calls it (option 82), as text or 0x and hexadecimal.
    #[arg(long)]
    pub remote_id: Option<String>,
    /// Option 60.
    #[arg(long)]
    pub vendor_class: Option<String>,
    /// Option 77.
    #[arg(long)]
    pub user_class: Option<String>,
    /// The architecture of its firmware (option 93): 0 is BIOS, 7 is UEFI x64.
    #[arg(long)]
    pub arch: Option<u16>,
    /// Another option, by number or name; the value as in the configuration, or 0x and
    /// hexadecimal. May be given several times.
    #[arg(long = "option", value_name = "CODE=VALUE")]
    pub options: Vec<String>,
}

/// What a client is in one of the subnets that it may be in, and what it would get there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    pub subnet: Ipv4Net,
    /// The shared network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What it is known by, if a reservation has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    pub classes: Vec<String>,
    /// Ready-made classes, also those that nothing is configured for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ready_made: Vec<String>,
    /// Why it is not served here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The address that it has or had here, or that is reserved for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// That address's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Without an address: the pools that it would get one of, in the order in which they are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub free: Vec<FreePool>,
    pub lease_secs: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot_file: String,
}

/// Addresses that may be given now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreePool {
    pub pool: String,
    pub free: u64,
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    Item(serde_json::Value),
    Done(serde_json::Value),
    Error(String),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub uptime_secs: u64,
    /// The main file first.
    pub config: Vec<PathBuf>,
    pub workers: usize,
    pub interfaces: Vec<InterfaceStatus>,
    /// By state.
    pub leases: BTreeMap<String, u64>,
    pub pools: Vec<Pool>,
    /// By kind, as sent by the daemon.
    pub replies: BTreeMap<String, u64>,
    /// Answered by the kernel since its maps were made, also by earlier runs of the daemon.
    pub kernel_hits: u64,
    #[serde(default)]
    pub fast_path_hits: Hits,
    /// By reason.
    pub ignored: BTreeMap<String, u64>,
    pub packets: Packets,
    pub open_offers: u64,
    pub templates: u64,
    pub journal: Journal,
}

/// Renewals that the fast path has answered since the daemon started, by where it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hits {
    pub kernel: u64,
    /// On interfaces without XDP; also counted in [`Packets::sent`].
    pub workers: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    pub name: String,
    pub addresses: Vec<Ipv4Net>,
    /// Of the fast path: native, generic or off.
    pub mode: String,
    /// Why it is in this mode.
    pub why: String,
}

/// The addresses of a subnet's pools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub subnet: Ipv4Net,
    pub size: u64,
    pub used: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packets {
    pub received: u64,
    /// Lost because the daemon was too busy.
    pub dropped: u64,
    pub sent: u64,
    pub send_errors: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    pub records: u64,
    /// Synced to disk together.
    pub batches: u64,
    /// Records that found no space.
    pub refused: u64,
    pub sync_secs: f64,
    pub segments: u64,
    pub live_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub address: Ipv4Addr,
    pub mac: String,
    pub state: String,
    /// Seconds since 1970, UTC.
    pub expires: u64,
    /// Until when the kernel may renew it by itself; seconds since 1970, UTC.
    pub reserved_until: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Renewals that the kernel granted since the daemon last did.
    pub kernel_renewals: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// VLAN tags, outermost first; 0: none.
    pub vlan: [u16; 2],
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Option 61: `01:6e:6f`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_id: String,
    /// Option 82 as a relay sent it last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub relay_agent: String,
}

/// What a command changed, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    pub changes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FastPath {
    pub interfaces: Vec<InterfaceStatus>,
    /// How many frames ended how, most frequent first; "hit" among them.
    pub reasons: Vec<ReasonCount>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    pub reason: String,
    pub count: u64,
    pub description: String,
}

/// What the guard does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardList {
    pub enabled: bool,
    /// Requests of unknown clients a second that each interface and relay is allowed; 0: no limit.
    pub unknown_rate: u32,
    pub blocked: Vec<Blocked>,
}

/// A client that is not heard for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    pub mac: String,
    /// Interface and VLAN, or relay: elsewhere the same MAC is heard.
    pub place: String,
    /// `misbehaving` or `suspicious`.
    pub cause: String,
    pub for_secs: u64,
    pub left_secs: u64,
}

/// Something that happened to a client, or an alert of the guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    pub time: u64,
    pub kind: String,
    pub mac: String,
    pub address: Ipv4Addr,
    pub interface: String,
}

/// An event stream was read too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    pub lost: u64,
}

/// A MAC as people write it: hex pairs with colons or dashes, groups of four with dots, or bare.
#[must_use]
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let digits: Vec<_> = text
        .chars()
        .filter(|c| !matches!(c, ':' | '-' | '.'))
        .collect();
    if digits.len() != 12 || !digits.iter().all(char::is_ascii_hexdigit) {
        return None;
    }
    let number = u64::from_str_radix(&digits.iter().collect::<String>(), 16).ok()?;
    Some(dhcp_common::wire::mac_bytes(number))
}

#[must_use]
pub fn format_mac(mac: &[u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_as_written() {
        let rows = [
            (r#"{"command":"status"}"#, Request::Status),
            (r#"{"command":"leases","state":"bound"}"#, {
                let state = Some("bound".to_owned());
                Request::Leases(Filter {
                    state,
                    ..Filter::default()
                })
            }),
            (
                r#"{"command":"trace","mac":null}"#,
                Request::Trace { mac: None },
            ),
            (
                r#"{"command":"renew","subnet":"10.0.0.0/24"}"#,
                Request::Renew {
                    key: None,
                    subnet: Some("10.0.0.0/24".parse().unwrap()),
                },
            ),
            (
                r#"{"command":"lease","key":"10.0.0.1"}"#,
                Request::Lease {
                    key: "10.0.0.1".into(),
                },
            ),
        ];
        for (text, want) in rows {
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), want);
            let again = serde_json::to_string(&want).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&again).unwrap(), want);
        }
        assert!(serde_json::from_str::<Request>(r#"{"command":"statsu"}"#).is_err());
    }

    #[test]
    fn macs_as_people_write_them() {
        let mac = [0x52, 0x54, 0, 0xa, 0xb, 0xc];
        for text in [
            "52:54:00:0a:0b:0c",
            "52-54-00-0A-0B-0C",
            "5254.000a.0b0c",
            "5254000a0b0c",
        ] {
            assert_eq!(parse_mac(text), Some(mac), "{text}");
        }
        for text in [
            "",
            "52:54:00:0a:0b",
            "52:54:00:0a:0b:0g",
            "+254000a0b0c",
            "10.0.0.1",
        ] {
            assert_eq!(parse_mac(text), None, "{text}");
        }
        assert_eq!(format_mac(&mac), "52:54:00:0a:0b:0c");
    }
}
