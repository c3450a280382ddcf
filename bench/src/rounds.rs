//! The rounds: each session with each server in turn.

use anyhow::{Context, Result};
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

pub struct Measured {
    pub samples: Vec<Sample>,
    /// What is not there, and why.
    pub missing: Vec<String>,
}

pub fn run(site: &Site, programs: &Programs, form: &Form, wanted: &Wanted) -> Result<Measured> {
    let sessions = chosen(form, wanted);
    let mut measured = Measured {
        samples: Vec::new(),
        missing: missing(form),
    };
    let bar = progress(form, &sessions);
    for round in 0..form.rounds {
        for session in &sessions {
            for server in session.order(round) {
                let (name, works) = (server.name(), titles(session));
                if bar.elapsed() > form.budget {
                    measured
                        .missing
                        .push(format!("{name}: {works}: no time was left"));
                    continue;
                }
                bar.set_message(format!("round {}: {works}: {name}", round + 1));
                let mut one = One {
                    site,
                    programs,
                    form,
                    session,
                };
                let samples = one.run(server, round);
                let samples = samples.with_context(|| format!("{works}: {name}"))?;
                for sample in &samples {
                    tell(&bar, &report::line(sample));
                }
                measured.samples.extend(samples);
                bar.inc(1);
                interrupt::check()?;
            }
        }
    }
    bar.finish_and_clear();
    Ok(measured)
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

fn chosen(form: &Form, wanted: &Wanted) -> Vec<Session> {
    let has =
        |names: &[String], name: &str| names.is_empty() || names.iter().any(|one| one == name);
    let mut sessions = sessions(form);
    for session in &mut sessions {
        session.works.retain(|work| has(&wanted.works, work.name()));
        session
            .servers
            .retain(|server| has(&wanted.servers, server.name()));
        session.servers.retain(|server| server.is_installed());
    }
    sessions.retain(|session| !session.works.is_empty() && !session.servers.is_empty());
    sessions
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

/// One server in one session.
struct One<'a> {
    site: &'a Site,
    programs: &'a Programs,
    form: &'a Form,
    session: &'a Session,
}

impl One<'_> {
    fn run(&mut self, server: Server, round: u32) -> Result<Vec<Sample>> {
        let (session, plan) = (self.session, self.session.plan(server));
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
