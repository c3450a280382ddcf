//! The lab: a server, a switch and real DHCP clients on one machine.
//!
//! Everything lives in network namespaces that are made here and taken away again on drop, also
//! after a panic or Ctrl-C ([`interrupt`]), so nothing on the machine's own network hears of it.
//! The end-to-end tests and `cargo xtask run` build on this.

pub mod campaign;
pub mod client;
pub mod daemon;
pub mod flat;
pub mod interrupt;
pub mod lab;
pub mod ledger;
pub mod link;
pub mod mount;
pub mod namespace;
pub mod process;
pub mod qemu;
pub mod raw;
pub mod relay;
pub mod wait;
pub mod xdp_pass;

pub use campaign::Campaign;
pub use client::{Client, Kind};
pub use daemon::{Binaries, Daemon};
pub use lab::Lab;
pub use ledger::{Asker, Ledger};
pub use link::{Bridge, Veth};
pub use namespace::Namespace;
pub use process::Process;
pub use qemu::{Firmware, Machine};
pub use raw::RawSocket;
pub use relay::Relay;
pub use wait::wait_until;
pub use xdp_pass::XdpPass;

/// Says that this test cannot run here. `cargo xtask test` counts it as skipped, with the reason.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    println!("SKIPPED {}: {reason}", thread.name().unwrap_or("a test"));
}
