use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp_common::guard::{Class, relay};
use dhcp_common::wire::mac_bytes;

use super::*;
use crate::clock::SECOND;
use crate::config::Config;
use crate::config::model::{Hosts, Identifier, Pool, Reservation, Subnet};
use crate::engine::Interface;
use crate::lease::table::Size;

const NOW: Now = Now {
    boot: 1_000 * SECOND,
    unix: 0,
};
const HOST: u64 = 0x5254_0000_0001;
const STRANGER: u64 = 0x5254_0000_0002;

struct Lab {
    engine: Engine,
    guard: Guard,
}

impl Lab {
    fn new() -> Self {
        let config = config(&[HOST]);
        let table = Arc::new(Table::anonymous(Size::for_addresses(4, 4)).unwrap());
        let settings = config.guard.clone();
        let engine = Engine::new(Arc::new(config), table).unwrap();
        let port = Interface {
            index: 3,
            name: "eth0".into(),
            mac: [2, 0, 0, 0, 0, 1],
            mtu: 1500,
            addresses: vec!["10.0.0.1/24".parse().unwrap()],
        };
        engine.set_interfaces(vec![port], NOW);
        let guard = Guard::new(Arc::clone(engine.table()), &settings);
        guard.learn(&engine);
        guard.tick(&engine, &Seen::default(), NOW);
        Self { engine, guard }
    }

    fn block(&self, mac: u64, cause: Cause) -> bool {
        self.guard.block(&self.engine, &asker(mac), cause, NOW)
    }

    fn reload(&mut self, config: Config) {
        let config = Arc::new(config);
        self.engine.reload(Arc::clone(&config), NOW).unwrap();
        self.guard.reload(&config.guard, &self.engine);
    }
}

fn config(hosts: &[u64]) -> Config {
    let mut subnet = Subnet::new("10.0.0.0/24".parse().unwrap());
    let (first, last) = (Ipv4Addr::new(10, 0, 0, 10), Ipv4Addr::new(10, 0, 0, 99));
    subnet.pools = vec![Pool::open((first, last))];
    let mut list = Hosts::default();
    for mac in hosts {
        list.insert(Reservation::new(Identifier::Mac(mac_bytes(*mac)), None));
    }
    subnet.hosts = list;
    Config {
        subnets: vec![subnet],
        ..Config::default()
    }
}

fn asker(mac: u64) -> Asker {
    Asker {
        mac,
        ingress: 3 << 32,
        source: mac,
        class: Class::First,
        foreign: false,
        selects: false,
    }
}

#[test]
fn known_hosts_are_never_blocked() {
    let lab = Lab::new();
    assert!(!lab.block(HOST, Cause::Misbehaving));
    assert!(lab.block(STRANGER, Cause::Misbehaving));
    assert_eq!(lab.guard.judge(&asker(HOST), false, NOW), Ok(()));
    assert_eq!(
        lab.guard.judge(&asker(STRANGER), false, NOW),
        Err(Reason::Blocked)
    );
    let elsewhere = Asker {
        ingress: relay(0x0a00_0009),
        ..asker(STRANGER)
    };
    assert_eq!(lab.guard.judge(&elsewhere, false, NOW), Ok(()));
}

#[test]
fn blocks_are_listed_with_their_cause_and_can_be_ended() {
    let lab = Lab::new();
    lab.block(STRANGER, Cause::Suspicious);
    lab.block(7, Cause::Misbehaving);
    let left = |cause| Now {
        boot: NOW.boot
            + match cause {
                Cause::Misbehaving => 150 * SECOND,
                Cause::Suspicious => 60 * SECOND,
            },
        ..NOW
    };
    let list = |now| -> Vec<_> {
        let list = lab.guard.blocked(now).into_iter();
        list.map(|blocked| (mac_bits(&blocked.mac, 0), blocked.cause))
            .collect()
    };
    let both = [(7, Cause::Misbehaving), (STRANGER, Cause::Suspicious)];
    assert_eq!(list(NOW), both);
    assert_eq!(list(left(Cause::Suspicious)), both[..1]);
    assert_eq!(list(left(Cause::Misbehaving)), []);
    assert_eq!(lab.guard.unblock(Some(mac_bytes(9))), 0);
    assert_eq!(lab.guard.unblock(Some(mac_bytes(7))), 1);
    assert_eq!(lab.guard.judge(&asker(7), false, NOW), Ok(()));
    assert_eq!(lab.guard.unblock(None), 1);
    assert!(lab.guard.is_on_duty());
    lab.guard.tick(&lab.engine, &Seen::default(), NOW);
    assert!(!lab.guard.is_on_duty(), "an empty list costs nothing");
}

