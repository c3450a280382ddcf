//! Kea's load generator at the same server with the same rate, to see whether both generators say the same. Its
//! clients are behind a relay, and it does nearly nothing with the replies but to count them.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use xdhcpd_tests::process;

use crate::client::{PREFIX, SERVER};
use crate::site::{GENERATOR, Site};

/// The relay that it plays.
const RELAY: &str = "10.77.0.2";
/// Its clients; random ones of them bind.
const CLIENTS: &str = "400000";

/// What it says.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub per_second: f64,
    /// Mean times from DISCOVER to OFFER and from REQUEST to ACK together.
    pub mean_ms: f64,
    pub drops: f64,
}

pub fn run(site: &Site, rate: u32, time: Duration) -> Result<Said> {
    let relay = &site.lab.switch;
    relay.ip(&format!("address replace {RELAY}/{PREFIX} dev {GENERATOR}"))?;
    let mut command = relay.command(process::find("perfdhcp")?);
    let secs = time.as_secs().max(1).to_string();
    command.args(["-4", "-l", GENERATOR, "-r", &rate.to_string()]);
    command.args(["-p", &secs, "-R", CLIENTS, &SERVER.to_string()]);
    let said = said(&mut command);
    relay.ip(&format!("address flush dev {GENERATOR}"))?;
    said
}

/// It ends with 3 if some exchanges were not over.
fn said(command: &mut Command) -> Result<Said> {
    let output = command.output().context("could not start perfdhcp")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    read(&text).with_context(|| format!("perfdhcp said: {text}"))
}

fn read(text: &str) -> Option<Said> {
    let numbers = |name: &str| {
        let lines = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(name));
        let numbers = lines.filter_map(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        numbers.collect::<Vec<_>>()
    };
    let delays = numbers("avg delay:");
    Some(Said {
        per_second: *numbers("Rate:").first()?,
        mean_ms: (delays.len() == 2).then(|| delays.iter().sum())?,
        drops: numbers("drops:").iter().sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_perfdhcp_says() {
        let text = "\
***Rate statistics***
Rate: 997.4 4-way exchanges/second, expected rate: 1000

***Statistics for: DISCOVER-OFFER***
sent packets: 5000
received packets: 4990
drops: 10

min delay: 0.031 ms
avg delay: 0.25 ms
max delay: 8.1 ms

***Statistics for: REQUEST-ACK***
sent packets: 4990
received packets: 4989
drops: 1

avg delay: 0.5 ms
";
        let said = Said {
            per_second: 997.4,
            mean_ms: 0.75,
            drops: 11.0,
        };
        assert_eq!(read(text), Some(said));
        assert_eq!(read("usage: perfdhcp"), None);
    }
}
