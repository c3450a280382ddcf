//! Renewals go on while the daemon is killed, dead, started again, and exchanged for another build.

mod common;

use std::fs;
use std::thread;

use anyhow::Result;
use common::faults::{check_leases, config, fast_hits, leases, mode, start};
use common::fleet::{Fleet, Progress, Traffic};
use xdhcpd_tests::{Binaries, Daemon, Lab};

const CLIENTS: usize = 1_000;
const POOL: &str = "10.77.4.0-10.77.9.255";
const PER_SECOND: usize = 1_000;
const TRAFFIC: Traffic = Traffic {
    per_second: PER_SECOND as u32,
    count: 12 * PER_SECOND,
};

#[test]
fn no_renewal_is_lost_by_a_kill_in_native_mode() -> Result<()> {
    survives_kill("native")
}

#[test]
fn no_renewal_is_lost_by_a_kill_in_generic_mode() -> Result<()> {
    survives_kill("generic")
}

#[test]
fn no_renewal_is_lost_by_an_upgrade() -> Result<()> {
    let lab = Lab::new(1)?;
    let next = another_build(&lab)?;
    outlives("native", &lab, |daemon, config| {
        daemon.terminate()?;
        *daemon = Daemon::start(&next, &lab.server, daemon.directory(), config)?;
        Ok(())
    })
}

fn survives_kill(mode: &str) -> Result<()> {
    outlives(mode, &Lab::new(1)?, |daemon, _| {
        daemon.kill();
        Ok(())
    })
}

/// A fleet renews at a steady rate. After 2 s something ends the daemon, which 5 s later is
/// started again if it does not run.
fn outlives(
    wanted: &str,
    lab: &Lab,
    end: impl FnOnce(&mut Daemon, &str) -> Result<()>,
) -> Result<()> {
    common::root();
    let config = config(lab, wanted, POOL, "10m");
    let mut daemon = start(lab, &config)?;
    assert_eq!(mode(&daemon)?.0, wanted);
    let mut fleet = Fleet::new(lab, 0..CLIENTS)?;
    fleet.bind()?;
    let before = leases(&daemon)?;
    assert_eq!(before.len(), CLIENTS);
    check_leases(&fleet, &before)?;

    let progress = Progress::default();
    thread::scope(|scope| {
        let renewing = scope.spawn(|| fleet.renew(TRAFFIC, &progress));
        progress.wait(2 * PER_SECOND)?;
        end(&mut daemon, &config)?;
        progress.wait(7 * PER_SECOND)?;
        if daemon.process().exit_status()?.is_some() {
            daemon.restart()?;
        }
        renewing.join().expect("no panic")
    })?;

    let after = leases(&daemon)?;
    check_leases(&fleet, &after)?;
    assert_eq!(after.len(), before.len());
    for (address, lease) in &after {
        let old = &before[address];
        assert_eq!(
            (&lease.mac, lease.since),
            (&old.mac, old.since),
            "{address}"
        );
        assert!(
            lease.reserved_until >= old.reserved_until,
            "{lease:?} was {old:?}"
        );
    }
    assert_eq!(mode(&daemon)?.0, wanted);
    assert_eq!(fast_hits(&daemon)?, TRAFFIC.count as u64);
    Ok(())
}

/// The same program in another place.
fn another_build(lab: &Lab) -> Result<Binaries> {
    let directory = lab.directory("next")?;
    let current = Binaries::find()?;
    fs::copy(current.xdhcpd(), directory.join("xdhcpd"))?;
    fs::copy(current.xdhcpctl(), directory.join("xdhcpctl"))?;
    Binaries::in_directory(&directory)
}
