//! Datagrams that TFTP clients send: what they ask for, on which terms, and below which root.

use std::io::Read as _;

use dhcp_userspace::netboot::root;
use dhcp_userspace::netboot::tftp::options::agree;
use dhcp_userspace::netboot::tftp::packet::{self, Packet, Read};

use crate::tree;

/// As much as the server has room for at once.
const MAX_WINDOW_BYTES: u64 = 128 << 10;

pub fn run(data: &[u8]) {
    if let Some(Packet::Read(read)) = packet::parse(data) {
        for size in [0, 1500, u64::MAX] {
            terms(&read, size);
        }
        open(read.file);
    }
}

fn terms(read: &Read<'_>, size: u64) {
    let (terms, agreed) = agree(read, size);
    assert!((8..=65464).contains(&terms.block), "{terms:?}");
    assert!(terms.window >= 1 && terms.window <= 64, "{terms:?}");
    let at_once = terms.window * terms.block;
    assert!(
        terms.window == 1 || at_once <= MAX_WINDOW_BYTES,
        "{terms:?}"
    );
    for (name, _) in &agreed {
        let asked = |(key, _): &(&[u8], &[u8])| key.eq_ignore_ascii_case(name.as_bytes());
        assert!(read.options.iter().any(asked), "{name} was not asked for");
    }
    let _ = packet::oack(&agreed);
}

/// Whatever the name is, it is a file below the root or none.
fn open(name: &[u8]) {
    assert!(!root::shown(name).contains(char::is_control));
    if let Ok(opened) = root::open(tree::root(), name) {
        let mut content = String::new();
        let read = (&*opened.file).read_to_string(&mut content);
        assert!(
            read.is_err() || content != tree::SECRET,
            "{}",
            name.escape_ascii()
        );
    }
}
