//! `cargo xtask build-and-load`: the XDP program on a real interface, with the daemon behind it.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use xdhcpd_tests::{Binaries, Process, process};

use crate::daemon::{self, Profile};
use crate::paths;
use crate::privileges;

const PATIENCE: Duration = Duration::from_secs(30);
/// The smallest network that is halved for a pool.
const LONGEST_PREFIX: u32 = 28;

#[derive(Args)]
pub(crate) struct Options {
    /// The interface to serve.
    #[arg(long)]
    pub(crate) interface: String,
    /// The configuration; without one, the upper half of the interface's own network is given out.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// End the daemon once the program is loaded and attached. Detach: `xdhcpctl fastpath detach`.
    #[arg(long)]
    pub(crate) load_only: bool,
    #[arg(long, hide = true)]
    pub(crate) built: bool,
}

pub(crate) fn build_and_load(options: &Options) -> Result<()> {
    if !options.built {
        daemon::build_all()?;
    }
    privileges::become_root()?;
    let binaries = daemon::binaries(Profile::Release)?;
    if !Path::new("/sys/class/net")
        .join(&options.interface)
        .exists()
    {
        bail!(
            "there is no interface {} (see `ip link`)",
            options.interface
        );
    }
    let directory = paths::target().join("run").join(&options.interface);
    fs::create_dir_all(&directory)?;
    let config = config(options, &directory)?;
    eprintln!("{}", how_to_detach(options, &directory, &config));
    if options.load_only {
        load(&binaries, &config, &directory)
    } else {
        serve(&binaries, &config)
    }
}

/// Where the daemon listens, and how the program is taken out of the kernel.
fn how_to_detach(options: &Options, directory: &Path, config: &Path) -> String {
    let xdhcpctl = paths::target().join("release").join("xdhcpctl");
    let (xdhcpctl, config) = (xdhcpctl.display(), config.display());
    let (place, socket) = match &options.config {
        None => {
            let socket = directory.join("control.sock").display().to_string();
            (socket.clone(), format!(" --socket {socket}"))
        }
        Some(_) => (
            format!("server.control_socket of {config}, or /run/xdhcpd/control.sock"),
            String::new(),
        ),
    };
    format!(
        "control socket: {place}\n\
         the program stays in the kernel when the daemon ends; to take it out:\n    \
         sudo {xdhcpctl}{socket} fastpath detach --config {config}"
    )
}

fn config(options: &Options, directory: &Path) -> Result<PathBuf> {
    if let Some(config) = &options.config {
        return Ok(config.clone());
    }
    let (address, prefix) = address(&options.interface)?;
    let path = directory.join("dhcp.yaml");
    fs::write(&path, yaml(&options.interface, directory, address, prefix)?)?;
    eprintln!("no --config: made {}", path.display());
    Ok(path)
}

fn address(interface: &str) -> Result<(Ipv4Addr, u32)> {
    let mut command = Command::new("ip");
    let shown =
        process::output(command.args(["-oneline", "-4", "address", "show", "dev", interface]))?;
    let mut words = shown.split_whitespace().skip_while(|word| *word != "inet");
    let network = words.nth(1).and_then(|network| network.split_once('/'));
    let (address, prefix) = network
        .with_context(|| format!("{interface} has no IPv4 address: give it one, or --config"))?;
    Ok((address.parse()?, prefix.parse()?))
}

/// The upper half of the network is the pool, so that hosts with fixed addresses, which people
/// number from the lower end, are left alone. Not authoritative: other servers' clients are too.
fn yaml(interface: &str, directory: &Path, address: Ipv4Addr, prefix: u32) -> Result<String> {
    if !(1..=LONGEST_PREFIX).contains(&prefix) {
        bail!("{interface} has a /{prefix} network, which has no room for a pool: give --config");
    }
    let host_mask = u32::MAX >> prefix;
    let network = address.to_bits() & !host_mask;
    let first = Ipv4Addr::from_bits(network + host_mask / 2 + 1);
    let last = Ipv4Addr::from_bits(network + host_mask - 1);
    let pools = match address {
        own if own < first || own > last => format!("{first}-{last}"),
        own if own == first => format!("{}-{last}", next(own)),
        own if own == last => format!("{first}-{}", previous(own)),
        own => format!("{first}-{}, {}-{last}", previous(own), next(own)),
    };
    let (network, directory) = (Ipv4Addr::from_bits(network), directory.display());
    Ok(format!(
        "\
interfaces: [{interface}]
server: {{state_dir: {directory}/state, control_socket: {directory}/control.sock}}
subnets:
  - subnet: {network}/{prefix}
    pools: [{pools}]
"
    ))
}

fn next(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() + 1)
}

fn previous(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() - 1)
}

/// Becomes the daemon, in the foreground: Ctrl-C is for it.
fn serve(binaries: &Binaries, config: &Path) -> Result<()> {
    let error = Command::new(binaries.xdhcpd())
        .arg("--config")
        .arg(config)
        .exec();
    Err(error).context("could not start xdhcpd")
}

/// The program and its table stay in the kernel, pinned, after the daemon has ended.
fn load(binaries: &Binaries, config: &Path, directory: &Path) -> Result<()> {
    let mut command = Command::new(binaries.xdhcpd());
    let log = directory.join("xdhcpd.log");
    let _ = fs::remove_file(&log);
    let mut xdhcpd = Process::start("xdhcpd", command.arg("--config").arg(config), &log)?;
    xdhcpd.wait_for_line("ready", 0, PATIENCE)?;
    print!("{}", xdhcpd.log());
    xdhcpd.terminate(PATIENCE)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(address: [u8; 4], prefix: u32) -> String {
        let yaml = yaml("eth0", Path::new("/run"), address.into(), prefix).unwrap();
        yaml.lines()
            .find_map(|line| line.trim().strip_prefix("pools: "))
            .unwrap()
            .to_owned()
    }

    #[test]
    fn the_pool_is_the_upper_half() {
        assert_eq!(pools([192, 168, 7, 1], 24), "[192.168.7.128-192.168.7.254]");
        assert_eq!(pools([10, 0, 0, 1], 28), "[10.0.0.8-10.0.0.14]");
    }

    #[test]
    fn the_servers_own_address_is_no_part_of_it() {
        assert_eq!(
            pools([10, 0, 0, 10], 28),
            "[10.0.0.8-10.0.0.9, 10.0.0.11-10.0.0.14]"
        );
        assert_eq!(pools([10, 0, 0, 8], 28), "[10.0.0.9-10.0.0.14]");
        assert_eq!(pools([10, 0, 0, 14], 28), "[10.0.0.8-10.0.0.13]");
    }

    #[test]
    fn the_way_out_names_socket_and_configuration() {
        let options = Options {
            interface: "eth0".into(),
            config: None,
            load_only: false,
            built: true,
        };
        let text = how_to_detach(&options, Path::new("/run/x"), Path::new("/run/x/dhcp.yaml"));
        assert!(
            text.starts_with("control socket: /run/x/control.sock\n"),
            "{text}"
        );
        let command =
            "xdhcpctl --socket /run/x/control.sock fastpath detach --config /run/x/dhcp.yaml";
        assert!(text.ends_with(command), "{text}");
    }

    #[test]
    fn a_tiny_network_is_refused() {
        assert!(yaml("eth0", Path::new("/run"), [10, 0, 0, 1].into(), 31).is_err());
    }
}
