//! Steady load of everything at once, for long: what the process takes must stay flat.
//!
//! The rounds are of the same work, and after every few of them everything is measured that could
//! grow. Once the load is over, the daemon must have as many descriptors as before it.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::books::SOON;
use common::million::{self, Guests, Times};
use common::rounds::{self, RELAY, Rounds};
use common::visitors::{self, METRICS, Visitors};
use common::vitals::{self, Sample};
use dhcp_userspace::clock::Now;
use xdhcpd_tests::flat::Series;
use xdhcpd_tests::wait::Deadline;
use xdhcpd_tests::{Binaries, Campaign, Daemon, Lab, wait_until};

/// Rounds before anything is measured: by then every address of the pool was somebody's.
const WARM_UP: u64 = 10;
/// Rounds between two measurements.
const BETWEEN: u64 = 2;
/// Measurements of the short form.
const SAMPLES: u64 = 10;
/// Rounds between two reloads.
const RELOAD: u64 = 4;
const MEBIBYTE: f64 = 1_048_576.0;

#[test]
fn nothing_grows_with_xdp() -> Result<()> {
    soak("native")
}

#[test]
fn nothing_grows_without_xdp() -> Result<()> {
    soak("off")
}

fn soak(mode: &str) -> Result<()> {
    common::root();
    let campaign = Campaign::from_env();
    let lab = Lab::new(1)?;
    let directory = lab.directory("daemon")?;
    visitors::make_files(&directory.join("boot"))?;
    let mut daemon = start(&lab, &directory, mode)?;
    let mut site = Site {
        load: Rounds::new(&lab, campaign.seed)?,
        visitors: Visitors::new(&lab, &daemon),
        yaml: [yaml(&lab, mode, "one"), yaml(&lab, mode, "two")],
        rounds: 0,
    };
    let pid = daemon.process().id();
    site.load.begin()?;
    site.warm_up(&daemon)?;
    let quiet = vitals::descriptors(pid)?;
    let series = site.run(&mut daemon, &campaign)?;
    site.has_done_all()?;
    site.visitors.leave();
    let closed = wait_until("the descriptors to be closed again", SOON, || {
        let count = |open: &BTreeMap<_, usize>| open.values().sum::<usize>();
        Ok((count(&vitals::descriptors(pid)?) <= count(&quiet)).then_some(()))
    });
    closed.with_context(|| format!("{:#?}, before: {quiet:#?}", vitals::descriptors(pid)))?;

    for line in series.lines() {
        println!("  {line}");
    }
    println!("  {:?}", site.load.done);
    let growing = series.growing(|name| room(name, campaign.is_long()));
    let checked = series.names().collect::<Vec<_>>().join(", ");
    let fault = format!("steady load of everything, fast path {mode}");
    let times = format!("{} rounds", site.rounds);
    campaign.tell(
        &fault,
        times,
        &format!("flat: {checked}"),
        growing.len() as u64,
        "-",
    );
    let grown: Vec<_> = growing.iter().map(ToString::to_string).collect();
    ensure!(
        growing.is_empty(),
        "seed {}: {}",
        campaign.seed,
        grown.join("; ")
    );
    Ok(())
}

/// By how much a measurement may rise over the second half without being a leak. The short form is
/// over before all that has an end of its own (connections, transfers, the threads that serve them)
/// has come to it.
fn room(name: &str, is_long: bool) -> f64 {
    let unsettled = if is_long { 1.0 } else { 8.0 };
    match name {
        name if name.starts_with("memory") => 1024.0 * unsettled,
        "threads" => 2.0 * unsettled,
        "descriptors" => 8.0 * unsettled,
        "its boot_transfers" => 4.0 * unsettled,
        // A segment that is written, one that waits for it, and one that is compacted.
        "journal files" | "its journal_segments" => 3.0,
        "journal bytes" => 192.0 * MEBIBYTE,
        // The pool bounds them all, so they stray without growing.
        "its leases" | "its offers_open" => 256.0,
        "its clients" => 64.0,
        "its templates" => 16.0,
        _ => 0.0,
    }
}

fn start(lab: &Lab, directory: &Path, mode: &str) -> Result<Daemon> {
    let yaml = yaml(lab, mode, "one");
    Daemon::start(&Binaries::find()?, &lab.server, directory, &yaml)
}

