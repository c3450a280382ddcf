//! Known hosts: of a subnet, found by their address or where they stand, or of all.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::super::decode::Placed;
use super::super::error::{At, Place, Problem, Report};
use super::super::model::{Hosts, Identifier, Level, Reservation, Times};
use super::super::range::Range;
use super::super::written;
use super::groups::Group;
use super::subnets::Draft;
use super::{Context, Source, boot, identifiers, options, times};

/// Hosts so far, and where they were written.
#[derive(Default)]
pub(super) struct HostList {
    pub hosts: Hosts,
    places: Vec<Place>,
    addresses: HashMap<Ipv4Addr, Place>,
}

/// Takes in the hosts that stand outside of subnets: each to the subnet of its address, those
/// without one to all. With subnets missing because of other mistakes (`complete` is false), a
/// host without one is not reported.
pub(super) fn place(
    sources: &[Source<'_>],
    sorted: &mut [Draft],
    complete: bool,
    context: &Context<'_>,
) -> HostList {
    let mut places = Places {
        sorted,
        complete,
        anywhere: HostList::default(),
    };
    for source in sources {
        let at = At::Root.key("reservations");
        let list = source.reservations;
        list.each(source.tree, &at, context.report, |host, at| {
            places.take(&Written::new(host, None, at, context));
        });
        let groups = At::Root.key("host_groups");
        for (index, group) in source.groups.iter().enumerate() {
            let at = groups.item(index);
            let inherited = context.groups.of(&group.value);
            let list = &group.value.reservations;
            let at = at.key("reservations");
            list.each(source.tree, &at, context.report, |host, at| {
                places.take(&Written::new(host, inherited, at, context));
            });
        }
    }
    places.anywhere
}

struct Places<'a> {
    sorted: &'a mut [Draft],
    complete: bool,
    anywhere: HostList,
}

impl Places<'_> {
    fn take(&mut self, host: &Written<'_>) {
        if host.value.address.is_none() {
            return host.reserve_anywhere(&mut self.anywhere);
        }
        let Some(address) = host.address else {
            return;
        };
        match subnet_of(address, self.sorted) {
            Some(draft) => host.reserve(draft),
            None if self.complete => {
                let what = format!("{address} is in no subnet");
                let problem = Problem::new(what, "add the subnet, or correct the address");
                host.context.report.add(host.place, host.at, problem);
            }
            None => {}
        }
    }
}

fn subnet_of(address: Ipv4Addr, sorted: &mut [Draft]) -> Option<&mut Draft> {
    let after = sorted.partition_point(|draft| draft.subnet.prefix.network() <= address);
    let draft = &mut sorted[after.checked_sub(1)?];
    draft.subnet.prefix.contains(&address).then_some(draft)
}

/// A host as it is written, and what it stands in.
pub(super) struct Written<'a> {
    value: &'a written::Reservation,
    place: Place,
    address: Option<Ipv4Addr>,
    group: Option<&'a Group>,
    at: &'a At<'a>,
    context: &'a Context<'a>,
}

impl<'a> Written<'a> {
    /// `around` is the group that it stands in.
    pub(super) fn new(
        host: &'a Placed<written::Reservation>,
        around: Option<&'a Group>,
        at: &'a At<'a>,
        context: &'a Context<'a>,
    ) -> Self {
        let address = host.value.address.as_ref();
        let mut written = Self {
            value: &host.value,
            place: host.place,
            address: address.and_then(|scalar| scalar.get(&at.key("address"), context.report)),
            group: around,
            at,
            context,
        };
        if let Some(scalar) = &host.value.group {
            let at = at.key("group");
            if around.is_some() {
                let what = "this host stands in a host group already";
                let problem = Problem::new(what, "leave the key away");
                context.report.add(scalar.place, &at, problem);
            } else {
                written.group = context.groups.find(scalar, &at, context.report);
            }
        }
        written
    }

