//! Disks that fail, fill up and forget, under a real daemon and under load. The ledger sees what clients are told, and
//! asks about each of their leases after every fault.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use common::faults::{LIMIT, Tmpfs, config, count, crash};
use common::fleet::Fleet;
use common::journal_files::{self, Damage, JournalFile};
use common::load::Load;
use common::reloads::Reloads;
use common::strace::{Failed, Inject};
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::ledger::ALLOWED;
use xdhcpd_tests::{Asker, Campaign, Daemon, Lab, Ledger, wait_until};

const CLIENTS: usize = 30;
const POOL: &str = "10.77.2.0-10.77.5.255";
/// Short, so that promises are moved forward all the time.
const LEASE_TIMES: [&str; 2] = ["30s", "45s"];
const REBOOT: &str = "if [ -z \"$BOOTED\" ]; then BOOTED=1; export BOOTED; exec unshare --mount sh -ec \
    'mount --bind @ID@ /proc/sys/kernel/random/boot_id; exec \"$@\"' sh \"$0\" \"$@\"; fi";

/// What the journal asks of the disk.
const CALLS: [&str; 6] = [
    "fdatasync",
    "pwrite64",
    "fsync",
    "rename",
    "ftruncate",
    "unlink",
];
/// For `EROFS` at all of them. strace counts each by itself, and in each thread: they do not begin to fail together.
const EVERY_CALL: &str = "fdatasync,pwrite64,fsync,rename,ftruncate,unlink";
/// The script: a start, and so many ACKs.
const ACKS: u64 = 100;
/// The short form looks for its few faults for so long.
const MORE_ACKS: u64 = 5_000;
/// No script makes a call as often as this in one thread.
const MOST: u64 = 10_000;
/// A segment is made by a thousand writes: from there on, one of so many stands for all.
const SOME: u64 = 16;

/// The daemon, its load and their judge.
struct Site<'a> {
    lab: &'a Lab,
    boot_id: PathBuf,
    boots: u64,
    inject: Inject,
    daemon: Daemon,
    ledger: Arc<Ledger>,
    asker: Asker,
    claims: usize,
}

impl<'a> Site<'a> {
    fn new(lab: &'a Lab, config: &str) -> Result<Self> {
        let boot_id = lab.directory("id")?.join("boot_id");
        reboot(&boot_id, 0)?;
        let script = REBOOT.replace("@ID@", &boot_id.to_string_lossy());
        let (inject, binaries) = Inject::new(&lab.directory("injected")?, &script)?;
        let directory = lab.directory("daemon")?;
        let ledger = Arc::new(Ledger::watch(&[(&lab.clients[0], INTERFACE)])?);
        Ok(Self {
            boot_id,
            boots: 0,
            inject,
            daemon: Daemon::start(&binaries, &lab.server, &directory, config)?,
            ledger,
            asker: Asker::new(&lab.clients[1], &lab.server)?,
            claims: 0,
            lab,
        })
    }

    /// Some ACKs later, or when the daemon has ended.
    fn serve(&mut self, acks: u64) -> Result<bool> {
        let enough = self.ledger.acks() + acks;
        wait_until("the load to go on, or the daemon to end", LIMIT, || {
            let ended = self.daemon.process().exit_status()?.is_some();
            Ok((ended || self.ledger.acks() >= enough).then_some(()))
        })?;
        Ok(self.daemon.process().exit_status()?.is_none())
    }

    /// Somebody reloads the configuration all the time.
    fn reloads(&self, config: &str) -> Reloads {
        Reloads::start(&self.daemon, config, LEASE_TIMES, &self.ledger)
    }

    /// The same, until a call has failed too, or that many ACKs later.
    fn suffer(&mut self, most: u64) -> Result<bool> {
        let start = self.ledger.acks();
        let lives = self.serve(ACKS)?;
        if !lives {
            return Ok(false);
        }
        wait_until("a call to fail, or the load to go on", LIMIT, || {
            let ended = self.daemon.process().exit_status()?.is_some();
            let failed = !self.inject.failed()?.is_empty();
            let enough = self.ledger.acks() >= start + most;
            Ok((ended || failed || enough).then_some(()))
        })?;
        self.serve(0)
    }

