//! Machines that boot from the network, with xdhcpd alone to give them addresses and files.

mod common;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use common::books;
use common::site::PATIENCE;
use dhcp_userspace::config::model::FileService;
use dhcp_userspace::netboot::Netboot;
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::qemu::{self, Firmware, Machine};
use xdhcpd_tests::{Binaries, Daemon, Lab};

fn lab() -> Result<(Lab, Daemon, Netboot)> {
    common::root();
    let lab = Lab::new(0)?;
    let root = lab.directory("boot")?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("netboot");
    qemu::assemble(
        &source.join("hello.nasm"),
        "hello from the BIOS program",
        &root.join("hello.0"),
    )?;
    qemu::assemble(
        &source.join("hello-efi.nasm"),
        "hello from UEFI by TFTP",
        &root.join("tftp.efi"),
    )?;
    qemu::assemble(
        &source.join("hello-efi.nasm"),
        "hello from UEFI by HTTP",
        &root.join("http.efi"),
    )?;
    fs::write(
        root.join("boot.ipxe"),
        format!("#!ipxe\necho the script is at work\nchain http://{SERVER}/hello.0\n"),
    )?;
    let yaml = format!("\
interfaces: [{INTERFACE}]
server: {{state_dir: @DIR@/state, control_socket: @DIR@/control.sock}}
fast_path: {{mode: native, pin_dir: {}/xdhcpd}}
subnets:
  - subnet: 10.77.0.0/16
    pools: [10.77.1.0-10.77.1.255]
    boot: {{next-server: {SERVER}}}
    reservations:
      - {{mac: '52:54:00:00:00:01', address: 10.77.0.11, boot: {{file: boot.ipxe}}}}
      - {{mac: '52:54:00:00:00:02', address: 10.77.0.12, boot: {{file: tftp.efi}}}}
      - {{mac: '52:54:00:00:00:03', address: 10.77.0.13, boot: {{file: 'http://{SERVER}/http.efi'}}, options: {{vendor-class-identifier: HTTPClient}}}}
", lab.bpffs().display());
    let directory = lab.directory("xdhcpd")?;
    let daemon = Daemon::start(&Binaries::find()?, &lab.server, &directory, &yaml)?;
    let netboot = lab.server.enter(|| {
        let netboot = Netboot::default();
        let config = FileService {
            root,
            tftp: Some("0.0.0.0:69".parse().unwrap()),
            http: Some("0.0.0.0:80".parse().unwrap()),
            max_transfers: 100,
        };
        netboot.apply(Some(&config)).map(|()| netboot)
    })??;
    Ok((lab, daemon, netboot))
}

fn boot(firmware: Firmware, n: u8, text: &str) -> Result<()> {
    let (lab, daemon, netboot) = lab()?;
    let dir = lab.directory("machine")?;
    let start = std::time::Instant::now();
    let mut machine = Machine::start(
        firmware,
        &lab.switch,
        "br0",
        ("machine0", [0x52, 0x54, 0, 0, 0, n]),
        &dir,
    )?;
    let r = machine.wait_serial(text, &dir, PATIENCE);
    println!("{:?}\n{}", start.elapsed(), qemu::read_serial(&dir));
    println!("{:#?}", netboot.report());
    println!("{}", daemon.ctl_text(&["status"])?);
    r
}

#[test]
fn ipxe() -> Result<()> {
    boot(Firmware::Bios, 1, "hello from the BIOS program")
}
#[test]
fn uefi_pxe() -> Result<()> {
    boot(Firmware::UefiPxe, 2, "hello from UEFI by TFTP")
}
#[test]
fn uefi_http() -> Result<()> {
    boot(Firmware::UefiHttp, 3, "hello from UEFI by HTTP")
}
