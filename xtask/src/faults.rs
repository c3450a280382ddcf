//! `cargo xtask faults`: the tests that look for faults, in their long form, and a table of what they found.
//! Their short form is part of `cargo xtask test`.

use std::fmt::Write as _;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::build_ebpf;
use crate::daemon::{self, Profile};
use crate::fuzz;
use crate::packages;
use crate::paths;
use crate::privileges;
use crate::progress::try_step;
use crate::suite::Report;

/// Where the table stands, and what it stands between.
const PAGE: &str = "docs/reliability.md";
const BEGIN: &str = "<!-- faults: begin -->\n";
const END: &str = "<!-- faults: end -->";
const HEAD: &str = "\
| fault | how often | what was checked | lost | answers paused at worst | command |
|---|---|---|---|---|---|
";

struct Campaign {
    name: &'static str,
    package: &'static str,
    /// Arguments of `cargo test` and then of the test itself.
    arguments: &'static [&'static str],
}

const fn end_to_end(name: &'static str, arguments: &'static [&'static str]) -> Campaign {
    Campaign {
        name,
        package: "xdhcpd-tests",
        arguments,
    }
}

const fn unit(name: &'static str, arguments: &'static [&'static str]) -> Campaign {
    Campaign {
        name,
        package: "dhcp-userspace",
        arguments,
    }
}

const CAMPAIGNS: &[Campaign] = &[
    end_to_end("kill", &["--test", "alone_kill", "--"]),
    end_to_end("surroundings", &["--test", "alone_surroundings", "--"]),
    end_to_end("disk", &["--test", "alone_faulty_disk", "--"]),
    unit("power", &["--lib", "--", "journal::tests::"]),
    unit("simulation", &["--lib", "--", "simulation::"]),
    end_to_end("races", &["--test", "alone_races", "--"]),
    end_to_end("packets", &["--test", "kernel_versus_engine", "--"]),
    Campaign {
        name: "corpus",
        package: "xdhcpd-fuzz",
        arguments: &["--test", "corpus", "--"],
    },
    end_to_end("soak", &["--test", "alone_soak", "--"]),
];

/// One more campaign, which is no test: libFuzzer runs these.
const FUZZERS: &str = "fuzz";

#[derive(Args)]
pub(crate) struct Options {
    /// The seed that a failure printed; without it, another one each time.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seconds those go on that have no end of their own: simulation, races, soak, fuzzers.
    #[arg(long, default_value_t = 300)]
    secs: u64,
    /// Write the table into docs/reliability.md.
    #[arg(long)]
    write: bool,
    /// Only these; `cargo xtask faults list` names them.
    campaigns: Vec<String>,
}

pub(crate) fn faults(options: &Options) -> Result<()> {
    if options.campaigns == ["list"] {
        CAMPAIGNS
            .iter()
            .for_each(|campaign| println!("{}", campaign.name));
        println!("{FUZZERS}");
        return Ok(());
    }
    let chosen = choose(&options.campaigns)?;
    ensure!(privileges::is_root(), "namespaces and BPF want root");
    packages::ensure(&[packages::LAB, packages::FAULTS])?;
    build_ebpf::build()?;
    daemon::build(Profile::Release)?;

    let seed = options.seed.unwrap_or_else(random_seed);
    let (mut report, mut rows) = (Report::default(), Vec::new());
    for campaign in chosen {
        let output = run(campaign, seed, options.secs, &mut report)?;
        rows.extend(rows_of(&output).map(|row| (campaign.name, row)));
    }
    if options.campaigns.is_empty() || options.campaigns.iter().any(|name| name == FUZZERS) {
        let told = fuzz::rows(options.secs, seed, &mut report)?;
        rows.extend(told.into_iter().map(|row| (FUZZERS, row)));
    }
    let table = table(&rows, options.secs)?;
    println!("\n{table}\n{report}");
    if options.write {
        write(&table)?;
    }
    if report.failed() > 0 {
        bail!("faults were found; again with --seed {seed}");
    }
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<&'static Campaign>> {
    if names.is_empty() {
        return Ok(CAMPAIGNS.iter().collect());
    }
    let find = |name: &String| {
        let found = CAMPAIGNS.iter().find(|campaign| campaign.name == name);
        found.with_context(|| format!("no campaign {name:?}: see `cargo xtask faults list`"))
    };
    let tests = names.iter().filter(|name| *name != FUZZERS);
    tests.map(find).collect()
}

fn run(campaign: &Campaign, seed: u64, secs: u64, report: &mut Report) -> Result<String> {
    let mut command = Command::new(paths::cargo());
    command.current_dir(paths::root());
    command.args(["test", "--release", "--package", campaign.package]);
    command.args(campaign.arguments);
    command.args(["--show-output", "--test-threads", "1"]);
    command.env("XDHCPD_SEED", seed.to_string());
    command.env("XDHCPD_FAULTS_SECS", secs.to_string());
    command.env("XDHCPD_BIN_DIR", paths::target().join("release"));
    let finished = try_step(campaign.name, &mut command)?;
    if !finished.status.success() {
        eprint!("{}", finished.output);
    }
    report.add(campaign.name, &finished);
    Ok(finished.output)
}

/// Short enough to be typed.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000
}

/// What the tests told, each behind the word FAULT.
fn rows_of(output: &str) -> impl Iterator<Item = Value> {
    let told = output
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("FAULT "));
    told.filter_map(|row| serde_json::from_str(row).ok())
}

fn table(rows: &[(&str, Value)], secs: u64) -> Result<String> {
    let mut table = HEAD.to_owned();
    for (campaign, row) in rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let (lost, seed) = (&row["lost"], &row["seed"]);
        writeln!(
            table,
            "| {} | {} | {} | {lost} | {} | `{campaign} --seed {seed} --secs {secs}` |",
            text("fault"),
            text("times"),
            text("checked"),
            text("pause"),
        )?;
    }
    Ok(table)
}

/// Puts the table into the page, in place of the one that is there.
fn write(table: &str) -> Result<()> {
    let path = paths::root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("no {PAGE}"))?;
    let (before, rest) = page.split_once(BEGIN).context("no place for the table")?;
    let (_, after) = rest.split_once(END).context("no end of the table")?;
    fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}"))?;
    Ok(())
}
