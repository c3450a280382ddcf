//! What several end-to-end tests share.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod books;
pub mod captures;
pub mod config;
pub mod crowd;
pub mod faults;
pub mod files;
pub mod fleet;
pub mod flood;
pub mod frame;
pub mod journal_files;
pub mod load;
pub mod message;
pub mod million;
pub mod mutate;
pub mod random;
pub mod raw_client;
pub mod reloads;
pub mod rounds;
pub mod site;
pub mod strace;
pub mod visitors;
pub mod vitals;

use std::str::FromStr;

/// Fails with the reason where root is needed and not there: `cargo xtask test` does not start
/// these tests then, and says so.
pub fn root() {
    // SAFETY: takes nothing and cannot fail.
    let user = unsafe { libc::geteuid() };
    assert_eq!(
        user, 0,
        "this test loads BPF programs or makes namespaces: run it as root"
    );
}

/// A number from the environment.
pub fn env<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// The XDP mode of tests that hold in both: `cargo xtask test` runs them once for each.
pub fn mode() -> &'static str {
    match std::env::var("XDHCPD_TEST_MODE").as_deref() {
        Ok("generic") => "generic",
        _ => "native",
    }
}
