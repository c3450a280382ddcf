//! Which interfaces are served.

use std::collections::BTreeSet;

use super::{NetError, Nic};
use crate::config::Config;

/// The interfaces to serve: those that the configuration lists, or else every one that has an
/// address in a subnet, or that a subnet names.
///
/// # Errors
/// If one that is named does not exist or is a loopback.
pub fn served(config: &Config, nics: &[Nic]) -> Result<Vec<Nic>, NetError> {
    for name in named(config) {
        check(&name, nics)?;
    }
    Ok(available(config, nics))
}

/// As [`served`], leaving out what is not there (any more), or is down.
#[must_use]
pub fn available(config: &Config, nics: &[Nic]) -> Vec<Nic> {
    let named = named(config);
    let by_address = config.interfaces.is_empty();
    let wanted = |nic: &Nic| named.contains(nic.name()) || by_address && has_subnet(config, nic);
    let usable = |nic: &Nic| nic.up && !nic.loopback;
    nics.iter()
        .filter(|nic| usable(nic) && wanted(nic))
        .cloned()
        .collect()
}

/// The tags of frames on `nic` that belong to served subinterfaces of it, which see them too.
#[must_use]
pub fn left_to_others(nic: &Nic, served: &[Nic]) -> Vec<u16> {
    let tag_on_nic = |other: &Nic| {
        let (below, tag) = other.vlan.as_ref()?;
        (below == nic.name()).then_some(*tag)
    };
    served.iter().filter_map(tag_on_nic).collect()
}

fn named(config: &Config) -> BTreeSet<String> {
    if !config.interfaces.is_empty() {
        return config.interfaces.iter().cloned().collect();
    }
    let by_subnets = config
        .subnets
        .iter()
        .filter_map(|subnet| subnet.interface.clone());
    by_subnets.collect()
}

fn check(name: &str, nics: &[Nic]) -> Result<(), NetError> {
    let Some(nic) = nics.iter().find(|nic| nic.name() == name) else {
        return Err(NetError::NoSuchInterface {
            name: name.to_owned(),
            existing: names(nics),
        });
    };
    if nic.loopback {
        return Err(NetError::Loopback {
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// The names for a message, separated by commas.
#[must_use]
pub fn names(nics: &[Nic]) -> String {
    let names: Vec<_> = nics.iter().map(Nic::name).collect();
    names.join(", ")
}

fn has_subnet(config: &Config, nic: &Nic) -> bool {
    let addresses = &nic.interface.addresses;
    let holds = |net: &ipnet::Ipv4Net| {
        config
            .subnets
            .iter()
            .any(|subnet| subnet.prefix.contains(&net.addr()))
    };
    addresses.iter().any(holds)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, nic};
    use super::*;

    fn picked(config: &Config, nics: &[Nic]) -> Vec<String> {
        let served = served(config, nics).unwrap();
        served.iter().map(|nic| nic.name().to_owned()).collect()
    }

    #[test]
    fn by_address_unless_named() {
        let nics = [
            nic(2, "eth0", "10.0.0.1/16"),
            nic(3, "eth1", "192.0.2.1/24"),
        ];
        let mut config = config("10.0.0.0/16");
        assert_eq!(picked(&config, &nics), ["eth0"]);
        config.subnets[0].interface = Some("eth1".into());
        assert_eq!(picked(&config, &nics), ["eth0", "eth1"]);
        config.interfaces = vec!["eth1".into()];
        assert_eq!(picked(&config, &nics), ["eth1"]);
        config.interfaces = vec!["eth0".into()];
        assert_eq!(picked(&config, &nics), ["eth0"], "a list is final");
    }

    #[test]
    fn down_is_left_out_and_missing_is_an_error() {
        let mut nics = [nic(2, "eth0", "10.0.0.1/16")];
        nics[0].up = false;
        let mut config = config("10.0.0.0/16");
        assert!(picked(&config, &nics).is_empty());
        config.interfaces = vec!["eth7".into()];
        let error = served(&config, &nics).unwrap_err().to_string();
        assert_eq!(error, "there is no interface eth7; this machine has eth0");
        nics[0].loopback = true;
        config.interfaces = vec!["eth0".into()];
        assert!(matches!(
            served(&config, &nics),
            Err(NetError::Loopback { .. })
        ));
    }

    #[test]
    fn tags_of_served_subinterfaces_are_left_to_them() {
        let trunk = nic(2, "eth0", "10.0.0.1/16");
        let mut sub = nic(3, "eth0.7", "10.7.0.1/16");
        sub.vlan = Some(("eth0".into(), 7));
        let served = [trunk.clone(), sub.clone()];
        assert_eq!(left_to_others(&trunk, &served), [7]);
        assert!(left_to_others(&sub, &served).is_empty());
    }
}
