//! The servers that are measured, each with the configuration that serves it best.

mod dhcpd;
mod dnsmasq;
mod kea;
mod limit;
mod xdhcpd;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use xdhcpd_tests::{Binaries, Daemon, Process, process};

use crate::client::LEASE;
use crate::generator::Manner;
use crate::site::Site;
use crate::time::now;

const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    Xdhcpd,
    /// Kea with a thread for each CPU.
    KeaMulti,
    KeaSingle,
    Dhcpd,
    Dnsmasq,
    /// The bare limit: an XDP program that swaps the MAC addresses and sends the frame back.
    Limit,
}

/// What a server has to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Clients that hold a lease when it starts.
    pub bound: u32,
    /// Addresses for new ones.
    pub fresh: u32,
    /// By how many milliseconds each fsync takes longer.
    pub slow_disk: u32,
}

impl Plan {
    /// Clients that ask for a lease: half as many as there are addresses, since an address that was offered and not
    /// taken is not free at once.
    pub fn fresh_clients(&self) -> u32 {
        self.fresh / 2
    }
}

/// Where the server and the measuring programs are.
pub struct Programs {
    pub binaries: Binaries,
    /// `xdhcpd-bench.bpf.o`
    pub object: Vec<u8>,
}

/// Ended on drop.
pub struct Running {
    handle: Handle,
    directory: PathBuf,
    /// From the start of its program to when it says that it serves; nanoseconds.
    pub started: u64,
    ended: bool,
}

enum Handle {
    Xdhcpd(Box<Daemon>),
    Peer(Process),
    Program { attached: Option<Box<aya::Ebpf>> },
}

impl Server {
    pub const ALL: [Self; 6] = [
        Self::Xdhcpd,
        Self::KeaMulti,
        Self::KeaSingle,
        Self::Dhcpd,
        Self::Dnsmasq,
        Self::Limit,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Xdhcpd => "xdhcpd",
            Self::KeaMulti => "kea-mt",
            Self::KeaSingle => "kea-st",
            Self::Dhcpd => "dhcpd",
            Self::Dnsmasq => "dnsmasq",
            Self::Limit => "limit",
        }
    }

    /// Its program, and the Debian package that it comes in.
    pub fn package(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Xdhcpd | Self::Limit => None,
            Self::KeaMulti | Self::KeaSingle => Some(("kea-dhcp4", "kea-dhcp4-server")),
            Self::Dhcpd => Some(("dhcpd", "isc-dhcp-server")),
            Self::Dnsmasq => Some(("dnsmasq", "dnsmasq-base")),
        }
    }

    pub fn is_installed(self) -> bool {
        self.package()
            .is_none_or(|(program, _)| process::find(program).is_ok())
    }

    /// As its own program tells it.
    pub fn version(self) -> Result<String> {
        let Some((program, _)) = self.package() else {
            return Ok(concat!("xdhcpd ", env!("CARGO_PKG_VERSION")).to_owned());
        };
        let argument = if self == Self::KeaMulti || self == Self::KeaSingle {
            "-v"
        } else {
            "--version"
        };
        // dhcpd tells it as a complaint.
        let output = Command::new(process::find(program)?)
            .arg(argument)
            .output()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(format!(
            "{program} {}",
            version_in(&text).context("no version")?
        ))
    }

    /// Whether an ACK says that the lease is on disk.
    pub fn syncs(self) -> Option<bool> {
        match self {
            Self::Xdhcpd | Self::Dhcpd | Self::Dnsmasq => Some(true),
            Self::KeaMulti | Self::KeaSingle => Some(false),
            Self::Limit => None,
        }
    }

    /// The most clients that it holds and answers in the time there is.
    pub fn capacity(self) -> u32 {
        match self {
            Self::Xdhcpd | Self::Limit | Self::KeaMulti | Self::KeaSingle => 1 << 20,
            Self::Dhcpd => 100_000,
            Self::Dnsmasq => 1_000,
        }
    }

    /// The pool for new clients: of the size that it is fast with, and more than enough for the time there is.
    pub fn pool(self) -> u32 {
        match self {
            Self::Xdhcpd | Self::Limit | Self::KeaMulti | Self::KeaSingle => 1 << 20,
            // It walks its free leases.
            Self::Dhcpd => 20_000,
            Self::Dnsmasq => 2_000,
        }
    }

    pub fn manner(self) -> Manner {
        // Who renews early is told by dhcpd and Kea what is left of the lease, and nothing is written.
        let renewed = match self {
            Self::Limit => 0..=0,
            Self::Xdhcpd | Self::Dnsmasq => LEASE..=LEASE,
            Self::Dhcpd | Self::KeaMulti | Self::KeaSingle => LEASE * 3 / 4..=LEASE,
        };
        Manner {
            echoes: self == Self::Limit,
            renewed,
            bound: LEASE..=LEASE,
        }
    }

    /// Starts it, and waits until it serves.
    pub fn start(self, site: &Site, programs: &Programs, plan: &Plan) -> Result<Running> {
        let directory = site.lab.directory(self.name())?;
        let server = Starting {
            site,
            programs,
            plan,
            directory: &directory,
        };
        let (handle, started) = match self {
            Self::Xdhcpd => xdhcpd::start(&server),
            Self::KeaMulti => kea::start(&server, true),
            Self::KeaSingle => kea::start(&server, false),
            Self::Dhcpd => dhcpd::start(&server),
            Self::Dnsmasq => dnsmasq::start(&server),
            Self::Limit => limit::start(&server),
        }
        .with_context(|| format!("{} did not start", self.name()))?;
        Ok(Running {
            handle,
            directory,
            started,
            ended: false,
        })
    }

    /// The configuration as it is written for a plan, for people to read.
    pub fn configuration(self, plan: &Plan) -> Option<String> {
        let directory = Path::new("@DIR@");
        match self {
            Self::Xdhcpd => Some(xdhcpd::configuration(plan, Path::new("@BPFFS@"))),
            Self::KeaMulti => Some(kea::configuration(plan, directory, true)),
            Self::KeaSingle => Some(kea::configuration(plan, directory, false)),
            Self::Dhcpd => Some(dhcpd::configuration(plan, directory)),
            Self::Dnsmasq => Some(dnsmasq::configuration(plan, directory)),
            Self::Limit => None,
        }
    }
}

