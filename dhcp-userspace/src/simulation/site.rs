//! The network that is simulated, and the configurations that it goes through.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use dhcp_common::slot::Link;

use super::dice::Dice;
use crate::config::model::Mac;
use crate::config::{self, Config};
use crate::engine::Interface;

pub(super) const OUR_MAC: Mac = [2, 0, 0, 0, 0, 1];
pub(super) const ROUTER_MAC: Mac = [2, 0, 0, 0, 0, 0x99];
/// Where relays and routers reach the server.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const SUBNETS: usize = 6;
/// Where the pools begin, in the subnet; what is below is for reservations.
const FIRST: u32 = 64;

/// Where clients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) link: Link,
    pub(super) relay: Option<Relay>,
    /// By the second byte of their addresses.
    pub(super) subnets: &'static [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relay {
    pub(super) giaddr: Ipv4Addr,
    /// What it says of the clients' link (RFC 3527), where giaddr is another.
    pub(super) link: Option<Ipv4Addr>,
}

const fn link(ifindex: u32, outer: u16) -> Link {
    Link {
        ifindex,
        outer,
        inner: 0,
    }
}

const fn place(link: Link, relay: Option<Relay>, subnets: &'static [u8]) -> Place {
    Place {
        link,
        relay,
        subnets,
    }
}

pub(super) const PLACES: [Place; 5] = [
    place(link(3, 0), None, &[0]),
    // A shared network.
    place(link(4, 0), None, &[1, 5]),
    place(link(3, 100), None, &[2]),
    place(
        link(3, 0),
        Some(Relay {
            giaddr: Ipv4Addr::new(10, 3, 0, 2),
            link: None,
        }),
        &[3],
    ),
    place(
        link(3, 0),
        Some(Relay {
            giaddr: Ipv4Addr::new(10, 9, 0, 1),
            link: Some(Ipv4Addr::new(10, 4, 0, 0)),
        }),
        &[4],
    ),
];

impl Place {
    pub(super) fn has(&self, address: Ipv4Addr) -> bool {
        let [ten, subnet, high, _] = address.octets();
        ten == 10 && self.subnets.contains(&subnet) && high < 4
    }
}

pub(super) fn interfaces() -> Vec<Interface> {
    let port = |index: u32, address: &str| Interface {
        index,
        name: format!("eth{index}"),
        mac: OUR_MAC,
        mtu: 1500,
        addresses: vec![address.parse().expect("a network")],
    };
    vec![port(3, "10.0.0.1/22"), port(4, "10.1.0.1/22")]
}

/// A configuration as the simulation knows it.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// By the second byte of the addresses.
    subnets: [Subnet; SUBNETS],
    /// Of all pools at best.
    most: u32,
    /// Since when it is in force.
    pub(super) since: u64,
    /// The daemon is to start with it.
    pub(super) waits: bool,
}

#[derive(Clone, Debug)]
struct Subnet {
    /// First and last, in the subnet.
    pool: (u32, u32),
    lease: u64,
    authoritative: bool,
    bootp: bool,
    rapid: bool,
    delay: bool,
    check: bool,
    dns: u64,
    reserved: BTreeMap<Mac, Ipv4Addr>,
}

impl Site {
    pub(super) fn new(dice: &mut Dice, most: u32) -> Self {
        let lease = dice.pick(&[300, 1800, 3600, 4 * 3600]);
        let subnets = std::array::from_fn(|at| Subnet {
            pool: (
                FIRST,
                FIRST + dice.range(u64::from(most / 2), most.into()) as u32,
            ),
            lease,
            authoritative: dice.percent(50),
            bootp: at == 2,
            rapid: dice.percent(30),
            delay: at == 1 && dice.percent(50),
            check: dice.percent(30),
            dns: 1,
            reserved: BTreeMap::new(),
        });
        Self {
            subnets,
            most,
            since: 0,
            waits: false,
        }
    }

    /// Another configuration: what an operator might change.
    pub(super) fn change(&mut self, dice: &mut Dice, macs: &[(Mac, usize)]) {
        for _ in 0..dice.range(1, 3) {
            let most = u64::from(self.most);
            let at = dice.range(0, 5) as usize;
            let subnet = &mut self.subnets[at];
            match dice.range(0, 8) {
                0 => subnet.pool.1 = FIRST + dice.range(most / 4, most) as u32,
                1 => subnet.pool.0 = FIRST + dice.range(0, most / 8) as u32,
                2 => subnet.lease = dice.pick(&[120, 300, 1800, 3600, 4 * 3600, 12 * 3600]),
                3 => subnet.dns = dice.range(1, 250),
                4 => subnet.authoritative = !subnet.authoritative,
                5 => subnet.rapid = !subnet.rapid,
                6 => subnet.check = !subnet.check,
                _ => self.reserve(dice, macs),
            }
        }
    }

