//! Debian packages that something needs: installed where we may, named where we may not.

use std::process::Command;

use anyhow::{Result, bail};
use xdhcpd_tests::process;

use crate::privileges;
use crate::progress::step;

/// A program, or the path of another file, and the Debian package that it comes in.
pub(crate) type Need = (&'static str, &'static str);

pub(crate) const CLIENTS: &[Need] = &[
    ("dhclient", "isc-dhcp-client"),
    ("busybox", "busybox"),
    ("dhcpcd", "dhcpcd-base"),
];

pub(crate) const LAB: &[Need] = &[
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
];

/// A BOOTP client, and what reads messages as others do.
pub(crate) const TRANSACTIONS: &[Need] = &[("bootpc", "bootpc"), ("tshark", "tshark")];

pub(crate) const RELAY: &[Need] = &[("dhcrelay", "isc-dhcp-relay")];

/// What fetches boot files, and machines that boot from the network.
pub(crate) const NETBOOT: &[Need] = &[
    ("curl", "curl"),
    ("tftp", "tftp-hpa"),
    ("atftp", "atftp"),
    ("nasm", "nasm"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"),
    ("/usr/lib/ipxe/qemu/pxe-virtio.rom", "ipxe-qemu"),
    ("/usr/lib/ipxe/snponly.efi", "ipxe"),
];

/// The servers that this one is compared with.
pub(crate) const PEERS: &[Need] = &[
    ("kea-dhcp4", "kea-dhcp4-server"),
    ("dnsmasq", "dnsmasq-base"),
];

/// The servers that this one is measured with, and the generator that ours is compared with.
pub(crate) const BENCH: &[Need] = &[
    ("kea-dhcp4", "kea-dhcp4-server"),
    ("dhcpd", "isc-dhcp-server"),
    ("dnsmasq", "dnsmasq-base"),
    ("perfdhcp", "kea-admin"),
];

/// What makes system calls fail, and clocks step.
pub(crate) const FAULTS: &[Need] = &[("strace", "strace"), ("faketime", "faketime")];

/// What builds libFuzzer.
pub(crate) const FUZZ: &[Need] = &[("c++", "g++")];

/// What the systemd unit is checked with.
pub(crate) const SECURITY: &[Need] = &[("systemd-analyze", "systemd"), ("setpriv", "util-linux")];

/// Makes sure that the programs are there.
pub(crate) fn ensure(needs: &[&[Need]]) -> Result<()> {
    let missing = needs.iter().copied().flatten();
    let missing = missing.filter(|(program, _)| process::find(program).is_err());
    let packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() {
        Ok(())
    } else {
        install(&packages)
    }
}

/// Installs packages by apt as root; otherwise the error names the command that does.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !can_install() {
        bail!(
            "these Debian packages are missing: `apt-get install --no-install-recommends {names}`"
        );
    }
    step("refreshing the package lists", apt().arg("update"))?;
    let mut command = apt();
    command
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages);
    step(&format!("installing {names}"), &mut command)
}

pub(crate) fn can_install() -> bool {
    privileges::is_root() && process::find("apt-get").is_ok()
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    // Debian's pager and questions would wait for a person.
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .arg("--quiet");
    command.env_remove("LD_LIBRARY_PATH");
    command
}
