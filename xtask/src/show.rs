//! The show: three real clients get their addresses, and the kernel renews them.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::{Binaries, Client, Daemon, Kind, Lab, interrupt, wait_until};

/// As short as the server lets them be, so that the first renewals come soon.
const LEASE_S: u64 = 30;
const BIND_LIMIT: Duration = Duration::from_secs(60);
const RENEW_LIMIT: Duration = Duration::from_secs(2 * LEASE_S);
/// The daemon counts what the kernel has renewed about once a second.
const COUNT_LIMIT: Duration = Duration::from_secs(5);

/// How the renewals were answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    clients: usize,
    kernel: u64,
    userspace: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} clients bound, {} renewals answered in the kernel, {} in userspace",
            self.clients, self.kernel, self.userspace
        )
    }
}

/// Everything is taken away again when this returns, whether well or not.
pub(crate) fn show(binaries: &Binaries, once: bool) -> Result<Tally> {
    let lab = Lab::new(Kind::ALL.len())?;
    println!(
        "A lab in namespaces of its own: a server, a switch and {} clients.",
        lab.clients.len()
    );
    let daemon = serve(binaries, &lab)?;
    let mut clients = start_clients(&lab)?;
    wait_bound(&mut clients)?;
    wait_renewed(&mut clients)?;
    let tally = count(&daemon, &clients)?;
    tell_fast_path(&daemon)?;
    if once {
        Ok(tally)
    } else {
        stay(&daemon, &lab, tally)
    }
}

fn serve(binaries: &Binaries, lab: &Lab) -> Result<Daemon> {
    let yaml = lab.config(&format!("{LEASE_S}s"), "");
    let daemon = Daemon::start(binaries, &lab.server, &lab.directory("xdhcpd")?, &yaml)?;
    println!("xdhcpd serves at {SERVER} on {INTERFACE}, with leases of {LEASE_S} s.");
    Ok(daemon)
}

fn start_clients(lab: &Lab) -> Result<Vec<Client>> {
    let start =
        |(kind, namespace): (Kind, _)| Client::start(kind, namespace, &lab.directory(kind.name())?);
    Kind::ALL.into_iter().zip(&lab.clients).map(start).collect()
}

fn wait_bound(clients: &mut [Client]) -> Result<()> {
    println!("The clients boot:");
    for client in clients {
        let address = client.wait_bound(BIND_LIMIT)?;
        println!("  {:<9} is bound to {address}", client.kind().name());
    }
    Ok(())
}

fn wait_renewed(clients: &mut [Client]) -> Result<()> {
    println!(
        "They renew: udhcpc and dhcpcd are asked to, dhclient does at T1, after {} s.",
        LEASE_S / 2
    );
    for client in &mut *clients {
        client.renew()?;
    }
    // dhclient, which takes longest, last.
    for client in clients.iter_mut().rev() {
        client.wait_renewals(1, RENEW_LIMIT)?;
        println!("  {:<9} has renewed", client.kind().name());
    }
    Ok(())
}

/// Waits until the daemon's books hold what the clients have seen.
fn count(daemon: &Daemon, clients: &[Client]) -> Result<Tally> {
    let seen: usize = clients.iter().map(Client::renewals).sum();
    let counted = wait_until("the daemon to count the renewals", COUNT_LIMIT, || {
        let tally = ask(daemon, clients.len())?;
        Ok((tally.kernel + tally.userspace >= seen as u64).then_some(tally))
    });
    interrupt::check()?;
    counted.with_context(|| format!("the clients have renewed {seen} times"))
}

/// With the fast path off, the daemon runs the same code itself and counts its hits.
fn ask(daemon: &Daemon, clients: usize) -> Result<Tally> {
    let status = daemon.ctl(&["status"])?;
    let number = |value: &Value, name: &str| {
        value
            .as_u64()
            .with_context(|| format!("the status has no {name}"))
    };
    let hits = |place: &str| number(&status["fast_path_hits"][place], place);
    let (kernel, workers) = (hits("kernel")?, hits("workers")?);
    let renewed = number(&status["replies"]["renew"], "replies.renew")?;
    Ok(match status["interfaces"][0]["mode"].as_str() {
        Some("native" | "generic") => Tally {
            clients,
            kernel,
            userspace: workers + renewed,
        },
        _ => Tally {
            clients,
            kernel: 0,
            userspace: workers + renewed,
        },
    })
}

fn tell_fast_path(daemon: &Daemon) -> Result<()> {
    println!("xdhcpctl fastpath:");
    for line in daemon.ctl_text(&["fastpath"])?.lines() {
        println!("  {line}");
    }
    Ok(())
}

/// Tells of every change until Ctrl-C.
fn stay(daemon: &Daemon, lab: &Lab, mut tally: Tally) -> Result<Tally> {
    println!("The lab stays, and the clients go on renewing, until Ctrl-C. To look around:");
    println!("  nsenter --net={} sh", lab.server.path().display());
    println!("  {}", shown(&daemon.ctl_command()));
    while !interrupt::happened() {
        std::thread::sleep(Duration::from_secs(1));
        // Asking may fail for the Ctrl-C that ends the loop.
        match ask(daemon, tally.clients) {
            Ok(new) if new != tally => {
                println!("{new}");
                tally = new;
            }
            Err(error) if !interrupt::happened() => return Err(error),
            _ => {}
        }
    }
    Ok(tally)
}

fn shown(command: &std::process::Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
