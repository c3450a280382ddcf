//! Kea: leases in memory and in a file that it does not sync; it logs nothing of single packets.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use xdhcpd_tests::lab::INTERFACE;

use super::{Handle, Plan, Starting, unix};
use crate::client::{BOUND, Client, FRESH, LEASE, PREFIX, SERVER, SUBNET, last};

const HEADER: &str = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context";

pub fn configuration(plan: &Plan, directory: &Path, threads: bool) -> String {
    let pools = [(FRESH, plan.fresh), (BOUND, plan.bound)].into_iter();
    let pools = pools.filter(|(_, count)| *count > 0);
    let pools: Vec<_> = pools
        .map(|(first, count)| format!(r#"{{"pool": "{first}-{}"}}"#, last(first, count)))
        .collect();
    let (leases, pools) = (directory.join("leases.csv"), pools.join(", "));
    format!(
        r#"{{"Dhcp4": {{
  "interfaces-config": {{"interfaces": ["{INTERFACE}"]}},
  "multi-threading": {{"enable-multi-threading": {threads}}},
  "lease-database": {{"type": "memfile", "persist": true, "name": "{}", "lfc-interval": 0}},
  "valid-lifetime": {LEASE}, "renew-timer": 1800, "rebind-timer": 3150,
  "authoritative": true,
  "subnet4": [{{
    "id": 1, "subnet": "{SUBNET}/{PREFIX}", "pools": [{pools}],
    "option-data": [
      {{"name": "routers", "data": "{SERVER}"}},
      {{"name": "domain-name-servers", "data": "{SERVER}"}},
      {{"name": "domain-name", "data": "lab.example"}}]
  }}],
  "loggers": [
    {{"name": "kea-dhcp4", "output_options": [{{"output": "stdout"}}], "severity": "WARN"}},
    {{"name": "kea-dhcp4.dhcp4", "output_options": [{{"output": "stdout"}}], "severity": "INFO"}}]
}}}}
"#,
        leases.display()
    )
}

pub(super) fn start(starting: &Starting<'_>, threads: bool) -> Result<(Handle, u64)> {
    let Starting {
        plan, directory, ..
    } = starting;
    let config = starting.write("kea.json", &configuration(plan, directory, threads))?;
    if plan.bound > 0 {
        starting.write("leases.csv", &leases(plan.bound))?;
    }
    let mut command = starting.command("kea-dhcp4")?;
    command.arg("-c").arg(&config);
    command.env("KEA_PIDFILE_DIR", directory);
    command.env("KEA_LOCKFILE_DIR", directory);
    starting.peer(command, |process| {
        process.log().contains("DHCP4_STARTED").then_some(())
    })
}

fn leases(count: u32) -> String {
    let (mut text, expire) = (format!("{HEADER}\n"), unix() + u64::from(LEASE));
    for client in (0..count).map(Client) {
        let mac = client.mac().map(|byte| format!("{byte:02x}")).join(":");
        let address = client.address();
        let _ = writeln!(text, "{address},{mac},01:{mac},{LEASE},{expire},1,0,0,,0,");
    }
    text
}
