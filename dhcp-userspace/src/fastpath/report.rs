//! What is told of an interface that is served.

use std::fmt;

/// Who answers renewals on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortMode {
    /// The kernel, in the driver.
    Native,
    /// The kernel, in the network stack.
    Generic,
    /// The daemon.
    Userspace,
}

impl fmt::Display for PortMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Userspace => "userspace",
        })
    }
}

/// How an interface is served, and why so.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PortReport {
    pub ifindex: u32,
    pub name: String,
    pub mode: PortMode,
    pub why: String,
}
