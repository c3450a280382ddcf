//! What the daemon writes to its log, and in which form.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Sets the process's logger up. `level` is a level or a filter like `info,dhcp_userspace=debug`.
///
/// # Errors
/// If `level` is neither.
pub fn start(format: Format, level: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        format!("{level:?} is no log level (error, warn, info, debug, trace): {error}")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // journald has its own clock.
    let to_journald = std::env::var_os("JOURNAL_STREAM").is_some();
    match (format, to_journald) {
        (Format::Json, _) => log.json().flatten_event(true).init(),
        (Format::Text, true) => log.without_time().init(),
        (Format::Text, false) => log.init(),
    }
    Ok(())
}
