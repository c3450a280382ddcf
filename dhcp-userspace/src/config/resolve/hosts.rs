//! Reservations: those written in a subnet, and those that find theirs by their address.

use std::net::Ipv4Addr;

use super::super::decode::Placed;
use super::super::error::{At, Place, Problem, Report};
use super::super::model::{Identifier, Level, Mac, Reservation, Subnet};
use super::super::range::Range;
use super::super::scalar::{Parse, Scalar};
use super::super::written;
use super::subnets::Draft;
use super::{Source, options, times};

/// Puts the reservations that stand outside of subnets into theirs. With subnets missing because
/// of other mistakes (`complete` is false), a host without one is not reported.
pub(super) fn place(sources: &[Source<'_>], sorted: &mut [Draft], complete: bool, report: &Report) {
    let at = At::Root.key("reservations");
    for source in sources {
        for (index, host) in source.reservations.iter().enumerate() {
            let at = at.item(index);
            let Some(address) = address(host, &at, report) else {
                continue;
            };
            match subnet_of(address, sorted) {
                Some(draft) => reserve(host, draft, &at, report),
                None if complete => {
                    let what = format!("{address} is in no subnet");
                    let hint = "add the subnet, or correct the address";
                    report.add(host.place, &at, Problem::new(what, hint));
                }
                None => {}
            }
        }
    }
}

fn subnet_of(address: Ipv4Addr, sorted: &mut [Draft]) -> Option<&mut Draft> {
    let after = sorted.partition_point(|draft| draft.subnet.prefix.network() <= address);
    let draft = &mut sorted[after.checked_sub(1)?];
    draft.subnet.prefix.contains(&address).then_some(draft)
}

fn address(host: &Placed<written::Reservation>, at: &At<'_>, report: &Report) -> Option<Ipv4Addr> {
    let hint = "write the address that the host is to get, like 10.0.0.11";
    required(host, (&host.value.address, "address", hint), at, report)
}

fn required<T: Parse>(
    host: &Placed<written::Reservation>,
    (scalar, key, hint): (&Option<Scalar<T>>, &str, &str),
    at: &At<'_>,
    report: &Report,
) -> Option<T> {
    let Some(scalar) = scalar else {
        let what = format!("has no `{key}`");
        report.add_missing(host.place, at, Problem::new(what, hint));
        return None;
    };
    scalar.get(&at.key(key), report)
}

/// Adds a host to its subnet.
pub(super) fn reserve(
    host: &Placed<written::Reservation>,
    draft: &mut Draft,
    at: &At<'_>,
    report: &Report,
) {
    let address = address(host, at, report);
    let hint = "write the hardware address of the host, like 52:54:00:12:34:56";
    let mac = required(host, (&host.value.mac, "mac", hint), at, report).map(|mac| mac.0);
    check_address(address, host, draft, at, report);
    check_mac(mac, host, draft, at, report);
    if let (Some(mac), Some(address)) = (mac, address) {
        let reservation = Reservation {
            hostname: hostname(&host.value, at, report),
            level: level(&host.value, &draft.subnet, at, report),
            ..Reservation::new(Identifier::Mac(mac), Some(address))
        };
        draft.subnet.hosts.insert(reservation);
    }
}

fn hostname(written: &written::Reservation, at: &At<'_>, report: &Report) -> Option<String> {
    let name = written.hostname.as_ref()?;
    Some(name.get(&at.key("hostname"), report)?.0)
}

fn level(written: &written::Reservation, subnet: &Subnet, at: &At<'_>, report: &Report) -> Level {
    let own_times: times::Written<'_> = written.into();
    Level {
        times: (!own_times.is_empty())
            .then(|| times::resolve(own_times, subnet.times, at, report))
            .filter(|times| *times != subnet.times),
        options: options::overrides(&written.options, at, report),
        boot: options::boot_overrides(&written.boot, at, report),
    }
}

fn check_address(
    address: Option<Ipv4Addr>,
    host: &Placed<written::Reservation>,
    draft: &mut Draft,
    at: &At<'_>,
    report: &Report,
) {
    let (Some(address), Some(scalar)) = (address, &host.value.address) else {
        return;
    };
    let hosts = Range::hosts(draft.subnet.prefix);
    let earlier = draft.addresses.insert(address, scalar.place);
    let problem = if !hosts.contains(address) {
        let what = format!(
            "{address} is not a host's address in {}",
            draft.subnet.prefix
        );
        Problem::new(what, format!("hosts are {hosts}"))
    } else if draft.subnet.server_address == Some(address) {
        Problem::new(
            format!("{address} is the server's own"),
            "write another one",
        )
    } else if let Some(first) = earlier {
        taken(&address.to_string(), first, report)
    } else {
        return;
    };
    report.add(scalar.place, &at.key("address"), problem);
}

fn check_mac(
    mac: Option<Mac>,
    host: &Placed<written::Reservation>,
    draft: &mut Draft,
    at: &At<'_>,
    report: &Report,
) {
    let (Some(mac), Some(scalar)) = (mac, &host.value.mac) else {
        return;
    };
    if let Some(first) = draft.macs.insert(mac, scalar.place) {
        let text = scalar.text.as_deref().unwrap_or_default();
        report.add(scalar.place, &at.key("mac"), taken(text, first, report));
    }
}

fn taken(value: &str, first: Place, report: &Report) -> Problem {
    let what = format!(
        "{value} is already reserved in this subnet at {}",
        report.show(first)
    );
    Problem::new(what, "keep one of them")
}
