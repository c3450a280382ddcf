//! The file services of a daemon.

use std::path::PathBuf;

use anyhow::{Context, Result};
use dhcp_userspace::netboot::report::{Protocol, Report, Totals};
use xdhcpd_tests::{Daemon, Lab, wait_until};

use super::books::SOON;

/// The root, below the directory of a daemon whose configuration has `boot: {root: @DIR@/boot}`.
pub fn root(lab: &Lab) -> Result<PathBuf> {
    lab.directory("xdhcpd/boot")
}

pub fn report(daemon: &Daemon) -> Result<Report> {
    Ok(serde_json::from_value(daemon.ctl(&["boot", "status"])?)?)
}

pub fn totals(daemon: &Daemon, protocol: Protocol) -> Result<Totals> {
    let totals = report(daemon)?.totals;
    let found = totals.into_iter().find(|one| one.protocol == protocol);
    found.with_context(|| format!("no totals of {}", protocol.label()))
}

/// Waits until the totals are like this: the last word of a client may still be on its way when
/// the client has all.
pub fn wait_totals(
    daemon: &Daemon,
    protocol: Protocol,
    like: impl Fn(&Totals) -> bool,
) -> Result<Totals> {
    let what = format!("the totals of {}", protocol.label());
    let waited = wait_until(&what, SOON, || {
        let totals = totals(daemon, protocol)?;
        Ok(Some(totals).filter(&like))
    });
    waited.with_context(|| format!("{:?}", totals(daemon, protocol)))
}
