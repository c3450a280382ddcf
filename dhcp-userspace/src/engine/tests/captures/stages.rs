//! One machine from firmware to operating system: each stage has its own client identifier, or
//! none, and asks for itself; all get the same address.

use super::*;
use crate::captured;
use crate::clock::SECOND;
use crate::engine::EventKind;

fn boot(lab: &mut Lab, stages: &[&str]) -> Vec<(String, Ipv4Addr)> {
    let mut given = Vec::new();
    for stage in stages {
        for message in captured::of(stage) {
            if matches!(&*message.name, "discover" | "selecting") {
                given.push(((*stage).to_owned(), lab.answer(&message).yiaddr()));
            }
            lab.pass(SECOND);
        }
    }
    given
}

fn check(stages: &[&str]) {
    // Ten addresses: a client taken for another would get the next one.
    let mut lab = server(subnet("198.18.5.0/24", ("198.18.5.198", "198.18.5.207")));
    let given = boot(&mut lab, stages);
    assert!(given.len() >= 2 * stages.len());
    for (stage, address) in given {
        assert_eq!(address, ip("198.18.5.198"), "{stage}");
    }
    assert_eq!(lab.engine.leases().len(), 1);
    assert_eq!(lab.seen(EventKind::Nak), 0);
    assert_eq!(lab.engine.open_offers(), 0);
}

/// Client identifiers: the MAC in iPXE, NetworkManager and udhcpc; none in dhclient; a DUID of
/// type 2 in networkd and of type 1 in dhcpcd.
#[test]
fn bios_ipxe_and_linux_have_one_address() {
    for system in [
        "dhclient-bare",
        "networkd",
        "networkd-mac",
        "networkmanager",
        "udhcpc-unanswered",
        "dhcpcd-unanswered",
    ] {
        check(&["ipxe-bios", "ipxe-undionly", system]);
    }
}

#[test]
fn uefi_ipxe_and_linux_have_one_address() {
    for system in ["dhclient-bare", "networkd", "dhcpcd-unanswered", "klibc"] {
        check(&["ovmf-pxe", "ipxe-snponly", system]);
        check(&["ovmf-http", "ipxe-efi", "klibc", system]);
    }
    check(&["ovmf-pxe", "grub", "klibc", "networkd"]);
    check(&["aavmf-http", "aavmf-pxe", "networkd"]);
}

/// The stages of U-Boot, which looks for a script and then for an EFI program.
#[test]
fn the_stages_of_u_boot_have_one_address() {
    let mut lab = server(subnet("198.18.5.0/24", ("198.18.5.140", "198.18.5.149")));
    for (stage, address) in boot(&mut lab, &["u-boot-arm64", "u-boot-arm64-efi"]) {
        assert_eq!(address, ip("198.18.5.140"), "{stage}");
    }
    assert_eq!(lab.engine.leases().len(), 1);
}
