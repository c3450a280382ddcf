//! A second network namespace, for hosts that are not this one.

use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use super::wire::wait_for_carrier_of;

/// Lasts as long as the value.
pub(crate) struct Elsewhere {
    path: String,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Elsewhere {
    pub(crate) fn new() -> Self {
        let (stop, stopped) = channel::<()>();
        let (tell, told) = channel();
        let run = move || {
            // SAFETY: no pointer is passed; only this thread moves.
            let moved = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(moved, 0);
            // SAFETY: no pointer is passed.
            tell.send(unsafe { libc::gettid() }).unwrap();
            let _ = stopped.recv();
        };
        let thread = std::thread::spawn(run);
        let tid = told.recv().unwrap();
        Self {
            path: format!("/proc/{}/task/{tid}/ns/net", std::process::id()),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Moves an interface there.
    pub(crate) fn take(&self, interface: &str) {
        run("ip", &["link", "set", interface, "netns", &self.path]);
    }

    /// Runs `ip` there; arguments are separated by spaces.
    pub(crate) fn ip(&self, arguments: &str) {
        self.run(&format!("ip {arguments}"));
    }

    /// Runs a command of the shell there.
    pub(crate) fn run(&self, command: &str) {
        run("nsenter", &[&self.net(), "sh", "-c", command]);
    }

    /// Waits until so many ends of wires, all that are there, are ready.
    pub(crate) fn wait_for_carrier(&self, ends: usize) {
        let ip = || {
            let mut ip = Command::new("nsenter");
            ip.args([&self.net(), "ip"]);
            ip
        };
        wait_for_carrier_of(ends, ip);
    }

    fn net(&self) -> String {
        format!("--net={}", self.path)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}
