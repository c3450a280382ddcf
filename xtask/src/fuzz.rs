//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, which looks for inputs that reach code
//! that none reached before.
//!
//! No nightly compiler is needed: the instrumentation is LLVM's own, and the sanitizers that only a
//! nightly has would look for what the compiler rules out. A C++ compiler builds libFuzzer itself.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use xdhcpd_tests::process;

use crate::packages;
use crate::paths;
use crate::progress::{Finished, step, try_step};
use crate::suite::Report;

/// What libFuzzer needs to know of the program: where it went, and what it compared.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1";
/// An input that takes longer, in seconds, is a fault; so is one that takes more memory, in MiB.
const TIMEOUT: u32 = 10;
const MEMORY: u32 = 1024;
/// Longer inputs are not made.
const LONGEST: u32 = 8192;

#[derive(Args)]
pub(crate) struct Options {
    /// How many seconds each target runs.
    #[arg(long, default_value_t = 60)]
    secs: u64,
    /// What the numbers of the run begin with; without it, another one each time.
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the inputs that reached new code: the smallest set that reaches all, in fuzz/corpus.
    #[arg(long)]
    keep: bool,
    /// Only these; `cargo xtask fuzz list` names them.
    targets: Vec<String>,
}

/// What a run of a target came to.
struct Ran {
    target: String,
    executions: u64,
    /// Edges of the program that were reached.
    edges: u64,
    /// Inputs that it did not bear.
    faults: Vec<PathBuf>,
}

pub(crate) fn fuzz(options: &Options) -> Result<()> {
    let all = targets()?;
    if options.targets == ["list"] {
        all.iter().for_each(|target| println!("{target}"));
        return Ok(());
    }
    let mut faults = Vec::new();
    for ran in run(&chosen(&all, &options.targets)?, options.secs, options.seed)? {
        println!(
            "{:<12} {:>12} executions {:>7} edges",
            ran.target, ran.executions, ran.edges
        );
        if options.keep {
            keep(&ran.target, &triple()?)?;
        }
        faults.extend(ran.faults);
    }
    if !faults.is_empty() {
        let files: Vec<_> = faults
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        bail!("not borne: {}", files.join(", "));
    }
    Ok(())
}

/// All targets as rows of the table of faults; the report hears of each, also of one that did not run.
pub(crate) fn rows(secs: u64, seed: u64, report: &mut Report) -> Result<Vec<Value>> {
    let (triple, mut all) = (build()?, Vec::new());
    for target in targets()? {
        let name = format!("fuzz {target}");
        match run_one(&target, &triple, secs, Some(seed)) {
            Ok(ran) => {
                match ran.faults.as_slice() {
                    [] => report.pass(&name, 1, Duration::from_secs(secs)),
                    _ => report.fail(&name),
                }
                all.push(ran);
            }
            Err(error) => {
                eprintln!("{error:#}");
                report.fail(&name);
            }
        }
    }
    let row = |ran: &Ran| {
        json!({
            "fault": format!("hostile bytes: {}", ran.target),
            "times": ran.executions.to_string(),
            "checked": format!("no panic, {TIMEOUT} s and {MEMORY} MiB at most; {} edges reached", ran.edges),
            "lost": ran.faults.len(),
            "pause": "-",
            "seed": seed,
        })
    };
    Ok(all.iter().map(row).collect())
}

/// Builds and runs targets, one after the other.
fn run(targets: &[String], secs: u64, seed: Option<u64>) -> Result<Vec<Ran>> {
    let triple = build()?;
    let run = |target: &String| run_one(target, &triple, secs, seed);
    targets.iter().map(run).collect()
}

