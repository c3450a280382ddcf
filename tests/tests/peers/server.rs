//! The three servers, each with the same network to serve.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::{Binaries, Daemon, Lab, Process, process};

const START: Duration = Duration::from_secs(20);
/// The host with a reservation; its MAC is `52:54:00:00:77:63`.
pub const RESERVED: &str = "10.77.0.99";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Xdhcpd,
    Kea,
    Dnsmasq,
}

/// Ended on drop.
pub enum Running {
    Xdhcpd { _daemon: Daemon },
    Other { _process: Process },
}

impl Server {
    pub const ALL: [Self; 3] = [Self::Xdhcpd, Self::Kea, Self::Dnsmasq];

    pub fn name(self) -> &'static str {
        match self {
            Self::Xdhcpd => "xdhcpd",
            Self::Kea => "Kea",
            Self::Dnsmasq => "dnsmasq",
        }
    }

    /// As its own program tells it.
    pub fn version(self) -> Result<String> {
        let (program, argument) = match self {
            Self::Xdhcpd => return Ok("this version".to_owned()),
            Self::Kea => ("kea-dhcp4", "-v"),
            Self::Dnsmasq => ("dnsmasq", "--version"),
        };
        let mut command = std::process::Command::new(process::find(program)?);
        let text = process::output(command.arg(argument))?;
        let words = text.lines().next().unwrap_or_default().split_whitespace();
        let version = words
            .into_iter()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        Ok(version.context("no version")?.to_owned())
    }

    pub fn start(self, lab: &Lab) -> Result<Running> {
        let directory = lab.directory(self.name())?;
        match self {
            Self::Xdhcpd => {
                let yaml = xdhcpd(lab);
                let daemon = Daemon::start(&Binaries::find()?, &lab.server, &directory, &yaml)?;
                Ok(Running::Xdhcpd { _daemon: daemon })
            }
            Self::Kea => kea(lab, &directory),
            Self::Dnsmasq => dnsmasq(lab, &directory),
        }
    }
}

fn xdhcpd(lab: &Lab) -> String {
    lab.config(
        "1h",
        &format!(
            "reservations: [{{mac: \"52:54:00:00:77:63\", address: {RESERVED}, hostname: fixed}}]\n"
        ),
    )
}

fn kea(lab: &Lab, directory: &Path) -> Result<Running> {
    let config = format!(
        r#"{{"Dhcp4": {{
  "interfaces-config": {{"interfaces": ["{INTERFACE}"]}},
  "lease-database": {{"type": "memfile", "persist": false}},
  "valid-lifetime": 3600, "renew-timer": 1800, "rebind-timer": 3150,
  "subnet4": [{{
    "id": 1, "subnet": "10.77.0.0/16", "pools": [{{"pool": "10.77.1.0-10.77.1.255"}}],
    "option-data": [
      {{"name": "routers", "data": "{SERVER}"}},
      {{"name": "domain-name-servers", "data": "{SERVER}"}},
      {{"name": "domain-name", "data": "lab.example"}}],
    "reservations": [{{"hw-address": "52:54:00:00:77:63", "ip-address": "{RESERVED}", "hostname": "fixed"}}]
  }}],
  "loggers": [{{"name": "kea-dhcp4", "output_options": [{{"output": "stdout"}}], "severity": "INFO"}}]
}}}}
"#
    );
    let file = directory.join("kea.json");
    fs::write(&file, config)?;
    let mut command = lab.server.command("kea-dhcp4");
    command.arg("-c").arg(&file);
    command.env("KEA_PIDFILE_DIR", directory);
    command.env("KEA_LOCKFILE_DIR", directory);
    let mut process = Process::start("kea-dhcp4", &mut command, &directory.join("log"))?;
    process.wait_for_line("DHCP4_STARTED", 0, START)?;
    Ok(Running::Other { _process: process })
}

fn dnsmasq(lab: &Lab, directory: &Path) -> Result<Running> {
    let mut command = lab.server.command("dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--port=0",
        "--no-ping",
    ]);
    command.args([
        "--log-facility=-",
        "--user=root",
        "--dhcp-range=10.77.1.0,10.77.1.255,255.255.0.0,1h",
    ]);
    command.arg(format!("--interface={INTERFACE}"));
    command.arg(format!(
        "--dhcp-leasefile={}",
        directory.join("leases").display()
    ));
    command.arg(format!("--pid-file={}", directory.join("pid").display()));
    command.arg(format!("--dhcp-option=option:router,{SERVER}"));
    command.arg(format!("--dhcp-option=option:dns-server,{SERVER}"));
    command.arg("--dhcp-option=option:domain-name,lab.example");
    command.arg(format!("--dhcp-host=52:54:00:00:77:63,{RESERVED},fixed"));
    let mut process = Process::start("dnsmasq", &mut command, &directory.join("log"))?;
    process.wait_for_line("IP range", 0, START)?;
    Ok(Running::Other { _process: process })
}