    fn reserve(&mut self, dice: &mut Dice, macs: &[(Mac, usize)]) {
        let (mac, place) = dice.pick(macs);
        for at in PLACES[place].subnets {
            self.subnets[usize::from(*at)].reserved.remove(&mac);
        }
        if dice.percent(30) {
            return;
        }
        let at = dice.pick(PLACES[place].subnets);
        // In the pool as well as below: somebody may be on it.
        let last = u64::from(FIRST + self.most / 2);
        let address = address(at, dice.range(8, last) as u32);
        let subnet = &mut self.subnets[usize::from(at)];
        if !subnet.reserved.values().any(|other| *other == address) {
            subnet.reserved.insert(mac, address);
        }
    }

    /// Whether this client may have this address here, by what the operator wrote.
    pub(super) fn allows(&self, place: &Place, mac: Mac, address: Ipv4Addr) -> bool {
        if !place.has(address) {
            return false;
        }
        if let Some(own) = self.reserved(place, mac) {
            return own == address;
        }
        let subnet = &self.subnets[usize::from(address.octets()[1])];
        let at = address.to_bits() & 0x3ff;
        let taken = subnet.reserved.values().any(|other| *other == address);
        (subnet.pool.0..=subnet.pool.1).contains(&at) && !taken
    }

    pub(super) fn reserved(&self, place: &Place, mac: Mac) -> Option<Ipv4Addr> {
        let mut subnets = place
            .subnets
            .iter()
            .map(|at| &self.subnets[usize::from(*at)]);
        subnets
            .find_map(|subnet| subnet.reserved.get(&mac))
            .copied()
    }

    /// Through the door that operators come by.
    pub(super) fn config(&self) -> Arc<Config> {
        let text = self.yaml();
        let parsed = config::parse(&text, Path::new("simulated.yaml"));
        Arc::new(parsed.unwrap_or_else(|errors| panic!("{errors}\n{text}")))
    }

    fn yaml(&self) -> String {
        let mut text = String::from(
            "server: {offer_hold: 30s, decline_hold: 20m, max_offers: 2000}\n\
             fast_path: {mode: off, reserve: 2}\n\
             classes: [{name: ipxe, boot: {file: boot.ipxe}}]\n\
             networks: [{name: shared}]\n\
             subnets:\n",
        );
        for (at, subnet) in self.subnets.iter().enumerate() {
            subnet
                .write(at as u8, &mut text)
                .expect("a string takes all");
        }
        text
    }

    /// Addresses on which somebody is who never asked.
    pub(super) fn squatters(dice: &mut Dice, most: u32) -> BTreeSet<Ipv4Addr> {
        let last = u64::from(FIRST + most);
        let mut any = || {
            address(
                dice.range(0, 5) as u8,
                dice.range(FIRST.into(), last) as u32,
            )
        };
        (0..6).map(|_| any()).collect()
    }
}

impl Subnet {
    fn write(&self, at: u8, text: &mut String) -> std::fmt::Result {
        let (first, last) = (address(at, self.pool.0), address(at, self.pool.1));
        writeln!(
            text,
            "  - subnet: 10.{at}.0.0/22\n    pools: [{first}-{last}]"
        )?;
        writeln!(text, "    lease_time: {}s", self.lease)?;
        writeln!(text, "    authoritative: {}", self.authoritative)?;
        writeln!(text, "    rapid_commit: {}", self.rapid)?;
        let way = match at {
            1 | 5 => "network: shared",
            2 => "interface: eth3\n    vlan: 100\n    server_address: 10.2.0.1",
            _ => "min_secs: 0",
        };
        writeln!(text, "    {way}")?;
        if self.bootp {
            writeln!(text, "    bootp: dynamic")?;
        }
        if self.delay {
            writeln!(text, "    offer_delay: 300ms")?;
        }
        if self.check && !self.bootp {
            writeln!(text, "    conflict_check: on")?;
        }
        writeln!(
            text,
            "    options: {{domain-name-servers: [10.0.2.{}]}}",
            self.dns
        )?;
        writeln!(text, "    reservations:")?;
        for (mac, address) in &self.reserved {
            let [a, b, c, d, e, f] = mac;
            let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            writeln!(text, "      - {{mac: \"{mac}\", address: {address}}}")?;
        }
        Ok(())
    }
}

fn address(subnet: u8, at: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, subnet, 0, 0).to_bits() + at)
}
