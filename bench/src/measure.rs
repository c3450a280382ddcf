//! One work at one running server.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::client::Random;
use crate::cpu::{self, Usage};
use crate::generator::{Errands, Generator, Load, Pace, Silence};
use crate::histogram::Histogram;
use crate::live;
use crate::memory;
use crate::perfdhcp;
use crate::request::Requests;
use crate::sample::{Figures, Work};
use crate::server::{Plan, Running, Server};
use crate::site::{GENERATOR, GENERATOR_CPU, Receivers, Site};
use crate::tally::Tally;
use crate::time::now;
use crate::wire::Wire;

/// Exchanges open at any time: the sender is to be the limit, not the network's delay.
const WINDOW: usize = 64;
/// Before anything is measured, with more at a time.
const WARM_WINDOW: usize = 256;
/// How long a peer may take to warm up.
const WARM_PEER: Duration = Duration::from_secs(2);
const WARM_OURS: Duration = Duration::from_secs(120);

/// How long and how much.
#[derive(Clone, Debug)]
pub struct Extent {
    pub time: Duration,
    /// When a storm is over at the latest.
    pub storm: Duration,
    /// Renewals a second at a steady rate.
    pub steady: u32,
    /// Whether perfdhcp is asked too.
    pub check: bool,
}

pub struct Bench<'a> {
    pub site: &'a Site,
    pub wire: Wire,
    pub requests: Requests,
    pub extent: &'a Extent,
    /// `xdhcpd-bench.bpf.o`
    object: &'a [u8],
    receivers: Receivers,
}

/// What a measurement brought.
pub struct Measured {
    pub figures: Figures,
    pub wrong: Vec<String>,
}

impl<'a> Bench<'a> {
    pub fn new(site: &'a Site, extent: &'a Extent, object: &'a [u8]) -> Result<Self> {
        Ok(Self {
            site,
            wire: Wire::open(&site.lab.switch, GENERATOR)?,
            requests: Requests::new(site.server_mac),
            extent,
            object,
            receivers: site.receive_by_threads((true, true))?,
        })
    }

    /// Every client renews once, so that this server's kernel knows how; peers as far as they get.
    pub fn warm(&mut self, server: Server, plan: &Plan, running: &mut Running) -> Result<()> {
        let load = Load {
            errands: Errands::RenewEach {
                left: 0..plan.bound,
            },
            pace: Pace::Window(WARM_WINDOW),
            silence: Silence::Lost,
            time: if server == Server::Xdhcpd {
                WARM_OURS
            } else {
                WARM_PEER
            },
        };
        let (tally, _) = self.generate(server, running, load)?;
        anyhow::ensure!(
            tally.exchanges() > 0 || plan.bound == 0,
            "not one renewal was answered"
        );
        Ok(())
    }

    pub fn measure(
        &mut self,
        (work, server): (Work, Server),
        plan: &Plan,
        running: &mut Running,
    ) -> Result<Measured> {
        let before = running.kernel_hits()?;
        let mut measured = match work {
            Work::Start => self.start(server, plan, running),
            Work::Kernel => self.flood(server, plan, running),
            _ => self.generated((work, server), plan, running),
        }?;
        let after = running.kernel_hits()?;
        if let Some((before, after)) = before.zip(after)
            && let Some(answers) = measured.figures.get("answers")
            && *answers > 0.0
        {
            let share = (after - before) as f64 / answers;
            measured.figures.insert("kernel_share", share);
        }
        Ok(measured)
    }

    fn generated(
        &mut self,
        (work, server): (Work, Server),
        plan: &Plan,
        running: &mut Running,
    ) -> Result<Measured> {
        let threads = work.by_threads();
        self.receivers = self.site.receive_by_threads((threads, threads))?;
        let load = self.load(work, plan);
        let before = self.site.dropped()?;
        let (tally, usage) = self.generate(server, running, load)?;
        let mut figures = figures(&tally, &usage);
        figures.insert("dropped", (self.site.dropped()? - before) as f64);
        if !threads {
            // What the server's kernel did is in the generator's time.
            figures.retain(|name, _| !matches!(*name, "cpu_us" | "receive_us"));
        }
        if work == Work::Check {
            let mean = tally.binds.mean() / 1e3;
            let said = perfdhcp::run(self.site, self.extent.steady, self.extent.time)?;
            figures.insert("bind_mean_us", mean);
            figures.insert("perfdhcp_per_second", said.per_second);
            figures.insert("perfdhcp_mean_us", said.mean_ms * 1e3);
            figures.insert("perfdhcp_drops", said.drops);
        }
        if work.is_storm() {
            let served = tally.binds.total();
            figures.insert("unserved", f64::from(plan.fresh_clients()) - served as f64);
        }
        Ok(Measured {
            figures,
            wrong: tally.examples,
        })
    }

