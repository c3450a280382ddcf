//! Machines that boot from the network, with xdhcpd alone to give them files, and addresses unless
//! another server does.
//!
//! With `XDHCPD_TEST_LOGS` set to a directory, what each machine printed, what the server told of
//! it and how long it took are kept there.

mod common;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::books;
use common::files;
use dhcp_userspace::clock::{Now, SECOND};
use dhcp_userspace::netboot::report::Protocol;
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::{Binaries, Daemon, Firmware, Lab, Machine, Process, qemu};

/// The firmware is emulated, which on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(180);

const BIOS: &str = "hello from a BIOS program";
const UEFI_TFTP: &str = "hello from a UEFI program by TFTP";
const UEFI_HTTP: &str = "hello from a UEFI program by HTTP";

/// What a subnet says that gives addresses.
const ADDRESSES: &str = "    pools: [10.77.1.0-10.77.1.255]";
const PROXY: &str = "    proxy: true";
const MENU: &str = "    pools: [10.77.1.0-10.77.1.255]
    boot: {menu: {prompt: Choose, timeout: 3s, items: [{text: Payload, file: tftp.efi}, {text: Disk}]}}";

struct Site {
    events: Process,
    daemon: Daemon,
    /// Gives the addresses where xdhcpd does not.
    other: Option<Process>,
    lab: Lab,
}

impl Site {
    /// `first` is what UEFI machines fetch by TFTP.
    fn new(first: &str) -> Result<Self> {
        Self::with(Lab::new(0)?, first, ADDRESSES)
    }

    /// Beside a dnsmasq that knows nothing of booting.
    fn beside_another_server(first: &str) -> Result<Self> {
        let lab = Lab::new(1)?;
        let other = dnsmasq(&lab)?;
        let site = Self::with(lab, first, PROXY)?;
        Ok(Self {
            other: Some(other),
            ..site
        })
    }

    fn with(lab: Lab, first: &str, subnet: &str) -> Result<Self> {
        common::root();
        programs(&files::root(&lab)?)?;
        let directory = lab.directory("xdhcpd")?;
        let daemon = Daemon::start(
            &Binaries::find()?,
            &lab.server,
            &directory,
            &yaml(&lab, first, subnet),
        )?;
        let log = lab.directory("events")?.join("log");
        let events = Process::start("xdhcpctl", daemon.ctl_command().arg("events"), &log)?;
        Ok(Self {
            events,
            daemon,
            other: None,
            lab,
        })
    }

    /// Switches a machine on, and waits until it prints `text`.
    fn boot(&self, name: &str, firmware: Firmware, text: &str) -> Result<()> {
        let mac = [0x52, 0x54, 0, 0, 0, 1];
        let directory = self.lab.directory("machine")?;
        let plug = (&self.lab.switch, "br0");
        let begin = Now::read().boot;
        let mut machine = Machine::start(firmware, ("machine", mac), plug, &directory)?;
        let booted = machine.wait_serial(text, PATIENCE);
        let took = (Now::read().boot - begin) as f64 / SECOND as f64;
        self.keep(name, &format!("{}\n({took:.1} s)\n", machine.serial()))?;
        booted
    }

    fn keep(&self, name: &str, serial: &str) -> Result<()> {
        let Some(directory) = env::var_os("XDHCPD_TEST_LOGS").map(PathBuf::from) else {
            return Ok(());
        };
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("{name}.serial")), serial)?;
        let report = self.daemon.ctl_text(&["boot", "status"])?;
        let daemon = fs::read_to_string(self.daemon.directory().join("xdhcpd.log"))?;
        let other = self.other.as_ref().map(Process::log).unwrap_or_default();
        let server = format!("{}\n{daemon}\n{report}\n{other}\n", self.events.log());
        fs::write(directory.join(format!("{name}.server")), server)?;
        Ok(())
    }

    /// So many files went out whole, by TFTP and by HTTP, and so many addresses are leased: one
    /// for all stages of a machine.
    fn expect(&self, tftp: u64, http: u64, leases: u64) -> Result<()> {
        for (protocol, times) in [(Protocol::Tftp, tftp), (Protocol::Http, http)] {
            files::wait_totals(&self.daemon, protocol, |totals| totals.complete == times)?;
        }
        let status = self.daemon.ctl(&["status"])?;
        // A state that no lease has is not told.
        let bound = status["leases"]["bound"].as_u64().unwrap_or(0);
        ensure!(bound == leases, "{bound} leases instead of {leases}");
        Ok(())
    }
}

