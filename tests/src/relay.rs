//! A relay agent (isc-dhcp-relay) between two networks.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;

use crate::namespace::Namespace;
use crate::process::Process;

/// Ended on drop.
pub struct Relay {
    process: Process,
}

impl Relay {
    /// Relays what clients send on `downstream` to `server`, and its answers from `upstream` back.
    pub fn start(
        namespace: &Namespace,
        downstream: &str,
        upstream: &str,
        server: Ipv4Addr,
        log: &Path,
    ) -> Result<Self> {
        Self::start_with(&[], namespace, (downstream, upstream), server, log)
    }

    /// The same with more options: `-a` adds option 82.
    pub fn start_with(
        options: &[&str],
        namespace: &Namespace,
        (downstream, upstream): (&str, &str),
        server: Ipv4Addr,
        log: &Path,
    ) -> Result<Self> {
        let mut command = namespace.command("dhcrelay");
        command.args(["-4", "-d", "-id", downstream, "-iu", upstream]);
        command.args(options);
        let mut process = Process::start("dhcrelay", command.arg(server.to_string()), log)?;
        // The last that it says before it listens.
        process.wait_for_line("Socket/fallback", 0, std::time::Duration::from_secs(10))?;
        Ok(Self { process })
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
