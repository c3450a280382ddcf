//! Building xdhcpd and xdhcpctl.

use std::process::Command;

use anyhow::Result;
use xdhcpd_tests::Binaries;

use crate::build_ebpf;
use crate::paths;
use crate::progress::step;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Debug,
    Release,
}

/// The XDP program, and the daemon with it inside.
pub(crate) fn build_all() -> Result<()> {
    build_ebpf::build()?;
    build(Profile::Release)
}

pub(crate) fn build(profile: Profile) -> Result<()> {
    let mut command = Command::new(paths::cargo());
    command
        .current_dir(paths::root())
        .args(["build", "--package", "dhcp-userspace", "--bins"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    step("building xdhcpd and xdhcpctl", &mut command)
}

/// Where [`build`] has put them.
pub(crate) fn binaries(profile: Profile) -> Result<Binaries> {
    let directory = match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    };
    Binaries::in_directory(&paths::target().join(directory))
}
