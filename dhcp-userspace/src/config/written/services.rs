//! What the server does beside leasing addresses.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::model::Rate;
use super::super::scalar::{AbsolutePath, AddressOrNet, Between, Listen, Scalar};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Guard {
    /// Whether clients that flood or misbehave are kept off. Known hosts never are because of
    /// unknown ones.
    #[schemars(extend("default" = true))]
    pub enabled: Option<Scalar<bool>>,
    /// Messages of unknown clients that are taken in a second, for each relay and interface;
    /// `auto` is as many as the workers manage, `off` is all.
    #[schemars(extend("default" = "auto"))]
    pub unknown_rate: Option<Scalar<Rate>>,
    /// Messages that a client may be ahead of one a second before it is not heard for a while.
    #[schemars(extend("default" = 10))]
    pub misbehaving_threshold: Option<Scalar<Between<1, 1_000_000>>>,
    /// How long a client is not heard that sends too much, 1s to 1d.
    #[schemars(extend("default" = "2m30s"))]
    pub misbehaving_hold: Option<Scalar<Duration>>,
    /// How long a client is not heard that nothing here is meant for, 1s to 1d.
    #[schemars(extend("default" = "1m"))]
    pub suspicious_hold: Option<Scalar<Duration>>,
    /// Offers open at once for one port of a relay (circuit-id of option 82).
    #[schemars(extend("default" = 64))]
    pub offers_per_circuit: Option<Scalar<Between<1, 65536>>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["root"]))]
pub(in super::super) struct FileService {
    /// Directory of the files. Nothing outside of it is ever sent.
    pub root: Option<Scalar<AbsolutePath>>,
    /// TFTP: `true` (port 69 of every address), an address, an address and port, or `off`.
    #[schemars(extend("default" = true))]
    pub tftp: Option<Scalar<Listen<69>>>,
    /// HTTP: `true` (port 80 of every address), an address, an address and port, or `off`.
    #[schemars(extend("default" = true))]
    pub http: Option<Scalar<Listen<80>>>,
    /// Transfers at once, of each kind.
    #[schemars(extend("default" = 4096))]
    pub max_transfers: Option<Scalar<Between<1, 1_000_000>>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Leasequery {
    /// Addresses or networks of those who may ask. Without this key: nobody.
    pub allowed: Vec<Scalar<AddressOrNet>>,
    /// Whether TCP port 67 is served too, for many leases at once (bulk leasequery).
    #[schemars(extend("default" = false))]
    pub bulk: Option<Scalar<bool>>,
}
