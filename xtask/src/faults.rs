//! `cargo xtask faults`: the tests that look for faults, in their long form, and a table of what they found.
//! Their short form is part of `cargo xtask test`.

mod table;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::Command;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use xdhcpd_tests::interrupt;

use crate::build_ebpf;
use crate::daemon::{self, Profile};
use crate::fuzz;
use crate::interleavings;
use crate::mutants;
use crate::packages;
use crate::paths;
use crate::privileges;
use crate::progress::{try_step, try_step_telling};
use crate::suite::Report;
use table::Told;

struct Campaign {
    name: &'static str,
    /// How long it goes on.
    time: &'static str,
    what: What,
}

enum What {
    /// Tests of a daemon in a lab, which takes root, in this file of `tests/tests`.
    EndToEnd(&'static str),
    /// Tests of a package: arguments of `cargo test` and then of the test itself.
    Unit(&'static str, &'static [&'static str]),
    /// The loom models, and the faults that they must find.
    Interleavings,
    /// Faults put into the XDP program, which takes root to load.
    Mutants,
    /// libFuzzer.
    Fuzzers,
}

impl What {
    const fn takes_root(&self) -> bool {
        matches!(self, Self::EndToEnd(_) | Self::Mutants)
    }
}

const fn campaign(name: &'static str, time: &'static str, what: What) -> Campaign {
    Campaign { name, time, what }
}

const COUNTED: &str = "has an end of its own";
const SECS: &str = "--secs for each test that has no end of its own";

const CAMPAIGNS: &[Campaign] = &[
    campaign("kill", COUNTED, What::EndToEnd("alone_kill")),
    campaign(
        "surroundings",
        COUNTED,
        What::EndToEnd("alone_surroundings"),
    ),
    campaign("disk", COUNTED, What::EndToEnd("alone_faulty_disk")),
    campaign(
        "power",
        COUNTED,
        What::Unit("dhcp-userspace", &["--lib", "--", "journal::tests::"]),
    ),
    campaign(
        "simulation",
        SECS,
        What::Unit("dhcp-userspace", &["--lib", "--", "simulation::"]),
    ),
    campaign("interleavings", COUNTED, What::Interleavings),
    campaign("races", SECS, What::EndToEnd("alone_races")),
    campaign("packets", COUNTED, What::EndToEnd("kernel_versus_engine")),
    campaign("mutants", COUNTED, What::Mutants),
    campaign(
        "corpus",
        COUNTED,
        What::Unit("xdhcpd-fuzz", &["--test", "corpus", "--"]),
    ),
    campaign("soak", SECS, What::EndToEnd("alone_soak")),
    campaign("fuzz", "--secs for each target", What::Fuzzers),
];

#[derive(Args)]
pub(crate) struct Options {
    /// The seed that a failure printed; without it, another one each time.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seconds those go on that have no end of their own: simulation, races, soak, fuzz.
    #[arg(long, default_value_t = 300)]
    secs: u64,
    /// Write the rows of what ran into docs/reliability.md, if nothing failed.
    #[arg(long)]
    write: bool,
    /// Only these; `cargo xtask faults list` names them.
    campaigns: Vec<String>,
}

/// What a run is to use.
struct Run {
    seed: u64,
    secs: u64,
}

impl Run {
    /// What does the same again.
    fn command(&self, campaign: &str) -> String {
        let Self { seed, secs } = self;
        format!("{}{campaign} --seed {seed} --secs {secs}", table::COMMAND)
    }
}

pub(crate) fn faults(options: &Options) -> Result<()> {
    if options.campaigns == ["list"] {
        for Campaign { name, time, .. } in CAMPAIGNS {
            println!("{name:<14} {time}");
        }
        return Ok(());
    }
    let chosen = choose(&options.campaigns)?;
    prepare(&chosen)?;
    let run = Run {
        seed: options.seed.unwrap_or_else(random_seed),
        secs: options.secs,
    };
    let (mut report, mut told, mut failed) = (Report::default(), Vec::new(), Vec::new());
    for campaign in chosen {
        let before = report.failed();
        let rows = campaign.run(&run, &mut report);
        interrupt::check()?;
        let (campaign, command) = (campaign.name, run.command(campaign.name));
        if report.failed() > before {
            failed.push(format!("  {command}"));
        }
        told.push(Told {
            campaign,
            command,
            rows,
        });
    }
    println!("\n{}\n{report}", table::table(&told));
    if !failed.is_empty() {
        bail!(
            "faults were found, and nothing is written; again with\n{}",
            failed.join("\n")
        );
    }
    if options.write {
        table::write(
            &told,
            &CAMPAIGNS.iter().map(|one| one.name).collect::<Vec<_>>(),
        )?;
    }
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<&'static Campaign>> {
    for name in names {
        ensure!(
            CAMPAIGNS.iter().any(|campaign| campaign.name == name),
            "no campaign {name:?}: see `cargo xtask faults list`"
        );
    }
    let wanted = |name| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let chosen = CAMPAIGNS.iter().filter(|campaign| wanted(campaign.name));
    Ok(chosen.collect())
}

/// What is missing is better known now than after hours.
fn prepare(chosen: &[&Campaign]) -> Result<()> {
    if chosen.iter().any(|one| matches!(one.what, What::Fuzzers)) {
        packages::ensure(&[packages::FUZZ])?;
    }
    let Some(first) = chosen.iter().find(|one| one.what.takes_root()) else {
        return Ok(());
    };
    ensure!(
        privileges::is_root(),
        "{}: namespaces and BPF want root",
        first.name
    );
    packages::ensure(&[packages::LAB, packages::FAULTS])?;
    build_ebpf::build()?;
    let serves = |one: &&Campaign| matches!(one.what, What::EndToEnd(_));
    if chosen.iter().any(serves) {
        daemon::build(Profile::Release)?;
    }
    Ok(())
}

impl Campaign {
    /// The rows that it told. The report hears of what failed, one that told none among it.
    fn run(&self, run: &Run, report: &mut Report) -> Vec<Value> {
        let before = report.failed();
        let told = match self.what {
            What::EndToEnd(file) => self.test("xdhcpd-tests", &["--test", file, "--"], run, report),
            What::Unit(package, arguments) => self.test(package, arguments, run, report),
            What::Interleavings => interleavings(report),
            What::Mutants => mutants(report),
            What::Fuzzers => fuzz::rows(run.secs, run.seed, report),
        };
        let rows = told.unwrap_or_else(|error| {
            eprintln!("{}: {error:#}", self.name);
            report.fail(self.name);
            Vec::new()
        });
        if rows.is_empty() && report.failed() == before {
            report.fail(&format!("{}: told of no fault that it made", self.name));
        }
        rows
    }

    fn test(
        &self,
        package: &str,
        arguments: &[&str],
        run: &Run,
        report: &mut Report,
    ) -> Result<Vec<Value>> {
        let mut command = Command::new(paths::cargo());
        command.current_dir(paths::root());
        command.args(["test", "--release", "--package", package]);
        // Its output is to come as it is made.
        command
            .args(arguments)
            .args(["--nocapture", "--test-threads", "1"]);
        command.env("XDHCPD_SEED", run.seed.to_string());
        command.env("XDHCPD_FAULTS_SECS", run.secs.to_string());
        command.env("XDHCPD_BIN_DIR", paths::target().join("release"));
        let show = |line: &str| table::row_in(line).map(|row| table::shown(&row));
        let finished = try_step_telling(self.name, &mut command, show)?;
        if !finished.status.success() {
            eprint!("{}", finished.output);
        }
        report.add(self.name, &finished);
        Ok(finished.output.lines().filter_map(table::row_in).collect())
    }
}

fn interleavings(report: &mut Report) -> Result<Vec<Value>> {
    let before = report.passed();
    let finished = try_step("interleavings (loom)", &mut interleavings::models())?;
    report.add("interleavings (loom)", &finished);
    if !finished.status.success() {
        bail!("{}", finished.output);
    }
    let models = report.passed() - before;
    let (found, time) = interleavings::faults()?;
    report.pass("faults that interleavings bring out", found, time);
    Ok(vec![json!({
        "fault": "any order of the kernel's and the daemon's steps",
        "times": format!("all, in {models} models"),
        "checked": format!("nothing granted after a close; each of {found} faults put into the code is found"),
        "lost": 0,
        "pause": "-",
    })])
}

fn mutants(report: &mut Report) -> Result<Vec<Value>> {
    let (caught, time) = mutants::mutants()?;
    report.pass("faulty XDP programs that are found out", caught, time);
    Ok(vec![json!({
        "fault": "the XDP program itself, with a fault put into it",
        "times": format!("{caught} faults, one at a time"),
        "checked": format!("each is found by {} mutated frames", mutants::FRAMES),
        "lost": 0,
        "pause": "-",
    })])
}

/// Short enough to be typed.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_campaign_can_be_chosen_by_its_name() {
        let names: Vec<_> = CAMPAIGNS.iter().map(|one| one.name.to_owned()).collect();
        assert_eq!(choose(&names).unwrap().len(), names.len());
        assert_eq!(choose(&[]).unwrap().len(), names.len());
        let mutants = choose(&["mutants".to_owned()]).unwrap();
        assert!(mutants[0].what.takes_root() && mutants.len() == 1);
        assert!(choose(&["mutant".to_owned()]).is_err());
    }
}
