//! From what is written to what is meant: values read, defaults filled in, contradictions found.

mod boot;
mod classes;
mod definitions;
mod groups;
mod hosts;
mod identifiers;
mod levels;
mod location;
mod matching;
mod names;
mod networks;
mod options;
mod policy;
mod pools;
mod proxy;
mod relays;
mod server;
mod services;
mod subnets;
mod times;
mod values;

use super::decode::{Later, Placed};
use super::error::{At, Report};
use super::model::{self, Config};
use super::written::{self, Document, Inventory, Reservation};
use super::yaml::Tree;
use super::{extent, fingerprint};
use classes::Classes;
use groups::Groups;

pub(super) use times::DEFAULT_TIMES;

/// A file as it was read.
pub(super) struct File<T> {
    pub tree: Tree,
    pub content: T,
}

/// What all parts look things up in.
struct Context<'a> {
    interfaces: &'a [String],
    server: &'a model::Server,
    classes: &'a Classes,
    groups: &'a Groups,
    report: &'a Report,
}

/// The meaning of a main file and its included files. Only to be used if the report is empty.
pub(super) fn resolve(
    main: &File<Document>,
    included: &[File<Inventory>],
    report: &Report,
) -> Config {
    let document = &main.content;
    report.define(definitions::resolve(&document.option_definitions, report));
    let sources = sources(main, included);
    let trees: Vec<&Tree> = sources.iter().map(|source| source.tree).collect();
    let interfaces = server::interfaces(&document.interfaces, report);
    let server = server::server(&document.server, report);
    let classes = classes::resolve(&document.classes, &trees, report);
    let groups = groups::resolve(&sources, &classes, report);
    let context = Context {
        interfaces: &interfaces,
        server: &server,
        classes: &classes,
        groups: &groups,
        report,
    };
    let served = subnets::resolve(document, &sources, &context);
    let mut config = Config {
        fast_path: server::fast_path(&document.fast_path, report),
        guard: services::guard(&document.guard, report),
        boot: services::boot(document.boot.as_ref(), server.metrics, report),
        leasequery: services::leasequery(&document.leasequery, report),
        networks: served.networks,
        subnets: served.subnets,
        hosts: served.hosts,
        interfaces,
        server,
        classes: classes.list,
        files: report.files(),
        definitions: report.definitions().clone(),
        ..Config::default()
    };
    check_capacity(document, &config, report);
    config.fingerprint = fingerprint::of(&config);
    config
}

/// What one file has of networks and hosts.
struct Source<'a> {
    tree: &'a Tree,
    networks: &'a [Placed<written::Network>],
    subnets: &'a [Placed<written::Subnet>],
    groups: &'a [Placed<written::HostGroup>],
    reservations: &'a Later<Reservation>,
}

fn sources<'a>(main: &'a File<Document>, included: &'a [File<Inventory>]) -> Vec<Source<'a>> {
    let document = &main.content;
    let first = Source {
        tree: &main.tree,
        networks: &document.networks,
        subnets: &document.subnets,
        groups: &document.host_groups,
        reservations: &document.reservations,
    };
    let others = included.iter().map(|file| Source {
        tree: &file.tree,
        networks: &file.content.networks,
        subnets: &file.content.subnets,
        groups: &file.content.host_groups,
        reservations: &file.content.reservations,
    });
    std::iter::once(first).chain(others).collect()
}

fn check_capacity(main: &Document, config: &Config, report: &Report) {
    let needed = extent::block_count(config) * extent::BLOCK;
    let at = At::Root.key("fast_path");
    let at = at.key("capacity");
    if needed > u64::from(written::MAX_ADDRESSES) {
        let place = main.subnets.first().map(|subnet| subnet.place);
        let problem = extent::too_many(needed);
        report.add(place.unwrap_or_default(), &At::Root.key("subnets"), problem);
    } else if let (Some(capacity), Some(written)) =
        (config.fast_path.capacity, &main.fast_path.capacity)
        && u64::from(capacity) < needed
    {
        report.add(written.place, &at, extent::too_small(capacity, needed));
    }
}
