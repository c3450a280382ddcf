//! Ready-made classes: what netboots say of themselves. The numbers are IANA's "Processor
//! Architecture Types" (option 93); their names here never change.

use super::Test;

#[derive(Debug)]
pub struct Ready {
    pub name: &'static str,
    /// In one sentence.
    pub about: &'static str,
    is: Is,
}

#[derive(Debug)]
enum Is {
    /// Boots over TFTP: one of these types, and not an HTTP boot.
    Tftp(&'static [u16]),
    /// Boots over HTTP: this type, and not a PXE boot.
    Http(u16),
    /// Option 60.
    VendorClass(&'static str),
    Ipxe,
    Known,
    Unknown,
}

const PXE_CLIENT: &str = "PXEClient*";
const HTTP_CLIENT: &str = "HTTPClient*";
/// iPXE's own options; its requests always have some (the registry's "Etherboot").
const IPXE_OPTIONS: u8 = 175;

const READY: &[Ready] = &[
    of("bios", "PC with BIOS (architecture 0).", Is::Tftp(&[0])),
    of("uefi-ia32", "32-bit x86 with UEFI (6).", Is::Tftp(&[6])),
    of(
        "uefi-x64",
        "64-bit x86 with UEFI (7; 9 in older firmware).",
        Is::Tftp(&[7, 9]),
    ),
    of("uefi-arm32", "32-bit Arm with UEFI (10).", Is::Tftp(&[10])),
    of("uefi-arm64", "64-bit Arm with UEFI (11).", Is::Tftp(&[11])),
    of("uefi-itanium", "Itanium with EFI (2).", Is::Tftp(&[2])),
    of(
        "uefi-riscv32",
        "32-bit RISC-V with UEFI (25).",
        Is::Tftp(&[25]),
    ),
    of(
        "uefi-riscv64",
        "64-bit RISC-V with UEFI (27).",
        Is::Tftp(&[27]),
    ),
    of(
        "uefi-riscv128",
        "128-bit RISC-V with UEFI (29).",
        Is::Tftp(&[29]),
    ),
    of(
        "uefi-loongarch32",
        "32-bit LoongArch with UEFI (37).",
        Is::Tftp(&[37]),
    ),
    of(
        "uefi-loongarch64",
        "64-bit LoongArch with UEFI (39).",
        Is::Tftp(&[39]),
    ),
    of(
        "bios-http",
        "PC with BIOS that boots over HTTP (20).",
        Is::Http(20),
    ),
    of(
        "uefi-http-ia32",
        "32-bit x86 with UEFI that boots over HTTP (15).",
        Is::Http(15),
    ),
    of(
        "uefi-http-x64",
        "64-bit x86 with UEFI that boots over HTTP (16).",
        Is::Http(16),
    ),
    of(
        "uefi-http-arm32",
        "32-bit Arm with UEFI that boots over HTTP (18).",
        Is::Http(18),
    ),
    of(
        "uefi-http-arm64",
        "64-bit Arm with UEFI that boots over HTTP (19).",
        Is::Http(19),
    ),
    of(
        "uefi-http-riscv32",
        "32-bit RISC-V with UEFI that boots over HTTP (26).",
        Is::Http(26),
    ),
    of(
        "uefi-http-riscv64",
        "64-bit RISC-V with UEFI that boots over HTTP (28).",
        Is::Http(28),
    ),
    of(
        "uefi-http-riscv128",
        "128-bit RISC-V with UEFI that boots over HTTP (30).",
        Is::Http(30),
    ),
    of(
        "uefi-http-loongarch32",
        "32-bit LoongArch with UEFI that boots over HTTP (38).",
        Is::Http(38),
    ),
    of(
        "uefi-http-loongarch64",
        "64-bit LoongArch with UEFI that boots over HTTP (40).",
        Is::Http(40),
    ),
    of(
        "u-boot",
        "U-Boot on any board (vendor class U-Boot*).",
        Is::VendorClass("U-Boot*"),
    ),
    of(
        "u-boot-arm32",
        "U-Boot on 32-bit Arm (21).",
        Is::Tftp(&[21]),
    ),
    of(
        "u-boot-arm64",
        "U-Boot on 64-bit Arm (22).",
        Is::Tftp(&[22]),
    ),
    of(
        "u-boot-http-arm32",
        "U-Boot on 32-bit Arm that boots over HTTP (23).",
        Is::Http(23),
    ),
    of(
        "u-boot-http-arm64",
        "U-Boot on 64-bit Arm that boots over HTTP (24).",
        Is::Http(24),
    ),
    of(
        "open-firmware",
        "PowerPC with Open Firmware (12).",
        Is::Tftp(&[12]),
    ),
    of(
        "powerpc-epapr",
        "PowerPC with an ePAPR boot loader (13).",
        Is::Tftp(&[13]),
    ),
    of(
        "powerpc-opal",
        "POWER with OPAL, as Petitboot says it (14).",
        Is::Tftp(&[14]),
    ),
    of(
        "s390",
        "IBM Z, basic and extended (31, 32).",
        Is::Tftp(&[31, 32]),
    ),
    of(
        "rpiboot",
        "Raspberry Pi whose boot loader says so (41).",
        Is::Tftp(&[41]),
    ),
    of("ipxe", "iPXE (user class iPXE, or option 175).", Is::Ipxe),
    of(
        "pxe",
        "PXE firmware (vendor class PXEClient*), iPXE too.",
        Is::VendorClass(PXE_CLIENT),
    ),
    of(
        "http-boot",
        "UEFI HTTP boot (vendor class HTTPClient*).",
        Is::VendorClass(HTTP_CLIENT),
    ),
    of(
        "anaconda",
        "Installer of Fedora and RHEL (vendor class anaconda*).",
        Is::VendorClass("anaconda*"),
    ),
    of(
        "debian-installer",
        "Installer of Debian (vendor class d-i).",
        Is::VendorClass("d-i"),
    ),
    of(
        "onie",
        "Network switch in ONIE (vendor class onie_vendor:*).",
        Is::VendorClass("onie_vendor:*"),
    ),
    of("known", "Client with a reservation.", Is::Known),
    of("unknown", "Client without a reservation.", Is::Unknown),
];

const fn of(name: &'static str, about: &'static str, is: Is) -> Ready {
    Ready { name, about, is }
}

#[must_use]
pub fn all() -> &'static [Ready] {
    READY
}

/// The test of the ready-made class with this name.
#[must_use]
pub fn test(name: &str) -> Option<Test> {
    READY
        .iter()
        .find(|ready| ready.name == name)
        .map(|ready| ready.is.test())
}

impl Is {
    fn test(&self) -> Test {
        match self {
            Self::Tftp(codes) => {
                let any = codes.iter().map(|code| Test::arch(*code)).collect();
                without(Test::any(any), HTTP_CLIENT)
            }
            Self::Http(code) => without(Test::arch(*code), PXE_CLIENT),
            Self::VendorClass(pattern) => Test::vendor_class(pattern),
            Self::Ipxe => Test::any(vec![Test::user_class("iPXE"), Test::exists(IPXE_OPTIONS)]),
            Self::Known => Test::known(),
            Self::Unknown => Test::unknown(),
        }
    }
}

/// A client that lists types for both kinds of boot says in its vendor class which one this is.
fn without(test: Test, vendor_class: &str) -> Test {
    Test::all(vec![test, Test::not(Test::vendor_class(vendor_class))])
}
