//! A flood of DISCOVERs from random MACs, while clients of the server's own go on.
//!
//! `XDHCPD_FLOOD_SECS` sets how long it lasts (default 5); with 20 and a release build it gives the
//! figures of `docs/performance.md`.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::crowd::{Crowd, Outcome, Task};
use common::faults::{config, count, start};
use common::fleet::{self, Fleet};
use common::flood::Flood;
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::{Daemon, Lab};

const STRANGERS: usize = 100_000;
const KNOWN: usize = 1_000;
const NEW: usize = 100;
/// 2,048 addresses: the strangers alone would take them fifty times.
const POOL: &str = "10.77.8.0-10.77.15.255";
/// Where the flood, the known and the new clients are.
const FLOOD: usize = 0;
const RENEWING: usize = 1;
const BINDING: usize = 2;
/// A known client renews this often.
const PERIOD: u64 = 2;
/// For the last ones, after the flood.
const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn clients_are_served_through_a_flood_with_xdp() -> Result<()> {
    flood("native")
}

#[test]
fn clients_are_served_through_a_flood_without_xdp() -> Result<()> {
    flood("off")
}

fn flood(mode: &str) -> Result<()> {
    common::root();
    let secs: u64 = common::env("XDHCPD_FLOOD_SECS", 5);
    let lab = Lab::new(3)?;
    let mut daemon = start(&lab, &config(&lab, mode, POOL, "1h"))?;
    let mut known = Fleet::behind(&lab, (INTERFACE, RENEWING), 0..KNOWN)?;
    known.bind()?;
    let silent = known.renew_once()?;
    ensure!(silent.is_empty(), "{} did not renew in peace", silent.len());

    let (renewals, binds, sent) = through_flood(&lab, &known, secs)?;
    println!("{mode}: {sent} DISCOVERs of {STRANGERS} strangers in {secs} s");
    println!("  {}", renewals.line("renewals"));
    println!("  {}", binds.line("binds"));
    println!("  {}", of_the_guard(&daemon)?);
    let log = daemon.process().log();
    for line in log.lines().filter(|line| line.contains("guard")) {
        println!("  {line}");
    }
    renewals.all_answered().context("renewals")?;
    binds.all_answered().context("binds")?;
    ensure!(!log.contains("exhausted"), "the pool was exhausted");
    ensure!(count(&daemon, &["ignored", "no-address"])? == 0);
    Ok(())
}

/// Everybody at once.
fn through_flood(lab: &Lab, known: &Fleet, secs: u64) -> Result<(Outcome, Outcome, u64)> {
    let flood = Flood::new(lab, FLOOD, STRANGERS)?;
    let (renewing, binding) = (renewing(lab, known, secs)?, binding(lab, secs)?);
    let (stop, patience) = (AtomicBool::new(false), Duration::from_secs(secs) + PATIENCE);
    thread::scope(|scope| {
        let flood = scope.spawn(|| flood.run(&stop));
        let renewals = scope.spawn(|| renewing.run(patience));
        let binds = scope.spawn(|| binding.run(patience));
        thread::sleep(Duration::from_secs(secs));
        stop.store(true, Ordering::Relaxed);
        let sent = flood.join().expect("no panic")?;
        let renewals = renewals.join().expect("no panic")?;
        Ok((renewals, binds.join().expect("no panic")?, sent))
    })
}

/// Every known client renews again and again, evenly spread over the time.
fn renewing(lab: &Lab, known: &Fleet, secs: u64) -> Result<Crowd> {
    let mut crowd = Crowd::new(lab, RENEWING)?;
    for round in 0..secs.div_ceil(PERIOD) {
        for (number, node) in known.nodes.iter().enumerate() {
            let address = node.address.context("an address")?;
            let after = Duration::from_secs(round * PERIOD);
            let share = Duration::from_secs(PERIOD) * number as u32 / KNOWN as u32;
            crowd.add(node.mac, Task::Renew(address), after + share);
        }
    }
    Ok(crowd)
}

/// New clients come up in the first half of the flood.
fn binding(lab: &Lab, secs: u64) -> Result<Crowd> {
    let mut crowd = Crowd::new(lab, BINDING)?;
    for number in 0..NEW {
        let after = Duration::from_secs(secs) / 2 * number as u32 / NEW as u32;
        crowd.add(fleet::mac(KNOWN + number), Task::Bind, after);
    }
    Ok(crowd)
}

fn of_the_guard(daemon: &Daemon) -> Result<String> {
    let report = daemon.ctl(&["fastpath"])?;
    let reasons = report["reasons"].as_array().context("reasons")?;
    let of = |name: &str| {
        let row = reasons.iter().find(|row| row["reason"] == name);
        row.map_or(0, |row| row["count"].as_u64().unwrap_or(0))
    };
    let offers = count(daemon, &["replies", "offer"])?;
    let lost = count(daemon, &["packets", "dropped"])?;
    Ok(format!(
        "guard: {} throttled, {} blocked; {offers} offers, {lost} lost before the workers",
        of("throttled"),
        of("blocked")
    ))
}