    fn flood(&mut self, server: Server, plan: &Plan, running: &mut Running) -> Result<Measured> {
        self.receivers = self.site.receive_by_threads((true, false))?;
        let (of, time) = ((plan.bound, server == Server::Limit), self.extent.time);
        let flood = live::flood(
            (self.site, self.receivers),
            self.object,
            of,
            running.id(),
            time,
        )?;
        let each = |nanos: u64| nanos as f64 / 1e3 / flood.right.max(1) as f64;
        let second = |count: u64| count as f64 * 1e9 / flood.nanos as f64;
        let figures = Figures::from([
            ("per_second", second(flood.right)),
            ("sent_per_second", second(flood.made)),
            ("exchanges", flood.right as f64),
            ("answers", flood.all as f64),
            ("seconds", flood.nanos as f64 / 1e9),
            ("cpu_us", each(flood.usage.charged())),
            ("process_us", each(flood.usage.server)),
            ("receive_us", each(flood.usage.receive)),
            ("generator_us", each(flood.usage.generator)),
            ("wrong", flood.wrong as f64),
        ]);
        Ok(Measured {
            figures,
            wrong: flood.examples,
        })
    }

    fn load(&self, work: Work, plan: &Plan) -> Load {
        let (clients, random) = (plan.bound, Random::new(u64::from(plan.bound)));
        let left = 0..plan.fresh_clients();
        let errands = match work {
            Work::Bind | Work::SlowBind | Work::Storm | Work::Reboot | Work::Check => {
                Errands::Bind { left }
            }
            Work::Mixed => Errands::Mixed {
                clients,
                random,
                left,
                bind: false,
            },
            _ => Errands::Renew { clients, random },
        };
        let pace = match work {
            Work::Alone => Pace::Window(1),
            Work::Steady | Work::Check => Pace::PerSecond(self.extent.steady),
            Work::Storm | Work::Reboot => Pace::Window(usize::MAX),
            _ => Pace::Window(WINDOW),
        };
        let storm = work.is_storm();
        Load {
            errands,
            pace,
            silence: if storm {
                Silence::Firmware
            } else {
                Silence::Lost
            },
            time: if storm {
                self.extent.storm
            } else {
                self.extent.time
            },
        }
    }

    /// What the start took until one client had its answer, and what the server holds now.
    fn start(&mut self, server: Server, plan: &Plan, running: &mut Running) -> Result<Measured> {
        let load = Load {
            errands: Errands::RenewEach { left: 0..1 },
            pace: Pace::Window(1),
            silence: Silence::Lost,
            time: Duration::from_secs(1),
        };
        let (tally, _) = self.generate(server, running, load)?;
        let nanos = running.started + tally.renewals.max();
        let mut figures = Figures::from([
            ("start_ms", nanos as f64 / 1e6),
            ("lost", tally.lost as f64),
            ("wrong", tally.wrong as f64),
        ]);
        if let Some(process) = running.id() {
            let bytes = memory::held(process)? as f64;
            figures.insert("memory_mb", bytes / 1e6);
            figures.insert("bytes_per_lease", bytes / f64::from(plan.bound.max(1)));
        }
        if server == Server::Xdhcpd {
            let nanos = read_all(&running.directory().join("state/journal"))?;
            figures.insert("read_ms", nanos as f64 / 1e6);
        }
        Ok(Measured {
            figures,
            wrong: tally.examples,
        })
    }

    /// On a thread that stays on the generator's CPU.
    fn generate(
        &mut self,
        server: Server,
        running: &mut Running,
        load: Load,
    ) -> Result<(Tally, Usage)> {
        let (id, receivers, manner) = (running.id(), self.receivers, server.manner());
        let (wire, requests) = (&mut self.wire, &self.requests);
        let work = || {
            cpu::pin(0, GENERATOR_CPU)?;
            let before = Usage::now(receivers, id)?;
            let tally = Generator::run(wire, requests, &manner, load)?;
            Ok((tally, Usage::now(receivers, id)?.since(before)))
        };
        let done = thread::scope(|scope| scope.spawn(work).join());
        let done = done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done.map_err(|error| running.explain(&error))
    }
}

fn figures(tally: &Tally, usage: &Usage) -> Figures {
    let exchanges = tally.exchanges();
    let answers = tally.renewals.total() + 2 * tally.binds.total();
    let each = |nanos: u64| nanos as f64 / 1e3 / exchanges.max(1) as f64;
    let mut figures = Figures::from([
        ("per_second", tally.per_second()),
        ("exchanges", exchanges as f64),
        ("answers", answers as f64),
        ("seconds", tally.nanos as f64 / 1e9),
        ("cpu_us", each(usage.charged())),
        ("process_us", each(usage.server)),
        ("receive_us", each(usage.receive)),
        ("generator_us", each(usage.generator)),
        ("lost", tally.lost as f64),
        ("retransmitted", tally.retransmitted as f64),
        ("naks", tally.naks as f64),
        ("late", tally.late as f64),
        ("refused", tally.refused as f64),
        ("wrong", tally.wrong as f64),
    ]);
    let names = ["renew_p50_us", "renew_p99_us", "renew_max_us"];
    latencies(&mut figures, names, &tally.renewals);
    let names = ["bind_p50_us", "bind_p99_us", "bind_max_us"];
    latencies(&mut figures, names, &tally.binds);
    figures
}

fn latencies(figures: &mut Figures, names: [&'static str; 3], times: &Histogram) {
    if times.total() == 0 {
        return;
    }
    let values = [times.quantile(0.5), times.quantile(0.99), times.max()];
    for (name, value) in names.into_iter().zip(values) {
        figures.insert(name, value as f64 / 1e3);
    }
}

/// How long it takes to read the files of a directory.
fn read_all(directory: &Path) -> Result<u64> {
    let began = now();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_file() {
            std::hint::black_box(fs::read(path)?);
        }
    }
    Ok(now() - began)
}
