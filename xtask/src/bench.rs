//! `cargo xtask bench`: this server, its peers and the bare limit, in one run; and what an answer costs in the kernel.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::build_ebpf;
use crate::daemon::{self, Profile};
use crate::packages;
use crate::paths;
use crate::privileges;
use crate::progress::step;

#[derive(Args)]
pub(crate) struct Options {
    /// One round, within three minutes once everything is built.
    #[arg(long)]
    quick: bool,
    /// Rounds of which the median counts; without it five, or one with --quick.
    #[arg(long)]
    rounds: Option<u32>,
    /// Only these works: kernel, start, renew, loop, steady, alone, bind, slow-bind, mixed, storm,
    /// reboot, check, cost.
    #[arg(long, value_delimiter = ',')]
    work: Vec<String>,
    /// Only these servers: xdhcpd, kea-mt, kea-st, dhcpd, dnsmasq, limit.
    #[arg(long, value_delimiter = ',')]
    server: Vec<String>,
    /// Write what was measured to docs/performance/: tables, configurations, pictures.
    #[arg(long)]
    write: bool,
}

/// What an answer costs by itself, which is no work of a server.
const COST: &str = "cost";

pub(crate) fn bench(options: &Options) -> Result<()> {
    if !privileges::is_root() {
        bail!("namespaces and BPF want root: sudo -E cargo xtask bench");
    }
    packages::ensure(&[packages::LAB, packages::FAULTS])?;
    // Without a peer the others are measured, and the one that is missing is named.
    if let Err(error) = packages::ensure(&[packages::BENCH]) {
        eprintln!("{error:#}");
    }
    build_ebpf::build()?;
    let all = options.work.is_empty() && !options.quick;
    if all || options.work.iter().any(|work| work == COST) {
        cost()?;
    }
    if options.work != [COST] {
        servers(options)?;
    }
    Ok(())
}

fn servers(options: &Options) -> Result<()> {
    daemon::build(Profile::Release)?;
    step("building the bench", &mut cargo("build", BENCH))?;
    let mut run = Command::new(paths::target().join("release").join(BENCH[1]));
    run.arg("--json").arg(json());
    run.arg("--object").arg(paths::bench_object());
    run.arg("--binaries").arg(paths::target().join("release"));
    if options.quick {
        run.arg("--quick");
    }
    if let Some(rounds) = options.rounds {
        run.args(["--rounds", &rounds.to_string()]);
    }
    for work in options.work.iter().filter(|work| *work != COST) {
        run.args(["--work", work]);
    }
    for server in &options.server {
        run.args(["--server", server]);
    }
    if options.write {
        run.arg("--plots")
            .arg(paths::root().join("docs/performance"));
    }
    finish(&mut run)
}

/// By `BPF_PROG_TEST_RUN`, without any cable.
fn cost() -> Result<()> {
    step(
        "building the bench of one answer",
        &mut cargo("build", COSTS),
    )?;
    let mut run = cargo("run", COSTS);
    finish(run.arg("--").arg(paths::bench_object()))
}

fn json() -> PathBuf {
    paths::target().join("bench/bench.json")
}

const BENCH: &[&str] = &["--package", "xdhcpd-bench"];
const COSTS: &[&str] = &["--package", "xdhcpd-tests", "--example", "kernel_cost"];

fn cargo(task: &str, what: &[&str]) -> Command {
    let mut command = Command::new(paths::cargo());
    command.current_dir(paths::root());
    command.args([task, "--quiet", "--release"]).args(what);
    command
}

fn finish(run: &mut Command) -> Result<()> {
    let status = run.status()?;
    if !status.success() {
        bail!("the bench ended with {status}");
    }
    Ok(())
}
