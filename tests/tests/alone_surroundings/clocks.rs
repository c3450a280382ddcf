//! The wall clock, set a day forward and back: while the daemon runs and while it does not, in the same boot and
//! over a reboot. Leases end on `CLOCK_BOOTTIME`, which nobody can set. The long form reboots under load too, the
//! short one only when all is quiet.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::{Binaries, Campaign, Lab, process};

use super::site::{POOL, Site, lab, yaml};
use crate::common::faults::{crash, wrapped};
use crate::common::raw_client::RawClient;

const DAY: i64 = 86_400;

/// The wall clock is what a file says; a reboot gives the machine another boot id.
const MACHINE: &str =
    "LD_PRELOAD='@LIB@' FAKETIME_TIMESTAMP_FILE=@CLOCK@ FAKETIME_CACHE_DURATION=1 \
    FAKETIME_DONT_FAKE_MONOTONIC=1
export LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_CACHE_DURATION FAKETIME_DONT_FAKE_MONOTONIC
exec unshare --mount sh -ec \
    'mount --bind @ID@ /proc/sys/kernel/random/boot_id; exec \"$@\"' sh \"$XDHCPD\" \"$@\"";

#[test]
fn a_clock_that_is_set() -> Result<()> {
    let (lab, campaign) = (lab()?, Campaign::from_env());
    let mut machine = Machine::new(&lab)?;
    // Room for all that vanish: after a reboot their leases last as long as any promise.
    let config = yaml(&lab, "native").replace(POOL, "10.77.2.0-10.77.65.255");
    let mut site = Site::with(&lab, campaign, &machine.binaries, &config)?.reloading(&config);
    let steps: &[i64] = match campaign.is_long() {
        true => &[DAY, 0, -DAY, 0],
        false => &[DAY, -DAY],
    };
    let fault = "wall clock set a day forward and back while it runs";
    site.strike(fault, (1, 10), |site| {
        for to in steps.iter().copied() {
            machine.set_and_hear(site, to)?;
            site.goes_on()?;
            site.verify()?;
        }
        Ok(())
    })?;
    let fault = "wall clock set a day forward and back while it is dead";
    site.strike(fault, (1, 10), |site| {
        for to in steps.iter().copied() {
            site.daemon.kill();
            machine.set(to)?;
            site.daemon.restart()?;
            site.goes_on()?;
            site.verify()?;
        }
        Ok(())
    })?;
    let fault = "wall clock set a day forward and back, and a reboot each time";
    site.strike(fault, (0, 10), |site| {
        for to in steps.iter().copied() {
            machine.set_and_hear(site, to)?;
            crash(&mut site.daemon)?;
            machine.reboot()?;
            site.daemon.restart()?;
            site.goes_on()?;
            site.verify()?;
        }
        Ok(())
    })?;
    site.end_reloads()?;
    site.end_load()?;
    set_before_a_quiet_end(&mut site, &mut machine, campaign)
}

/// No lease is written between the setting of the clock and the reboot.
fn set_before_a_quiet_end(
    site: &mut Site<'_>,
    machine: &mut Machine,
    campaign: Campaign,
) -> Result<()> {
    let (steps, mut claims) = ([DAY, -DAY], 0);
    for to in steps {
        machine.set_and_hear(site, to)?;
        crash(&mut site.daemon)?;
        machine.reboot()?;
        site.daemon.restart()?;
        let verified = site.verify();
        claims += verified.with_context(|| format!("set to {to:+} s"))?;
    }
    let fault = "wall clock set a day forward or back, then a reboot before anything else happens";
    let checked = format!("{claims} leases asked about");
    campaign.tell(fault, steps.len(), &checked, 0, "-");
    Ok(())
}

struct Machine {
    binaries: Binaries,
    clock: PathBuf,
    boot_id: PathBuf,
    boots: u64,
    clients: u8,
}

impl Machine {
    fn new(lab: &Lab) -> Result<Self> {
        let directory = lab.directory("machine")?;
        let (clock, boot_id) = (directory.join("clock"), directory.join("boot_id"));
        let script = MACHINE
            .replace("@LIB@", &library()?.to_string_lossy())
            .replace("@CLOCK@", &clock.to_string_lossy())
            .replace("@ID@", &boot_id.to_string_lossy());
        let mut machine = Self {
            binaries: wrapped(&directory, &script)?,
            clock,
            boot_id,
            boots: 0,
            clients: 0,
        };
        machine.set(0)?;
        machine.reboot()?;
        Ok(machine)
    }

    fn set(&self, seconds: i64) -> Result<()> {
        let next = self.clock.with_extension("next");
        fs::write(&next, format!("{seconds:+}\n"))?;
        Ok(fs::rename(&next, &self.clock)?)
    }

    fn set_and_hear(&mut self, site: &mut Site<'_>, seconds: i64) -> Result<()> {
        let from = site.log_len();
        self.set(seconds)?;
        site.hear("the wall clock was set by", from)?;
        site.hear("the journal has the wall clock", from)?;
        // What is told of a later record shows that the earlier ones are on disk.
        self.clients += 1;
        RawClient::new(&site.lab.clients[1], INTERFACE, self.clients)?.bind()?;
        Ok(())
    }

    fn reboot(&mut self) -> Result<()> {
        self.boots += 1;
        // The journal tells boots apart by the first half.
        let id = format!("{:08x}-1111-4222-8333-444444444444\n", self.boots);
        Ok(fs::write(&self.boot_id, id)?)
    }
}

/// For programs with threads, where `faketime` has it.
fn library() -> Result<PathBuf> {
    let mut faketime = std::process::Command::new(process::find("faketime")?);
    let environment = process::output(faketime.args(["-m", "-f", "+0", "env"]))?;
    let mut lines = environment.lines();
    let library = lines.find_map(|line| line.strip_prefix("LD_PRELOAD="));
    let library =
        library.and_then(|all| all.split([':', ' ']).find(|path| path.contains("faketime")));
    Ok(Path::new(library.context("no libfaketime")?).to_owned())
}
