//! What the daemon's books say, by way of `xdhcpctl --json`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xdhcpd_tests::{Daemon, wait_until};

use super::message::Mac;

/// For what only waits until another process has had its turn.
pub const SOON: Duration = Duration::from_secs(20);

/// How many frames ended like this in the fast path.
pub fn reason(daemon: &Daemon, label: &str) -> Result<u64> {
    let report = daemon.ctl(&["fastpath"])?;
    let rows = report["reasons"].as_array().context("no reasons")?;
    let row = rows.iter().find(|row| row["reason"] == label);
    row.and_then(|row| row["count"].as_u64())
        .with_context(|| format!("no reason {label}"))
}

/// How many renewals the kernel has answered. By [`expect_mode`] it is the kernel that counts.
pub fn hits(daemon: &Daemon) -> Result<u64> {
    let hits = reason(daemon, "hit")?;
    let status = daemon.ctl(&["status"])?;
    ensure!(status["kernel_hits"].as_u64() >= Some(hits), "{status}");
    Ok(hits)
}

/// How many replies of a kind the daemon has sent by itself.
pub fn replies(daemon: &Daemon, kind: &str) -> Result<u64> {
    let status = daemon.ctl(&["status"])?;
    status["replies"][kind]
        .as_u64()
        .with_context(|| format!("no count of {kind} in {status}"))
}

/// Sees that XDP is at work on `interface`, and how.
pub fn expect_mode(daemon: &Daemon, interface: &str, mode: &str) -> Result<()> {
    let report = daemon.ctl(&["fastpath"])?;
    let interfaces = report["interfaces"].as_array().context("no interfaces")?;
    let found = interfaces.iter().find(|row| row["name"] == interface);
    ensure!(
        found.is_some_and(|row| row["mode"] == mode),
        "{interface} is not in {mode} mode: {report:#}"
    );
    Ok(())
}

/// The lease of an address or MAC.
pub fn lease(daemon: &Daemon, key: &str) -> Result<Value> {
    daemon.ctl(&["leases", "show", key])
}

/// Waits until the lease of an address or MAC is in a state, and returns it.
pub fn wait_state(daemon: &Daemon, key: &str, state: &str) -> Result<Value> {
    wait_until(&format!("{key} to be {state}"), SOON, || {
        let lease = lease(daemon, key)?;
        Ok((lease["state"] == state).then_some(lease))
    })
}

pub fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
