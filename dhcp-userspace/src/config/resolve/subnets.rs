//! Subnets: their place in the network, their pools, and the hosts that belong to them.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::super::decode::Placed;
use super::super::error::{At, Place, Problem, Report};
use super::super::model::{Boot, Mac, Options, Policy, Pool, Subnet, Times};
use super::super::range::Range;
use super::super::scalar::{Between, Scalar, get};
use super::super::written::{self, Document};
use super::{Source, hosts, options, times};

/// What a level inherits from the one around it.
#[derive(Clone)]
pub(super) struct Level {
    pub times: Times,
    pub options: Arc<Options>,
    pub boot: Boot,
}

/// A subnet in the making.
pub(super) struct Draft {
    pub subnet: Subnet,
    pub place: Place,
    /// Which of the subnets of its file it is.
    pub index: usize,
    /// Where the addresses and hosts that are reserved so far were written.
    pub addresses: HashMap<Ipv4Addr, Place>,
    pub macs: HashMap<Mac, Place>,
}

/// What holds for all subnets.
struct Common<'a> {
    interfaces: &'a [String],
    authoritative: bool,
    level: Level,
}

pub(super) fn resolve(
    main: &Document,
    interfaces: &[String],
    sources: &[Source<'_>],
    report: &Report,
) -> Vec<Subnet> {
    let server = At::Root.key("server");
    let authoritative = &main.server.authoritative;
    let common = Common {
        interfaces,
        authoritative: get(authoritative.as_ref(), &server.key("authoritative"), report)
            .unwrap_or(false),
        level: defaults(&main.defaults, report),
    };
    let mut drafts = Vec::new();
    let mut written = 0;
    for source in sources {
        for (index, subnet) in source.subnets.iter().enumerate() {
            written += 1;
            drafts.extend(draft(subnet, index, &common, report));
        }
    }
    if written == 0 {
        let problem = Problem::new("no subnets: there is nothing to serve", "add `subnets`");
        report.add(Place::default(), &At::Root, problem);
    }
    let complete = drafts.len() == written;
    drafts.sort_by_key(|draft: &Draft| draft.subnet.prefix);
    check_overlaps(&drafts, report);
    hosts::place(sources, &mut drafts, complete, report);
    drafts.into_iter().map(|draft| draft.subnet).collect()
}

fn defaults(written: &written::Defaults, report: &Report) -> Level {
    let at = At::Root.key("defaults");
    Level {
        times: times::resolve(written.into(), super::DEFAULT_TIMES, &at, report),
        options: Arc::new(options::resolve(
            &written.options,
            Options::new(),
            &at,
            report,
        )),
        boot: options::boot(&written.boot, Boot::default(), &at, report),
    }
}

fn draft(
    written: &Placed<written::Subnet>,
    index: usize,
    common: &Common<'_>,
    report: &Report,
) -> Option<Draft> {
    let Placed {
        place,
        value: written,
    } = written;
    let subnets = At::Root.key("subnets");
    let at = &subnets.item(index);
    let outer = &common.level;
    let own = options::resolve(&written.options, (*outer.options).clone(), at, report);
    let level = Level {
        times: times::resolve(written.into(), outer.times, at, report),
        options: Arc::new(own),
        boot: options::boot(&written.boot, outer.boot.clone(), at, report),
    };
    let interface = interface(written, common, at, report);
    let vlan = vlan(written, at, report);
    let authoritative = get(
        written.authoritative.as_ref(),
        &at.key("authoritative"),
        report,
    );
    let prefix = prefix(written, *place, at, report);
    let pools = pools(&written.pools, prefix, at, report);
    let prefix = prefix?;
    let mut draft = Draft {
        subnet: Subnet {
            interface,
            vlan,
            server_address: server_address(written, prefix, &pools, at, report),
            pools: pools
                .iter()
                .map(|pool| Pool::open((pool.first, pool.last)))
                .collect(),
            policy: Policy {
                authoritative: authoritative.unwrap_or(common.authoritative),
                ..Policy::default()
            },
            times: level.times,
            lease_bounds: (level.times.lease, level.times.lease),
            options: level.options,
            boot: level.boot,
            ..Subnet::new(prefix)
        },
        place: *place,
        index,
        addresses: HashMap::new(),
        macs: HashMap::new(),
    };
    let hosts = at.key("reservations");
    for (index, host) in written.reservations.iter().enumerate() {
        hosts::reserve(host, &mut draft, &hosts.item(index), report);
    }
    Some(draft)
}

fn prefix(
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

fn interface(
    written: &written::Subnet,
    common: &Common<'_>,
    at: &At<'_>,
    report: &Report,
) -> Option<String> {
    let scalar = written.interface.as_ref()?;
    let at = at.key("interface");
    let name = scalar.get(&at, report)?.0;
    if !common.interfaces.is_empty() && !common.interfaces.contains(&name) {
        let what = format!("{name} is not among `interfaces`, so it would not be served");
        report.add(scalar.place, &at, Problem::new(what, "add it there"));
    }
    Some(name)
}

fn vlan(written: &written::Subnet, at: &At<'_>, report: &Report) -> [u16; 2] {
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

fn server_address(
    written: &written::Subnet,
    prefix: Ipv4Net,
    pools: &[Range],
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
    if let Some(pool) = pools.iter().find(|pool| pool.contains(address)) {
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

/// The pools, ascending.
fn pools(
    written: &[Scalar<Range>],
    prefix: Option<Ipv4Net>,
    at: &At<'_>,
    report: &Report,
) -> Vec<Range> {
    let at = at.key("pools");
    let mut pools: Vec<(Range, usize)> = Vec::new();
    for (index, scalar) in written.iter().enumerate() {
        let at = at.item(index);
        let Some(pool) = scalar.get(&at, report) else {
            continue;
        };
        let problem = prefix.and_then(|prefix| misplaced(pool, prefix));
        if let Some(problem) = problem.or_else(|| overlapping(pool, &pools)) {
            report.add(scalar.place, &at, problem);
        }
        pools.push((pool, index));
    }
    pools.sort_unstable();
    pools.into_iter().map(|(pool, _)| pool).collect()
}

fn misplaced(pool: Range, prefix: Ipv4Net) -> Option<Problem> {
    let hosts = Range::hosts(prefix);
    let inside = pool.clip(hosts);
    if inside == Some(pool) {
        return None;
    }
    let all = Range {
        first: prefix.network(),
        last: prefix.broadcast(),
    };
    let what = if pool.clip(all) != Some(pool) {
        format!("{pool} is not inside {prefix}")
    } else if pool.contains(prefix.network()) {
        format!("{pool} contains the network address {}", prefix.network())
    } else {
        format!(
            "{pool} contains the broadcast address {}",
            prefix.broadcast()
        )
    };
    let hint = inside.map_or_else(
        || format!("hosts are {hosts}"),
        |inside| format!("write {inside}"),
    );
    Some(Problem::new(what, hint))
}

fn overlapping(pool: Range, others: &[(Range, usize)]) -> Option<Problem> {
    let (other, index) = others.iter().find(|(other, _)| other.overlaps(pool))?;
    let what = format!("{pool} overlaps pools[{index}], {other}");
    Some(Problem::new(what, "let each address be in one pool"))
}

/// Prefixes overlap only if one contains the other; so it is enough to compare with the widest
/// that came before.
fn check_overlaps(sorted: &[Draft], report: &Report) {
    let mut widest: Option<&Draft> = None;
    for draft in sorted {
        match widest {
            Some(outer) if outer.subnet.prefix.contains(&draft.subnet.prefix) => {
                report_overlap(outer, draft, report);
            }
            _ => widest = Some(draft),
        }
    }
}

/// Blames the one that was written later.
fn report_overlap(one: &Draft, other: &Draft, report: &Report) {
    let (first, second) = if one.place <= other.place {
        (one, other)
    } else {
        (other, one)
    };
    let what = format!(
        "{} overlaps {} at {}",
        second.subnet.prefix,
        first.subnet.prefix,
        report.show(first.place)
    );
    let problem = Problem::new(what, "let each address be in one subnet");
    let subnets = At::Root.key("subnets");
    report.add(second.place, &subnets.item(second.index), problem);
}
