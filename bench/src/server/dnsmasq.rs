//! dnsmasq: its whole lease file is written anew, and synced, with every change.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use xdhcpd_tests::lab::INTERFACE;

use super::{Handle, Plan, Starting, unix};
use crate::client::{BOUND, Client, FRESH, LEASE, SERVER, last};

pub fn configuration(plan: &Plan, directory: &Path) -> String {
    let mut ranges = String::new();
    for (first, count) in [(FRESH, plan.fresh), (BOUND, plan.bound)] {
        if count > 0 {
            let last = last(first, count);
            let _ = writeln!(ranges, "dhcp-range={first},{last},255.192.0.0,{LEASE}s");
        }
    }
    let directory = directory.display();
    format!(
        "\
port=0
no-ping
quiet-dhcp
dhcp-authoritative
user=root
interface={INTERFACE}
dhcp-lease-max=2000000
{ranges}dhcp-leasefile={directory}/leases
pid-file={directory}/pid
dhcp-option=option:router,{SERVER}
dhcp-option=option:dns-server,{SERVER}
dhcp-option=option:domain-name,lab.example
"
    )
}

pub(super) fn start(starting: &Starting<'_>) -> Result<(Handle, u64)> {
    let Starting {
        plan, directory, ..
    } = starting;
    let config = starting.write("dnsmasq.conf", &configuration(plan, directory))?;
    starting.write("leases", &leases(plan.bound))?;
    let mut command = starting.command("dnsmasq")?;
    command.args(["--keep-in-foreground", "--log-facility=-"]);
    command.arg(format!("--conf-file={}", config.display()));
    starting.peer(command, |process| {
        process.log().contains("IP range").then_some(())
    })
}

fn leases(count: u32) -> String {
    let (mut text, expire) = (String::new(), unix() + u64::from(LEASE));
    for client in (0..count).map(Client) {
        let mac = client.mac().map(|byte| format!("{byte:02x}")).join(":");
        let _ = writeln!(text, "{expire} {mac} {} * 01:{mac}", client.address());
    }
    text
}
