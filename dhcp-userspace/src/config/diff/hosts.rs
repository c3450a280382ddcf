//! Reservations. What many of them have in common is told once.

use std::collections::BTreeMap;

use super::super::model::{Config, Hosts, Reservation};
use super::clients::{INHERITED, names};
use super::settings::{Names, changes, of_level};
use super::{Lines, changed, or};

/// More hosts than this are counted, not listed.
const LISTED: usize = 20;
/// So many are named as examples.
const EXAMPLES: usize = 3;

pub(super) fn diff(
    (old_config, old): (&Config, &Hosts),
    (new_config, new): (&Config, &Hosts),
    lines: &mut Lines,
) {
    let mut removed = Vec::new();
    let mut changed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for host in old {
        match new.position(&host.identifier) {
            None => removed.push(host),
            Some(at) => {
                let other = new.iter().nth(at).filter(|other| *other != host);
                let Some(other) = other else {
                    continue;
                };
                for change in of_host((old_config, host), (new_config, other)) {
                    let whose = host.identifier.to_string();
                    changed.entry(change).or_default().push(whose);
                }
            }
        }
    }
    let is_new = |host: &&Reservation| old.position(&host.identifier).is_none();
    let added: Vec<&Reservation> = new.iter().filter(is_new).collect();
    let mut told = Vec::new();
    whole(&removed, "removed", &mut told);
    for (change, hosts) in changed {
        several(&change, hosts, &mut told);
    }
    whole(&added, "added", &mut told);
    told.sort();
    for (_, line) in told {
        lines.push(&line);
    }
}

/// Lines, and the first host that each is about.
type Told = Vec<(String, String)>;

/// Hosts that came or went.
fn whole(hosts: &[&Reservation], what: &str, told: &mut Told) {
    let names = hosts.iter().map(|host| host.identifier.to_string());
    if hosts.len() > LISTED {
        return told.push(counted(names.collect(), what));
    }
    for (host, name) in hosts.iter().zip(names) {
        let address = or(host.address.as_ref(), "any address");
        let line = format!("reservation {name}: {what} ({address})");
        told.push((name, line));
    }
}

/// Hosts that change alike.
fn several(change: &str, hosts: Vec<String>, told: &mut Told) {
    if hosts.len() > LISTED {
        let (first, line) = counted(hosts, "");
        return told.push((first, format!("{line}: {change}")));
    }
    for name in hosts {
        let line = format!("reservation {name}: {change}");
        told.push((name, line));
    }
}

fn counted(mut hosts: Vec<String>, what: &str) -> (String, String) {
    hosts.sort();
    let examples = hosts[..EXAMPLES].join(", ");
    let space = if what.is_empty() { "" } else { " " };
    let line = format!(
        "{} reservations{space}{what} ({examples}, ...)",
        hosts.len()
    );
    (hosts.swap_remove(0), line)
}

fn of_host(
    (old_config, old): (&Config, &Reservation),
    (new_config, new): (&Config, &Reservation),
) -> Vec<String> {
    let address = |host: &Reservation| or(host.address.as_ref(), "");
    let name = |host: &Reservation| host.hostname.clone().unwrap_or_default();
    let metadata = |host: &Reservation| host.metadata.to_string();
    let (was, is) = (
        names(old_config, &old.classes),
        names(new_config, &new.classes),
    );
    let mut all: Vec<String> = [
        changed("address", &address(old), &address(new)),
        changed("hostname", &name(old), &name(new)),
        changed("classes", &was, &is),
        changed("metadata", &metadata(old), &metadata(new)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let options = Names::of(old_config, new_config);
    all.extend(changes(
        &of_level(&old.level, options),
        &of_level(&new.level, options),
        INHERITED,
    ));
    all
}
