//! `cargo xtask`: everything one does with this repository.

mod advisories;
mod bench;
mod build_and_load;
mod build_ebpf;
mod ci;
mod compiler;
mod daemon;
mod faults;
mod fuzz;
mod interleavings;
mod linker;
mod mutants;
mod packages;
mod paths;
mod privileges;
mod progress;
mod run;
mod show;
mod suite;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xdhcpd_tests::{interrupt, lab};

/// Builds, runs and tests xdhcpd.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the XDP program, with a compiler that can (and install what is missing).
    BuildEbpf,
    /// Build everything, load the XDP program on an interface and serve there.
    BuildAndLoad(build_and_load::Options),
    /// Show it: a lab on this machine with three real clients. Or serve on an interface.
    Run(run::Options),
    /// Run all tests that can run here, and name the others.
    Test(test::Options),
    /// Measure this server, its peers and the bare limit on one cable.
    Bench(bench::Options),
    /// Put faults into the code, and see that models and tests find each.
    Mutants,
    /// Look for faults at length: kills, power cuts, races, hostile packets; and show what was lost.
    Faults(faults::Options),
    /// Look for inputs that the server does not bear, with libFuzzer.
    Fuzz(fuzz::Options),
    /// Check the packages that this is built from: source, licence, withdrawn versions, advisories.
    Advisories(advisories::Options),
    /// What CI runs: format, lints, dependencies, tests.
    Ci,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::BuildEbpf => build_ebpf::build().map(|object| println!("{}", object.display())),
        Task::BuildAndLoad(options) => build_and_load::build_and_load(&options),
        Task::Run(options) => run::run(&options),
        Task::Test(options) => tidily(|| test::test(&options)),
        Task::Bench(options) => tidily(|| bench::bench(&options)),
        Task::Mutants => tidily(plant_all),
        Task::Faults(options) => tidily(|| faults::faults(&options)),
        Task::Fuzz(options) => tidily(|| fuzz::fuzz(&options)),
        Task::Advisories(options) => advisories::advisories(&options),
        Task::Ci => tidily(ci::ci),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn plant_all() -> Result<()> {
    let (found, _) = interleavings::faults()?;
    let (caught, _) = mutants::mutants()?;
    println!("{} passed, 0 failed", found + caught);
    Ok(())
}

/// Ctrl-C ends what the work has started, and then nothing of any lab is left; nor is at the start,
/// whatever became of an earlier run.
fn tidily(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let tidy = || {
        if privileges::is_root() {
            lab::remove_stale();
        }
    };
    interrupt::catch();
    tidy();
    let done = work();
    tidy();
    done.and_then(|()| interrupt::check())
}
