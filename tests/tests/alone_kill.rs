//! `kill -9` at random moments, also while the daemon starts, under all kinds of load; now and then what is in the
//! kernel is lost with it, as in a crash of the host. The ledger sees what clients are told, and asks about each of their
//! leases after every kill.

mod common;
#[path = "alone_kill/start.rs"]
mod start;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::faults::{LIMIT, config, count, crash, wrapped};
use common::fleet::Fleet;
use common::load::Load;
use common::random::Random;
use common::reloads::{self, Reloads};
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::ledger::{ALLOWED, Pauses};
use xdhcpd_tests::{Asker, Campaign, Daemon, Lab, Ledger, wait_until};

/// How the daemon is run, and how often it is killed then, in the short form and in the long one.
const MODES: [(&str, u64, u64); 2] = [("native", 4, 150), ("off", 2, 150)];
/// After so many kills the journal has been compacted: each start makes a segment.
const COMPACTED: u64 = 100;
const CLIENTS: usize = 200;
/// Enough for those who went without a word, too.
const POOL: &str = "10.77.2.0-10.77.9.255";
/// How many addresses those are.
const ADDRESSES: usize = 2048;
/// Strangers that wait for an offer at once.
const AT_ONCE: usize = 512;
/// Short, so that leases end and promises are moved forward all the time.
const LEASE_TIMES: [&str; 2] = ["30s", "45s"];
/// One kill in so many takes the pins along, and the boot id.
const CRASH: u64 = 3;
/// One start in so many is killed before it is done.
const STILLBORN: usize = 3;
/// ACKs between a start and the next kill, at most.
const ACKS: usize = 400;
/// How long it starts undisturbed when it is not to be ready, at most.
const START_MS: usize = 400;
const REBOOT: &str = "exec unshare --mount sh -ec \
    'mount --bind @ID@ /proc/sys/kernel/random/boot_id; exec \"$@\"' sh \"$XDHCPD\" \"$@\"";

#[test]
fn no_ack_is_lost_by_a_kill() -> Result<()> {
    common::root();
    let campaign = Campaign::from_env();
    let lab = Lab::new(2)?;
    let mut site = Site::new(&lab, campaign.seed)?;
    for (mode, short, long) in MODES {
        site.start(mode)?;
        let kills = campaign.times(short, long);
        let told = site.killing(mode, kills)?;
        told.tell(&campaign, mode, kills);
    }
    site.strangers()
}

struct Site<'a> {
    lab: &'a Lab,
    random: Random,
    boot_id: PathBuf,
    daemon: Option<Daemon>,
    ledger: Arc<Ledger>,
    asker: Asker,
}

/// What came of it.
#[derive(Default)]
struct Told {
    crashes: u64,
    stillborn: u64,
    acks: u64,
    claims: usize,
    reloads: u64,
    lost: Vec<String>,
    renewals: Pauses,
    others: Pauses,
}

impl<'a> Site<'a> {
    fn new(lab: &'a Lab, seed: u64) -> Result<Self> {
        let site = Self {
            lab,
            random: Random::new(seed),
            boot_id: lab.directory("id")?.join("boot_id"),
            daemon: None,
            ledger: Arc::new(Ledger::watch(&[(&lab.clients[0], INTERFACE)])?),
            asker: Asker::new(&lab.clients[1], &lab.server)?,
        };
        site.reboot(0)?;
        Ok(site)
    }

