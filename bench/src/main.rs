//! `cargo xtask bench`: this server, its peers and the bare limit, measured on one veth pair in alternating rounds.
//!
//! How it is built:
//!
//! - [`site`]: two namespaces and one veth pair. Each end receives in a thread of its own (threaded NAPI), the
//!   server's on another CPU than the generator's, so that what a server's kernel does to receive is charged to the
//!   server ([`cpu`]) and not to whoever sends.
//! - [`server`]: servers are data: a name, a configuration, the leases that they find when they start, how to start
//!   and end them. The bare limit is one of them. Only one runs at any time.
//! - [`generator`]: clients, by packet sockets ([`wire`]), on one thread and one CPU, with a window (closed loop) or
//!   at a rate (open loop). A client is a number ([`client`]); an exchange is found by its xid ([`flights`]); every
//!   reply is read whole and compared with what was asked ([`reply`]).
//! - [`live`]: the same in the kernel: a program makes renewals and sends them off (`BPF_PROG_TEST_RUN` with live
//!   frames), another one looks at every answer and counts; some answers are kept, and looked at as above.
//! - [`program`] says what is measured of whom: each round starts each server anew, and another one first.
//! - [`sample`]: figures of a round, and their median and spread; [`report`] makes tables, [`plot`] pictures and
//!   [`verdict`] the last line of them.

mod client;
mod cpu;
mod flights;
mod generator;
mod histogram;
mod live;
mod machine;
mod measure;
mod memory;
mod perfdhcp;
mod plot;
mod program;
mod reply;
mod report;
mod request;
mod rounds;
mod sample;
mod server;
mod site;
mod tally;
mod time;
mod verdict;
mod wire;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use xdhcpd_tests::{Binaries, interrupt};

use program::Form;
use rounds::Wanted;
use sample::Results;
use server::Programs;
use site::Site;

/// Run by `cargo xtask bench`, which builds what it needs.
#[derive(Parser)]
struct Arguments {
    /// One round of everything, within three minutes.
    #[arg(long)]
    quick: bool,
    /// As many rounds as this.
    #[arg(long)]
    rounds: Option<u32>,
    /// Only these works, such as `bind`.
    #[arg(long)]
    work: Vec<String>,
    /// Only these servers, such as `kea-st`.
    #[arg(long)]
    server: Vec<String>,
    /// Where the JSON goes.
    #[arg(long)]
    json: PathBuf,
    /// Where pictures go, if they are wanted.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// xdhcpd-bench.bpf.o
    #[arg(long)]
    object: PathBuf,
    /// Where xdhcpd and xdhcpctl are.
    #[arg(long)]
    binaries: PathBuf,
}

fn main() -> ExitCode {
    interrupt::catch();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let mut form = if arguments.quick {
        Form::quick()
    } else {
        Form::full()
    };
    form.rounds = arguments.rounds.unwrap_or(form.rounds).max(1);
    let object = &arguments.object;
    let programs = Programs {
        binaries: Binaries::in_directory(&arguments.binaries)?,
        object: fs::read(object).with_context(|| object.display().to_string())?,
    };
    let wanted = Wanted {
        works: arguments.work.clone(),
        servers: arguments.server.clone(),
    };
    let site = Site::new()?;
    let facts = machine::facts(&site.lab.directory("state")?, arguments.quick);
    let measured = rounds::run(&site, &programs, &form, &wanted)?;
    drop(site);
    report::write_json(&arguments.json, &facts, &measured)?;
    if let Some(directory) = &arguments.plots {
        plot::write(directory, &Results::of(&measured.samples))?;
        report::write_page(directory, &facts, &measured)?;
    }
    report::print(&facts, &measured);
    interrupt::check()?;
    report::require_right(&measured)
}
