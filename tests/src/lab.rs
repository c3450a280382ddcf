//! The usual lab: one server and some clients at one switch.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::link::{self, Bridge, Veth};
use crate::mount::BpfFs;
use crate::namespace::{self, Namespace};

/// The interface of the server and of each client, in its own namespace.
pub const INTERFACE: &str = "eth0";
/// The server's address; the network is 10.77.0.0/16.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The fields are dropped in this order: cables, then what they connect, then the files.
pub struct Lab {
    cables: Vec<Veth>,
    pub server: Namespace,
    pub switch: Namespace,
    pub clients: Vec<Namespace>,
    bpffs: BpfFs,
    directory: TempDir,
}

impl Lab {
    pub fn new(clients: usize) -> Result<Self> {
        namespace::remove_stale();
        let directory = tempfile::Builder::new().prefix("xdlab-").tempdir()?;
        let bpffs = BpfFs::mount(&directory.path().join("bpf"))?;
        let clients = (0..clients).map(|number| Namespace::new(&format!("client{number}")));
        let mut lab = Self {
            cables: Vec::new(),
            server: Namespace::new("server")?,
            switch: Namespace::new("switch")?,
            clients: clients.collect::<Result<_>>()?,
            bpffs,
            directory,
        };
        lab.cables = lab.connect().context("could not wire the lab")?;
        Ok(lab)
    }

    fn connect(&self) -> Result<Vec<Veth>> {
        let bridge = Bridge::new(&self.switch, "br0")?;
        let mut cables = vec![self.plug(&bridge, &self.server, "server")?];
        for (number, client) in self.clients.iter().enumerate() {
            cables.push(self.plug(&bridge, client, &format!("client{number}"))?);
        }
        self.server
            .ip(&format!("address add {SERVER}/16 dev {INTERFACE}"))?;
        link::accept_xdp(&self.switch, "server")?;
        Ok(cables)
    }

    fn plug(&self, bridge: &Bridge<'_>, machine: &Namespace, port: &str) -> Result<Veth> {
        let cable = Veth::new((machine, INTERFACE), (&self.switch, port))?;
        bridge.add(port)?;
        Ok(cable)
    }

    /// A new directory in the lab's own, which is removed with the lab.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A bpffs of this lab alone.
    pub fn bpffs(&self) -> &Path {
        self.bpffs.path()
    }

    /// A configuration for this lab's network; `more` is added at the top level of the YAML.
    pub fn config(&self, lease_time: &str, more: &str) -> String {
        let bpffs = self.bpffs().display();
        format!(
            "\
interfaces: [{INTERFACE}]
server: {{state_dir: @DIR@/state, control_socket: @DIR@/control.sock}}
fast_path: {{mode: native, pin_dir: {bpffs}/xdhcpd}}
defaults: {{lease_time: {lease_time}}}
subnets:
  - subnet: 10.77.0.0/16
    pools: [10.77.1.0-10.77.1.255]
    options: {{routers: [{SERVER}], domain-name-servers: [{SERVER}], domain-name: lab.example}}
{more}"
        )
    }
}