    /// In place of the one that runs, on the same files.
    fn start(&mut self, mode: &str) -> Result<()> {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill();
        }
        let directory = self.lab.directory("daemon")?;
        let next_boot = self.lab.directory("boot")?.join(mode);
        let script = REBOOT.replace("@ID@", &self.boot_id.to_string_lossy());
        let binaries = wrapped(&next_boot, &script)?;
        let config = self.config(mode);
        // The last reload may have left the other lease time behind.
        let ledger = Arc::clone(&self.ledger);
        let start = || Daemon::start(&binaries, &self.lab.server, &directory, &config);
        self.daemon = Some(ledger.lease_time_changes(reloads::shortest(LEASE_TIMES), start)?);
        Ok(())
    }

    fn config(&self, mode: &str) -> String {
        config(self.lab, mode, POOL, LEASE_TIMES[0]) + ALLOWED
    }

    /// The machine's next start will be another one.
    fn reboot(&self, number: u64) -> Result<()> {
        let id = format!("00000000-1111-4222-8333-{number:012x}\n");
        Ok(fs::write(&self.boot_id, id)?)
    }

    fn killing(&mut self, mode: &str, kills: u64) -> Result<Told> {
        let acks = self.ledger.acks();
        self.ledger.take_answers();
        let mut daemon = self.daemon.take().context("a daemon")?;
        let load = Load::start(self.lab, 0, CLIENTS, self.random.next())?;
        let config = self.config(mode);
        let reloads = Reloads::start(&daemon, &config, LEASE_TIMES, &self.ledger);
        let mut told = Told::default();
        for number in 1..=kills {
            let killed = self.kill_once(&mut daemon, number, &mut told);
            let killed = killed.map_err(|error| daemon.process().explain(&error));
            killed.with_context(|| format!("kill {number} of {kills} in mode {mode}"))?;
        }
        told.reloads = reloads.finish()?;
        load.finish()?;
        self.verify(&mut told)?;
        expect_load(&daemon, mode)?;
        if kills >= COMPACTED {
            expect_compaction(&daemon)?;
        }
        let answers = self.ledger.take_answers();
        (told.renewals, told.others) = (answers.renewals(), answers.others());
        told.acks = self.ledger.acks() - acks;
        self.daemon = Some(daemon);
        Ok(told)
    }

    /// After some more ACKs, whatever the daemon is about then.
    fn kill_once(&mut self, daemon: &mut Daemon, number: u64, told: &mut Told) -> Result<()> {
        let enough = self.ledger.acks() + 1 + self.random.below(ACKS) as u64;
        wait_until("the load to go on", LIMIT, || {
            Ok((self.ledger.acks() >= enough).then_some(()))
        })?;
        self.end(daemon, number, told)?;
        daemon.launch()?;
        if self.random.one_in(STILLBORN) {
            thread::sleep(Duration::from_millis(self.random.below(START_MS) as u64));
            self.end(daemon, number, told)?;
            told.stillborn += 1;
            daemon.launch()?;
        }
        daemon.wait_ready()?;
        self.verify(told)
    }

    fn end(&self, daemon: &mut Daemon, number: u64, told: &mut Told) -> Result<()> {
        if !number.is_multiple_of(CRASH) {
            daemon.kill();
            return Ok(());
        }
        crash(daemon)?;
        told.crashes += 1;
        self.reboot(told.crashes)
    }

    /// They ask for all that is left: whatever the server says of its leases, it keeps them too.
    fn strangers(&mut self) -> Result<()> {
        let live = self.ledger.live().len();
        ensure!(live >= CLIENTS / 2, "only {live} leases are left");
        let offers = Fleet::new(self.lab, 0..ADDRESSES - live)?.offers(AT_ONCE)?;
        ensure!(offers > ADDRESSES / 2, "only {offers} offers");
        let live = self.ledger.live().len();
        ensure!(live > 0, "all leases had ended before the last offer");
        self.ledger.content()
    }

    fn verify(&mut self, told: &mut Told) -> Result<()> {
        let verified = self.ledger.verify(&mut self.asker)?;
        told.claims += verified.claims;
        told.lost.extend(verified.lost);
        ensure!(told.lost.is_empty(), "lost:\n{}", told.lost.join("\n"));
        self.ledger.content()
    }
}

/// The load was what it is said to be.
fn expect_load(daemon: &Daemon, mode: &str) -> Result<()> {
    let kernel = count(daemon, &["kernel_hits"])?;
    ensure!((kernel > 0) == (mode == "native"), "{kernel} in the kernel");
    let engine = count(daemon, &["replies", "renew"])?;
    ensure!(engine > 0, "no renewal was answered by the engine");
    Ok(())
}

fn expect_compaction(daemon: &Daemon) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(daemon.directory().join("state/journal"))? {
        names.push(entry?.file_name());
    }
    let snapshot = names
        .iter()
        .any(|name| name.to_string_lossy().ends_with(".snapshot"));
    ensure!(snapshot, "the journal was never compacted: {names:?}");
    Ok(())
}

impl Told {
    fn tell(&self, campaign: &Campaign, mode: &str, kills: u64) {
        let fault = format!("`kill -9` under load, fast path {mode}");
        let (crashes, stillborn) = (self.crashes, self.stillborn);
        let times = format!(
            "{kills}, {stillborn} more during the start; {crashes} of them with the loss of all that is in the kernel"
        );
        let checked = format!(
            "{} ACKs; {} leases asked about; {} reloads between",
            self.acks, self.claims, self.reloads
        );
        let pause = format!(
            "renewals {} ms (half of them {:.2} ms at most), all else {} ms",
            self.renewals.max.as_millis(),
            self.renewals.p50.as_secs_f64() * 1e3,
            self.others.max.as_millis(),
        );
        campaign.tell(&fault, times, &checked, self.lost.len() as u64, &pause);
    }
}
