//! `cargo xtask bench`: what an answer costs in the kernel.

use std::process::Command;

use anyhow::{Result, bail};

use crate::build_ebpf;
use crate::paths;
use crate::privileges;
use crate::progress::step;

pub(crate) fn bench() -> Result<()> {
    if !privileges::is_root() {
        bail!("loading BPF programs wants root: sudo -E cargo xtask bench");
    }
    build_ebpf::build()?;
    step("building the bench", &mut cargo("build"))?;
    let mut run = cargo("run");
    let status = run.arg("--").arg(paths::bench_object()).status()?;
    if !status.success() {
        bail!("the bench ended with {status}");
    }
    Ok(())
}

fn cargo(task: &str) -> Command {
    let mut command = Command::new(paths::cargo());
    command.current_dir(paths::root());
    command.args([task, "--quiet", "--release", "--package", "xdhcpd-tests"]);
    command.args(["--example", "kernel_cost"]);
    command
}
