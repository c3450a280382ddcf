//! Cables and switches between namespaces.

use std::ffi::CString;
use std::io;

use anyhow::{Context, Result};

use crate::namespace::Namespace;
use crate::process;

/// A pair of virtual Ethernet interfaces, both up; unplugged on drop.
pub struct Veth {
    namespace: String,
    interface: String,
}

impl Veth {
    /// Each end is a namespace and the interface's name in it.
    pub fn new(left: (&Namespace, &str), right: (&Namespace, &str)) -> Result<Self> {
        let ((left, left_name), (right, right_name)) = (left, right);
        left.ip(&format!(
            "link add name {left_name} type veth peer name {right_name} netns {}",
            right.name()
        ))?;
        let veth = Self {
            namespace: left.name().to_owned(),
            interface: left_name.to_owned(),
        };
        left.ip(&format!("link set dev {left_name} up"))?;
        right.ip(&format!("link set dev {right_name} up"))?;
        Ok(veth)
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("ip");
        // Fails when a namespace went first, and the pair with it.
        let _ = process::output(
            command
                .args(["-n", &self.namespace, "link", "delete", "dev"])
                .arg(&self.interface),
        );
    }
}

/// A switch; gone with its namespace.
pub struct Bridge<'a> {
    namespace: &'a Namespace,
    name: String,
}

impl<'a> Bridge<'a> {
    pub fn new(namespace: &'a Namespace, name: &str) -> Result<Self> {
        namespace.ip(&format!(
            "link add name {name} type bridge stp_state 0 mcast_snooping 0"
        ))?;
        namespace.ip(&format!("link set dev {name} up"))?;
        Ok(Self {
            namespace,
            name: name.to_owned(),
        })
    }

    /// Plugs in an interface that is in the bridge's namespace.
    pub fn add(&self, interface: &str) -> Result<()> {
        self.namespace
            .ip(&format!("link set dev {interface} master {}", self.name))?;
        Ok(())
    }
}

/// Turns an offload on or off, by ethtool's name. With "tx" on, the UDP checksum of what a client's
/// kernel sends is never filled in on a veth.
pub fn set_offload(namespace: &Namespace, interface: &str, name: &str, on: bool) -> Result<()> {
    let mut command = namespace.command("ethtool");
    command.args(["-K", interface, name, if on { "on" } else { "off" }]);
    process::output(&mut command)
        .with_context(|| format!("could not set {name} of {interface}"))?;
    Ok(())
}

/// The number of an interface in the calling thread's namespace.
pub fn index(interface: &str) -> io::Result<i32> {
    let name = CString::new(interface)?;
    // SAFETY: the string lives until the call returns.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index.cast_signed()),
    }
}