    /// As when power goes: what is in the kernel is lost.
    fn crash(&mut self) -> Result<()> {
        crash(&mut self.daemon)?;
        self.boots += 1;
        reboot(&self.boot_id, self.boots)
    }

    fn start(&mut self) -> Result<()> {
        self.daemon.launch()?;
        self.daemon.wait_ready()
    }

    /// Nothing that a client was told is lost.
    fn verify(&mut self) -> Result<()> {
        self.claims += self.ledger.judge(&mut self.asker)?;
        Ok(())
    }

    fn checked(&self) -> String {
        format!(
            "{} ACKs; {} leases asked about",
            self.ledger.acks(),
            self.claims
        )
    }

    fn pause(&self) -> String {
        let (renewals, others) = (self.ledger.renewal_pauses(), self.ledger.other_pauses());
        format!(
            "renewals {} ms, all else {} ms",
            renewals.max.as_millis(),
            others.max.as_millis()
        )
    }
}

fn reboot(boot_id: &PathBuf, number: u64) -> Result<()> {
    Ok(fs::write(
        boot_id,
        format!("00000000-1111-4222-8333-{number:012x}\n"),
    )?)
}

fn native(lab: &Lab, lease_time: &str) -> String {
    config(lab, "native", POOL, lease_time) + ALLOWED
}

#[test]
fn no_ack_is_lost_by_a_call_that_fails() -> Result<()> {
    common::root();
    let campaign = Campaign::from_env();
    let lab = Lab::new(2)?;
    let config = native(&lab, LEASE_TIMES[0]);
    let mut site = Site::new(&lab, &config)?;
    let load = Load::start(&lab, 0, CLIENTS, campaign.seed)?;
    let reloads = site.reloads(&config);
    let mut told = Told::default();
    if campaign.is_long() {
        for calls in CALLS {
            for error in ["EIO", "ENOSPC"] {
                told.fail_at_every_call(&mut site, calls, error)?;
            }
        }
        told.fail_at_every_call(&mut site, EVERY_CALL, "EROFS")?;
    } else {
        for (calls, error, when) in [
            ("fdatasync", "EIO", "3"),
            ("pwrite64", "ENOSPC", "2"),
            ("fsync", "EIO", "2"),
            (EVERY_CALL, "EROFS", "4+"),
        ] {
            told.fail_once(&mut site, MORE_ACKS, (calls, error, when))?;
        }
    }
    let reloads = reloads.finish()?;
    load.finish()?;
    site.verify()?;
    told.expect_enough()?;
    let fault = "the n-th fdatasync, write, fsync, rename, ftruncate or unlink of each thread fails (EIO, ENOSPC), or \
                 each call of each thread from its n-th on (EROFS)";
    let checked = format!("{}; {reloads} reloads", site.checked());
    campaign.tell(fault, told.say(), &checked, 0, &site.pause());
    Ok(())
}

#[derive(Default)]
struct Told {
    times: u64,
    ended: u64,
    /// How often which calls failed with which error.
    each: BTreeMap<(String, String), u64>,
}

impl Told {
    /// Up to the one that never comes: what the script does at all fails once at least.
    fn fail_at_every_call(&mut self, site: &mut Site<'_>, calls: &str, error: &str) -> Result<()> {
        let mut number = 1;
        while number <= MOST {
            let more = if error == "EROFS" { "+" } else { "" };
            let when = format!("{number}{more}");
            if self.fail_once(site, ACKS, (calls, error, &when))? == 0 {
                return Ok(());
            }
            number += (number / SOME).max(1);
        }
        bail!("a start and {ACKS} ACKs make {MOST} calls of {calls}");
    }