/// At the client's port of the switch.
fn dnsmasq(lab: &Lab) -> Result<Process> {
    let host = &lab.clients[0];
    host.ip(&format!("address add 10.77.0.2/16 dev {INTERFACE}"))?;
    let directory = lab.directory("dnsmasq")?;
    let mut command = host.command("dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0"]);
    command.args(["--no-ping", "--log-dhcp", "--log-facility=-", "--user=root"]);
    command.arg("--dhcp-range=10.77.1.0,10.77.1.255,255.255.0.0,1h");
    command.arg(format!("--interface={INTERFACE}"));
    for (option, file) in [("dhcp-leasefile", "leases"), ("pid-file", "pid")] {
        let path = directory.join(file);
        command.arg(format!("--{option}={}", path.display()));
    }
    let mut process = Process::start("dnsmasq", &mut command, &directory.join("log"))?;
    process.wait_for_line("IP range", 0, PATIENCE)?;
    Ok(process)
}

/// Puts what the machines boot below the root.
fn programs(root: &Path) -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("netboot");
    let (bios, uefi) = (sources.join("hello.nasm"), sources.join("hello-efi.nasm"));
    qemu::assemble(&bios, BIOS, &root.join("hello.0"))?;
    qemu::assemble(&uefi, UEFI_TFTP, &root.join("tftp.efi"))?;
    qemu::assemble(&uefi, UEFI_HTTP, &root.join("http.efi"))?;
    fs::copy("/usr/lib/ipxe/snponly.efi", root.join("snponly.efi"))
        .context("the Debian package ipxe is not installed")?;
    let script = format!(
        "\
#!ipxe
echo this is the script
iseq ${{platform}} efi && chain http://{SERVER}/http.efi || chain http://{SERVER}/hello.0
"
    );
    Ok(fs::write(root.join("boot.ipxe"), script)?)
}

/// One configuration for all machines. Every iPXE gets the script, whatever started it.
fn yaml(lab: &Lab, first: &str, subnet: &str) -> String {
    let bpffs = lab.bpffs().display();
    format!(
        "\
interfaces: [{INTERFACE}]
server: {{state_dir: @DIR@/state, control_socket: @DIR@/control.sock}}
fast_path: {{mode: native, pin_dir: {bpffs}/xdhcpd}}
boot: {{root: @DIR@/boot}}
classes:
  - {{name: uefi-x64, boot: {{file: '{first}'}}}}
  - {{name: uefi-http-x64, boot: {{file: http.efi}}}}
  - {{name: ipxe, boot: {{file: boot.ipxe}}}}
subnets:
  - subnet: 10.77.0.0/16
{subnet}
"
    )
}

/// The script by TFTP, and the program that it names by HTTP.
#[test]
fn ipxe_in_a_bios_machine_boots_by_a_script() -> Result<()> {
    let site = Site::new("tftp.efi")?;
    site.boot("ipxe", Firmware::Bios, BIOS)?;
    site.expect(1, 1, 1)
}

#[test]
fn uefi_boots_by_tftp() -> Result<()> {
    let site = Site::new("tftp.efi")?;
    site.boot("uefi-pxe", Firmware::UefiPxe, UEFI_TFTP)?;
    site.expect(1, 0, 1)
}

#[test]
fn uefi_boots_by_http() -> Result<()> {
    let site = Site::new("tftp.efi")?;
    site.boot("uefi-http", Firmware::UefiHttp, UEFI_HTTP)?;
    site.expect(0, 1, 1)
}

/// The firmware fetches iPXE, and iPXE, which asks again, the script: not itself for ever.
#[test]
fn uefi_boots_by_ipxe_that_it_fetched() -> Result<()> {
    let site = Site::new("snponly.efi")?;
    site.boot("uefi-ipxe", Firmware::UefiPxe, UEFI_HTTP)?;
    site.expect(2, 1, 1)
}

/// The address from one server, the file from the other.
#[test]
fn beside_another_server_ipxe_boots_by_a_script() -> Result<()> {
    let site = Site::beside_another_server("tftp.efi")?;
    site.boot("proxy-ipxe", Firmware::Bios, BIOS)?;
    site.expect(1, 1, 0)
}

#[test]
fn beside_another_server_uefi_boots_by_tftp() -> Result<()> {
    let site = Site::beside_another_server("tftp.efi")?;
    site.boot("proxy-uefi", Firmware::UefiPxe, UEFI_TFTP)?;
    site.expect(1, 0, 0)
}

#[test]
fn beside_another_server_uefi_boots_by_http() -> Result<()> {
    let site = Site::beside_another_server("tftp.efi")?;
    site.boot("proxy-http", Firmware::UefiHttp, UEFI_HTTP)?;
    site.expect(0, 1, 0)
}

/// Nobody presses a key: the firmware takes the first item, and asks on port 4011 where it is.
#[test]
fn uefi_boots_what_the_menu_has_first() -> Result<()> {
    let site = Site::with(Lab::new(0)?, "", MENU)?;
    site.boot("uefi-menu", Firmware::UefiPxe, UEFI_TFTP)?;
    site.expect(1, 0, 1)?;
    let told = books::replies(&site.daemon, "proxy")?;
    ensure!(told > 0, "no answer on port 4011");
    Ok(())
}
