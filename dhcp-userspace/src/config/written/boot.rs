//! Where to boot from.

use std::net::Ipv4Addr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::decode::Placed;
use super::super::scalar::{Field, OrNone, Scalar};

/// Where to boot from; an empty text takes an inherited one away.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Boot {
    /// The server to boot from (siaddr, option 66).
    #[serde(rename = "next-server")]
    pub next_server: Option<Scalar<OrNone<Ipv4Addr>>>,
    /// Its name (sname, option 66), at most 63 bytes.
    #[serde(rename = "server-name")]
    pub server_name: Option<Scalar<Field<63>>>,
    /// The boot file (file, option 67), at most 255 bytes. More than 127 go to clients that ask
    /// for option 67.
    pub file: Option<Scalar<Field<255>>>,
    /// A menu of the PXE firmware (option 43).
    pub menu: Option<Placed<Menu>>,
}

/// A menu of the PXE firmware.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["items"]))]
pub(in super::super) struct Menu {
    /// What the firmware writes before the menu is there, at most 254 bytes.
    pub prompt: Option<Scalar<Field<254>>>,
    /// When the first item is taken, 0s to 254s. Without this key: not before somebody chooses.
    pub timeout: Option<Scalar<Duration>>,
    /// What there is to choose; an empty list takes an inherited menu away.
    pub items: Option<Vec<Placed<MenuItem>>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["text"]))]
pub(in super::super) struct MenuItem {
    /// The line in the menu.
    pub text: Option<Scalar<Field<252>>>,
    /// The boot file. Without this key: boot from the local disk.
    pub file: Option<Scalar<Field<255>>>,
    /// Who serves the file. Without this key: next-server, or this server.
    pub server: Option<Scalar<Ipv4Addr>>,
}
