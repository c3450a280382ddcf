//! A network namespace and a bpffs of a test's own. Namespaces belong to the test's thread and go
//! with it.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::MutexGuard;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tempfile::TempDir;

use super::netlink;
use super::off::Platform;
use super::testing::OURS;
use crate::config::Config;
use crate::config::model::{FastPathMode, Mac};
use crate::engine::Interface;
use crate::net::tests::wire::{alone, skip};

pub struct Lab {
    bpffs: TempDir,
    pub config: Config,
    _alone: MutexGuard<'static, ()>,
}

impl Lab {
    /// `None`, with the reason printed, if the kernel, the user or the build is not up to it.
    pub fn new() -> Option<Self> {
        if let Err(off) = Platform::current().check() {
            skip(&off.to_string());
            return None;
        }
        let alone = alone();
        // SAFETY: takes and touches no memory.
        let unshared = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        if unshared != 0 {
            skip("no network namespace can be made");
            return None;
        }
        let bpffs = tempfile::tempdir().expect("a directory");
        run(&["mount", "-t", "bpf", "bpf", bpffs.path().to_str()?]);
        run(&["ip", "link", "set", "lo", "up"]);
        let mut config = super::testing::config("10.0.1.0-10.0.1.255");
        config.fast_path.pin_dir = bpffs.path().join("xdhcpd");
        Some(Self {
            bpffs,
            config,
            _alone: alone,
        })
    }

    pub fn with_mode(mut self, mode: FastPathMode) -> Self {
        self.config.fast_path.mode = mode;
        self
    }

    /// Pins of the server under test.
    pub fn pins(&self) -> usize {
        count(&self.config.fast_path.pin_dir)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let path = self.bpffs.path().to_str().expect("plain characters");
        run(&["umount", path]);
    }
}

/// Files below a directory.
fn count(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => count(&entry.path()),
            _ => 1,
        })
        .sum()
}

pub fn run(command: &[&str]) {
    let status = Command::new(command[0]).args(&command[1..]).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?}");
}

/// A veth pair `ours` and `far`, both up, in this namespace.
pub fn veth() {
    let mac = OURS.map(|byte| format!("{byte:02x}")).join(":");
    run(&[
        "ip", "link", "add", "ours", "address", &mac, "type", "veth", "peer", "name", "far",
    ]);
    for end in ["ours", "far"] {
        run(&[
            "sysctl",
            "-qw",
            &format!("net.ipv6.conf.{end}.disable_ipv6=1"),
        ]);
        run(&["ip", "link", "set", end, "up"]);
    }
}

pub fn interface(name: &str, mac: Mac) -> Interface {
    let devices = netlink::devices().expect("a list of interfaces");
    let device = devices.into_iter().find(|device| device.name == name);
    Interface {
        index: device.expect("the interface is there").index,
        name: name.to_owned(),
        mac,
        mtu: 1500,
        addresses: Vec::new(),
    }
}

/// A packet socket on an interface of the current namespace.
pub struct Wire(Socket);

impl Wire {
    pub fn on(interface: &str) -> Self {
        let index = super::lab::interface(interface, [0; 6]).index;
        let protocol = Protocol::from(i32::from((libc::ETH_P_IP as u16).to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("root");
        socket
            .set_read_timeout(Some(Duration::from_millis(500)))
            .expect("a socket option");
        // SAFETY: all zeros is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
        address.sll_ifindex = index.cast_signed();
        let size = size_of_val(&address) as u32;
        // SAFETY: an address of the size told, which lives through the call.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
        assert_eq!(bound, 0);
        Self(socket)
    }

    /// Sends a frame and waits for the one that is wanted back; false if it does not come.
    pub fn echoes(&mut self, frame: &[u8], want: &[u8]) -> bool {
        self.0.write_all(frame).expect("the interface is up");
        let mut buffer = [0; 2048];
        while let Ok(len) = self.0.read(&mut buffer) {
            if buffer[..len] == *want {
                return true;
            }
        }
        false
    }
}
