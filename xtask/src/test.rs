//! `cargo xtask test`: every test that can run here, and the others by name.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use xdhcpd_tests::interrupt;

use crate::build_ebpf;
use crate::compiler;
use crate::daemon::{self, Profile};
use crate::interleavings;
use crate::mutants;
use crate::packages;
use crate::paths;
use crate::privileges;
use crate::progress::try_step;
use crate::suite::{self, Report};

/// End-to-end tests mostly wait for clients, so a few at a time are no burden.
const THREADS: &str = "2";
/// Test files whose name begins like this want the machine for themselves.
const ALONE: &str = "alone_";

/// Files, or some of their tests, that run a second time with XDP in the network stack instead of the
/// driver.
const GENERIC_TOO: [(&str, &[&str]); 3] = [
    (
        "clients",
        &["waits_for_its_client", "over_a_reboot", "declined"],
    ),
    ("links", &[]),
    ("relay", &[]),
];

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only what needs neither root, nor the XDP program, nor minutes.
    #[arg(long)]
    quick: bool,
    /// Run the tests whose name contains this.
    filter: Option<String>,
}

pub(crate) fn test(options: &Options) -> Result<()> {
    let mut report = Report::default();
    let filter = options.filter.as_deref();
    let object = if options.quick {
        Ok(())
    } else {
        object(&mut report)
    };
    unit(&mut report, filter)?;
    if !options.quick {
        interleavings(&mut report, filter)?;
        end_to_end(&mut report, filter, object)?;
    }
    println!("\n{report}");
    if report.failed() > 0 {
        bail!("tests have failed");
    }
    if must_be_complete(options, env::var_os("CI").is_some()) && report.skipped() > 0 {
        bail!("tests were skipped, which with CI set is a failure");
    }
    Ok(())
}

/// A machine that is made for tests is to have what they want, unless it asked for less.
const fn must_be_complete(options: &Options, is_ci: bool) -> bool {
    is_ci && !options.quick
}

/// The XDP program; the error says why the tests that load it cannot run.
fn object(report: &mut Report) -> Result<(), String> {
    let compiler = compiler::choose();
    let compiler = compiler.map_err(|why| format!("there is no XDP program: {why:#}"))?;
    build_ebpf::build_with(&compiler)
        .map(|_| ())
        .map_err(|error| {
            eprintln!("{error:#}");
            report.fail("build of the XDP program");
            "there is no XDP program".to_owned()
        })
}

fn unit(report: &mut Report, filter: Option<&str>) -> Result<()> {
    run(report, "unit tests", cargo_test(filter), &[])?;
    let mut lab = cargo_test(filter);
    lab.args(["--package", "xdhcpd-tests", "--lib"]);
    run(report, "unit tests of the lab", lab, &[])?;
    let mut bench = cargo_test(filter);
    bench.args(["--package", "xdhcpd-bench"]);
    run(report, "unit tests of the bench", bench, &[])?;
    let mut corpus = cargo_test(filter);
    corpus.args(["--package", "xdhcpd-fuzz"]);
    run(report, "hostile bytes", corpus, &[])
}

/// Every interleaving of the kernel's and the daemon's steps on a slot.
fn interleavings(report: &mut Report, filter: Option<&str>) -> Result<()> {
    let mut models = interleavings::models();
    models.args(filter);
    run(report, "interleavings (loom)", models, &[])?;
    if filter.is_none() {
        let name = "faults that interleavings bring out";
        faults(report, name, interleavings::faults())?;
    }
    Ok(())
}

fn end_to_end(report: &mut Report, filter: Option<&str>, object: Result<(), String>) -> Result<()> {
    if let Err(why) = object.and_then(|()| prepare()) {
        let mut list = cargo_test(filter);
        list.args(["--package", "xdhcpd-tests", "--test", "*", "--", "--list"]);
        let finished = try_step("listing the end-to-end tests", &mut list)?;
        report.skip("end to end", suite::listed(&finished.output), &why);
        return Ok(());
    }
    daemon::build(Profile::Debug)?;
    for name in files()? {
        run(
            report,
            &name,
            end_to_end_test(&name, filter),
            &threads_of(&name),
        )?;
    }
    for (name, tests) in GENERIC_TOO {
        let mut command = end_to_end_test(name, filter);
        command.env("XDHCPD_TEST_MODE", "generic");
        let arguments = [&threads_of(name)[..], tests].concat();
        run(report, &format!("{name}, generic XDP"), command, &arguments)?;
    }
    if filter.is_none() {
        let name = "faulty XDP programs that are found out";
        faults(report, name, mutants::mutants())?;
    }
    Ok(())
}

/// Faults put into the code on purpose.
fn faults(report: &mut Report, name: &str, caught: Result<(usize, Duration)>) -> Result<()> {
    interrupt::check()?;
    match caught {
        Ok((caught, time)) => report.pass(name, caught, time),
        Err(error) => {
            eprintln!("{error:#}");
            report.fail(name);
        }
    }
    Ok(())
}

fn end_to_end_test(name: &str, filter: Option<&str>) -> Command {
    let mut command = cargo_test(filter);
    command.args(["--package", "xdhcpd-tests", "--test", name]);
    command.env("XDHCPD_BIN_DIR", paths::target().join("debug"));
    command
}

fn threads_of(name: &str) -> [&'static str; 2] {
    let alone = name.starts_with(ALONE);
    ["--test-threads", if alone { "1" } else { THREADS }]
}

fn prepare() -> Result<(), String> {
    if !privileges::is_root() {
        return Err("namespaces and BPF want root".to_owned());
    }
    let needs = [
        packages::LAB,
        packages::CLIENTS,
        packages::RELAY,
        packages::NETBOOT,
        packages::PEERS,
        packages::TRANSACTIONS,
        packages::FAULTS,
        packages::SECURITY,
    ];
    packages::ensure(&needs).map_err(|why| format!("{why:#}"))
}

/// The names of the end-to-end tests' files.
fn files() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(paths::root().join("tests/tests"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn cargo_test(filter: Option<&str>) -> Command {
    let mut command = Command::new(paths::cargo());
    command
        .current_dir(paths::root())
        .args(["test", "--no-fail-fast"])
        .args(filter);
    command
}

fn run(report: &mut Report, name: &str, mut command: Command, arguments: &[&str]) -> Result<()> {
    // A test that skips itself says so on its standard output.
    command.args(["--", "--show-output"]).args(arguments);
    let finished = try_step(name, &mut command)?;
    if !finished.status.success() {
        eprint!("{}", finished.output);
    }
    report.add(name, &finished);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_run_in_ci_must_be_complete() {
        let quick = Options {
            quick: true,
            ..Options::default()
        };
        assert!(must_be_complete(&Options::default(), true));
        assert!(!must_be_complete(&Options::default(), false));
        assert!(!must_be_complete(&quick, true));
    }
}
