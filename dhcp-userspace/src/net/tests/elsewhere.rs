//! A second network namespace, for hosts that are not this one.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::id;

use super::wire::{ip, wait_for_carrier_of};

/// Another network namespace than the one the test is in.
pub(crate) struct Elsewhere {
    namespace: File,
    home: File,
}

impl Elsewhere {
    pub(crate) fn new() -> Self {
        let here = || File::open("/proc/thread-self/ns/net").expect("procfs");
        let home = here();
        // SAFETY: takes and touches no memory.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
        let elsewhere = Self {
            namespace: here(),
            home,
        };
        enter(&elsewhere.home);
        elsewhere
    }

    /// Moves an interface there, and brings it up.
    pub(crate) fn take(&self, interface: &str) {
        let path = format!("/proc/{}/fd/{}", id(), self.namespace.as_raw_fd());
        ip(&format!("link set {interface} netns {path}"));
        self.ip(&format!("link set {interface} up"));
    }

    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        enter(&self.namespace);
        let result = work();
        enter(&self.home);
        result
    }

    /// Runs `ip` there; arguments are separated by spaces.
    pub(crate) fn ip(&self, arguments: &str) {
        self.within(|| ip(arguments));
    }

    /// Waits until so many ends of wires, all that are there, are ready.
    pub(crate) fn wait_for_carrier(&self, ends: usize) {
        self.within(|| wait_for_carrier_of(ends));
    }
}

fn enter(namespace: &File) {
    // SAFETY: an open namespace; no memory is touched.
    let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(entered, 0);
}
