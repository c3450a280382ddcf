//! What differs between two configurations, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;

use super::duration;
use super::model::{
    Boot, Config, FastPathMode, Level, OptionValue, Options, Pool, Reservation, Subnet, Times,
};
use super::range::Range;
use crate::packet::{Layers, registry};

/// One line for every change, in the words of the configuration. Empty: nothing has changed.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Lines::default();
    let all = |config: &Config| config.interfaces.join(", ");
    lines.change("interfaces", &all(old), &all(new));
    server(old, new, &mut lines);
    fast_path(old, new, &mut lines);
    let (before, after) = (by_prefix(old), by_prefix(new));
    for prefix in keys(&before, &after) {
        lines.scope = format!("subnet {prefix}: ");
        match (before.get(prefix), after.get(prefix)) {
            (Some(old), Some(new)) => subnet(old, new, &mut lines),
            (Some(old), None) => lines.push(&format!("removed ({})", summary(old))),
            (None, Some(new)) => lines.push(&format!("added ({})", summary(new))),
            (None, None) => {}
        }
    }
    lines.all
}

#[derive(Default)]
struct Lines {
    /// What the next lines begin with.
    scope: String,
    all: Vec<String>,
}

impl Lines {
    fn push(&mut self, what: &str) {
        self.all.push(format!("{}{what}", self.scope));
    }

    fn change(&mut self, name: &str, old: &str, new: &str) {
        let shown = |text: &str| if text.is_empty() { "none" } else { text }.to_owned();
        if old != new {
            self.push(&format!("{name}: {} -> {}", shown(old), shown(new)));
        }
    }
}

fn or<T: Display>(value: Option<&T>, other: &str) -> String {
    value.map_or_else(|| other.to_owned(), T::to_string)
}

fn by_prefix(config: &Config) -> BTreeMap<ipnet::Ipv4Net, &Subnet> {
    let subnets = config.subnets.iter();
    subnets.map(|subnet| (subnet.prefix, subnet)).collect()
}

/// The keys of either map, in order.
fn keys<'a, K: Ord, A, B>(one: &'a BTreeMap<K, A>, other: &'a BTreeMap<K, B>) -> BTreeSet<&'a K> {
    one.keys().chain(other.keys()).collect()
}

fn server(old: &Config, new: &Config, lines: &mut Lines) {
    let path = |path: &Path| path.display().to_string();
    let (old, new) = (&old.server, &new.server);
    for (name, old, new) in [
        (
            "workers",
            or(old.workers.as_ref(), "auto"),
            or(new.workers.as_ref(), "auto"),
        ),
        ("state_dir", path(&old.state_dir), path(&new.state_dir)),
        (
            "control_socket",
            path(&old.control_socket),
            path(&new.control_socket),
        ),
        (
            "metrics",
            or(old.metrics.as_ref(), ""),
            or(new.metrics.as_ref(), ""),
        ),
        (
            "offer_hold",
            duration::show(old.offer_hold),
            duration::show(new.offer_hold),
        ),
        (
            "max_offers",
            old.max_offers.to_string(),
            new.max_offers.to_string(),
        ),
        (
            "decline_hold",
            duration::show(old.decline_hold),
            duration::show(new.decline_hold),
        ),
    ] {
        lines.change(&format!("server.{name}"), &old, &new);
    }
}

fn fast_path(old: &Config, new: &Config, lines: &mut Lines) {
    let path = |path: &Path| path.display().to_string();
    let (old, new) = (&old.fast_path, &new.fast_path);
    for (name, old, new) in [
        ("mode", mode(old.mode).to_owned(), mode(new.mode).to_owned()),
        ("reserve", old.reserve.to_string(), new.reserve.to_string()),
        ("pin_dir", path(&old.pin_dir), path(&new.pin_dir)),
        (
            "capacity",
            or(old.capacity.as_ref(), "auto"),
            or(new.capacity.as_ref(), "auto"),
        ),
    ] {
        lines.change(&format!("fast_path.{name}"), &old, &new);
    }
}

const fn mode(mode: FastPathMode) -> &'static str {
    match mode {
        FastPathMode::Auto => "auto",
        FastPathMode::Native => "native",
        FastPathMode::Generic => "generic",
        FastPathMode::Off => "off",
    }
}

fn summary(subnet: &Subnet) -> String {
    let pools: Vec<String> = subnet.pools.iter().map(range).collect();
    let pools = if pools.is_empty() {
        "none".to_owned()
    } else {
        pools.join(", ")
    };
    format!("pools: {pools}; reservations: {}", subnet.hosts.len())
}

fn range(pool: &Pool) -> String {
    let Pool { first, last, .. } = *pool;
    Range { first, last }.to_string()
}

fn subnet(old: &Subnet, new: &Subnet, lines: &mut Lines) {
    for (name, old, new) in [
        (
            "interface",
            or(old.interface.as_ref(), ""),
            or(new.interface.as_ref(), ""),
        ),
        ("vlan", vlan(old.vlan), vlan(new.vlan)),
        (
            "server_address",
            or(old.server_address.as_ref(), "the interface's"),
            or(new.server_address.as_ref(), "the interface's"),
        ),
        (
            "authoritative",
            old.policy.authoritative.to_string(),
            new.policy.authoritative.to_string(),
        ),
    ] {
        lines.change(name, &old, &new);
    }
    pools(&old.pools, &new.pools, lines);
    told(&settings_of(old), &settings_of(new), lines);
    reservations(old, new, lines);
}

