//! What differs between two configurations, for people.

mod clients;
mod hosts;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;

use ipnet::Ipv4Net;

use self::settings::told;
use super::duration::show;
use super::model::{
    Bootp, Config, ConflictCheck, FastPathMode, FileService, Guard, Policy, Rate, Server, Subnet,
};

/// More subnets than this that change alike are counted, not listed.
const LISTED: usize = 5;
/// So many are named as examples.
const EXAMPLES: usize = 3;

/// One line for every change, in the words of the configuration. Empty: nothing has changed.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Lines::default();
    let all = |config: &Config| config.interfaces.join(", ");
    lines.change("interfaces", &all(old), &all(new));
    lines.facts("server.", server(&old.server), server(&new.server));
    lines.facts("fast_path.", fast_path(old), fast_path(new));
    lines.facts("guard.", guard(&old.guard), guard(&new.guard));
    file_service(old.boot.as_ref(), new.boot.as_ref(), &mut lines);
    lines.facts("leasequery.", leasequery(old), leasequery(new));
    clients::classes(old, new, &mut lines);
    networks(old, new, &mut lines);
    subnets(old, new, &mut lines);
    hosts::diff((old, &old.hosts), (new, &new.hosts), &mut lines);
    lines.all
}

#[derive(Default)]
struct Lines {
    /// What the next lines begin with.
    scope: String,
    all: Vec<String>,
}

/// Keys and their values, in the order in which they are told.
type Facts = Vec<(&'static str, String)>;

impl Lines {
    fn push(&mut self, what: &str) {
        self.all.push(format!("{}{what}", self.scope));
    }

    fn change(&mut self, name: &str, old: &str, new: &str) {
        if let Some(line) = changed(name, old, new) {
            self.push(&line);
        }
    }

    /// Two lists of the same keys.
    fn facts(&mut self, prefix: &str, old: Facts, new: Facts) {
        for ((name, old), (_, new)) in old.into_iter().zip(new) {
            self.change(&format!("{prefix}{name}"), &old, &new);
        }
    }
}

/// `name: old -> new`, if they differ.
fn changed(name: &str, old: &str, new: &str) -> Option<String> {
    let shown = |text: &str| if text.is_empty() { "none" } else { text }.to_owned();
    (old != new).then(|| format!("{name}: {} -> {}", shown(old), shown(new)))
}

fn or<T: Display>(value: Option<&T>, other: &str) -> String {
    value.map_or_else(|| other.to_owned(), T::to_string)
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

/// The keys of either map, in order.
fn keys<'a, K: Ord, A, B>(one: &'a BTreeMap<K, A>, other: &'a BTreeMap<K, B>) -> BTreeSet<&'a K> {
    one.keys().chain(other.keys()).collect()
}

fn server(server: &Server) -> Facts {
    let path = |path: &Path| path.display().to_string();
    vec![
        ("workers", or(server.workers.as_ref(), "auto")),
        ("user", or(server.user.as_ref(), "")),
        ("state_dir", path(&server.state_dir)),
        ("control_socket", path(&server.control_socket)),
        ("metrics", or(server.metrics.as_ref(), "")),
        ("offer_hold", show(server.offer_hold)),
        ("max_offers", server.max_offers.to_string()),
        ("decline_hold", show(server.decline_hold)),
        ("serve_local", server.serve_local.to_string()),
        ("serve_relayed", server.serve_relayed.to_string()),
        ("allowed_relays", who(&server.allowed_relays, "all")),
        ("forcerenew", server.forcerenew.to_string()),
    ]
}

fn who(networks: &[Ipv4Net], nobody: &str) -> String {
    match networks {
        [] => nobody.to_owned(),
        networks => list(networks.iter().map(|net| match net.prefix_len() {
            32 => net.addr().to_string(),
            _ => net.to_string(),
        })),
    }
}

fn fast_path(config: &Config) -> Facts {
    let path = &config.fast_path;
    vec![
        ("mode", mode(path.mode).to_owned()),
        ("reserve", path.reserve.to_string()),
        ("pin_dir", path.pin_dir.display().to_string()),
        ("capacity", or(path.capacity.as_ref(), "auto")),
        ("boot_memos", or(path.boot_memos.as_ref(), "auto")),
    ]
}

const fn mode(mode: FastPathMode) -> &'static str {
    match mode {
        FastPathMode::Auto => "auto",
        FastPathMode::Native => "native",
        FastPathMode::Generic => "generic",
        FastPathMode::Off => "off",
    }
}

fn guard(guard: &Guard) -> Facts {
    let rate = match guard.unknown_rate {
        Rate::Auto => "auto".to_owned(),
        Rate::Off => "off".to_owned(),
        Rate::PerSecond(rate) => rate.to_string(),
    };
    let threshold = guard.misbehaving_threshold.to_string();
    vec![
        ("enabled", guard.enabled.to_string()),
        ("unknown_rate", rate),
        ("misbehaving_threshold", threshold),
        ("misbehaving_hold", show(guard.misbehaving_hold)),
        ("suspicious_hold", show(guard.suspicious_hold)),
        ("offers_per_circuit", guard.offers_per_circuit.to_string()),
    ]
}

fn file_service(old: Option<&FileService>, new: Option<&FileService>, lines: &mut Lines) {
    let facts = |service: &FileService| -> Facts {
        vec![
            ("root", service.root.display().to_string()),
            ("tftp", or(service.tftp.as_ref(), "off")),
            ("http", or(service.http.as_ref(), "off")),
            ("max_transfers", service.max_transfers.to_string()),
        ]
    };
    match (old, new) {
        (Some(old), Some(new)) => lines.facts("boot.", facts(old), facts(new)),
        (Some(old), None) => lines.push(&format!("boot removed ({})", old.root.display())),
        (None, Some(new)) => lines.push(&format!("boot added ({})", new.root.display())),
        (None, None) => {}
    }
}

fn leasequery(config: &Config) -> Facts {
    vec![
        ("allowed", who(&config.leasequery.allowed, "nobody")),
        ("bulk", config.leasequery.bulk.to_string()),
    ]
}

fn networks(old: &Config, new: &Config, lines: &mut Lines) {
    for name in old
        .networks
        .iter()
        .filter(|name| !new.networks.contains(name))
    {
        lines.push(&format!("network {name} removed"));
    }
    for name in new
        .networks
        .iter()
        .filter(|name| !old.networks.contains(name))
    {
        lines.push(&format!("network {name} added"));
    }
}

fn subnets(old: &Config, new: &Config, lines: &mut Lines) {
    let by_prefix = |config: &'_ Config| -> BTreeMap<Ipv4Net, usize> {
        let all = config.subnets.iter().zip(0..);
        all.map(|(subnet, index)| (subnet.prefix, index)).collect()
    };
    let (before, after) = (by_prefix(old), by_prefix(new));
    let mut changes = Vec::new();
    for prefix in keys(&before, &after) {
        let mut its = Lines::default();
        let before = before.get(prefix).map(|index| (old, &old.subnets[*index]));
        let after = after.get(prefix).map(|index| (new, &new.subnets[*index]));
        match (before, after) {
            (Some(old), Some(new)) => subnet(old, new, &mut its),
            (Some((_, old)), None) => its.push(&format!("removed ({})", summary(old))),
            (None, Some((_, new))) => its.push(&format!("added ({})", summary(new))),
            (None, None) => {}
        }
        changes.extend(its.all.into_iter().map(|change| (*prefix, change)));
    }
    lines.all.extend(together(&changes));
}

