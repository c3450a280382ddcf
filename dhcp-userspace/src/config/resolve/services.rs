//! The keys `guard`, `boot` and `leasequery`.

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use ipnet::Ipv4Net;

use super::super::decode::Placed;
use super::super::error::{At, Problem, Report};
use super::super::model::{FileService, Guard, Leasequery};
use super::super::scalar::{AddressOrNet, Listen, Scalar, get};
use super::super::written;
use super::server::between;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const TFTP: u16 = 69;
const TRANSFERS: usize = 4096;

pub(super) fn guard(written: &written::Guard, report: &Report) -> Guard {
    let root = At::Root.key("guard");
    let at = |key| root.key(key);
    let default = Guard::default();
    let enabled = get(written.enabled.as_ref(), &at("enabled"), report);
    let rate = get(written.unknown_rate.as_ref(), &at("unknown_rate"), report);
    let threshold = written.misbehaving_threshold.as_ref();
    let threshold = get(threshold, &at("misbehaving_threshold"), report);
    let misbehaving = (&at("misbehaving_hold"), [SECOND, DAY]);
    let suspicious = (&at("suspicious_hold"), [SECOND, DAY]);
    let offers = written.offers_per_circuit.as_ref();
    let offers = get(offers, &at("offers_per_circuit"), report);
    Guard {
        enabled: enabled.unwrap_or(default.enabled),
        unknown_rate: rate.unwrap_or(default.unknown_rate),
        misbehaving_threshold: threshold.map_or(default.misbehaving_threshold, |count| count.0),
        misbehaving_hold: between(written.misbehaving_hold.as_ref(), misbehaving, report)
            .unwrap_or(default.misbehaving_hold),
        suspicious_hold: between(written.suspicious_hold.as_ref(), suspicious, report)
            .unwrap_or(default.suspicious_hold),
        offers_per_circuit: offers.map_or(default.offers_per_circuit, |count| count.0),
    }
}

pub(super) fn boot(
    written: Option<&Placed<written::FileService>>,
    metrics: Option<SocketAddr>,
    report: &Report,
) -> Option<FileService> {
    let Placed { place, value } = written?;
    let root = At::Root.key("boot");
    let at = |key| root.key(key);
    if value.root.is_none() {
        let hint = "write the directory of the files, like /srv/boot";
        report.add_missing(*place, &root, Problem::new("has no `root`", hint));
    }
    let directory = get(value.root.as_ref(), &at("root"), report);
    let tftp = listen(value.tftp.as_ref(), &at("tftp"), report);
    let http = listen(value.http.as_ref(), &at("http"), report);
    let transfers = get(value.max_transfers.as_ref(), &at("max_transfers"), report);
    if tftp.is_none() && http.is_none() {
        let hint = "turn one of them on, or leave `boot` away";
        report.add(*place, &root, Problem::new("neither TFTP nor HTTP", hint));
    }
    if let (Some(_), true, Some(scalar)) = (http, http == metrics, &value.http) {
        let problem = Problem::new("server.metrics listens there", "write another port");
        report.add(scalar.place, &at("http"), problem);
    }
    Some(FileService {
        root: directory?.0,
        tftp: tftp.and_then(|tftp| ipv4(tftp, value.tftp.as_ref(), report)),
        http,
        max_transfers: transfers.map_or(TRANSFERS, |count| count.0 as usize),
    })
}

fn listen<const PORT: u16>(
    written: Option<&Scalar<Listen<PORT>>>,
    at: &At<'_>,
    report: &Report,
) -> Option<SocketAddr> {
    match written {
        None => Some(SocketAddr::from(([0, 0, 0, 0], PORT))),
        Some(scalar) => scalar.get(at, report)?.0,
    }
}

/// Machines that boot by TFTP have addresses of DHCPv4.
fn ipv4(
    address: SocketAddr,
    written: Option<&Scalar<Listen<TFTP>>>,
    report: &Report,
) -> Option<SocketAddrV4> {
    if let SocketAddr::V4(address) = address {
        return Some(address);
    }
    let problem = Problem::new(format!("{address} is not IPv4"), "write an IPv4 address");
    let place = written.map(|scalar| scalar.place).unwrap_or_default();
    report.add(place, &At::Root.key("boot").key("tftp"), problem);
    None
}

pub(super) fn leasequery(written: &written::Leasequery, report: &Report) -> Leasequery {
    let root = At::Root.key("leasequery");
    let allowed = networks(&written.allowed, &root.key("allowed"), report);
    let bulk = get(written.bulk.as_ref(), &root.key("bulk"), report).unwrap_or(false);
    if let (true, true, Some(scalar)) = (bulk, written.allowed.is_empty(), &written.bulk) {
        let hint = "add `allowed`: the addresses or networks of the relays";
        let problem = Problem::new("bulk leasequery that nobody may use", hint);
        report.add(scalar.place, &root.key("bulk"), problem);
    }
    Leasequery { allowed, bulk }
}

/// A list of networks in which none says again what another said.
pub(super) fn networks(
    written: &[Scalar<AddressOrNet>],
    at: &At<'_>,
    report: &Report,
) -> Vec<Ipv4Net> {
    let mut all: Vec<Ipv4Net> = Vec::new();
    for (index, scalar) in written.iter().enumerate() {
        let at = at.item(index);
        let Some(AddressOrNet(net)) = scalar.get(&at, report) else {
            continue;
        };
        if let Some(wider) = all.iter().find(|wider| wider.contains(&net)) {
            let what = format!("{net} is part of {wider}, which is listed");
            report.add(scalar.place, &at, Problem::new(what, "leave it away"));
        }
        all.push(net);
    }
    all
}
