//! The usual lab: one server and some clients at one switch.

use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::link::{Bridge, Veth};
use crate::mount::{self, BpfFs};
use crate::namespace::{self, Namespace};
use crate::xdp_pass::XdpPass;

/// The interface of the server and of each client, in its own namespace.
pub const INTERFACE: &str = "eth0";
/// The server's address; the network is 10.77.0.0/16.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

const BPFFS: &str = "bpf";

/// The fields are dropped in this order: cables, then what they connect, then the files.
pub struct Lab {
    _cables: Vec<Veth>,
    /// So that what the server's XDP program sends reaches the switch; may give way to another program.
    pub pass: Option<XdpPass>,
    pub server: Namespace,
    pub switch: Namespace,
    pub clients: Vec<Namespace>,
    bpffs: BpfFs,
    directory: TempDir,
}

impl Lab {
    pub fn new(clients: usize) -> Result<Self> {
        remove_stale();
        let directory = tempfile::Builder::new()
            .prefix(&namespace::own_prefix())
            .tempdir()?;
        let bpffs = BpfFs::mount(&directory.path().join(BPFFS))?;
        let (server, switch) = (Namespace::new("server")?, Namespace::new("switch")?);
        let clients = (0..clients).map(|number| Namespace::new(&format!("client{number}")));
        let clients = clients.collect::<Result<Vec<_>>>()?;
        let cables = connect(&server, &switch, &clients).context("could not wire the lab")?;
        let pass = XdpPass::attach(&switch, "server")?;
        Ok(Self {
            _cables: cables,
            pass: Some(pass),
            server,
            switch,
            clients,
            bpffs,
            directory,
        })
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

fn connect(server: &Namespace, switch: &Namespace, clients: &[Namespace]) -> Result<Vec<Veth>> {
    let bridge = Bridge::new(switch, "br0")?;
    let plug = |machine: &Namespace, port: &str| {
        let cable = Veth::new((machine, INTERFACE), (switch, port))?;
        bridge.add(port)?;
        anyhow::Ok(cable)
    };
    let mut cables = vec![plug(server, "server")?];
    for (number, client) in clients.iter().enumerate() {
        cables.push(plug(client, &format!("client{number}"))?);
    }
    server.ip(&format!("address add {SERVER}/16 dev {INTERFACE}"))?;
    Ok(cables)
}

/// Removes what labs have left whose process was killed outright: namespaces with what runs in them,
/// mounts and files.
pub fn remove_stale() {
    namespace::remove_stale();
    let Ok(directory) = fs::canonicalize(env::temp_dir()) else {
        return;
    };
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if namespace::is_stale(&entry.file_name().to_string_lossy()) {
            mount::unmount_below(&entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
