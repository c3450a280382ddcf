//! The daemon.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dhcp_userspace::config::{self, Config, model::Pool};
use dhcp_userspace::control::render::count;
use dhcp_userspace::run::privileges::{self, User};
use dhcp_userspace::run::{self, logging};

/// A DHCPv4 server whose renewals are answered in the kernel.
#[derive(Debug, Parser)]
#[command(name = "xdhcpd", version)]
struct Arguments {
    /// The configuration.
    #[arg(long, global = true, default_value = "/etc/xdhcpd/dhcp.yaml")]
    config: PathBuf,
    #[arg(long, value_enum, default_value = "text")]
    log_format: logging::Format,
    /// error, warn, info, debug or trace.
    #[arg(long, default_value = "info")]
    log_level: String,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the configuration and say what is wrong with it.
    Check {
        /// The file; without it that of --config.
        file: Option<PathBuf>,
    },
    /// As root: prepare the state directory and the pin directory for the user that xdhcpd will run
    /// as, and give it what an earlier run as root has left there. The systemd unit does this before
    /// each start.
    HandOver {
        /// The user; without it that of `server.user`.
        #[arg(long)]
        user: Option<String>,
    },
    /// Print the JSON schema of the configuration, for editors.
    Schema,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        None => serve(&arguments),
        Some(Command::Check { file }) => check(file.as_ref().unwrap_or(&arguments.config)),
        Some(Command::HandOver { user }) => hand_over(&arguments, user.clone()),
        Some(Command::Schema) => {
            println!("{:#}", config::schema());
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xdhcpd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> Result<(), String> {
    logging::start(arguments.log_format, &arguments.log_level)?;
    run::daemon(&arguments.config).map_err(|error| format!("{error:#}"))
}

fn hand_over(arguments: &Arguments, user: Option<String>) -> Result<(), String> {
    logging::start(arguments.log_format, &arguments.log_level)?;
    let config = config::load(&arguments.config).map_err(|errors| errors.to_string())?;
    let name = user.or_else(|| config.server.user.clone());
    let name = name.ok_or("which user? Say --user, or set server.user")?;
    let user = User::named(&name).map_err(|error| error.to_string())?;
    privileges::hand_over(&config, &user).map_err(|error| error.to_string())
}

fn check(path: &Path) -> Result<(), String> {
    let config = config::load(path).map_err(|errors| errors.to_string())?;
    println!("OK: {}", summary(&config));
    Ok(())
}

fn summary(config: &Config) -> String {
    let subnets = &config.subnets;
    let addresses = |pool: &Pool| u64::from(pool.last.to_bits() - pool.first.to_bits()) + 1;
    let pools: u64 = subnets
        .iter()
        .flat_map(|subnet| &subnet.pools)
        .map(addresses)
        .sum();
    let hosts: usize = subnets.iter().map(|subnet| subnet.hosts.len()).sum();
    let hosts = hosts + config.hosts.len();
    let addresses = if pools == 1 { "address" } else { "addresses" };
    format!(
        "{}, {}, {pools} {addresses} in pools, {}",
        count(config.files.len(), "file"),
        count(subnets.len(), "subnet"),
        count(hosts, "reservation")
    )
}
