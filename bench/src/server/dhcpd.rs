//! ISC dhcpd, with its default of not writing early renewals (`dhcp-cache-threshold 25`). There is no syslog.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use xdhcpd_tests::lab::INTERFACE;

use super::{Handle, Plan, Starting, unix};
use crate::client::{BOUND, Client, FRESH, LEASE, SERVER, SUBNET, last};

pub fn configuration(plan: &Plan, directory: &Path) -> String {
    let mut ranges = String::new();
    for (first, count) in [(FRESH, plan.fresh), (BOUND, plan.bound)] {
        if count > 0 {
            let _ = writeln!(ranges, "  range {first} {};", last(first, count));
        }
    }
    let directory = directory.display();
    format!(
        "\
authoritative;
ping-check false;
ddns-update-style none;
default-lease-time {LEASE};
max-lease-time {LEASE};
lease-file-name \"{directory}/dhcpd.leases\";
pid-file-name \"{directory}/dhcpd.pid\";
subnet {SUBNET} netmask 255.192.0.0 {{
{ranges}  option routers {SERVER};
  option domain-name-servers {SERVER};
  option domain-name \"lab.example\";
}}
"
    )
}

pub(super) fn start(starting: &Starting<'_>) -> Result<(Handle, u64)> {
    let Starting {
        plan, directory, ..
    } = starting;
    let config = starting.write("dhcpd.conf", &configuration(plan, directory))?;
    starting.write("dhcpd.leases", &leases(plan.bound))?;
    let mut command = starting.command("dhcpd")?;
    command
        .args(["-4", "-f", "-q", "-cf"])
        .arg(config)
        .arg(INTERFACE);
    // It writes its process id last of all.
    let pid = directory.join("dhcpd.pid");
    starting.peer(command, |_| pid.exists().then_some(()))
}

fn leases(count: u32) -> String {
    let (mut text, began) = ("authoring-byte-order little-endian;\n".to_owned(), unix());
    let ends = began + u64::from(LEASE);
    for client in (0..count).map(Client) {
        let mac = client.mac().map(|byte| format!("{byte:02x}")).join(":");
        let address = client.address();
        let _ = writeln!(
            text,
            "lease {address} {{\n  starts epoch {began};\n  ends epoch {ends};\n  cltt epoch {began};\n  \
             binding state active;\n  next binding state free;\n  hardware ethernet {mac};\n  uid 01:{mac};\n}}"
        );
    }
    text
}
