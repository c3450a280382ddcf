//! Every ready-made class against what netboots send.

use crate::class::ready;
use crate::class::testing::{matches_as, message, opt};

/// The ready-made classes of a request of a client without a reservation.
pub(super) fn classes(message: &[u8]) -> Vec<&'static str> {
    let is = |name: &str| matches_as(&ready::test(name).unwrap(), message, &[], false);
    ready::all()
        .iter()
        .map(|ready| ready.name)
        .filter(|name| is(name))
        .collect()
}

fn netboot(vendor_class: &str, arch: u16) -> Vec<u8> {
    let options = [
        opt(60, vendor_class.as_bytes()),
        opt(93, &arch.to_be_bytes()),
    ];
    message(&options.concat())
}

#[test]
fn firmware_that_boots_over_tftp() {
    let tftp = [
        (0, "bios"),
        (2, "uefi-itanium"),
        (6, "uefi-ia32"),
        (7, "uefi-x64"),
        (9, "uefi-x64"),
        (10, "uefi-arm32"),
        (11, "uefi-arm64"),
        (12, "open-firmware"),
        (13, "powerpc-epapr"),
        (14, "powerpc-opal"),
        (21, "u-boot-arm32"),
        (22, "u-boot-arm64"),
        (25, "uefi-riscv32"),
        (27, "uefi-riscv64"),
        (29, "uefi-riscv128"),
        (31, "s390"),
        (32, "s390"),
        (37, "uefi-loongarch32"),
        (39, "uefi-loongarch64"),
        (41, "rpiboot"),
    ];
    for (arch, name) in tftp {
        let class = format!("PXEClient:Arch:{arch:05}:UNDI:003000");
        assert_eq!(
            classes(&netboot(&class, arch)),
            [name, "pxe", "unknown"],
            "{arch}"
        );
        let http = netboot(&format!("HTTPClient:Arch:{arch:05}"), arch);
        assert_eq!(classes(&http), ["http-boot", "unknown"], "{arch}");
    }
}

#[test]
fn firmware_that_boots_over_http() {
    let http = [
        (15, "uefi-http-ia32"),
        (16, "uefi-http-x64"),
        (18, "uefi-http-arm32"),
        (19, "uefi-http-arm64"),
        (20, "bios-http"),
        (23, "u-boot-http-arm32"),
        (24, "u-boot-http-arm64"),
        (26, "uefi-http-riscv32"),
        (28, "uefi-http-riscv64"),
        (30, "uefi-http-riscv128"),
        (38, "uefi-http-loongarch32"),
        (40, "uefi-http-loongarch64"),
    ];
    for (arch, name) in http {
        let class = format!("HTTPClient:Arch:{arch:05}:UNDI:003000");
        assert_eq!(
            classes(&netboot(&class, arch)),
            [name, "http-boot", "unknown"],
            "{arch}"
        );
        let pxe = netboot(&format!("PXEClient:Arch:{arch:05}"), arch);
        assert_eq!(classes(&pxe), ["pxe", "unknown"], "{arch}");
    }
}

/// The vendor class decides where the firmware lists types for both.
#[test]
fn firmware_that_can_do_both() {
    let both = |class: &[u8]| message(&[opt(60, class), opt(93, &[0, 7, 0, 16])].concat());
    assert_eq!(classes(&both(b"PXEClient")), ["uefi-x64", "pxe", "unknown"]);
    assert_eq!(
        classes(&both(b"HTTPClient")),
        ["uefi-http-x64", "http-boot", "unknown"]
    );
}

#[test]
fn ipxe_by_either_sign() {
    let base = [opt(60, b"PXEClient:Arch:00007"), opt(93, &[0, 7])].concat();
    let with = |option: Vec<u8>| classes(&message(&[base.clone(), option].concat()));
    let ipxe = ["uefi-x64", "ipxe", "pxe", "unknown"];
    assert_eq!(with(opt(77, b"iPXE")), ipxe);
    assert_eq!(with(opt(77, b"\x04iPXE")), ipxe);
    assert_eq!(with(opt(175, &[0xb1, 5, 1, 0x1a, 0xf4, 0x10, 0])), ipxe);
    assert_eq!(with(opt(77, b"gPXE")), ["uefi-x64", "pxe", "unknown"]);
}

#[test]
fn others_by_their_vendor_class() {
    let of = |class: &[u8]| classes(&message(&opt(60, class)));
    assert_eq!(of(b"anaconda-Linux 6.1.0 x86_64"), ["anaconda", "unknown"]);
    assert_eq!(of(b"d-i"), ["debian-installer", "unknown"]);
    assert_eq!(of(b"onie_vendor:x86_64-kvm_x86_64-r0"), ["onie", "unknown"]);
    assert_eq!(of(b"U-Boot.armv7"), ["u-boot", "unknown"]);
    let u_boot = netboot("U-Boot.armv8", 0x0016);
    assert_eq!(classes(&u_boot), ["u-boot", "u-boot-arm64", "unknown"]);
}

#[test]
fn known_clients() {
    let test = ready::test("known").unwrap();
    assert!(matches_as(&test, &message(&[]), &[], true));
    assert!(!matches_as(&test, &message(&[]), &[], false));
    let test = ready::test("unknown").unwrap();
    assert!(!matches_as(&test, &message(&[]), &[], true));
}

#[test]
fn names_are_distinct_and_say_what_they_are() {
    let mut names: Vec<_> = ready::all().iter().map(|ready| ready.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ready::all().len());
    for ready in ready::all() {
        assert!(ready.about.ends_with('.'), "{}", ready.name);
        assert!(
            ready
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        );
    }
    assert!(ready::test("BIOS").is_none());
}
