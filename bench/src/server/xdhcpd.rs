//! This server: records on disk before each answer, the program native.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use dhcp_userspace::clock::{Now, SECOND, boot_id};
use dhcp_userspace::journal::{Disk, Kind, Log, Record, Settings};
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::{Daemon, process};

use super::{Handle, Plan, Starting, slow};
use crate::client::{BOUND, Client, FRESH, LEASE, PREFIX, SERVER, SUBNET, last};
use crate::time::now;

/// Records that are synced together.
const BATCH: u32 = 10_000;

pub fn configuration(plan: &Plan, bpffs: &Path) -> String {
    let pools = [(FRESH, plan.fresh), (BOUND, plan.bound)].into_iter();
    let pools = pools.filter(|(_, count)| *count > 0);
    let pools: Vec<_> = pools
        .map(|(first, count)| format!("{first}-{}", last(first, count)))
        .collect();
    format!(
        "\
interfaces: [{INTERFACE}]
server: {{state_dir: @DIR@/state, control_socket: @DIR@/control.sock}}
fast_path: {{mode: native, pin_dir: {}/xdhcpd}}
defaults: {{lease_time: {LEASE}s}}
subnets:
  - subnet: {SUBNET}/{PREFIX}
    pools: [{}]
    options: {{routers: [{SERVER}], domain-name-servers: [{SERVER}], domain-name: lab.example}}
",
        bpffs.display(),
        pools.join(", ")
    )
}

pub(super) fn start(starting: &Starting<'_>) -> Result<(Handle, u64)> {
    let Starting {
        site,
        programs,
        plan,
        directory,
    } = starting;
    load(&directory.join("state"), plan.bound)?;
    let yaml = configuration(plan, site.lab.bpffs());
    let (binaries, server) = (&programs.binaries, &site.lab.server);
    let began = now();
    let daemon = Daemon::start_under(binaries, server, directory, &yaml, slow(plan))?;
    Ok((Handle::Xdhcpd(Box::new(daemon)), now() - began))
}

/// Ends it and takes its program off the interface.
pub(super) fn stop(daemon: &mut Daemon) -> Result<()> {
    daemon.terminate()?;
    let config = daemon.directory().join("dhcp.yaml");
    let mut detach = daemon.ctl_command();
    process::output(detach.args(["fastpath", "detach", "--config"]).arg(config))?;
    Ok(())
}

/// Writes the journal of a server that has given so many leases.
fn load(state: &Path, leases: u32) -> Result<()> {
    let path = state.join("journal");
    std::fs::create_dir_all(&path)?;
    let (disk, now) = (Arc::new(Disk::open(&path)?), Now::read());
    let (mut log, _) = Log::open(disk, Settings::default(), now, boot_id()?)?;
    for number in 0..leases {
        log.append(&record(Client(number), now), now)?;
        if number % BATCH == 0 {
            log.sync()?;
        }
    }
    log.sync()?;
    // As a daemon has one ready whenever it ends.
    Ok(log.upkeep().prepare(now)?)
}

fn record(client: Client, now: Now) -> Record {
    let mac = client.mac();
    Record {
        address: client.address(),
        kind: Kind::Bound,
        mac,
        reserved_until: now.boot + u64::from(LEASE) * SECOND * 5 / 2,
        since: now.unix,
        client_id: [&[1][..], &mac].concat(),
        hostname: Vec::new(),
        relay_agent: Vec::new(),
    }
}
