//! Addresses and networks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::Ipv4Net;
use schemars::{Schema, json_schema};

use super::super::error::Problem;
use super::{Parse, Switch, pattern};

/// An address, or a network of any size.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct AddressOrNet(pub Ipv4Net);

impl Parse for AddressOrNet {
    fn parse(text: &str) -> Result<Self, Problem> {
        let net: Option<Ipv4Net> = match text.contains('/') {
            true => text.parse().ok(),
            false => text.parse().ok().map(|address: Ipv4Addr| address.into()),
        };
        let Some(net) = net else {
            let what = format!("{text:?} is neither an IPv4 address nor a network");
            return Err(Problem::new(what, "write one like 10.2.0.1 or 10.1.0.0/16"));
        };
        if net.trunc() != net {
            let what = format!("{net} is an address in a network, not the network");
            let hint = format!(
                "write {}, or {} for this address alone",
                net.trunc(),
                net.addr()
            );
            return Err(Problem::new(what, hint));
        }
        Ok(Self(net))
    }

    fn schema() -> Schema {
        pattern("^[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+(/[0-9]+)?$")
    }
}

/// Where a service listens: `true` for every address, an address, an address and port, or `off`.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Listen<const PORT: u16>(pub Option<SocketAddr>);

impl<const PORT: u16> Parse for Listen<PORT> {
    fn parse(text: &str) -> Result<Self, Problem> {
        if let Ok(Switch(is_on)) = Switch::parse(text) {
            let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
            return Ok(Self(is_on.then_some(any)));
        }
        let address = text.parse().map(|address: IpAddr| (address, PORT).into());
        let Ok(address) = address.or_else(|_| text.parse::<SocketAddr>()) else {
            let what = format!("{text:?} is no address to listen on");
            let hint = "write true, off, an address, or an address and port like 10.0.0.2:8080";
            return Err(Problem::new(what, hint));
        };
        if address.port() == 0 {
            let problem = Problem::new("port 0 is no port", "write 1 to 65535");
            return Err(problem);
        }
        Ok(Self(Some(address)))
    }

    fn schema() -> Schema {
        json_schema!({"anyOf": [
            {"enum": [true, false, "on", "off"]},
            {"type": "string", "pattern": "^[0-9a-fA-F.:\\[\\]]+$"},
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_listens_everywhere_somewhere_or_nowhere() {
        let read = |text| Listen::<69>::parse(text).map(|listen| listen.0);
        let at = |text: &str| Ok(Some(text.parse().unwrap()));
        assert_eq!(read("true"), at("0.0.0.0:69"));
        assert_eq!(read("off"), Ok(None));
        assert_eq!(read("10.0.0.2"), at("10.0.0.2:69"));
        assert_eq!(read("10.0.0.2:6969"), at("10.0.0.2:6969"));
        assert_eq!(read("[::]:80"), at("[::]:80"));
        for text in [
            "",
            "69",
            ":69",
            "10.0.0.2:0",
            "10.0.0.2:99999",
            "boot.example",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        let read = |text| AddressOrNet::parse(text).map(|net| net.0.to_string());
        assert_eq!(read("10.2.0.1"), Ok("10.2.0.1/32".to_owned()));
        assert_eq!(read("10.0.0.0/8"), Ok("10.0.0.0/8".to_owned()));
        assert!(read("10.0.0.1/8").is_err() && read("10.0.0").is_err());
    }
}
