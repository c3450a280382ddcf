//! `kill -9` before each system call of the daemon's start that leaves something behind: a file, a map, a pin. Each
//! start meets what all those before it have left.

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
const CALLS: &str = "bpf,openat,write,pwrite64,fsync,fdatasync,ftruncate,fallocate,rename,renameat,renameat2,unlink,\
    unlinkat,mkdir,mkdirat,mmap";
/// Starts the daemon whole if nothing says at which call it ends. The tracer is not its parent: whoever waits for the
/// daemon waits for itself.
const SCRIPT: &str = "\
read call < @WHEN@ || exec \"$XDHCPD\" \"$@\"
exec strace -D -f -qq -o /dev/null -e inject=@CALLS@:signal=KILL:when=$call \"$XDHCPD\" \"$@\"";

#[test]
fn no_ack_is_lost_by_a_start_cut_short() -> Result<()> {
    common::root();
    let campaign = Campaign::from_env();
    for mode in MODES {
        let lab = Lab::new(2)?;
        let mut starts = Starts::new(&lab, mode, campaign.seed)?;
        let step = campaign.times(60, 1);
        let last = starts.cut_all(step)?;
        starts.tell(&campaign, mode, last);
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
    claims: usize,
}

impl Starts {
    fn new(lab: &Lab, mode: &str, seed: u64) -> Result<Self> {
        let when = lab.directory("when")?.join("call");
        fs::write(&when, "")?;
        let script = SCRIPT.replace("@WHEN@", &when.to_string_lossy());
        let binaries = wrapped(&lab.directory("cut")?, &script.replace("@CALLS@", CALLS))?;
        let config = config(lab, mode, POOL, "60s") + ALLOWED;
        let directory = lab.directory("daemon")?;
        let daemon = Daemon::start(&binaries, &lab.server, &directory, &config)?;
        let mut random = Random::new(seed);
        let load = Load::start(lab, 0, CLIENTS, random.next())?;
        let starts = Self {
            random,
            when,
            daemon,
            ledger: Ledger::watch(&[(&lab.clients[0], INTERFACE)])?,
            asker: Asker::new(&lab.clients[1], &lab.server)?,
            load: Some(load),
            cut: 0,
            claims: 0,
        };
        starts.wait_load()?;
        Ok(starts)
    }

    /// Gives the number of calls after which a start is whole.
    fn cut_all(&mut self, step: u64) -> Result<u64> {
        let mut call = 1 + self.random.below(step as usize) as u64;
        while self.cut_at(call)? {
            if self.cut.is_multiple_of(WHOLE) || step > 1 {
                self.start_whole()
                    .with_context(|| format!("after a start that was cut short at call {call}"))?;
            }
            call += step;
        }
        self.start_whole()?;
        self.load.take().context("a load")?.finish()?;
        self.check()?;
        Ok(call)
    }

    /// Whether the start was cut short.
    fn cut_at(&mut self, call: u64) -> Result<bool> {
        self.end()?;
        fs::write(&self.when, format!("{call}\n"))?;
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
            "a start was to be cut short at call {call}: {error:#}"
        );
        self.cut += 1;
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
        let verified = self.ledger.verify(&mut self.asker)?;
        self.claims += verified.claims;
        ensure!(
            verified.lost.is_empty(),
            "lost:\n{}",
            verified.lost.join("\n")
        );
        self.ledger.content()
    }

    /// So that there is something to lose.
    fn wait_load(&self) -> Result<()> {
        let enough = self.ledger.acks() + CLIENTS as u64;
        wait_until("the load to go on", LIMIT, || {
            Ok((self.ledger.acks() >= enough).then_some(()))
        })
    }

    fn tell(&self, campaign: &Campaign, mode: &str, last: u64) {
        let fault = format!("`kill -9` before each system call of the start, fast path {mode}");
        let times = format!(
            "{} of {last}; in one of {CRASH} all that is in the kernel is lost too",
            self.cut
        );
        let (acks, claims) = (self.ledger.acks(), self.claims);
        let checked = format!("{acks} ACKs; {claims} leases asked about");
        campaign.tell(&fault, times, &checked, 0, "not measured");
    }
}
