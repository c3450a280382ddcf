//! Two daemons that are started on one state directory at the same moment: one serves, the other is refused and
//! disturbs nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xdhcpd_tests::{Binaries, Campaign, Namespace, Process, wait_until};

use super::site::{Site, lab, yaml};
use crate::common::faults::LIMIT;

const REFUSALS: [&str; 3] = [
    "two servers cannot share a state_dir",
    "UDP port 67",
    "another xdhcpd listens on",
];

#[test]
fn two_that_start_at_once() -> Result<()> {
    let (lab, campaign) = (lab()?, Campaign::from_env());
    let mut site = Site::new(&lab, campaign)?.reloading(&yaml(&lab, "native"));
    let (mut rounds, elsewhere) = (0, Namespace::new("elsewhere")?);
    let fault = "two daemons started on one state directory at the same moment";
    site.strike(
        &format!("{fault}, in one network namespace"),
        (1, 20),
        |site| {
            rounds += 1;
            race(site, rounds, &site.lab.server.path())
        },
    )?;
    site.strike(&format!("{fault}, in two"), (1, 40), |site| {
        rounds += 1;
        race(site, rounds, &elsewhere.path())
    })?;
    site.end()
}

struct Twin {
    process: Process,
    won: bool,
}

/// After the winner, the daemon of the site is started again.
fn race(site: &mut Site<'_>, round: u64, other: &Path) -> Result<()> {
    site.daemon.kill();
    let places = [site.lab.server.path(), other.to_owned()];
    let mut twins = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let log = site
            .lab
            .directory("twins")?
            .join(format!("{round}-{number}"));
        let process = spawn(site.daemon.directory(), place, &log)?;
        twins.push(Twin {
            process,
            won: false,
        });
    }
    wait_until("both to have started or ended", LIMIT, || {
        let settled = twins.iter_mut().map(Twin::settled);
        let settled = settled.collect::<Result<Vec<_>>>()?;
        Ok(settled.iter().all(|settled| *settled).then_some(()))
    })?;
    judge(site, &mut twins)?;
    drop(twins);
    site.daemon.restart()?;
    site.wait_mode("native")
}

fn judge(site: &Site<'_>, twins: &mut [Twin]) -> Result<()> {
    let logs: Vec<_> = twins.iter().map(|twin| twin.process.log()).collect();
    let winners = twins.iter().filter(|twin| twin.won).count();
    ensure!(winners == 1, "{winners} of two serve: {logs:#?}");
    for twin in twins.iter_mut().filter(|twin| !twin.won) {
        let (status, said) = (twin.process.exit_status()?, twin.process.log());
        let status = status.context("it has ended")?;
        let reason = REFUSALS.iter().any(|reason| said.contains(reason));
        ensure!(status.code() == Some(1) && reason, "{status}: {said}");
    }
    let answer = site.daemon.ctl(&["status"]);
    answer.with_context(|| format!("the winner cannot be asked: {logs:#?}"))?;
    Ok(())
}

impl Twin {
    fn settled(&mut self) -> Result<bool> {
        let ended = self.process.exit_status()?.is_some();
        self.won = !ended && self.process.log().contains("ready");
        Ok(ended || self.won)
    }
}

fn spawn(directory: &Path, namespace: &Path, log: &Path) -> Result<Process> {
    let mut command = std::process::Command::new("nsenter");
    command
        .arg(format!("--net={}", namespace.display()))
        .arg("--");
    let config: PathBuf = directory.join("dhcp.yaml");
    command.arg(Binaries::find()?.xdhcpd());
    Process::start("xdhcpd", command.arg("--config").arg(config), log)
}
