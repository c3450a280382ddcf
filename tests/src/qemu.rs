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
    serial: PathBuf,
}

impl Machine {
    /// Switches one on, with its cable in `bridge` of the namespace `switch`. Its port there has
    /// its name; its files are in `directory`.
    pub fn start(
        firmware: Firmware,
        (name, mac): (&str, [u8; 6]),
        (switch, bridge): (&Namespace, &str),
        directory: &Path,
    ) -> Result<Self> {
        switch.ip(&format!("tuntap add dev {name} mode tap"))?;
        switch.ip(&format!("link set dev {name} master {bridge} up"))?;
        let serial = directory.join("serial");
        let mut command = switch.command("qemu-system-x86_64");
        // Without graphics, SeaBIOS and iPXE print on the serial console.
        let machine = "q35,accel=tcg,graphics=off";
        command.args(["-nodefaults", "-no-user-config", "-machine", machine]);
        command.args(["-m", MEMORY_MB, "-display", "none", "-monitor", "none"]);
        command
            .arg("-serial")
            .arg(format!("file:{}", serial.display()));
        let cable = format!("tap,id=lan,ifname={name},script=no,downscript=no");
        command.args(["-netdev", &cable]);
        boot(&mut command, firmware, mac, directory)?;
        let process = Process::start(name, &mut command, &directory.join("qemu.log"))?;
        Ok(Self { process, serial })
    }

    /// Waits until it has printed this; a failure shows what it did print.
    pub fn wait_serial(&mut self, text: &str, limit: Duration) -> Result<()> {
        let name = self.process.name();
        let what = format!("{name} to print {text:?} on its serial console");
        let serial = &self.serial;
        let waited = self.process.wait_for(&what, limit, |_| {
            Ok(read(serial).contains(text).then_some(()))
        });
        waited.with_context(|| format!("it printed:\n{}", self.serial()))
    }

    /// All that it printed so far, without the sequences that move a terminal's cursor.
    pub fn serial(&self) -> String {
        read(&self.serial)
    }
}

/// Makes a program for machines from its source; `message` is what it prints.
pub fn assemble(source: &Path, message: &str, to: &Path) -> Result<()> {
    let mut command = Command::new("nasm");
    command.args(["-f", "bin", "-D", &format!("MESSAGE='{message}'"), "-o"]);
    process::output(command.arg(to).arg(source))?;
    Ok(())
}

fn read(serial: &Path) -> String {
    let bytes = fs::read(serial).unwrap_or_default();
    plain(&String::from_utf8_lossy(&bytes))
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

/// Without escape sequences (`ESC [ ... letter`) and what else moves the cursor.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| c.is_ascii_alphabetic());
        plain.push_str(end.map_or("", |end| &piece[end + 1..]));
    }
    plain.retain(|c| c == '\n' || !c.is_control());
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminals_sequences_are_left_out() {
        let text = "\x1b[2J\x1b[01;01Hhello \x1b[0mworld\x08\r\n";
        assert_eq!(plain(text), "hello world\n");
        assert_eq!(plain("cut \x1b[0"), "cut ");
    }
}