#[test]
fn a_reload_ends_blocks_without_a_point() {
    let mut lab = Lab::new();
    for (mac, cause) in [
        (STRANGER, Cause::Misbehaving),
        (7, Cause::Suspicious),
        (8, Cause::Misbehaving),
    ] {
        lab.block(mac, cause);
    }
    lab.reload(config(&[HOST, STRANGER]));
    let left = lab.guard.blocked(NOW);
    assert_eq!(
        left.iter().map(|left| left.mac).collect::<Vec<_>>(),
        [mac_bytes(8)]
    );
    let mut off = config(&[]);
    off.guard.enabled = false;
    lab.reload(off);
    assert_eq!(lab.guard.blocked(NOW), []);
}

#[test]
fn new_hosts_pass_a_throttle_at_once_and_clients_once_they_have_an_offer() {
    let mut lab = Lab::new();
    let throttled = |hosts: &[u64], rate| {
        let mut config = config(hosts);
        config.guard.unknown_rate = rate;
        config
    };
    lab.reload(throttled(&[HOST], Rate::PerSecond(1)));
    while lab.guard.judge(&asker(9), false, NOW).is_ok() {}
    assert_eq!(lab.guard.rate(), 1);
    assert_eq!(lab.guard.judge(&asker(HOST), false, NOW), Ok(()));
    assert_eq!(
        lab.guard.judge(&asker(STRANGER), false, NOW),
        Err(Reason::Throttled)
    );
    lab.reload(throttled(&[HOST, STRANGER], Rate::PerSecond(1)));
    assert_eq!(lab.guard.judge(&asker(STRANGER), false, NOW), Ok(()));

    let event = |kind| Event {
        kind,
        mac: mac_bytes(9),
        address: Ipv4Addr::new(10, 0, 0, 10),
        ifindex: 3,
    };
    let request = Asker {
        selects: true,
        ..asker(9)
    };
    assert_eq!(
        lab.guard.judge(&request, false, NOW),
        Err(Reason::Throttled)
    );
    lab.guard.heard(&event(EventKind::Offer));
    assert_eq!(lab.guard.judge(&request, false, NOW), Ok(()));
    assert_eq!(
        lab.guard.judge(&asker(9), false, NOW),
        Err(Reason::Throttled)
    );
    lab.guard.heard(&event(EventKind::Bind));
    assert_eq!(lab.guard.judge(&asker(9), false, NOW), Ok(()));

    lab.reload(throttled(&[HOST], Rate::Off));
    assert_eq!((lab.guard.rate(), lab.guard.is_on_duty()), (0, false));
}

#[test]
fn whoever_has_a_reservation_stays_known_while_filters_turn() {
    let mut lab = Lab::new();
    let mut config = config(&[HOST]);
    config.guard.unknown_rate = Rate::PerSecond(1);
    config.guard.misbehaving_hold = Duration::from_secs(1);
    lab.reload(config);
    lab.guard.keeper().know(STRANGER);
    let mut strange = 0;
    for second in 0..700 {
        let now = Now {
            boot: NOW.boot + second * SECOND,
            ..NOW
        };
        lab.guard.tick(&lab.engine, &Seen::default(), now);
        while lab.guard.judge(&asker(9), false, now).is_ok() {}
        assert_eq!(lab.guard.judge(&asker(HOST), false, now), Ok(()));
        strange += u32::from(lab.guard.judge(&asker(STRANGER), false, now).is_err());
    }
    assert!(strange > 0, "who has left is forgotten");
}

#[test]
fn who_binds_is_blocked_no_longer() {
    let lab = Lab::new();
    lab.block(STRANGER, Cause::Suspicious);
    lab.block(7, Cause::Misbehaving);
    let elsewhere = Asker {
        source: 9,
        ..asker(STRANGER)
    };
    let cause = Cause::Misbehaving;
    assert!(lab.guard.block(&lab.engine, &elsewhere, cause, NOW));
    let event = |kind| Event {
        kind,
        mac: mac_bytes(STRANGER),
        address: Ipv4Addr::new(10, 0, 0, 10),
        ifindex: 3,
    };
    lab.guard.heard(&event(EventKind::Offer));
    assert_eq!(lab.guard.blocked(NOW).len(), 3);
    lab.guard.heard(&event(EventKind::Bind));
    let left = lab.guard.blocked(NOW);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].mac, mac_bytes(7));
}
