//! What is full, and who stands still. Only the long form uses up the reply templates: that takes thousands of clients.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::ledger::ALLOWED;
use xdhcpd_tests::{Binaries, Campaign, Lab};

use super::site::{POOL, Site, lab, yaml};
use crate::common::books;
use crate::common::faults::{check_leases, count, crash, leases};
use crate::common::fleet::{Fleet, mac};
use crate::common::raw_client::RawClient;

/// More than the ring holds: a line takes some 50 bytes, the ring 128 KiB.
const RENEWALS: u64 = 10_000;
/// Answers that wait to be read, at most.
const BURST: u64 = 500;
/// Templates that the table holds, and more clients than that.
const TEMPLATES: u64 = 4096;
const CLIENTS: usize = 4500;

#[test]
fn a_daemon_that_stands_still() -> Result<()> {
    let (lab, campaign) = (lab()?, Campaign::from_env());
    let config = yaml(&lab, "native") + "guard: {enabled: false}\n";
    let binaries = Binaries::find()?;
    // Without reloads: a daemon that stands still just after one has left the kernel nothing to say.
    let mut site = Site::with(&lab, campaign, &binaries, &config)?;
    site.strike("daemon stopped (SIGSTOP) and continued", (1, 20), |site| {
        site.daemon.process().signal(libc::SIGSTOP)?;
        site.goes_on()?;
        site.daemon.process().signal(libc::SIGCONT)
    })?;
    let client = RawClient::new(&lab.clients[1], INTERFACE, 1)?;
    let lease = client.bind()?;
    site.strike(
        "log ring full: a client is traced and nobody reads",
        (1, 10),
        |site| {
            client.ask(&client.renewing(&lease))?;
            let before = books::hits(&site.daemon)?;
            site.daemon
                .ctl(&["fastpath", "trace", &books::mac_text(client.mac)])?;
            site.daemon.process().signal(libc::SIGSTOP)?;
            for _ in 0..RENEWALS / BURST {
                for _ in 1..BURST {
                    client.send(&client.renewing(&lease))?;
                }
                client.ask(&client.renewing(&lease))?;
            }
            site.daemon.process().signal(libc::SIGCONT)?;
            let hits = books::hits(&site.daemon)? - before;
            ensure!(hits >= RENEWALS, "{hits} of {RENEWALS} in the kernel");
            site.daemon.ctl(&["fastpath", "trace", "off"])?;
            Ok(())
        },
    )?;
    site.end()
}

#[test]
fn a_table_that_is_too_small() -> Result<()> {
    let (lab, campaign) = (lab()?, Campaign::from_env());
    let mut site = Site::new(&lab, campaign)?;
    let fault = "pools beyond the table: the reload is refused, the next start makes a larger one";
    site.strike(fault, (1, 10), |site| {
        site.daemon.configure(&larger(site.lab))?;
        let refused = site.daemon.ctl_command().arg("reload").output()?;
        let said = String::from_utf8_lossy(&refused.stderr);
        ensure!(
            said.contains("restart xdhcpd to get a larger one"),
            "reloaded, or refused for another reason: {said}"
        );
        site.goes_on()?;
        site.verify()?;
        site.daemon.kill();
        site.daemon.restart()?;
        site.wait_mode("native")?;
        site.goes_on()?;
        site.verify()?;
        // A small one again, for the next time.
        site.daemon.configure(&yaml(site.lab, "native"))?;
        crash(&mut site.daemon)?;
        site.daemon.restart()?;
        site.wait_mode("native")
    })?;
    site.end()
}

/// Many more blocks of addresses.
fn larger(lab: &Lab) -> String {
    let pools = format!("{POOL}, 10.78.0.0-10.78.20.255");
    let large = yaml(lab, "native").replace(POOL, &pools);
    large.replace("10.77.0.0/16", "10.76.0.0/14")
}

/// Each client has a reply of its own, and the table no place for all of them.
#[test]
fn templates_that_are_used_up() -> Result<()> {
    let (lab, campaign) = (lab()?, Campaign::from_env());
    if !campaign.is_long() {
        return Ok(());
    }
    let config = yaml(&lab, "native").replace(ALLOWED, &(reservations() + ALLOWED));
    // Their share of the templates would come and go with the daemon.
    let config = config.replace("fast_path: {", "fast_path: {boot_memos: 0, ");
    let binaries = Binaries::find()?;
    let mut site = Site::with(&lab, campaign, &binaries, &config)?;
    let mut fleet = Fleet::behind(&lab, (INTERFACE, 1), 0..CLIENTS)?;
    fleet.bind()?;
    site.strike("reply templates used up", (0, 3), |site| {
        let in_use = count(&site.daemon, &["templates"])?;
        ensure!(in_use + 100 > TEMPLATES, "{in_use} templates in use");
        let silent = fleet.renew_once()?;
        ensure!(silent.is_empty(), "{} clients heard nothing", silent.len());
        site.daemon.kill();
        site.daemon.restart()?;
        check_leases(&fleet, &leases(&site.daemon)?)
    })?;
    site.end()
}

fn reservations() -> String {
    let mut text = String::from("    reservations:\n");
    for number in 0..CLIENTS {
        let mac = books::mac_text(mac(number));
        let [high, low] = (number as u16).to_be_bytes();
        let _ = writeln!(
            text,
            "      - {{mac: \"{mac}\", address: 10.77.{}.{low}, options: {{domain-name: n{number}.example}}}}",
            100 + high
        );
    }
    text
}
