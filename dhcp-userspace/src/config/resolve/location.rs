//! The place of a subnet in the network: prefix, interface, VLAN and the server's address.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::super::error::{At, Place, Problem, Report};
use super::super::model::Pool;
use super::super::range::Range;
use super::super::scalar::Between;
use super::super::written;
use super::{Context, pools};

pub(super) fn prefix(
    written: &written::Subnet,
    place: Place,
    at: &At<'_>,
    report: &Report,
) -> Option<Ipv4Net> {
    let Some(scalar) = &written.subnet else {
        let hint = "write the network, like 10.0.0.0/24";
        report.add_missing(place, at, Problem::new("has no `subnet`", hint));
        return None;
    };
    let at = at.key("subnet");
    let prefix = scalar.get(&at, report)?;
    let first = prefix.network();
    if first.is_multicast() || first.octets()[0] == 0 || first.octets()[0] >= 240 {
        let what = format!("{prefix} has no addresses for hosts");
        report.add(
            scalar.place,
            &at,
            Problem::new(what, "write a unicast network"),
        );
        return None;
    }
    Some(prefix)
}

pub(super) fn interface(
    written: &written::Subnet,
    context: &Context<'_>,
    at: &At<'_>,
) -> Option<String> {
    let scalar = written.interface.as_ref()?;
    let at = at.key("interface");
    let report = context.report;
    let name = scalar.get(&at, report)?.0;
    let interfaces = context.interfaces;
    if !interfaces.is_empty() && !interfaces.contains(&name) {
        let what = format!("{name} is not among `interfaces`, so it would not be served");
        report.add(scalar.place, &at, Problem::new(what, "add it there"));
    }
    Some(name)
}

pub(super) fn vlan(written: &written::Subnet, at: &At<'_>, report: &Report) -> [u16; 2] {
    let mut tags = [0; 2];
    let Some(scalars) = &written.vlan else {
        return tags;
    };
    let at = at.key("vlan");
    for (index, scalar) in scalars.0.iter().enumerate() {
        let value: Option<Between<1, 4094>> = scalar.get(&at, report);
        match tags.get_mut(index) {
            Some(tag) => *tag = value.map_or(0, |value| value.0 as u16),
            None => {
                let problem = Problem::new("more than two VLAN tags", "write [outer, inner]");
                report.add(scalar.place, &at, problem);
                break;
            }
        }
    }
    if let (None, Some(first)) = (&written.interface, scalars.0.first()) {
        let problem = Problem::new("a VLAN of no interface", "add `interface`");
        report.add(first.place, &at, problem);
    }
    tags
}

pub(super) fn server_address(
    written: &written::Subnet,
    prefix: Ipv4Net,
    pools: &[Pool],
    at: &At<'_>,
    report: &Report,
) -> Option<Ipv4Addr> {
    let scalar = written.server_address.as_ref()?;
    let at = at.key("server_address");
    let address = scalar.get(&at, report)?;
    let complain = |what: String, hint: &str| {
        report.add(scalar.place, &at, Problem::new(what, hint));
        None
    };
    let mut ranges = pools.iter().map(pools::range_of);
    if let Some(pool) = ranges.find(|pool| pool.contains(address)) {
        let what = format!("{address} is in the pool {pool}, so a client would get it");
        return complain(what, "end the pool before it");
    }
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return complain(
            format!("{address} is no address of a host"),
            "write the server's",
        );
    }
    let local = written.interface.is_some();
    if local && !Range::hosts(prefix).contains(address) {
        let what = format!("{address} is not an address in {prefix}");
        let hint = "write one that is, or leave the key away to answer with the interface's own";
        return complain(what, hint);
    }
    Some(address)
}
