//! `cargo xtask run`: the lab show, or the daemon on an interface.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use xdhcpd_tests::interrupt;

use crate::build_and_load;
use crate::daemon::{self, Profile};
use crate::packages;
use crate::privileges;
use crate::show;

#[derive(Args)]
pub(crate) struct Options {
    /// End when every client has renewed, instead of at Ctrl-C.
    #[arg(long, conflicts_with = "interface")]
    once: bool,
    /// Serve on this interface, in the foreground, instead of the lab.
    #[arg(long)]
    interface: Option<String>,
    /// The configuration to serve with.
    #[arg(long, requires = "interface")]
    config: Option<PathBuf>,
    #[arg(long, hide = true)]
    built: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(interface) = options.interface.clone() {
        let (config, built) = (options.config.clone(), options.built);
        let load_only = false;
        let options = build_and_load::Options {
            interface,
            config,
            load_only,
            built,
        };
        return build_and_load::build_and_load(&options);
    }
    if !options.built {
        daemon::build_all()?;
    }
    privileges::become_root()?;
    packages::ensure(&[packages::LAB, packages::CLIENTS])?;
    interrupt::catch();
    let tally = show::show(&daemon::binaries(Profile::Release)?, options.once)?;
    println!("lab: {tally}");
    Ok(())
}
