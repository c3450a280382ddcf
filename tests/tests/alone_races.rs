//! Renewals on 64 hot addresses, answered by the loaded XDP program and by the same source on the host,
//! in several threads, while the engine gives the same addresses to others, takes them back, moves
//! promises, is reloaded, and its records reach the disk late or not at all.
//!
//! Every answer is held, byte by byte, against what another engine, which has that client alone, says;
//! and against a ledger of who was told what ([`races::ledger`]): no address is held by two, nobody gets
//! another's data, no grant goes beyond what is on disk or comes after the close, and what the kernel
//! told the engine keeps.
//!
//! The short form makes some ten thousand lookups, the long one 100 million, and goes on for as long as
//! it is told. A failure tells what was seen; threads do not meet the same way twice, so there is no
//! seed that repeats it.

mod common;
mod races;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use common::random::Random;
use dhcp_userspace::clock::Now;
use races::change::{self, Changer};
use races::commit::{self, Ticket};
use races::ledger::Ledger;
use races::look::{By, Looker};
use races::site::{ADDRESSES, Site, address, mac};
use xdhcpd_tests::Campaign;

/// What must have happened before the end.
const WANTED: [&str; 8] = [
    "leases made or extended on disk",
    "renewals by the engine without a record",
    "releases",
    "declines",
    "leases that lapsed",
    "promises moved",
    "refusals",
    "reloads",
];
/// A machine on which not all of it has happened by then does not get on, nor one where nothing happens for so long.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often those look again who wait for something.
const TICK: Duration = Duration::from_millis(10);

pub struct Race {
    pub site: Site,
    pub ledger: Ledger,
    /// Renewals that the fast path has looked at.
    looked: AtomicU64,
    /// More have been looked at, or it is over.
    further: Condvar,
    waiting: Mutex<()>,
    /// Those that it answered: in the kernel, on the host.
    pub answered: [AtomicU64; 2],
    wanted: u64,
    until: u64,
    latest: u64,
    over: AtomicBool,
    done: Mutex<BTreeMap<&'static str, u64>>,
}

impl Race {
    fn new(campaign: Campaign) -> Result<Self> {
        let (site, now) = (Site::new()?, Now::read().boot);
        let time = campaign.time(Duration::from_secs(4));
        Ok(Self {
            site,
            ledger: Ledger::new(ADDRESSES),
            looked: AtomicU64::new(0),
            further: Condvar::new(),
            waiting: Mutex::default(),
            answered: Default::default(),
            wanted: campaign.times(10_000, 100_000_000),
            until: now + time.as_nanos() as u64,
            latest: now + (time + PATIENCE).as_nanos() as u64,
            over: AtomicBool::new(false),
            done: Mutex::default(),
        })
    }

    pub fn over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The shortest lease of all configurations.
    pub fn lease_at_least(&self) -> u64 {
        let leases = self
            .site
            .configs
            .iter()
            .map(|config| config.subnets[0].times.lease);
        leases.min().unwrap_or_default().as_nanos() as u64
    }

    /// Counts what was done.
    pub fn did(&self, what: &'static str) {
        let done = self.done.lock();
        let mut done = done.unwrap_or_else(PoisonError::into_inner);
        *done.entry(what).or_default() += 1;
    }

    /// That many more renewals have been looked at.
    pub fn looked_at(&self, renewals: u64) {
        self.looked.fetch_add(renewals, Ordering::Relaxed);
        self.further.notify_all();
    }

