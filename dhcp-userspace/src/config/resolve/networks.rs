//! Shared networks: several subnets on one link.

use super::super::decode::Placed;
use super::super::error::{At, Place, Problem, Report};
use super::super::model::Subnet;
use super::super::scalar::{Name, Scalar};
use super::levels::Base;
use super::subnets::Draft;
use super::{Context, Source, names};

#[derive(Default)]
pub(super) struct Networks(Vec<Network>);

struct Network {
    name: String,
    place: Place,
    path: String,
    base: Base,
}

/// The networks of all files; `subnet` is given the subnets that stand inside of them.
pub(super) fn resolve(sources: &[Source<'_>], defaults: &Base, context: &Context<'_>) -> Networks {
    let root = At::Root.key("networks");
    let mut networks = Networks::default();
    for source in sources {
        for (index, Placed { place, value }) in source.networks.iter().enumerate() {
            let at = root.item(index);
            let report = context.report;
            let hint = "write what it is called";
            let name = names::required(value.name.as_ref(), (*place, hint), &at, report);
            let name = name.unwrap_or_default();
            let first = networks.0.iter().find(|network| network.name == name);
            if let Some(first) = first.filter(|_| !name.is_empty()) {
                let problem = names::twice("shared network", &name, first.place, report);
                report.add(*place, &at, problem);
            }
            networks.0.push(Network {
                name,
                place: *place,
                path: at.to_string(),
                base: defaults.with(value, &at, report),
            });
        }
    }
    networks
}

impl Networks {
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|network| network.name.clone()).collect()
    }

    pub(super) fn base(&self, index: usize) -> &Base {
        &self.0[index].base
    }

    /// The network that a subnet names.
    pub(super) fn find(
        &self,
        written: &Scalar<Name>,
        at: &At<'_>,
        report: &Report,
    ) -> Option<usize> {
        let Name(name) = written.get(at, report)?;
        let found = self.0.iter().position(|network| network.name == name);
        if found.is_none() {
            let known = self.0.iter().map(|network| network.name.as_str());
            let hint = "define it under `networks`";
            let problem = names::unknown("shared network", &name, known, hint);
            report.add(written.place, at, problem);
        }
        found
    }

    /// Finds networks without subnets, and subnets that cannot be on one link.
    pub(super) fn check(&self, drafts: &[Draft], complete: bool, report: &Report) {
        for (index, network) in self.0.iter().enumerate() {
            let members = drafts.iter();
            let mut members: Vec<&Draft> = members
                .filter(|draft| draft.subnet.network == Some(index))
                .collect();
            members.sort_by_key(|draft| draft.place);
            if members.is_empty() && complete {
                let hint = "add `subnets`, or name it under `network` of a subnet";
                let problem = Problem::new("a shared network without subnets", hint);
                report.add(network.place, &At::Root.key(&network.path), problem);
            }
            check_links(&members, report);
            check_proxies(&members, report);
        }
    }
}

/// Those that say where they are must say the same.
fn check_links(members: &[&Draft], report: &Report) {
    let mut placed = members
        .iter()
        .filter(|draft| draft.subnet.interface.is_some());
    let Some(first) = placed.next() else {
        return;
    };
    let link = |subnet: &Subnet| (subnet.interface.clone(), subnet.vlan);
    for other in placed.filter(|other| link(&other.subnet) != link(&first.subnet)) {
        let what = format!(
            "is not on the link of {} in the same shared network, at {}",
            first.subnet.prefix,
            report.show(first.place)
        );
        let problem = Problem::new(what, "write the same `interface` and `vlan`");
        report.add(other.place, &At::Root.key(&other.path), problem);
    }
}

fn check_proxies(members: &[&Draft], report: &Report) {
    let Some((first, others)) = members.split_first() else {
        return;
    };
    let proxy = |draft: &Draft| draft.subnet.policy.proxy;
    for other in others.iter().filter(|other| proxy(other) != proxy(first)) {
        let what = format!(
            "{} and {} share a network, but only one of them is a proxy's",
            first.subnet.prefix, other.subnet.prefix
        );
        let problem = Problem::new(
            what,
            "set `proxy` in all subnets of the network, or in none",
        );
        report.add(other.place, &At::Root.key(&other.path), problem);
    }
}
