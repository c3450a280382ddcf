//! Machines that boot from the network: QEMU without acceleration, with real firmware.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::namespace::Namespace;
use crate::process::{self, Process};

const OVMF: &str = "/usr/share/OVMF";
/// Enough for every firmware and the small programs that tests boot.
const MEMORY_MB: &str = "192";

/// What is in a machine's flash memory, and how it boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS with the iPXE ROM of the network card.
    Bios,
    /// EDK2, by PXE.
    UefiPxe,
    /// EDK2, by HTTP.
    UefiHttp,
}

/// Switched off on drop.
pub struct Machine {
    process: Process,
}

impl Machine {
    /// Switches one on, plugged into `bridge` of the namespace `switch` by an interface that is
    /// named after it. What it prints on its serial console goes to `serial` in `directory`.
    pub fn start(
        firmware: Firmware,
        switch: &Namespace,
        bridge: &str,
        (name, mac): (&str, [u8; 6]),
        directory: &Path,
    ) -> Result<Self> {
        switch.ip(&format!("tuntap add dev {name} mode tap"))?;
        switch.ip(&format!("link set dev {name} master {bridge} up"))?;
        let mut command = switch.command("qemu-system-x86_64");
        // Without graphics, SeaBIOS and iPXE print on the serial console.
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-machine",
            "q35,accel=tcg,graphics=off",
        ]);
        command.args(["-m", MEMORY_MB, "-display", "none", "-monitor", "none"]);
        command
            .arg("-serial")
            .arg(format!("file:{}", serial(directory).display()));
        command.args([
            "-netdev",
            &format!("tap,id=lan,ifname={name},script=no,downscript=no"),
        ]);
        boot(&mut command, firmware, mac, directory)?;
        let process = Process::start(name, &mut command, &directory.join("qemu.log"))?;
        Ok(Self { process })
    }

    /// Waits until it has printed this.
    pub fn wait_serial(&mut self, text: &str, directory: &Path, limit: Duration) -> Result<()> {
        let what = format!(
            "{} to print {text:?} on its serial console",
            self.process.name()
        );
        let waited = self.process.wait_for(&what, limit, |_| {
            Ok(read_serial(directory).contains(text).then_some(()))
        });
        waited.with_context(|| format!("it printed:\n{}", read_serial(directory)))
    }
}

/// All that it printed so far, without the sequences that move a terminal's cursor.
pub fn read_serial(directory: &Path) -> String {
    let bytes = fs::read(serial(directory)).unwrap_or_default();
    plain(&String::from_utf8_lossy(&bytes))
}

/// Makes a program for machines from its source; `message` is what it prints.
pub fn assemble(source: &Path, message: &str, to: &Path) -> Result<()> {
    let mut command = Command::new("nasm");
    command.args(["-f", "bin", "-D", &format!("MESSAGE='{message}'"), "-o"]);
    process::output(command.arg(to).arg(source))?;
    Ok(())
}

fn serial(directory: &Path) -> PathBuf {
    directory.join("serial")
}

fn boot(command: &mut Command, firmware: Firmware, mac: [u8; 6], directory: &Path) -> Result<()> {
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    let card = format!("virtio-net-pci,netdev=lan,mac={mac},bootindex=1");
    if firmware == Firmware::Bios {
        command.args(["-device", &card]);
        return Ok(());
    }
    let variables = directory.join("variables");
    fs::copy(format!("{OVMF}/OVMF_VARS_4M.fd"), &variables)
        .context("the Debian package ovmf is not installed")?;
    let flash = [
        (format!("{OVMF}/OVMF_CODE_4M.fd"), "on"),
        (variables.display().to_string(), "off"),
    ];
    for (unit, (file, readonly)) in flash.iter().enumerate() {
        let drive = format!("if=pflash,format=raw,unit={unit},readonly={readonly},file={file}");
        command.args(["-drive", &drive]);
    }
    // Without the ROM of the card, so that the firmware's own network code is at work.
    command.args([
        "-device",
        &format!("{card},romfile="),
        "-device",
        "virtio-rng-pci",
    ]);
    let pxe = if firmware == Firmware::UefiPxe {
        "yes"
    } else {
        "no"
    };
    for (name, value) in [("IPv4PXESupport", pxe), ("IPv6PXESupport", "no")] {
        command.args([
            "-fw_cfg",
            &format!("name=opt/org.tianocore/{name},string={value}"),
        ]);
    }
    Ok(())
}

/// Without escape sequences: `ESC [ ... letter`.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| c.is_ascii_alphabetic());
        plain.push_str(end.map_or("", |end| &piece[end + 1..]));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminals_sequences_are_left_out() {
        assert_eq!(plain("\x1b[2J\x1b[01;01Hhello \x1b[0mworld"), "hello world");
        assert_eq!(plain("cut \x1b[0"), "cut ");
    }
}