/// The names of all targets, sorted.
fn targets() -> Result<Vec<String>> {
    let directory = paths::root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("no {}", directory.display()))? {
        let file = entry?.path();
        names.extend(
            file.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    Ok(names)
}

fn chosen(all: &[String], wanted: &[String]) -> Result<Vec<String>> {
    for name in wanted {
        ensure!(
            all.contains(name),
            "no target {name:?}: see `cargo xtask fuzz list`"
        );
    }
    Ok(if wanted.is_empty() { all } else { wanted }.to_vec())
}

/// Tells the target triple that it has built for.
fn build() -> Result<String> {
    packages::ensure(&[packages::FUZZ])?;
    let triple = triple()?;
    let mut command = Command::new(paths::cargo());
    command.current_dir(paths::root());
    command.args(["build", "--release", "--package", "xdhcpd-fuzz", "--bins"]);
    command.args(["--features", "libfuzzer", "--target", &triple]);
    command.arg("--target-dir").arg(directory().join("build"));
    command.env("RUSTFLAGS", INSTRUMENTED);
    step("building the fuzz targets", &mut command)?;
    Ok(triple)
}

/// This machine's. With a target named, the flags are for what runs there and not for build scripts.
fn triple() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = process::output(Command::new(rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not tell its host")?.to_owned())
}

fn directory() -> PathBuf {
    paths::target().join("fuzz")
}

fn kept(target: &str) -> PathBuf {
    paths::root().join("fuzz/corpus").join(target)
}

/// Where a target's inputs go that are not kept yet.
fn found(target: &str) -> PathBuf {
    directory().join("corpus").join(target)
}

fn program(target: &str, triple: &str) -> Command {
    let program = directory()
        .join("build")
        .join(triple)
        .join("release")
        .join(target);
    let mut command = Command::new(program);
    command.current_dir(directory());
    command
}

fn run_one(target: &str, triple: &str, secs: u64, seed: Option<u64>) -> Result<Ran> {
    let faults = directory().join("faults").join(target);
    for directory in [&faults, &found(target), &kept(target)] {
        fs::create_dir_all(directory)?;
    }
    let mut command = program(target, triple);
    command.arg(format!("-max_total_time={secs}"));
    command.args([
        format!("-timeout={TIMEOUT}"),
        format!("-rss_limit_mb={MEMORY}"),
    ]);
    command.args([
        format!("-max_len={LONGEST}"),
        "-print_final_stats=1".to_owned(),
    ]);
    command.arg(format!("-artifact_prefix={}/", faults.display()));
    if let Some(seed) = seed {
        // Its 0 stands for another one each time.
        command.arg(format!("-seed={}", seed.max(1)));
    }
    command.args([found(target), kept(target)]);
    let before = files(&faults)?;
    let finished = try_step(&format!("fuzzing {target} for {secs} s"), &mut command)?;
    let mut ran = read(target, &finished);
    ran.faults = files(&faults)?;
    ran.faults.retain(|file| !before.contains(file));
    if !finished.status.success() {
        eprint!("{}", tail(&finished.output));
        ensure!(!ran.faults.is_empty(), "{target} ended by itself");
    }
    Ok(ran)
}

/// Its last lines tell what was wrong.
fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let last = lines[lines.len().saturating_sub(40)..].join("\n");
    last + "\n"
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?;
    Ok(entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?)
}

fn read(target: &str, finished: &Finished) -> Ran {
    let number = |text: &str| text.trim().split(' ').next()?.parse::<u64>().ok();
    let of = |line: &str, name: &str| number(line.split_once(name)?.1);
    let lines = || finished.output.lines().rev();
    Ran {
        target: target.to_owned(),
        executions: lines()
            .find_map(|line| of(line, "stat::number_of_executed_units:"))
            .unwrap_or_default(),
        edges: lines()
            .find_map(|line| of(line, " cov: "))
            .unwrap_or_default(),
        faults: Vec::new(),
    }
}

/// Puts the fewest inputs that reach all that any has reached in place of those that are kept.
fn keep(target: &str, triple: &str) -> Result<()> {
    let smallest = directory().join("smallest").join(target);
    if smallest.exists() {
        fs::remove_dir_all(&smallest)?;
    }
    fs::create_dir_all(&smallest)?;
    let mut command = program(target, triple);
    command.args(["-merge=1".to_owned(), format!("-max_len={LONGEST}")]);
    command.args([&smallest, &kept(target), &found(target)]);
    step(&format!("the smallest corpus of {target}"), &mut command)?;
    for file in files(&smallest)? {
        let name = file.file_name().context("it has a name")?;
        fs::copy(&file, kept(target).join(name))?;
    }
    let wanted = files(&smallest)?;
    let is_wanted = |file: &PathBuf| {
        wanted
            .iter()
            .any(|other| other.file_name() == file.file_name())
    };
    for file in files(&kept(target))? {
        if !is_wanted(&file) && !is_regression(&file) {
            fs::remove_file(file)?;
        }
    }
    Ok(())
}

/// Inputs that once were not borne are kept whatever they reach.
fn is_regression(file: &Path) -> bool {
    let name = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    name.is_some_and(|name| name.starts_with("fault-"))
}