    /// Adds it to its subnet.
    pub(super) fn reserve(&self, draft: &mut Draft) {
        let report = self.context.report;
        if let (Some(address), Some(scalar)) = (self.address, &self.value.address) {
            let problem = wrong_address(address, draft, report);
            if let Some(problem) = problem {
                report.add(scalar.place, &self.at.key("address"), problem);
            }
            draft.hosts.addresses.insert(address, scalar.place);
        }
        let times = Some(draft.subnet.times);
        self.add(times, "in this subnet", &mut draft.hosts);
    }

    /// Adds it to those that are known in every subnet.
    fn reserve_anywhere(&self, list: &mut HostList) {
        self.add(None, "for all subnets", list);
    }

    /// `times` are those of the level around.
    fn add(&self, times: Option<Times>, scope: &str, list: &mut HostList) {
        let report = self.context.report;
        let identifier = identifiers::resolve(self.value, self.place, self.at, self.context);
        let own = Group {
            level: self.level(times).into(),
            classes: self
                .context
                .classes
                .of_host(&self.value.classes, self.at, report),
            metadata: (&self.value.metadata).into(),
        };
        let own = match self.group {
            Some(group) => group.with(own),
            None => own,
        };
        let hostname = self.value.hostname.as_ref();
        let hostname = hostname.and_then(|name| name.get(&self.at.key("hostname"), report));
        let Some(identifier) = identifier else {
            return;
        };
        if let Some(first) = list.place_of(&identifier.value) {
            let what = format!(
                "{} is already reserved {scope} at {}",
                identifier.text,
                report.show(first)
            );
            let at = self.at.key(identifier.key);
            report.add(
                identifier.place,
                &at,
                Problem::new(what, "keep one of them"),
            );
        }
        list.insert(
            identifier.place,
            Reservation {
                hostname: hostname.map(|name| name.0),
                level: own.level,
                classes: own.classes,
                metadata: own.metadata,
                ..Reservation::new(identifier.value, self.address)
            },
        );
    }

    /// What it says by itself. T1 and T2 alone are of the lease time that it inherits.
    fn level(&self, times: Option<Times>) -> Level {
        let report = self.context.report;
        let own: times::Written<'_> = self.value.into();
        let inherited = self.group.and_then(|group| group.level.times).or(times);
        let times = match inherited {
            Some(inherited) if !own.is_empty() => {
                Some(times::resolve(own, inherited, self.at, report))
            }
            _ => times::own(own, self.at, report),
        };
        Level {
            times,
            options: options::overrides(&self.value.options, self.at, report),
            boot: boot::overrides(&self.value.boot, self.at, report),
        }
    }
}

impl HostList {
    fn place_of(&self, identifier: &Identifier) -> Option<Place> {
        let at = self.hosts.position(identifier)?;
        self.places.get(at).copied()
    }

    fn insert(&mut self, place: Place, host: Reservation) {
        if self.hosts.insert(host) {
            self.places.push(place);
        }
    }
}

fn wrong_address(address: Ipv4Addr, draft: &Draft, report: &Report) -> Option<Problem> {
    let subnet = &draft.subnet;
    let hosts = Range::hosts(subnet.prefix);
    if subnet.policy.proxy {
        let hint = "leave the address away, or `proxy` of the subnet";
        return Some(Problem::new("a proxy gives no addresses", hint));
    }
    if !hosts.contains(address) {
        let what = format!("{address} is not a host's address in {}", subnet.prefix);
        return Some(Problem::new(what, format!("hosts are {hosts}")));
    }
    if subnet.server_address == Some(address) {
        let what = format!("{address} is the server's own");
        return Some(Problem::new(what, "write another one"));
    }
    let first = draft.hosts.addresses.get(&address)?;
    let what = format!(
        "{address} is already reserved in this subnet at {}",
        report.show(*first)
    );
    Some(Problem::new(what, "keep one of them"))
}
