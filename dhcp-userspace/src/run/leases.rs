//! Leases as the control socket shows them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::report::state_name;
use super::shared::Shared;
use crate::clock::{Now, SECOND};
use crate::config::Config;
use crate::config::model::{Identifier, Mac, Reservation};
use crate::control::protocol::{Filter, Lease, format_mac, parse_mac};
use crate::engine::LeaseView;
use crate::lease::yaml::hex;

/// Passes every lease on that the filter lets through.
///
/// # Errors
/// If the filter asks for what cannot be.
pub fn list(
    shared: &Shared,
    filter: &Filter,
    item: &mut dyn FnMut(Value) -> bool,
) -> Result<(), String> {
    const STATES: [&str; 5] = ["offered", "bound", "declined", "released", "expired"];
    if let Some(state) = filter
        .state
        .as_deref()
        .filter(|state| !STATES.contains(state))
    {
        return Err(format!(
            "there is no state {state:?}; states are {}",
            STATES.join(", ")
        ));
    }
    let now = Now::read();
    let names = reserved_names(&shared.config.load());
    for view in shared.core.engine.leases() {
        let lease = shown(shared, &names, &view, now);
        if passes(&lease, filter) && !item(json(&lease)?) {
            break;
        }
    }
    Ok(())
}

/// The lease of an address, or the most lasting one of a MAC.
///
/// # Errors
/// If there is none, or the key is neither.
pub fn one(shared: &Shared, key: &str) -> Result<Value, String> {
    let view = find(shared, key)?;
    let names = reserved_names(&shared.config.load());
    json(&shown(shared, &names, &view, Now::read()))
}

/// As [`one`], as the engine sees it.
///
/// # Errors
/// If there is none, or the key is neither.
pub fn find(shared: &Shared, key: &str) -> Result<LeaseView, String> {
    let engine = &shared.core.engine;
    let view = if let Ok(address) = key.parse::<Ipv4Addr>() {
        engine.lease_at(address)
    } else if let Some(mac) = parse_mac(key) {
        engine
            .lease_of(mac)
            .into_iter()
            .max_by_key(|view| view.expires)
    } else {
        return Err(format!("{key:?} is neither an address nor a MAC"));
    };
    view.ok_or_else(|| format!("no lease of {key} is known"))
}

fn json(lease: &Lease) -> Result<Value, String> {
    serde_json::to_value(lease).map_err(|error| error.to_string())
}

fn passes(lease: &Lease, filter: &Filter) -> bool {
    let mac = |start: &String| {
        lease
            .mac
            .starts_with(&start.to_lowercase().replace('-', ":"))
    };
    filter
        .subnet
        .is_none_or(|subnet| subnet.contains(&lease.address))
        && filter
            .state
            .as_ref()
            .is_none_or(|state| lease.state == *state)
        && filter.mac.as_ref().is_none_or(mac)
}

/// The hostnames that the configuration gives to hosts.
type Names = BTreeMap<(Ipv4Addr, Mac), String>;

fn reserved_names(config: &Config) -> Names {
    let hosts = config.subnets.iter().flat_map(|subnet| &subnet.hosts);
    let named = |host: &Reservation| match host.identifier {
        Identifier::Mac(mac) => Some(((host.address?, mac), host.hostname.clone()?)),
        _ => None,
    };
    hosts.filter_map(named).collect()
}

fn shown(shared: &Shared, names: &Names, view: &LeaseView, now: Now) -> Lease {
    // Zero is no time at all, not the start of the host.
    let unix = |boot| {
        if boot == 0 {
            0
        } else {
            now.to_unix(boot) / SECOND
        }
    };
    let reserved = names.get(&(view.address, view.mac)).cloned();
    Lease {
        address: view.address,
        mac: format_mac(&view.mac),
        state: state_name(view.kind).unwrap_or_default().to_owned(),
        expires: unix(view.expires),
        reserved_until: unix(view.reserved_until),
        since: (view.since != 0).then_some(view.since / SECOND),
        kernel_renewals: view.renewals,
        interface: shared.core.name_of(view.link.ifindex),
        vlan: [view.link.outer, view.link.inner],
        hostname: reserved.unwrap_or_else(|| printable(&view.hostname)),
        client_id: hex(&view.client_id),
        relay_agent: hex(&view.relay_agent),
    }
}

/// Clients send what they like: nothing of it may reach a terminal but printable characters.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let lease = Lease {
            address: [10, 0, 0, 17].into(),
            mac: "52:54:00:00:00:11".into(),
            state: "bound".into(),
            expires: 0,
            reserved_until: 0,
            since: None,
            kernel_renewals: 0,
            interface: String::new(),
            vlan: [0, 0],
            hostname: String::new(),
            client_id: String::new(),
            relay_agent: String::new(),
        };
        let with = |subnet: Option<&str>, state: Option<&str>, mac: Option<&str>| {
            let filter = Filter {
                subnet: subnet.map(|text| text.parse().unwrap()),
                state: state.map(str::to_owned),
                mac: mac.map(str::to_owned),
            };
            passes(&lease, &filter)
        };
        assert!(with(None, None, None));
        assert!(with(Some("10.0.0.0/24"), Some("bound"), Some("52-54-00")));
        assert!(!with(Some("10.0.1.0/24"), None, None));
        assert!(!with(None, Some("expired"), None));
        assert!(!with(None, None, Some("00:11")));
    }

    #[test]
    fn hostnames_cannot_drive_the_terminal() {
        assert_eq!(printable(b"node-1"), "node-1");
        assert_eq!(
            printable(b"a\x1b[31mb\n\xff"),
            "a\u{fffd}[31mb\u{fffd}\u{fffd}"
        );
    }
}