    /// A daemon with this fault, then one without. Tells how many calls failed.
    fn fail_once(
        &mut self,
        site: &mut Site<'_>,
        acks: u64,
        (calls, error, when): (&str, &str, &str),
    ) -> Result<usize> {
        let context = || format!("{calls} number {when} fails with {error}");
        site.inject.calls(calls, error, when)?;
        site.daemon.kill();
        site.daemon.launch()?;
        let mut lives = site.suffer(acks).with_context(context)?;
        let failed = site.inject.failed()?;
        // A start writes the last batch again, which must be on disk before anybody is answered. It has just
        // made room for it, so only a fault like this one can be in its way.
        let at_start = failed.iter().any(|call| call.thread == "xdhcpd");
        let refuses_only = calls == "pwrite64" && error == "ENOSPC" && !at_start;
        ensure!(
            lives || !refuses_only,
            "a full disk ended it: {}; {failed:?}",
            context()
        );
        // Nobody was told of what is on a segment that is only being made.
        let is_told = |call: &Failed| error != "ENOSPC" || !call.path.ends_with(".new");
        let is_final = |call: &Failed| call.thread == "journal" && is_told(call);
        let is_final = calls == "fdatasync" && failed.iter().any(is_final);
        if lives && is_final {
            // The call has only just failed; a daemon that goes on is found by its never ending.
            site.daemon
                .process()
                .wait_end(LIMIT)
                .with_context(context)?;
            lives = false;
        }
        site.inject.nothing()?;
        // Now and then with what the kernel knows.
        if self.times % 2 == 1 {
            site.crash()?;
        } else {
            site.daemon.kill();
        }
        site.start().with_context(context)?;
        site.verify().with_context(context)?;
        let has_failed = u64::from(!failed.is_empty());
        self.times += has_failed;
        self.ended += u64::from(!lives);
        let name = if calls == EVERY_CALL { "any" } else { calls };
        *self.each.entry((name.into(), error.into())).or_default() += has_failed;
        Ok(failed.len())
    }

    /// Every script syncs and writes; the short form makes four faults.
    fn expect_enough(&self) -> Result<()> {
        let made = |name: &str| {
            self.each
                .iter()
                .any(|((call, _), n)| call == name && *n > 0)
        };
        let all = ["fdatasync", "pwrite64", "fsync", "any"].map(made);
        ensure!(self.times >= 4 && all == [true; 4], "{:?}", self.each);
        Ok(())
    }

    fn say(&self) -> String {
        let (times, ended) = (self.times, self.ended);
        let each = self.each.iter();
        let each = each.map(|((call, error), times)| format!("{call} {error} {times}"));
        let each = each.collect::<Vec<_>>().join(", ");
        format!("{times} ({each}), {ended} of which ended the daemon")
    }
}

#[test]
fn no_ack_is_lost_by_a_full_disk_under_load() -> Result<()> {
    common::root();
    let campaign = Campaign::from_env();
    let lab = Lab::new(2)?;
    let state = lab.directory("daemon")?.join("state");
    let _tmpfs = Tmpfs::mount(&state, "140m")?;
    let config = native(&lab, LEASE_TIMES[0]);
    let mut site = Site::new(&lab, &config)?;
    let load = Load::start(&lab, 0, CLIENTS, campaign.seed)?;
    let reloads = site.reloads(&config);
    let times = campaign.times(1, 25);
    for number in 0..times {
        site.serve(100)?;
        // The segment that is written to has room: a start wants another one.
        crash(&mut site.daemon)?;
        remove_spare(&site.daemon)?;
        let filler = fill(&state)?;
        site.start()?;
        wait_until("the disk to be full", LIMIT, || {
            Ok((count(&site.daemon, &["ignored", "disk-full"])? > 0).then_some(()))
        })?;
        site.verify()?;
        if number % 2 == 0 {
            site.crash()?;
            site.start()?;
            site.verify()?;
        }
        fs::remove_file(filler)?;
        site.serve(100)?;
        site.verify()?;
    }
    let reloads = reloads.finish()?;
    load.finish()?;
    site.verify()?;
    let fault = "the state directory full under load, also at a start and over a crash of the host";
    let checked = format!("{}; {reloads} reloads", site.checked());
    campaign.tell(fault, times, &checked, 0, &site.pause());
    Ok(())
}

/// The file that waits to be written to.
fn remove_spare(daemon: &Daemon) -> Result<()> {
    let used = journal_files::written(daemon)?;
    for entry in fs::read_dir(daemon.directory().join("state/journal"))? {
        let path = entry?.path();
        let is_segment = path.extension() == Some("segment".as_ref());
        match used.iter().find(|file| file.path == path) {
            // Its zeros take space too.
            Some(file) => fs::File::options()
                .write(true)
                .open(&path)?
                .set_len(file.bytes.len() as u64 + 64)?,
            None if is_segment => fs::remove_file(path)?,
            None => {}
        }
    }
    Ok(())
}

fn fill(state: &std::path::Path) -> Result<PathBuf> {
    let path = state.join("filler");
    let mut file = fs::File::create(&path)?;
    while file.write_all(&[1; 4096]).is_ok() {}
    Ok(path)
}

