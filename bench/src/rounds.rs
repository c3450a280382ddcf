//! The rounds: each session with each server in turn.

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use xdhcpd_tests::{interrupt, process};

use crate::measure::Bench;
use crate::program::{Form, Session, sessions};
use crate::report;
use crate::sample::{Sample, Subject, Work};
use crate::server::{Programs, Server};
use crate::site::Site;

/// Names of what is to be measured; none of a kind means all.
pub struct Wanted {
    pub works: Vec<String>,
    pub servers: Vec<String>,
}

#[derive(Default)]
pub struct Measured {
    pub samples: Vec<Sample>,
    /// What is not there, and why.
    pub missing: Vec<String>,
    /// What went wrong, or that somebody wanted an end.
    pub failed: Vec<String>,
}

/// What fails is told, and the rest is measured all the same.
pub fn run(site: &Site, programs: &Programs, form: &Form, wanted: &Wanted) -> Result<Measured> {
    let sessions = chosen(form, wanted)?;
    let bar = progress(form, &sessions);
    let mut rounds = Rounds {
        site,
        programs,
        form,
        bar: &bar,
        measured: Measured {
            missing: missing(form),
            ..Measured::default()
        },
    };
    for round in 0..form.rounds {
        for session in &sessions {
            for server in session.order(round) {
                rounds.one(session, server, round);
                if interrupt::happened() {
                    return Ok(rounds.measured);
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(rounds.measured)
}

struct Rounds<'a> {
    site: &'a Site,
    programs: &'a Programs,
    form: &'a Form,
    bar: &'a ProgressBar,
    measured: Measured,
}

impl Rounds<'_> {
    fn one(&mut self, session: &Session, server: Server, round: u32) {
        let what = format!("{}: {}", server.name(), titles(session));
        if self.bar.elapsed() > self.form.budget {
            let missing = &mut self.measured.missing;
            missing.push(format!("{what}: no time was left"));
            return;
        }
        self.bar.set_message(format!("round {}: {what}", round + 1));
        match self.session(session, server, round) {
            Ok(samples) => {
                for sample in &samples {
                    tell(self.bar, &report::line(sample));
                }
                self.measured.samples.extend(samples);
            }
            Err(error) => {
                tell(self.bar, &format!("{what}: {error:#}"));
                self.measured.failed.push(format!("{what}: {error:#}"));
            }
        }
        self.bar.inc(1);
    }

    /// Starts a server, has it do all works of a session, and ends it.
    fn session(&self, session: &Session, server: Server, round: u32) -> Result<Vec<Sample>> {
        let plan = session.plan(server);
        let mut bench = Bench::new(self.site, &self.form.extent, &self.programs.object)?;
        let mut running = server.start(self.site, self.programs, &plan)?;
        let (mut samples, mut warm) = (Vec::new(), plan.bound == 0 || server == Server::Limit);
        for work in &session.works {
            if *work == Work::Start && server == Server::Limit {
                continue;
            }
            if !warm && *work != Work::Start {
                bench.warm(server, &plan, &mut running)?;
                warm = true;
            }
            let measured = bench.measure((*work, server), &plan, &mut running)?;
            samples.push(Sample {
                subject: Subject {
                    work: *work,
                    clients: session.clients_of(server),
                    server,
                },
                round,
                figures: measured.figures,
                wrong: measured.wrong,
            });
        }
        running.stop()?;
        Ok(samples)
    }
}

/// A line that stays, with or without a terminal.
fn tell(bar: &ProgressBar, line: &str) {
    let line = format!("{:>5.0} s  {line}", bar.elapsed().as_secs_f64());
    if bar.is_hidden() {
        eprintln!("{line}");
    } else {
        bar.println(line);
    }
}

fn chosen(form: &Form, wanted: &Wanted) -> Result<Vec<Session>> {
    for name in &wanted.works {
        let known = Work::ALL.iter().any(|work| work.name() == name);
        ensure!(
            known,
            "no work {name:?}: `cargo xtask bench --help` names them"
        );
    }
    for name in &wanted.servers {
        let known = Server::ALL.iter().any(|server| server.name() == name);
        ensure!(
            known,
            "no server {name:?}: `cargo xtask bench --help` names them"
        );
    }
    let has =
        |names: &[String], name: &str| names.is_empty() || names.iter().any(|one| one == name);
    let mut sessions = sessions(form);
    for session in &mut sessions {
        // Who boots for the second time has booted before.
        let again = session.works.contains(&Work::Reboot) && has(&wanted.works, "reboot");
        session
            .works
            .retain(|work| has(&wanted.works, work.name()) || (again && *work == Work::Storm));
        session
            .servers
            .retain(|server| has(&wanted.servers, server.name()));
        session.servers.retain(|server| server.is_installed());
    }
    sessions.retain(|session| !session.works.is_empty() && !session.servers.is_empty());
    Ok(sessions)
}

/// Programs that are not there, and what is measured with fewer clients than others.
fn missing(form: &Form) -> Vec<String> {
    let absent = Server::ALL
        .into_iter()
        .filter(|server| !server.is_installed());
    let named = absent.filter_map(|server| {
        let (program, package) = server.package()?;
        Some(format!(
            "{}: {program} is not installed (Debian: {package})",
            server.name()
        ))
    });
    let perfdhcp = form.extent.check && process::find("perfdhcp").is_err();
    let perfdhcp = perfdhcp.then(|| "perfdhcp is not installed (Debian: kea-admin)".to_owned());
    let most = form.most_clients();
    let small = Server::ALL
        .into_iter()
        .filter(|server| server.capacity() < most);
    let small = small.map(|server| {
        let capacity = server.capacity();
        format!(
            "{}: renewals of more than {capacity} clients",
            server.name()
        )
    });
    let storms = form
        .is_quick()
        .then(|| "dhcpd, dnsmasq: storm (takes minutes; not with --quick)".to_owned());
    named.chain(storms).chain(perfdhcp).chain(small).collect()
}

fn titles(session: &Session) -> String {
    let names: Vec<_> = session.works.iter().map(|work| work.name()).collect();
    names.join(", ")
}

fn progress(form: &Form, sessions: &[Session]) -> ProgressBar {
    let each: usize = sessions.iter().map(|session| session.servers.len()).sum();
    let style =
        ProgressStyle::with_template("{bar:30} {pos}/{len} ({elapsed}, {eta} left) {wide_msg}");
    let bar = ProgressBar::new(each as u64 * u64::from(form.rounds));
    bar.with_style(style.expect("the template is well formed"))
}