    /// Lets this many renewals pass.
    pub fn wait_for(&self, renewals: u64) {
        let due = self.looked.load(Ordering::Relaxed) + renewals;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while self.looked.load(Ordering::Relaxed) < due && !self.over() {
            // Who looks takes no lock, so a word of it may be missed.
            let waited = self.further.wait_timeout(waiting, TICK);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let done = self.done.lock();
        done.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether everything has happened often enough.
    fn is_enough(&self) -> bool {
        let done = self.counts();
        let all = WANTED.iter().all(|what| done.contains_key(what));
        let both = self
            .answered
            .iter()
            .all(|by| by.load(Ordering::Relaxed) > 0);
        let looked = self.looked.load(Ordering::Relaxed);
        all && both && looked >= self.wanted && Now::read().boot >= self.until
    }

    /// Ends the race when it is enough, or somebody has failed.
    fn watch(&self) {
        let (mut seen, mut moved) = (0, Now::read().boot);
        while !self.over() {
            let (looked, now) = (self.looked.load(Ordering::Relaxed), Now::read().boot);
            if looked != seen {
                (seen, moved) = (looked, now);
            }
            let stuck = now >= moved + PATIENCE.as_nanos() as u64;
            let late = self.wanted < 100_000 && now >= self.latest;
            if self.is_enough() || stuck || late {
                self.over.store(true, Ordering::Relaxed);
            }
            thread::park_timeout(TICK);
        }
    }
}

#[test]
fn renewals_race_with_everything_that_changes_a_lease() -> Result<()> {
    common::root();
    let campaign = Campaign::from_env();
    let race = Race::new(campaign)?;
    let started = Now::read().boot;
    run(&race, campaign.seed)?;
    ensure!(
        race.is_enough(),
        "not all of it happened: {:?}",
        race.counts()
    );
    let kept = after(&race)?;
    tell(&race, campaign, kept, Now::read().boot - started);
    Ok(())
}

fn run(race: &Race, seed: u64) -> Result<()> {
    let cpus = thread::available_parallelism().map_or(2, usize::from);
    let random = |thread: u64| Random::new(seed ^ thread << 32);
    let (journal, tickets) = channel::<Ticket>();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for number in 0..cpus.max(2) as u64 {
            let changer = |stream| Changer {
                race,
                journal: journal.clone(),
                random: random(8 * number + stream),
                reply: Vec::new(),
            };
            let looker =
                |by, stream| Looker::new(by, random(8 * number + stream), changer(stream + 1));
            let (kernel, host) = (looker(By::Kernel, 0), looker(By::Host, 2));
            let changer = changer(4);
            threads.push(scope.spawn(move || ending(race, || kernel.run())));
            threads.push(scope.spawn(move || ending(race, || host.run())));
            threads.push(scope.spawn(move || ending(race, || changer.run())));
        }
        let sweep = move || change::sweep(race, &journal);
        threads.push(scope.spawn(move || ending(race, sweep)));
        threads.push(scope.spawn(move || ending(race, || change::reload(race))));
        let commit = move || commit::run(race, &tickets, random(u64::MAX >> 1));
        threads.push(scope.spawn(move || ending(race, commit)));
        race.watch();
        let results = threads.into_iter().map(thread::ScopedJoinHandle::join);
        results
            .map(|result| result.expect("no panic"))
            .collect::<Result<Vec<()>>>()
    })
    .map(|_| ())
}

/// Who fails ends the race, by a panic too.
fn ending(race: &Race, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let on_panic = EndOnPanic(race);
    let result = run();
    if result.is_err() {
        on_panic.0.over.store(true, Ordering::Relaxed);
    }
    result
}

struct EndOnPanic<'a>(&'a Race);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.over.store(true, Ordering::Relaxed);
        }
    }
}

/// At the end everybody holds what he was told; tells how many do.
fn after(race: &Race) -> Result<u64> {
    let mut kept = 0;
    for number in 0..ADDRESSES {
        let Some((client, told)) = race.ledger.told(number) else {
            continue;
        };
        if told <= Now::read().boot {
            continue;
        }
        let lease = race.site.engine.lease_at(address(number));
        let his = lease.filter(|lease| lease.mac == mac(client) && lease.expires >= told);
        ensure!(his.is_some(), "client {client} has lost address {number}");
        kept += 1;
    }
    Ok(kept)
}

fn tell(race: &Race, campaign: Campaign, kept: u64, took: u64) {
    let done = race.counts();
    let [kernel, host] = [0, 1].map(|by| race.answered[by].load(Ordering::Relaxed));
    let looked = race.looked.load(Ordering::Relaxed);
    let changes: u64 = done.values().sum();
    println!("{looked} lookups in {} ms, {done:?}", took / 1_000_000);
    campaign.tell(
        "renewals in the kernel and on the host while the same 64 leases change",
        format_args!("{looked} lookups, {changes} changes"),
        &format!(
            "{} answers whole, {kernel} of them the kernel's: right client and configuration, on disk, \
             not after the close; {kept} leases at the end",
            kernel + host
        ),
        0,
        "-",
    );
}
