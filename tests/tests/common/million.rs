//! A server with very many leases: its journal, written by the library, and how long it takes to answer.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use dhcp_userspace::clock::{Now, SECOND, boot_id};
use dhcp_userspace::journal::{Disk, Kind, Log, Record, Settings};
use xdhcpd_tests::Lab;
use xdhcpd_tests::lab::INTERFACE;

use super::message::{ACK, OFFER, RELEASE};
use super::raw_client::{Lease, RawClient};

/// The first address that is leased already; the pool of new clients lies below.
pub const FIRST: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 0);
const HOUR: u64 = 3600 * SECOND;
/// Records that are synced together.
const BATCH: u32 = 10_000;
/// Clients take turns, so that none asks more often than the guard lets it.
const CLIENTS: u32 = 60_000;

/// The configuration: `leases` addresses are leased, and 2,048 more are there for new clients.
pub fn yaml(lab: &Lab, leases: u32, domain: &str) -> String {
    let last = Ipv4Addr::from_bits(FIRST.to_bits() + leases - 1);
    let bpffs = lab.bpffs().display();
    format!(
        "\
server: {{state_dir: @DIR@/state, control_socket: @DIR@/control.sock}}
fast_path: {{mode: native, pin_dir: {bpffs}/xdhcpd}}
defaults: {{lease_time: 1h}}
subnets:
  - subnet: 10.64.0.0/10
    pools: [10.77.8.0-10.77.15.255, {FIRST}-{last}]
    options: {{routers: [10.77.0.1], domain-name: {domain}.example}}
"
    )
}

/// Writes the lease of every address to the journal, so many times.
pub fn write_leases(state: &Path, leases: u32, times: u32) -> Result<()> {
    let path = state.join("journal");
    fs::create_dir_all(&path)?;
    let (disk, now) = (Arc::new(Disk::open(&path)?), Now::read());
    let (mut log, _) = Log::open(disk, Settings::default(), now, boot_id()?)?;
    for number in (0..times).flat_map(|_| 0..leases) {
        log.append(&record(number, now), now)?;
        if number % BATCH == 0 {
            log.sync()?;
        }
    }
    log.sync()?;
    // As a daemon has one ready whenever it ends.
    Ok(log.upkeep().prepare(now)?)
}

fn record(number: u32, now: Now) -> Record {
    let [a, b, c, d] = number.to_be_bytes();
    let mac = [0x02, 0xfb, a, b, c, d];
    Record {
        address: Ipv4Addr::from_bits(FIRST.to_bits() + number),
        kind: Kind::Bound,
        mac,
        reserved_until: now.boot + HOUR,
        since: now.unix,
        client_id: [&[1][..], &mac].concat(),
        hostname: format!("node{number:07}").into_bytes(),
        relay_agent: Vec::new(),
    }
}

/// Whether a compaction is over: there is a snapshot with another name than before.
pub fn snapshot(state: &Path) -> Result<Option<String>> {
    for entry in fs::read_dir(state.join("journal"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".snapshot") {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Nanoseconds from a request to its answer.
#[derive(Debug, Default, Clone)]
pub struct Times {
    /// SELECTING: the answer waits for the disk.
    pub binds: Vec<u64>,
    /// By the daemon, without a record.
    pub renewals: Vec<u64>,
}

impl Times {
    pub fn extend(&mut self, more: Self) {
        self.binds.extend(more.binds);
        self.renewals.extend(more.renewals);
    }

    /// The longest of all, in milliseconds.
    pub fn worst(&self) -> f64 {
        let all = self.binds.iter().chain(&self.renewals);
        all.copied().max().unwrap_or(0) as f64 / 1e6
    }
}

/// p50, p99 and the longest, for people.
pub fn summary(times: &[u64]) -> String {
    let [p50, p99, most] = [50, 99, 100].map(|percent| quantile(times, percent));
    let count = times.len();
    format!("p50 {p50:.2} ms, p99 {p99:.2} ms, max {most:.1} ms of {count}")
}

/// p50 and p99, for a row of a table.
pub fn quantiles(times: &[u64]) -> String {
    let [p50, p99] = [50, 99].map(|percent| quantile(times, percent));
    format!("{p50:.2}/{p99:.2} ms")
}

/// In milliseconds.
fn quantile(times: &[u64], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |ns| *ns as f64 / 1e6)
}

/// One client after the other binds, renews and goes.
pub struct Guests {
    client: RawClient,
    next: u32,
}

impl Guests {
    pub fn new(lab: &Lab) -> Result<Self> {
        Ok(Self {
            client: RawClient::new(&lab.clients[0], INTERFACE, 0)?,
            next: 0,
        })
    }

    pub fn while_so(&mut self, mut so: impl FnMut(usize) -> Result<bool>) -> Result<Times> {
        let mut times = Times::default();
        while so(times.binds.len())? {
            self.one(&mut times)?;
        }
        Ok(times)
    }

    fn one(&mut self, times: &mut Times) -> Result<()> {
        let [.., a, b] = (self.next % CLIENTS).to_be_bytes();
        self.next += 1;
        self.client.mac = [0x52, 0x54, 0, 1, a, b];
        let client = &self.client;
        let offer = client.ask(&client.discover())?;
        ensure!(offer.kind() == Some(OFFER), "{offer:?}");
        let began = Now::read().boot;
        let ack = client.ask(&client.selecting(&offer))?;
        times.binds.push(Now::read().boot - began);
        ensure!(ack.kind() == Some(ACK), "{ack:?}");
        let server = ack.option(54).and_then(|value| value.try_into().ok());
        let lease = Lease {
            address: ack.yiaddr,
            server: <[u8; 4]>::into(server.context("a server identifier")?),
            server_mac: ack.from_mac,
        };
        let began = Now::read().boot;
        let renewal = client.renewing(&lease).with(60, b"another than before");
        let ack = client.ask(&renewal)?;
        times.renewals.push(Now::read().boot - began);
        ensure!(ack.kind() == Some(ACK), "{ack:?}");
        let mut release = client.renewing(&lease);
        release.options = vec![(53, vec![RELEASE]), (54, lease.server.octets().to_vec())];
        client.send(&release)
    }
}