/// What many subnets have from a level above them is told once.
fn together(changes: &[(Ipv4Net, String)]) -> Vec<String> {
    let mut whose: BTreeMap<&str, Vec<Ipv4Net>> = BTreeMap::new();
    for (prefix, change) in changes {
        whose.entry(change).or_default().push(*prefix);
    }
    let line = |(prefix, change): &(Ipv4Net, String)| match &*whose[change.as_str()] {
        few if few.len() <= LISTED => Some(format!("subnet {prefix}: {change}")),
        [first, ..] if first != prefix => None,
        many => {
            let (count, examples) = (many.len(), list(&many[..EXAMPLES]));
            Some(format!("{count} subnets ({examples}, ...): {change}"))
        }
    };
    changes.iter().filter_map(line).collect()
}

fn summary(subnet: &Subnet) -> String {
    let pools = list(subnet.pools.iter().map(clients::range));
    let pools = if pools.is_empty() { "none" } else { &pools };
    format!("pools: {pools}; reservations: {}", subnet.hosts.len())
}

fn subnet(
    (old_config, old): (&Config, &Subnet),
    (new_config, new): (&Config, &Subnet),
    lines: &mut Lines,
) {
    lines.facts("", place(old_config, old), place(new_config, new));
    lines.facts("", policy(&old.policy), policy(&new.policy));
    clients::pools((old_config, old), (new_config, new), lines);
    let options = settings::Names::of(old_config, new_config);
    let settings = |subnet: &Subnet| settings::of_subnet(subnet, options);
    told(&settings(old), &settings(new), "", lines);
    hosts::diff((old_config, &old.hosts), (new_config, &new.hosts), lines);
}

fn place(config: &Config, subnet: &Subnet) -> Facts {
    let network = subnet.network.and_then(|index| config.networks.get(index));
    vec![
        ("network", or(network, "")),
        ("interface", or(subnet.interface.as_ref(), "")),
        ("vlan", vlan(subnet.vlan)),
        (
            "server_address",
            or(subnet.server_address.as_ref(), "the interface's"),
        ),
        ("relays", list(&subnet.relays)),
        ("classes", clients::names(config, &subnet.classes)),
    ]
}

fn vlan(tags: [u16; 2]) -> String {
    match tags {
        [0, _] => String::new(),
        [tag, 0] => tag.to_string(),
        [outer, inner] => format!("[{outer}, {inner}]"),
    }
}

fn policy(policy: &Policy) -> Facts {
    let bootp = match policy.bootp {
        Bootp::Off => "off",
        Bootp::Reserved => "reserved",
        Bootp::Dynamic => "dynamic",
    };
    let check = |check: ConflictCheck| {
        let reservations = check.reservations;
        format!(
            "{{wait: {}, reservations: {reservations}}}",
            show(check.wait)
        )
    };
    let check = policy.conflict_check.map_or("off".to_owned(), check);
    vec![
        ("proxy", policy.proxy.to_string()),
        ("authoritative", policy.authoritative.to_string()),
        ("rapid_commit", policy.rapid_commit.to_string()),
        ("bootp", bootp.to_owned()),
        ("offer_delay", show(policy.offer_delay)),
        ("min_secs", policy.min_secs.to_string()),
        ("conflict_check", check),
    ]
}