struct Starting<'a> {
    site: &'a Site,
    programs: &'a Programs,
    plan: &'a Plan,
    directory: &'a Path,
}

impl Starting<'_> {
    /// A command for the server's namespace, on a slow disk if the plan says so.
    fn command(&self, program: &str) -> Result<Command> {
        let (program, server) = (process::find(program)?, &self.site.lab.server);
        let Some((strace, arguments)) = slow(self.plan)
            .split_first()
            .map(|(a, b)| (a.clone(), b.to_vec()))
        else {
            return Ok(server.command(program));
        };
        let mut command = server.command(&strace);
        command.args(arguments).arg(program);
        Ok(command)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        Ok(path)
    }

    /// Starts a peer and waits until `ready` says so.
    fn peer(
        &self,
        mut command: Command,
        ready: impl Fn(&Process) -> Option<()>,
    ) -> Result<(Handle, u64)> {
        let began = now();
        let mut process = Process::start("the server", &mut command, &self.directory.join("log"))?;
        process.wait_for("it to serve", PATIENCE, |process| Ok(ready(process)))?;
        Ok((Handle::Peer(process), now() - began))
    }
}

/// Every fsync returns later. With `-D` the server keeps its process id; nothing but these calls is stopped.
fn slow(plan: &Plan) -> Vec<String> {
    if plan.slow_disk == 0 {
        return Vec::new();
    }
    let inject = format!(
        "inject=fsync,fdatasync:delay_exit={}",
        plan.slow_disk * 1000
    );
    let words = "strace -D -f -qq --seccomp-bpf -o /dev/null -e trace=fsync,fdatasync -e";
    let words = words.split(' ').map(str::to_owned);
    words.chain([inject]).collect()
}

impl Running {
    /// `None` where there is no process.
    pub fn id(&mut self) -> Option<u32> {
        match &mut self.handle {
            Handle::Xdhcpd(daemon) => Some(daemon.process().id()),
            Handle::Peer(process) => Some(process.id()),
            Handle::Program { .. } => None,
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it says in its log, shortened, with an error.
    pub fn explain(&mut self, error: &anyhow::Error) -> anyhow::Error {
        match &mut self.handle {
            Handle::Xdhcpd(daemon) => daemon.process().explain(error),
            Handle::Peer(process) => process.explain(error),
            Handle::Program { .. } => anyhow::anyhow!("{error:#}"),
        }
    }

    /// Renewals that its kernel has answered so far; `None` for a peer.
    pub fn kernel_hits(&mut self) -> Result<Option<u64>> {
        let Handle::Xdhcpd(daemon) = &mut self.handle else {
            return Ok(None);
        };
        let status = daemon.ctl(&["status"])?;
        let hits = status["kernel_hits"].as_u64();
        Ok(Some(hits.with_context(|| format!("no hits: {status}"))?))
    }

    /// Ends it, and leaves nothing of it.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        match &mut self.handle {
            Handle::Xdhcpd(daemon) => xdhcpd::stop(daemon)?,
            Handle::Peer(process) => process.kill(),
            Handle::Program { attached } => drop(attached.take()),
        }
        fs::remove_dir_all(&self.directory)?;
        Ok(())
    }
}

/// After an error, so that the next server is alone.
impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("a server did not end as it should: {error:#}");
        }
    }
}

/// The first word that begins with a digit, or follows a dash and does.
fn version_in(text: &str) -> Option<String> {
    let words = text.split_whitespace();
    let numbers = words.filter_map(|word| {
        let at = word.find(|c: char| c.is_ascii_digit())?;
        let before = word[..at]
            .chars()
            .all(|c| c.is_ascii_alphabetic() || c == '-');
        (before && word[at..].contains('.')).then(|| word[at..].to_owned())
    });
    numbers.into_iter().next()
}

/// Seconds since 1970.
fn unix() -> u64 {
    dhcp_userspace::clock::Now::read().unix / dhcp_userspace::clock::SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        let found = |text| version_in(text).unwrap();
        assert_eq!(found("2.2.0\n"), "2.2.0");
        assert_eq!(found("isc-dhcpd-4.4.3-P1\n"), "4.4.3-P1");
        assert_eq!(
            found("Dnsmasq version 2.90  Copyright (c) 2000-2024"),
            "2.90"
        );
    }

    #[test]
    fn every_configuration_names_its_pools() {
        let plan = Plan {
            bound: 1000,
            fresh: 500,
            slow_disk: 0,
        };
        for server in Server::ALL {
            if let Some(text) = server.configuration(&plan) {
                for address in ["10.80.0.0", "10.80.3.231", "10.96.0.0", "10.96.1.243"] {
                    assert!(text.contains(address), "{}: {text}", server.name());
                }
            }
        }
    }
}
