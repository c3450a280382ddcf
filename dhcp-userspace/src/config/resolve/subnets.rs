//! Subnets: their place in the network, and what belongs to them.

use super::super::decode::Placed;
use super::super::error::{At, Place, Problem, Report};
use super::super::model::{Bootp, Hosts, Policy, Subnet};
use super::super::written::{self, Document};
use super::super::yaml::Tree;
use super::hosts::HostList;
use super::levels::Base;
use super::location::{interface, prefix, server_address, vlan};
use super::relays::Relays;
use super::{Context, Source, hosts, networks, pools, proxy};

/// A subnet in the making.
pub(super) struct Draft {
    pub subnet: Subnet,
    pub place: Place,
    /// Where in its document it is.
    pub path: String,
    pub hosts: HostList,
}

/// What is served.
pub(super) struct Served {
    pub networks: Vec<String>,
    pub subnets: Vec<Subnet>,
    pub hosts: Hosts,
}

pub(super) fn resolve(
    document: &Document,
    sources: &[Source<'_>],
    context: &Context<'_>,
) -> Served {
    let report = context.report;
    let defaults = defaults(document, report);
    let networks = networks::resolve(sources, &defaults, context);
    let mut all = Drafts {
        context,
        networks: &networks,
        defaults: &defaults,
        relays: Relays::default(),
        written: 0,
        drafts: Vec::new(),
    };
    all.read(sources);
    let (written, mut drafts) = (all.written, all.drafts);
    if written == 0 {
        let problem = Problem::new("no subnets: there is nothing to serve", "add `subnets`");
        report.add(Place::default(), &At::Root, problem);
    }
    let complete = drafts.len() == written;
    drafts.sort_by_key(|draft: &Draft| draft.subnet.prefix);
    check_overlaps(&drafts, report);
    networks.check(&drafts, complete, report);
    let anywhere = hosts::place(sources, &mut drafts, complete, context);
    let finished = drafts.into_iter().map(|draft| Subnet {
        hosts: draft.hosts.hosts,
        ..draft.subnet
    });
    Served {
        networks: networks.names(),
        subnets: finished.collect(),
        hosts: anywhere.hosts,
    }
}

fn defaults(document: &Document, report: &Report) -> Base {
    let server = At::Root.key("server");
    let at = At::Root.key("defaults");
    let authoritative = document.server.authoritative.as_ref();
    let authoritative =
        authoritative.and_then(|scalar| scalar.get(&server.key("authoritative"), report));
    Base::new(authoritative.unwrap_or(false)).with(&document.defaults, &at, report)
}

/// The subnets of all files, one after the other.
struct Drafts<'a> {
    context: &'a Context<'a>,
    networks: &'a networks::Networks,
    defaults: &'a Base,
    relays: Relays,
    written: usize,
    drafts: Vec<Draft>,
}

impl Drafts<'_> {
    fn read(&mut self, sources: &[Source<'_>]) {
        let root = At::Root.key("networks");
        let mut network = 0;
        for source in sources {
            for (index, written) in source.networks.iter().enumerate() {
                let at = root.item(index);
                self.read_list(&written.value.subnets, source.tree, Some(network), &at);
                network += 1;
            }
            self.read_list(source.subnets, source.tree, None, &At::Root);
        }
    }

    fn read_list(
        &mut self,
        written: &[Placed<written::Subnet>],
        tree: &Tree,
        around: Option<usize>,
        at: &At<'_>,
    ) {
        let at = at.key("subnets");
        for (index, subnet) in written.iter().enumerate() {
            let at = at.item(index);
            let network = self.network(&subnet.value, around, &at);
            self.written += 1;
            let draft = self.draft(subnet, network, &at);
            let Some(mut draft) = draft else {
                continue;
            };
            let at = at.key("reservations");
            let list = &subnet.value.reservations;
            list.each(tree, &at, self.context.report, |host, at| {
                let host = hosts::Written::new(host, None, at, self.context);
                host.reserve(&mut draft);
            });
            self.drafts.push(draft);
        }
    }

    fn network(
        &self,
        written: &written::Subnet,
        around: Option<usize>,
        at: &At<'_>,
    ) -> Option<usize> {
        let Some(scalar) = &written.network else {
            return around;
        };
        let report = self.context.report;
        let at = at.key("network");
        if around.is_some() {
            let what = "this subnet stands in a shared network already";
            report.add(scalar.place, &at, Problem::new(what, "leave the key away"));
            return around;
        }
        self.networks.find(scalar, &at, report)
    }

    fn draft(
        &mut self,
        Placed { place, value }: &Placed<written::Subnet>,
        network: Option<usize>,
        at: &At<'_>,
    ) -> Option<Draft> {
        let (context, report) = (self.context, self.context.report);
        let outer = network.map_or(self.defaults, |network| self.networks.base(network));
        let base = outer.with(value, at, report);
        let interface = interface(value, context, at);
        let vlan = vlan(value, at, report);
        let relays = self.relays.resolve(&value.relays, network, at, context);
        let classes = context.classes.ids(&value.classes, at, report);
        let prefix = prefix(value, *place, at, report);
        let pools = pools::resolve(&value.pools, prefix, at, context);
        let policy = policy(base.policy, proxy::resolve(value, at, report));
        check_bootp(&policy, *place, at, report);
        let prefix = prefix?;
        let subnet = Subnet {
            interface,
            vlan,
            server_address: server_address(value, prefix, &pools, at, report),
            network,
            relays,
            classes,
            pools,
            policy,
            times: base.times,
            lease_bounds: base.bounds.around(base.times.lease),
            options: base.options,
            boot: base.boot,
            ..Subnet::new(prefix)
        };
        Some(Draft {
            subnet,
            place: *place,
            path: at.to_string(),
            hosts: HostList::default(),
        })
    }
}

/// A proxy has nothing of what is about addresses.
fn policy(policy: Policy, proxy: bool) -> Policy {
    if !proxy {
        return policy;
    }
    Policy {
        authoritative: false,
        rapid_commit: false,
        bootp: Bootp::Off,
        conflict_check: None,
        proxy,
        ..policy
    }
}

/// A BOOTP client is given its address by the first answer, which cannot wait for a probe.
fn check_bootp(policy: &Policy, place: Place, at: &At<'_>, report: &Report) {
    if policy.bootp == Bootp::Dynamic && policy.conflict_check.is_some() {
        let what = "`bootp: dynamic` gives addresses that `conflict_check` has not looked at";
        let hint = "use `bootp: reserved` here, or `conflict_check: off`";
        report.add(place, at, Problem::new(what, hint));
    }
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
    report.add(second.place, &At::Root.key(&second.path), problem);
}
