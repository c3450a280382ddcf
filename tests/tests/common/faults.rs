//! What the fault tests share: configurations, lease lists, daemons that are started in odd ways.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dhcp_userspace::control::protocol::{Lease, format_mac};
use xdhcpd_tests::{Binaries, Daemon, Lab, Namespace, Process, process};

use super::fleet::Fleet;

pub const LIMIT: Duration = Duration::from_secs(60);

/// A configuration for the lab: fast path mode, pool, and lease time.
pub fn config(lab: &Lab, mode: &str, pool: &str, lease_time: &str) -> String {
    let bpffs = lab.bpffs().display();
    format!(
        "\
server: {{state_dir: @DIR@/state, control_socket: @DIR@/control.sock, offer_hold: 2s}}
fast_path: {{mode: \"{mode}\", pin_dir: {bpffs}/xdhcpd}}
defaults: {{lease_time: {lease_time}}}
subnets:
  - subnet: 10.77.0.0/16
    pools: [{pool}]
    options: {{routers: [10.77.0.1], domain-name-servers: [10.77.0.1], domain-name: lab.example}}
"
    )
}

pub fn start(lab: &Lab, config: &str) -> Result<Daemon> {
    let directory = lab.directory("daemon")?;
    Daemon::start(&Binaries::find()?, &lab.server, &directory, config)
}

/// How the only interface is served: the mode, and why.
pub fn mode(daemon: &Daemon) -> Result<(String, String)> {
    let status = daemon.ctl(&["status"])?;
    let interface = &status["interfaces"][0];
    let text = |key: &str| interface[key].as_str().map(str::to_owned);
    Ok((
        text("mode").with_context(|| format!("no interface is served: {status}"))?,
        text("why").context("no reason")?,
    ))
}

/// How many renewals the fast path has answered, in the kernel or in workers.
pub fn fast_hits(daemon: &Daemon) -> Result<u64> {
    let workers = count(daemon, &["fast_path_hits", "workers"])?;
    Ok(count(daemon, &["kernel_hits"])? + workers)
}

/// A number in the status, by the names on the way to it.
pub fn count(daemon: &Daemon, names: &[&str]) -> Result<u64> {
    let status = daemon.ctl(&["status"])?;
    let found = names.iter().fold(&status, |value, name| &value[name]);
    found
        .as_u64()
        .with_context(|| format!("no {names:?} in {status}"))
}

pub fn leases(daemon: &Daemon) -> Result<BTreeMap<Ipv4Addr, Lease>> {
    let mut command = daemon.ctl_command();
    let text = process::output(command.args(["--json", "leases", "list"]))?;
    let lease = |line: &str| {
        let lease: Lease = serde_json::from_str(line)?;
        Ok((lease.address, lease))
    };
    text.lines().map(lease).collect()
}

/// Each client of the fleet has its lease, for at least as long as it has been told.
pub fn check_leases(fleet: &Fleet, leases: &BTreeMap<Ipv4Addr, Lease>) -> Result<()> {
    for (address, mac) in fleet.addresses()? {
        let lease = leases.get(&address);
        let lease = lease.with_context(|| format!("the lease of {address} is lost"))?;
        ensure!(
            (lease.mac.as_str(), lease.state.as_str()) == (&format_mac(&mac), "bound"),
            "{lease:?} is not the lease of {mac:02x?}"
        );
    }
    for node in &fleet.nodes {
        let lease = &leases[&node.address.context("an address")?];
        let told = node.told_until;
        // Two clocks make this one, so it may round to the second before.
        ensure!(lease.expires + 1 >= told, "{lease:?} ends before {told}");
        ensure!(
            lease.reserved_until >= lease.expires,
            "{lease:?} ends beyond its promise"
        );
    }
    Ok(())
}

/// Where xdhcpd is a script that does something first and ends in `exec "$XDHCPD" "$@"`.
pub fn wrapped(directory: &Path, script: &str) -> Result<Binaries> {
    let real = Binaries::find()?;
    fs::create_dir_all(directory)?;
    let wrapper = directory.join("xdhcpd");
    let xdhcpd = real.xdhcpd();
    fs::write(
        &wrapper,
        format!(
            "#!/bin/sh\nset -e\nXDHCPD={}\nexport XDHCPD\n{script}\n",
            xdhcpd.display()
        ),
    )?;
    fs::set_permissions(&wrapper, Permissions::from_mode(0o755))?;
    symlink(real.xdhcpctl(), directory.join("xdhcpctl"))?;
    Binaries::in_directory(directory)
}

/// Starts a daemon that has reason to give up; tells how it ended and what it said.
pub fn refused(
    namespace: &Namespace,
    directory: &Path,
    config: &str,
) -> Result<(ExitStatus, String)> {
    fs::create_dir_all(directory)?;
    let config = config.replace("@DIR@", &directory.to_string_lossy());
    fs::write(directory.join("dhcp.yaml"), config)?;
    refused_with(namespace, directory, &directory.join("dhcp.yaml"))
}

/// The same, with whatever is at `config`.
pub fn refused_with(
    namespace: &Namespace,
    directory: &Path,
    config: &Path,
) -> Result<(ExitStatus, String)> {
    let mut command = namespace.command(Binaries::find()?.xdhcpd());
    command.arg("--config").arg(config);
    let log = directory.join(format!("refused-{}.log", fs::read_dir(directory)?.count()));
    let mut process = Process::start("xdhcpd", &mut command, &log)?;
    let status = process.wait_end(LIMIT)?;
    Ok((status, process.log()))
}

/// Ends the daemon as a crash of the host does: nothing of it stays in the kernel.
pub fn crash(daemon: &mut Daemon) -> Result<()> {
    daemon.kill();
    let config = daemon.directory().join("dhcp.yaml");
    let mut detach = daemon.ctl_command();
    process::output(detach.args(["fastpath", "detach", "--config"]).arg(config))?;
    Ok(())
}

/// A tmpfs of a given size, as long as its value.
pub struct Tmpfs<'a>(pub &'a Path);

impl<'a> Tmpfs<'a> {
    pub fn mount(path: &'a Path, size: &str) -> Result<Self> {
        fs::create_dir_all(path)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "xdlab"]);
        process::output(mount.arg(path))?;
        Ok(Self(path))
    }

    pub fn remount(&self, options: &str) -> Result<()> {
        let mut mount = Command::new("mount");
        process::output(
            mount
                .args(["-o", &format!("remount,{options}")])
                .arg(self.0),
        )?;
        Ok(())
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = process::output(Command::new("umount").arg("--lazy").arg(self.0));
    }
}
