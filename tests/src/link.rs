//! Cables and switches between namespaces.

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
            "link add {left_name} type veth peer name {right_name} netns {}",
            right.name()
        ))?;
        let veth = Self {
            namespace: left.name().to_owned(),
            interface: left_name.to_owned(),
        };
        left.ip(&format!("link set {left_name} up"))?;
        right.ip(&format!("link set {right_name} up"))?;
        Ok(veth)
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("ip");
        // Fails when a namespace went first, and the pair with it.
        let _ = process::output(
            command
                .args(["-n", &self.namespace, "link", "delete"])
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
            "link add {name} type bridge stp_state 0 mcast_snooping 0"
        ))?;
        namespace.ip(&format!("link set {name} up"))?;
        Ok(Self {
            namespace,
            name: name.to_owned(),
        })
    }

    /// Plugs in an interface that is in the bridge's namespace.
    pub fn add(&self, interface: &str) -> Result<()> {
        self.namespace
            .ip(&format!("link set {interface} master {}", self.name))?;
        Ok(())
    }
}

/// Makes replies that an XDP program sends back on the *other* end of this veth arrive here. The
/// kernel takes them only where the receiving end polls (NAPI), which it does with an XDP program
/// of its own or with GRO; without either they vanish silently.
pub fn accept_xdp(namespace: &Namespace, interface: &str) -> Result<()> {
    let mut command = namespace.command("ethtool");
    process::output(command.args(["-K", interface, "gro", "on"]))
        .with_context(|| format!("could not turn on GRO for {interface}"))?;
    Ok(())
}