#[test]
fn damage_is_told_and_costs_nobody_who_is_heard() -> Result<()> {
    common::root();
    let campaign = Campaign::from_env();
    let (mut times, mut records, mut claims) = (0, 0, 0);
    let short = [(Damage::Zeros, false)];
    let all = Damage::ALL
        .iter()
        .flat_map(|damage| [(*damage, true), (*damage, false)]);
    let all: Vec<_> = all.collect();
    for (damage, is_pinned) in if campaign.is_long() { &all[..] } else { &short } {
        let context = || format!("{damage:?}, pinned: {is_pinned}");
        let (lost, asked) = damaged(*damage, *is_pinned).with_context(context)?;
        times += 1;
        records += lost;
        claims += asked;
    }
    let fault = "the journal damaged in the middle between two runs (bit, zeros, swapped, cut, deleted), under load with \
                 what the kernel knows, and without it";
    let checked = format!(
        "{records} records told as lost; {claims} leases asked about once their clients had been heard"
    );
    campaign.tell(fault, times, &checked, 0, "-");
    Ok(())
}

/// Clients that hold addresses on a journal that loses some of them. Tells how many, and how many were asked about.
fn damaged(damage: Damage, is_pinned: bool) -> Result<(usize, usize)> {
    let lab = Lab::new(2)?;
    let mut site = Site::new(&lab, &native(&lab, "1h"))?;
    let mut fleet = Fleet::new(&lab, 0..40)?;
    fleet.bind()?;
    // Where nothing is lost, nobody needs to keep still.
    let load = is_pinned.then(|| Load::start(&lab, 0, CLIENTS, 1));
    let load = load.transpose()?;
    // So that others follow the file that is damaged.
    site.daemon.restart()?;
    let mut more = Fleet::new(&lab, 40..42)?;
    more.bind()?;
    if is_pinned {
        site.daemon.kill();
    } else {
        site.crash()?;
    }
    let files = journal_files::written(&site.daemon)?;
    damage.apply(&files[0])?;
    site.start()?;
    let lost = told_of(&mut site, &files)?;
    if is_pinned {
        with_what_the_kernel_knows(&mut site)?;
    } else {
        without(&mut site, &fleet, lost)?;
    }
    for known in [&mut fleet, &mut more] {
        assert_eq!(known.renew_once()?, [] as [usize; 0]);
    }
    site.verify()?;
    site.crash()?;
    site.start()?;
    site.verify()?;
    load.map_or(Ok(()), Load::finish)?;
    site.verify()?;
    Ok((lost, site.claims))
}

fn told_of(site: &mut Site<'_>, files: &[JournalFile]) -> Result<usize> {
    let log = site.daemon.process().log();
    let lost = journal_files::lost_by(&log, files)?;
    ensure!(lost > 0, "no damage told: {log}");
    Ok(lost)
}

/// Nothing is lost, and soon all of it is on disk again.
fn with_what_the_kernel_knows(site: &mut Site<'_>) -> Result<()> {
    site.verify()?;
    let written = "all leases are in the journal once more";
    site.daemon.process().wait_for_line(written, 0, LIMIT)?;
    // Records are on disk in the order in which they were handed in.
    Fleet::new(site.lab, 500..501)?.bind()?;
    site.crash()?;
    site.start()?;
    site.verify()
}

/// Those who are lost are as many as was told; their addresses are not given to others while they use them, and they
/// get them back when they ask.
fn without(site: &mut Site<'_>, fleet: &Fleet, lost: usize) -> Result<()> {
    let verified = site.ledger.verify(&mut site.asker)?;
    // A clock record may be among them.
    let unknown = verified.lost.len();
    ensure!(
        (lost - 1..=lost).contains(&unknown),
        "{unknown} of {lost} lost: {:?}",
        verified.lost
    );
    for address in fleet.addresses()?.into_keys() {
        site.lab.clients[0].ip(&format!("address add {address}/16 dev {INTERFACE}"))?;
    }
    let mut new = Fleet::new(site.lab, 1_000..1_020)?;
    new.bind()?;
    site.ledger.content()?;
    site.lab.clients[0].ip(&format!("address flush dev {INTERFACE}"))?;
    Ok(())
}