fn vlan(tags: [u16; 2]) -> String {
    match tags {
        [0, _] => String::new(),
        [tag, 0] => tag.to_string(),
        [outer, inner] => format!("[{outer}, {inner}]"),
    }
}

fn pools(old: &[Pool], new: &[Pool], lines: &mut Lines) {
    for pool in old.iter().filter(|pool| !new.contains(pool)) {
        lines.push(&format!("pool {} removed", range(pool)));
    }
    for pool in new.iter().filter(|pool| !old.contains(pool)) {
        lines.push(&format!("pool {} added", range(pool)));
    }
}

/// What a subnet and a host both can say, in the order in which it is told.
type Settings = BTreeMap<(u16, String), String>;

fn settings(times: &Times, options: &Options, boot: &Boot) -> Settings {
    let mut all = Settings::new();
    let mut set = |rank, name: &str, value: String| all.insert((rank, name.to_owned()), value);
    set(0, "lease_time", duration::show(times.lease));
    set(1, "renew_time", duration::show(times.renew));
    set(2, "rebind_time", duration::show(times.rebind));
    for (code, value) in options {
        let name = format!("option {}", registry::name(*code));
        set(3 + u16::from(*code), &name, option(*code, value));
    }
    set(300, "boot.next-server", or(boot.next_server.as_ref(), ""));
    set(301, "boot.server-name", boot.server_name.clone());
    set(302, "boot.file", boot.file.clone());
    all
}

fn option(code: u8, value: &OptionValue) -> String {
    let kind = registry::by_code(code).map_or(registry::Kind::Binary, |known| known.kind);
    let always = if value.always_send {
        " (always sent)"
    } else {
        ""
    };
    format!("{}{always}", registry::show(kind, &value.data))
}

fn settings_of(subnet: &Subnet) -> Settings {
    settings(&subnet.times, &subnet.options, &subnet.boot)
}

fn told(old: &Settings, new: &Settings, lines: &mut Lines) {
    let value = |settings: &Settings, key| settings.get(key).cloned().unwrap_or_default();
    for key in keys(old, new) {
        lines.change(&key.1, &value(old, key), &value(new, key));
    }
}

fn reservations(old: &Subnet, new: &Subnet, lines: &mut Lines) {
    let (before, after) = (by_identifier(old), by_identifier(new));
    let scope = lines.scope.clone();
    let shown = |host: &Reservation| or(host.address.as_ref(), "any address");
    for identifier in keys(&before, &after) {
        lines.scope = format!("{scope}reservation {identifier}: ");
        match (before.get(identifier), after.get(identifier)) {
            (Some(before), Some(after)) => host((old, before), (new, after), lines),
            (Some(host), None) => lines.push(&format!("removed ({})", shown(host))),
            (None, Some(host)) => lines.push(&format!("added ({})", shown(host))),
            (None, None) => {}
        }
    }
    lines.scope = scope;
}

fn by_identifier(subnet: &Subnet) -> BTreeMap<String, &Reservation> {
    let hosts = subnet.hosts.iter();
    hosts
        .map(|host| (host.identifier.to_string(), host))
        .collect()
}

fn host(
    (old_subnet, old): (&Subnet, &Reservation),
    (new_subnet, new): (&Subnet, &Reservation),
    lines: &mut Lines,
) {
    lines.change(
        "address",
        &or(old.address.as_ref(), ""),
        &or(new.address.as_ref(), ""),
    );
    let name = |host: &Reservation| host.hostname.clone().unwrap_or_default();
    lines.change("hostname", &name(old), &name(new));
    if !(old.level.is_empty() && new.level.is_empty()) {
        told_of_host(
            (&settings_of(old_subnet), &own(old, old_subnet)),
            (&settings_of(new_subnet), &own(new, new_subnet)),
            lines,
        );
    }
}

fn own(host: &Reservation, subnet: &Subnet) -> Settings {
    let Level {
        times,
        options,
        boot,
    } = &host.level;
    let over = [options];
    let layers = Layers {
        base: &subnet.options,
        over: &over,
    };
    let options = layers.iter().map(|(code, value)| (code, value.clone()));
    settings(
        &times.unwrap_or(subnet.times),
        &options.collect(),
        &subnet.boot.overridden(boot),
    )
}

/// What a host has from its subnet is told of the subnet.
fn told_of_host(old: (&Settings, &Settings), new: (&Settings, &Settings), lines: &mut Lines) {
    let value = |(subnet, host): (&Settings, &Settings), key| match host.get(key) {
        value if value == subnet.get(key) => "the subnet's".to_owned(),
        value => value.cloned().unwrap_or_default(),
    };
    for key in keys(old.1, new.1) {
        lines.change(&key.1, &value(old, key), &value(new, key));
    }
}
