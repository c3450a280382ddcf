//! `kill -9` at each system call of the daemon's start that leaves something behind: a file, a map, a pin. Each
//! start meets what all those before it have left.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::ledger::ALLOWED;
use xdhcpd_tests::{Asker, Campaign, Daemon, Lab, Ledger, wait_until};

use super::common;
use super::common::faults::{LIMIT, config, crash, wrapped};
use super::common::load::Load;
use super::common::random::Random;

const MODES: [&str; 2] = ["native", "off"];
const CLIENTS: usize = 60;
const POOL: &str = "10.77.2.0-10.77.9.255";
/// One end in so many takes the pins along.
const CRASH: usize = 6;
/// After so many starts that were cut short, one is not, and the leases are asked about.
const WHOLE: u64 = 8;
const CALLS: [&str; 16] = [
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "unlink",
    "unlinkat",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "write",
    "pwrite64",
    "bpf",
    "openat",
    "mmap",
];
/// No start makes a call as often as this before it is ready.
const MOST: u64 = 1_000;
/// The short form: one of the first so many of each of these calls, if a start makes them.
const SAMPLE: [(&str, usize); 8] = [
    ("mkdir", 3),
    ("fsync", 3),
    ("ftruncate", 1),
    ("unlink", 1),
    ("bpf", 90),
    ("openat", 35),
    ("rename", 1),
    ("fdatasync", 1),
];
/// Of the sample, so many starts at least are cut short: every start makes these calls.
const CUT: u64 = 3;
const WHOLE_SAMPLE: u64 = 3;
/// Starts the daemon whole if nothing says at which call it ends. The tracer is not its parent: whoever waits for the
/// daemon waits for itself. Each thread counts each of its calls by itself.
const SCRIPT: &str = "\
read call number < @WHEN@ || exec \"$XDHCPD\" \"$@\"
exec strace -D -f -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$number \
    \"$XDHCPD\" \"$@\"";

#[test]
fn no_ack_is_lost_by_a_start_cut_short() -> Result<()> {
    common::root();
    let campaign = Campaign::from_env();
    for mode in MODES {
        let lab = Lab::new(2)?;
        let mut starts = Starts::new(&lab, mode, campaign.seed)?;
        if campaign.is_long() {
            starts.cut_all()?;
        } else {
            starts.cut_sample()?;
        }
        starts.end_load()?;
        starts.tell(&campaign, mode);
    }
    Ok(())
}

struct Starts {
    random: Random,
    /// Holds at which call the next start ends.
    when: PathBuf,
    daemon: Daemon,
    ledger: Ledger,
    asker: Asker,
    load: Option<Load>,
    cut: u64,
    /// How often at which call.
    cut_at: BTreeMap<&'static str, u64>,
    claims: usize,
}

impl Starts {
    fn new(lab: &Lab, mode: &str, seed: u64) -> Result<Self> {
        let when = lab.directory("when")?.join("call");
        fs::write(&when, "")?;
        let script = SCRIPT.replace("@WHEN@", &when.to_string_lossy());
        let binaries = wrapped(&lab.directory("cut")?, &script)?;
        let config = config(lab, mode, POOL, "60s") + ALLOWED;
        let directory = lab.directory("daemon")?;
        let daemon = Daemon::start(&binaries, &lab.server, &directory, &config)?;
        let mut random = Random::new(seed);
        let ledger = Ledger::watch(&[(&lab.clients[0], INTERFACE)])?;
        let load = Load::start(lab, 0, CLIENTS, random.next())?;
        let starts = Self {
            random,
            when,
            daemon,
            ledger,
            asker: Asker::new(&lab.clients[1], &lab.server)?,
            load: Some(load),
            cut: 0,
            cut_at: BTreeMap::new(),
            claims: 0,
        };
        starts.wait_load()?;
        Ok(starts)
    }

    /// At each call of each kind, from the first of its kind until a start is whole before it comes.
    fn cut_all(&mut self) -> Result<()> {
        for call in CALLS {
            let mut number = 1;
            while number <= MOST && self.cut_at(call, number)? {
                self.start_whole_after(WHOLE, call, number)?;
                number += 1;
            }
            ensure!(number <= MOST, "a start makes {MOST} calls of {call}");
        }
        Ok(())
    }

    fn cut_sample(&mut self) -> Result<()> {
        for (call, first) in SAMPLE {
            let number = 1 + self.random.below(first) as u64;
            if self.cut_at(call, number)? {
                self.start_whole_after(WHOLE_SAMPLE, call, number)?;
            }
        }
        let cut = self.cut;
        ensure!(cut >= CUT, "only {cut} starts were cut short");
        Ok(())
    }

    fn start_whole_after(&mut self, cut: u64, call: &str, number: u64) -> Result<()> {
        if !self.cut.is_multiple_of(cut) {
            return Ok(());
        }
        self.start_whole()
            .with_context(|| format!("after a start that was cut short at {call} {number}"))
    }

    fn end_load(&mut self) -> Result<()> {
        self.start_whole()?;
        self.load.take().context("a load")?.finish()?;
        self.check()
    }

    /// Whether the start was cut short.
    fn cut_at(&mut self, call: &'static str, number: u64) -> Result<bool> {
        self.end()?;
        fs::write(&self.when, format!("{call} {number}\n"))?;
        self.daemon.launch()?;
        let ready = self.daemon.wait_ready();
        fs::write(&self.when, "")?;
        let Err(error) = ready else {
            return Ok(false);
        };
        let status = self.daemon.process().exit_status()?;
        let killed = status.and_then(|status| status.signal()) == Some(libc::SIGKILL);
        ensure!(
            killed,
            "a start was to be cut short at {call} {number}: {error:#}"
        );
        self.cut += 1;
        *self.cut_at.entry(call).or_default() += 1;
        Ok(true)
    }

    /// Ends whatever runs; now and then what is in the kernel is lost too.
    fn end(&mut self) -> Result<()> {
        if self.random.one_in(CRASH) {
            return crash(&mut self.daemon);
        }
        self.daemon.kill();
        Ok(())
    }

    fn start_whole(&mut self) -> Result<()> {
        self.end()?;
        self.daemon.launch()?;
        self.daemon.wait_ready()?;
        let checked = self.check();
        checked.map_err(|error| self.daemon.process().explain(&error))?;
        self.wait_load()
    }

    fn check(&mut self) -> Result<()> {
        self.claims += self.ledger.judge(&mut self.asker)?;
        Ok(())
    }

    /// So that there is something to lose.
    fn wait_load(&self) -> Result<()> {
        let enough = self.ledger.acks() + CLIENTS as u64;
        wait_until("the load to go on", LIMIT, || {
            Ok((self.ledger.acks() >= enough).then_some(()))
        })
    }

    fn tell(&self, campaign: &Campaign, mode: &str) {
        let fault = format!(
            "`kill -9` at each system call of the start that leaves something behind, fast path {mode}"
        );
        let calls = self
            .cut_at
            .iter()
            .map(|(call, times)| format!("{call} {times}"));
        let calls = calls.collect::<Vec<_>>().join(", ");
        let times = format!(
            "{} ({calls}); in one of {CRASH} all that is in the kernel is lost too",
            self.cut
        );
        let (acks, claims) = (self.ledger.acks(), self.claims);
        let checked = format!("{acks} ACKs; {claims} leases asked about");
        campaign.tell(&fault, times, &checked, 0, "not measured");
    }
}