/// With something for every table that the daemon keeps: short leases and holds, addresses that are
/// asked for before they are offered, hosts at ports.
fn yaml(lab: &Lab, mode: &str, domain: &str) -> String {
    let (bpffs, reservations) = (lab.bpffs().display(), rounds::reservations());
    format!(
        "\
server:
  state_dir: @DIR@/state
  control_socket: @DIR@/control.sock
  metrics: {METRICS}
  offer_hold: 1s
  decline_hold: 1s
fast_path: {{mode: \"{mode}\", pin_dir: {bpffs}/xdhcpd}}
boot: {{root: @DIR@/boot}}
leasequery: {{allowed: [{RELAY}], bulk: true}}
defaults: {{lease_time: 30s}}
subnets:
  - subnet: 10.77.0.0/16
    pools: [10.77.1.0-10.77.1.255]
    conflict_check: {{enabled: on, wait: 50ms}}
    options: {{routers: [10.77.0.1], domain-name: {domain}.example}}
    reservations:
      - {{circuit-id: nowhere, address: 10.77.2.200}}
{reservations}"
    )
}

struct Site<'a> {
    load: Rounds,
    visitors: Visitors<'a>,
    /// The configurations that reloads go back and forth between.
    yaml: [String; 2],
    rounds: u64,
}

impl Site<'_> {
    /// What is opened once is open then, and nothing else.
    fn warm_up(&mut self, daemon: &Daemon) -> Result<()> {
        for _ in 0..WARM_UP {
            self.round(daemon)?;
        }
        wait_until("the last transfers to end", SOON, || {
            let metrics = vitals::of_metrics(&self.visitors.scrape()?);
            let transfers = metrics.iter().find(|row| row.0 == "its boot_transfers");
            Ok(transfers.filter(|row| row.1 == 0.0).map(drop))
        })?;
        self.visitors.polite = false;
        Ok(())
    }

    fn run(&mut self, daemon: &mut Daemon, campaign: &Campaign) -> Result<Series> {
        let mut series = Series::default();
        let (mut samples, until) = (0, Deadline::after(campaign.time(Duration::ZERO)));
        while samples < SAMPLES || !until.left().is_zero() {
            for _ in 0..BETWEEN {
                self.round(daemon)?;
            }
            series.add(self.measure(daemon)?);
            samples += 1;
        }
        Ok(series)
    }

    fn round(&mut self, daemon: &Daemon) -> Result<()> {
        self.rounds += 1;
        self.load.round()?;
        self.visitors.round()?;
        if self.rounds.is_multiple_of(RELOAD) {
            let which = self.rounds / RELOAD % 2;
            daemon.configure(&self.yaml[which as usize])?;
            daemon.ctl(&["reload"])?;
        }
        Ok(())
    }

    fn measure(&self, daemon: &mut Daemon) -> Result<Sample> {
        let mut sample = vitals::of_process(daemon.process().id())?;
        let journal = daemon.directory().join("state/journal");
        sample.extend(vitals::of_directory(&journal, "journal")?);
        sample.extend(vitals::of_metrics(&self.visitors.scrape()?));
        Ok(sample)
    }

    /// Whether it was load: most questions were answered, by the kernel and by the daemon.
    fn has_done_all(&self) -> Result<()> {
        let done = &self.load.done;
        let count = |what: &str| done.get(what).copied().unwrap_or(0);
        ensure!(count("unanswered") * 4 < count("questions"), "{done:?}");
        let expected = ["binds", "releases", "declines", "renewals"];
        ensure!(
            expected.iter().all(|what| count(what) > self.rounds),
            "{done:?}"
        );
        let status = self.visitors.ask(r#"{"command":"status"}"#)?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        let hits = &status["done"]["fast_path_hits"];
        let hits = hits["kernel"].as_u64().max(hits["workers"].as_u64());
        ensure!(
            hits > Some(self.rounds),
            "too few renewals on the fast path: {status:#}"
        );
        for what in ["replies", "ignored"] {
            println!("  {what}: {}", status["done"][what]);
        }
        Ok(())
    }
}

/// The journal is compacted while clients bind and renew; then as many do so without that. Then what
/// else goes through all leases: reloads, lists, sweeps.
#[test]
fn compaction_and_reloads_do_not_hold_up_answers() -> Result<()> {
    common::root();
    let campaign = Campaign::from_env();
    let leases = campaign.times(20_000, 1_000_000) as u32;
    let lab = Lab::new(1)?;
    let directory = lab.directory("daemon")?;
    let state = directory.join("state");
    let (mut during, mut without, mut starts) = (Times::default(), Times::default(), Vec::new());
    let rounds = campaign.times(1, 2);
    for _ in 0..rounds {
        // So many that the journal is to be compacted at the next start.
        million::write_leases(&state, leases, campaign.times(1, 3) as u32)?;
        let (before, began) = (million::snapshot(&state)?, Now::read().boot);
        let config = million::yaml(&lab, leases, "one");
        let mut daemon = Daemon::start(&Binaries::find()?, &lab.server, &directory, &config)?;
        starts.push((Now::read().boot - began) as f64 / 1e9);
        let mut guests = Guests::new(&lab)?;
        let is_compacting = |done: usize| {
            let over = million::snapshot(&state)? != before;
            Ok(if campaign.is_long() { !over } else { done < 50 })
        };
        let some = guests.while_so(is_compacting)?;
        let count = some.binds.len().max(50);
        during.extend(some);
        without.extend(guests.while_so(|done| Ok(done < count))?);
        expect_leases(&daemon, leases)?;
        daemon.terminate()?;
    }
    println!(
        "  binds while compacting: {}",
        million::summary(&during.binds)
    );
    println!(
        "  binds without:          {}",
        million::summary(&without.binds)
    );
    println!(
        "  renewals while compacting: {}",
        million::summary(&during.renewals)
    );
    println!(
        "  renewals without:          {}",
        million::summary(&without.renewals)
    );
    println!("  starts, until ready: {starts:.2?} s");
    let checked = format!(
        "{} binds and renewals answered; p50/p99, with and without compaction: binds {} and {}, renewals {} and {}",
        during.binds.len(),
        million::quantiles(&during.binds),
        million::quantiles(&without.binds),
        million::quantiles(&during.renewals),
        million::quantiles(&without.renewals)
    );
    let fault = format!("journal of {leases} leases compacted");
    campaign.tell(
        &fault,
        rounds,
        &checked,
        0,
        &format!("{:.1} ms", during.worst()),
    );
    reloads(&lab, &directory, &campaign, leases)
}

fn expect_leases(daemon: &Daemon, leases: u32) -> Result<()> {
    let status = daemon.ctl(&["status"])?;
    let bound = status["leases"]["bound"].as_u64();
    ensure!(bound >= Some(leases.into()), "{bound:?} of {leases} leases");
    Ok(())
}

fn reloads(lab: &Lab, directory: &Path, campaign: &Campaign, leases: u32) -> Result<()> {
    let config = ["one", "two"].map(|domain| million::yaml(lab, leases, domain));
    let daemon = Daemon::start(&Binaries::find()?, &lab.server, directory, &config[0])?;
    let (times, done) = (campaign.times(2, 10), AtomicBool::new(false));
    let mut guests = Guests::new(lab)?;
    let served = thread::scope(|scope| {
        let served = scope.spawn(|| guests.while_so(|_| Ok(!done.load(Ordering::Relaxed))));
        let reloaded = (1..=times as usize).try_for_each(|time| {
            daemon.configure(&config[time % 2])?;
            daemon.ctl(&["reload"])?;
            daemon.ctl(&["status"]).map(drop)
        });
        done.store(true, Ordering::Relaxed);
        let served = served.join().expect("no panic")?;
        reloaded.map(|()| served)
    })?;
    println!(
        "  binds during reloads: {}",
        million::summary(&served.binds)
    );
    println!(
        "  renewals during reloads: {}",
        million::summary(&served.renewals)
    );
    expect_leases(&daemon, leases)?;
    let fault = format!("reload with {leases} leases, under binds and renewals");
    let checked = format!("{} binds and renewals answered", served.binds.len());
    campaign.tell(
        &fault,
        times,
        &checked,
        0,
        &format!("{:.1} ms", served.worst()),
    );
    Ok(())
}
