//! The services as a whole, on the loopback interface.

mod http;
mod service;
mod tftp;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use super::report::{Protocol, Totals};
use super::*;
use crate::clock::SECOND;

/// What never comes is waited for so long.
const PATIENCE: u64 = 20 * SECOND;

/// Services on ports that were free, over a directory of their own.
struct Site {
    netboot: Netboot,
    config: FileService,
    directory: tempfile::TempDir,
}

impl Site {
    fn new(max_transfers: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = FileService {
            root: directory.path().to_owned(),
            tftp: Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)),
            http: Some("127.0.0.1:0".parse().unwrap()),
            max_transfers,
        };
        let netboot = Netboot::default();
        netboot.apply(Some(&config)).unwrap();
        Self {
            netboot,
            config,
            directory,
        }
    }

    /// Makes a file of so many bytes, which differ, and returns them.
    fn file(&self, name: &str, len: usize) -> Vec<u8> {
        let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        std::fs::write(self.path(name), &bytes).unwrap();
        bytes
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn report(&self) -> Report {
        self.netboot.report().unwrap()
    }

    fn tftp(&self) -> SocketAddr {
        self.report().tftp.unwrap()
    }

    fn http(&self) -> SocketAddr {
        self.report().http.unwrap()
    }

    /// Waits until a protocol's counters are like this.
    fn wait(&self, protocol: Protocol, like: impl Fn(&Totals) -> bool) -> Totals {
        let deadline = Now::read().boot + PATIENCE;
        loop {
            let report = self.report();
            let totals = &report.totals[protocol as usize];
            if like(totals) {
                return totals.clone();
            }
            assert!(Now::read().boot < deadline, "in vain: {report:?}");
            std::thread::yield_now();
        }
    }

    /// Waits until every place is free again.
    fn wait_idle(&self) {
        let deadline = Now::read().boot + PATIENCE;
        while !self.netboot.shared.books.is_idle() {
            assert!(Now::read().boot < deadline, "in vain: {:?}", self.report());
            std::thread::yield_now();
        }
    }
}
