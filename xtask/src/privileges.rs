//! Root: what building does not need, and namespaces and BPF do.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, bail};
use xdhcpd_tests::process;

pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Goes on as root: where we are not, replaces this process by the same command under sudo, with
/// `--built` so that root builds nothing in the user's directories.
pub(crate) fn become_root() -> Result<()> {
    if is_root() {
        return Ok(());
    }
    if process::find("sudo").is_err() {
        bail!("namespaces and BPF want root, and there is no sudo: run this as root");
    }
    eprintln!("namespaces and BPF want root: asking sudo");
    let mut command = Command::new("sudo");
    command
        .arg("--")
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .arg("--built");
    Err(command.exec().into())
}
