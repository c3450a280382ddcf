//! The ready-made classes of what real clients sent: each client has those of its row, and no
//! others, in all of its messages.

use super::ready::classes;
use crate::captured;
use crate::packet::Request;

/// All have `unknown`, too. What has no class here is not in the table.
const NETBOOTS: &[(&str, &[&str])] = &[
    ("aavmf-http", &["uefi-http-arm64", "http-boot"]),
    ("aavmf-pxe", &["uefi-arm64", "pxe"]),
    ("ipxe-bios", &["bios", "ipxe", "pxe"]),
    ("ipxe-efi", &["uefi-x64", "ipxe", "pxe"]),
    ("ipxe-snponly", &["uefi-x64", "ipxe", "pxe"]),
    ("ipxe-undionly", &["bios", "ipxe", "pxe"]),
    ("ovmf-http", &["uefi-http-x64", "http-boot"]),
    ("ovmf-pxe", &["uefi-x64", "pxe"]),
    ("u-boot-arm32", &["u-boot", "u-boot-arm32"]),
    ("u-boot-arm32-efi", &["uefi-arm32", "pxe"]),
    ("u-boot-arm64", &["u-boot", "u-boot-arm64"]),
    ("u-boot-arm64-efi", &["uefi-arm64", "pxe"]),
];

#[test]
fn real_clients_are_in_their_classes_and_no_others() {
    for capture in captured::all() {
        if Request::parse(capture.message()).is_err() {
            continue;
        }
        let row = NETBOOTS.iter().find(|(name, _)| *name == capture.client);
        let own = row.map_or(&[][..], |(_, classes)| classes);
        let want = [own, &["unknown"]].concat();
        let found = classes(capture.message());
        assert_eq!(found, want, "{} {}", capture.client, capture.name);
    }
}

#[test]
fn every_netboot_of_the_table_was_captured() {
    let clients = captured::clients();
    for (name, _) in NETBOOTS {
        assert!(clients.iter().any(|client| client == name), "{name}");
        assert!(captured::of(name).len() >= 2, "{name}");
    }
}

#[test]
fn the_documentation_names_every_capture() {
    let page = include_str!("../../../../docs/clients.md");
    for client in captured::clients() {
        assert!(page.contains(&format!("`{client}`")), "{client}");
    }
}

/// The last table of docs/clients.md has the classes of this one.
#[test]
fn the_documentation_has_the_same_classes() {
    let page = include_str!("../../../../docs/clients.md");
    let (_, table) = page.split_once("## Ready-made classes").unwrap();
    for (name, classes) in NETBOOTS {
        let mut rows = table.lines().filter(|line| line.starts_with("| `"));
        let row = rows.find(|row| row.contains(&format!("`{name}`"))).unwrap();
        for class in *classes {
            assert!(row.contains(&format!("`{class}`")), "{name}: {class}");
        }
    }
}
