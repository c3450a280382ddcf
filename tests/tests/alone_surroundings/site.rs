//! A daemon under load, watched by the ledger, and how it is struck.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use xdhcpd_tests::lab::INTERFACE;
use xdhcpd_tests::ledger::{ALLOWED, Asker};
use xdhcpd_tests::{Binaries, Campaign, Daemon, Lab, Ledger, wait_until};

use crate::common;
use crate::common::faults::{LIMIT, config, mode};
use crate::common::load::Load;
use crate::common::reloads::Reloads;

pub const CLIENTS: usize = 100;
/// 2048 addresses.
pub const POOL: &str = "10.77.2.0-10.77.9.255";
/// Long enough that nobody's lease ends while answers pause.
const LEASE_TIMES: [&str; 2] = ["5m", "6m"];
/// So many ACKs show that the load goes on.
const SOME: u64 = 100;

/// Fields are dropped in this order.
pub struct Site<'a> {
    pub daemon: Daemon,
    pub ledger: Arc<Ledger>,
    pub asker: Asker,
    load: Option<Load>,
    reloads: Option<Reloads>,
    pub lab: &'a Lab,
    campaign: Campaign,
}

pub fn lab() -> Result<Lab> {
    common::root();
    Lab::new(2)
}

/// The configuration of a site, in a mode of the fast path.
pub fn yaml(lab: &Lab, mode: &str) -> String {
    config(lab, mode, POOL, LEASE_TIMES[0]) + ALLOWED
}

impl<'a> Site<'a> {
    pub fn new(lab: &'a Lab, campaign: Campaign) -> Result<Self> {
        Self::with(lab, campaign, &Binaries::find()?, &yaml(lab, "native"))
    }

    pub fn with(
        lab: &'a Lab,
        campaign: Campaign,
        binaries: &Binaries,
        config: &str,
    ) -> Result<Self> {
        let directory = lab.directory("daemon")?;
        let ledger = Ledger::watch(&[(&lab.clients[0], INTERFACE)])?;
        Ok(Self {
            daemon: Daemon::start(binaries, &lab.server, &directory, config)?,
            ledger: Arc::new(ledger),
            asker: Asker::new(&lab.clients[1], &lab.server)?,
            load: Some(Load::start(lab, 0, CLIENTS, campaign.seed)?),
            reloads: None,
            lab,
            campaign,
        })
    }

    /// Somebody reloads the configuration all the time, too.
    pub fn reloading(mut self, config: &str) -> Self {
        let reloads = Reloads::start(&self.daemon, config, LEASE_TIMES, &self.ledger);
        self.reloads = Some(reloads);
        self
    }

    /// One fault, so many times under load. After each the load goes on, and the daemon is asked about all leases.
    pub fn strike(
        &mut self,
        fault: &str,
        (short, long): (u64, u64),
        mut action: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let times = self.campaign.times(short, long);
        if times == 0 {
            return Ok(());
        }
        self.goes_on()?;
        self.ledger.take_answers();
        let (acks, mut claims) = (self.ledger.acks(), 0);
        for number in 1..=times {
            let struck = action(self).and_then(|()| self.goes_on());
            let verified = struck.and_then(|()| self.verify());
            claims += verified.with_context(|| {
                let ignored = self.ignored();
                format!("{fault}, {number} of {times}; the daemon ignored {ignored}")
            })?;
        }
        let answers = self.ledger.take_answers();
        let [renewals, others] =
            [answers.renewals(), answers.others()].map(|pauses| pauses.max.as_millis());
        let acks = self.ledger.acks() - acks;
        let checked = format!("{acks} ACKs; {claims} leases asked about");
        let pause = format!("renewals {renewals} ms, all else {others} ms");
        self.campaign.tell(fault, times, &checked, 0, &pause);
        Ok(())
    }

    /// What it did not answer, by reason, for who looks into a failure.
    fn ignored(&self) -> String {
        let status = self.daemon.ctl(&["status"]);
        status.map_or_else(|error| error.to_string(), |all| all["ignored"].to_string())
    }

    /// Waits until clients hear answers again.
    pub fn goes_on(&mut self) -> Result<()> {
        let enough = self.ledger.acks() + SOME;
        let ledger = &self.ledger;
        self.daemon.process().wait_for("the load", LIMIT, |_| {
            Ok((ledger.acks() >= enough).then_some(()))
        })
    }

    /// How many leases were asked about; an error if one is lost, or a client was told anything wrong.
    pub fn verify(&mut self) -> Result<usize> {
        let verified = self.ledger.verify(&mut self.asker)?;
        let lost = verified.lost.join("\n");
        ensure!(verified.lost.is_empty(), "lost:\n{lost}");
        self.ledger.content()?;
        Ok(verified.claims)
    }

    /// Waits until the daemon says so; `from` is a length of its log.
    pub fn hear(&mut self, words: &str, from: usize) -> Result<()> {
        self.daemon.process().wait_for_line(words, from, LIMIT)?;
        Ok(())
    }

    pub fn log_len(&mut self) -> usize {
        self.daemon.process().log().len()
    }

    /// Waits until the only interface is served like this.
    pub fn wait_mode(&self, wanted: &str) -> Result<()> {
        let what = format!("mode {wanted}");
        wait_until(&what, LIMIT, || {
            let found = mode(&self.daemon).is_ok_and(|(mode, _)| mode == wanted);
            Ok(found.then_some(()))
        })
    }

    pub fn end_reloads(&mut self) -> Result<()> {
        let reloads = self.reloads.take();
        let done = reloads.map_or(Ok(1), Reloads::finish)?;
        ensure!(done > 0, "the configuration was never reloaded");
        Ok(())
    }

    /// All is quiet after that; everybody has renewed once more.
    pub fn end_load(&mut self) -> Result<()> {
        self.load.take().map_or(Ok(()), Load::finish)
    }

    pub fn end(mut self) -> Result<()> {
        self.end_reloads()?;
        self.end_load()?;
        self.verify()?;
        Ok(())
    }
}
