//! Who gets which answer, and who gets none.

use dhcp_common::slot::Kind;

use super::lab::*;
use crate::clock::SECOND;
use crate::engine::{EventKind, Ignored};

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xb];

fn two_subnets() -> Lab {
    Lab::new(config(vec![
        subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19")),
        subnet("192.168.7.0/24", ("192.168.7.100", "192.168.7.109")),
        subnet("172.16.0.0/24", ("172.16.0.10", "172.16.0.19")),
    ]))
}

fn authoritative() -> Lab {
    let mut config = config(vec![subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"))]);
    config.subnets[0].policy.authoritative = true;
    Lab::new(config)
}

#[test]
fn an_offer_holds_an_address_and_touches_no_disk() {
    let mut lab = Lab::small();
    let first = lab.reply(&Message::discover(A));
    assert_eq!((first.kind(), first.yiaddr()), (2, ip("10.0.1.10")));
    assert_eq!(lab.reply(&Message::discover(A)).yiaddr(), first.yiaddr());
    assert_eq!(lab.reply(&Message::discover(B)).yiaddr(), ip("10.0.1.11"));
    assert_eq!(lab.engine.open_offers(), 2);
    assert!(lab.records.is_empty());
    lab.pass(31 * SECOND);
    lab.sweep();
    assert_eq!(lab.engine.open_offers(), 0);
    assert_eq!(lab.engine.pools()[0].free, 10);
    assert_eq!(
        lab.engine.known_clients(),
        2,
        "in mind, as nobody needs the room"
    );
    assert!(lab.engine.leases().is_empty() && !lab.engine.is_known(A));
}

#[test]
fn a_bound_client_is_offered_its_own_and_the_lease_stays() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    let before = lab.engine.lease_at(address).unwrap();
    assert_eq!(before.kind, Kind::Bound);
    assert_eq!(lab.reply(&Message::discover(A)).yiaddr(), address);
    assert_eq!(lab.engine.lease_at(address).unwrap(), before);
    assert_eq!(lab.records.len(), 1);
    assert_eq!(lab.records[0].reserved_until, lab.now.boot + 2 * LEASE);
}

#[test]
fn a_wish_is_heeded_if_free_and_a_lapsed_client_gets_its_old_address() {
    let mut lab = Lab::small();
    let wish = ip("10.0.1.17");
    let offer = lab.reply(&Message::discover(A).requested(wish));
    assert_eq!(offer.yiaddr(), wish);
    lab.reply(&Message::selecting(A, wish));
    let other = lab.reply(&Message::discover(B).requested(wish));
    assert_eq!(other.yiaddr(), ip("10.0.1.10"), "taken");
    for outside in ["10.0.2.1", "10.9.0.1", "8.8.8.8"] {
        let offer = lab.reply(&Message::discover(mac(9)).requested(ip(outside)));
        assert_eq!(offer.yiaddr(), ip("10.0.1.11"));
    }
    lab.pass(LEASE + 1);
    lab.sweep();
    assert_eq!(lab.seen(EventKind::Expire), 1);
    assert_eq!(lab.engine.lease_at(wish).unwrap().kind, Kind::Expired);
    assert_eq!(lab.reply(&Message::discover(A)).yiaddr(), wish);
}

#[test]
fn all_addresses_are_given_before_none_is_left_and_each_once() {
    let mut lab = Lab::small();
    let mut given: Vec<_> = (0..10).map(|i| lab.bind(mac(i))).collect();
    given.sort();
    given.dedup();
    assert_eq!(given.len(), 10);
    assert_eq!(lab.ignored(&Message::discover(mac(10))), Ignored::NoAddress);
    lab.send(&Message::release(mac(4), given[4])).unwrap();
    assert_eq!(lab.bind(mac(10)), given[4]);
    assert_eq!(
        lab.engine.known_clients(),
        10,
        "the former holder is forgotten"
    );
}

#[test]
fn network_broadcast_and_our_own_addresses_are_never_given() {
    let mut lab = Lab::new(config(vec![subnet(
        "10.0.0.0/16",
        ("10.0.0.0", "10.0.0.3"),
    )]));
    let given: Vec<_> = (0..2).map(|i| lab.bind(mac(i))).collect();
    assert_eq!(given, [ip("10.0.0.2"), ip("10.0.0.3")]);
    assert_eq!(lab.ignored(&Message::discover(mac(3))), Ignored::NoAddress);
    let nak = lab.reply(&Message::selecting(mac(3), SERVER));
    assert_eq!(nak.kind(), 6);
}

#[test]
fn reservations_are_kept_for_their_host() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.12"));
    reserve(&mut net, A, "10.0.1.11", Some("node-a"));
    reserve(&mut net, mac(77), "10.0.5.5", None);
    let mut lab = Lab::new(config(vec![net]));
    assert_eq!(lab.bind(B), ip("10.0.1.10"));
    assert_eq!(lab.bind(mac(1)), ip("10.0.1.12"));
    assert_eq!(lab.ignored(&Message::discover(mac(2))), Ignored::NoAddress);
    assert_eq!(
        lab.reply(&Message::selecting(mac(2), ip("10.0.1.11")))
            .kind(),
        6
    );
    assert_eq!(lab.bind(A), ip("10.0.1.11"));
    assert_eq!(lab.bind(mac(77)), ip("10.0.5.5"), "outside of the pools");
    lab.send(&Message::release(A, ip("10.0.1.11"))).unwrap();
    assert_eq!(lab.ignored(&Message::discover(mac(2))), Ignored::NoAddress);
}

#[test]
fn a_declined_address_rests_and_its_client_gets_another() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    assert!(lab.send(&Message::decline(A, address)).unwrap().is_none());
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Declined);
    assert_eq!(lab.records[1].kind, crate::journal::Kind::Declined);
    assert_eq!(lab.records[1].reserved_until, lab.now.boot + 600 * SECOND);
    assert_ne!(lab.bind(A), address);
    assert_eq!(lab.reply(&Message::selecting(B, address)).kind(), 6);
    assert_eq!(
        lab.ignored(&Message::decline(A, address)),
        Ignored::NotHolder
    );
    lab.pass(601 * SECOND);
    lab.sweep();
    assert!(lab.engine.lease_at(address).is_none());
    assert_eq!(lab.engine.pools()[0].free, 9);
}

#[test]
fn only_the_holder_declines_or_releases() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    assert_eq!(
        lab.ignored(&Message::decline(B, address)),
        Ignored::NotHolder
    );
    assert_eq!(
        lab.ignored(&Message::release(B, address)),
        Ignored::NotHolder
    );
    assert_eq!(
        lab.ignored(&Message::release(A, ip("10.0.1.12"))),
        Ignored::NotHolder
    );
    assert_eq!(lab.ignored(&Message::new(4, A)), Ignored::Invalid);
    let elsewhere = Message::release(A, address).server(ip("10.0.0.9"));
    assert_eq!(lab.ignored(&elsewhere), Ignored::OtherServer);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Bound);
    assert!(
        lab.send(&Message::release(A, address)).unwrap().is_none(),
        "without option 54"
    );
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Released);
    assert_eq!(
        lab.ignored(&Message::release(A, address)),
        Ignored::NotHolder,
        "twice"
    );
    assert_eq!(lab.bind(A), address, "remembered");
}

#[test]
fn selecting_a_wrong_or_taken_address_is_refused() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    for wrong in [address, ip("10.0.9.9"), ip("172.16.0.1")] {
        let nak = lab.reply(&Message::selecting(B, wrong));
        assert_eq!((nak.kind(), nak.event), (6, EventKind::Nak));
    }
    let lost_offer = Message::selecting(B, ip("10.0.1.15"));
    assert_eq!(lab.reply(&lost_offer).kind(), 5, "offered before a restart");
}

#[test]
fn another_servers_offer_taken_ends_ours() {
    let mut lab = Lab::small();
    lab.reply(&Message::discover(A));
    let message = Message::new(3, A)
        .server(ip("10.0.0.9"))
        .requested(ip("10.0.1.10"));
    assert_eq!(lab.ignored(&message), Ignored::OtherServer);
    assert_eq!(lab.engine.open_offers(), 0);
    assert_eq!(lab.engine.pools()[0].free, 10);
    let address = lab.bind(A);
    assert_eq!(lab.ignored(&message), Ignored::OtherServer);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Bound);
}

#[test]
fn init_reboot() {
    let mut lab = two_subnets();
    let address = lab.bind(A);
    assert_eq!(lab.reply(&Message::init_reboot(A, address)).kind(), 5);
    assert_eq!(
        lab.reply(&Message::init_reboot(A, ip("10.0.1.15"))).kind(),
        6,
        "another"
    );
    assert_eq!(
        lab.reply(&Message::init_reboot(A, ip("192.168.7.100")))
            .kind(),
        6,
        "moved"
    );
    assert_eq!(
        lab.ignored(&Message::init_reboot(B, ip("10.0.1.15"))),
        Ignored::Unknown
    );
    assert_eq!(
        lab.ignored(&Message::init_reboot(B, address)),
        Ignored::Unknown
    );
    assert_eq!(
        lab.ignored(&Message::init_reboot(B, ip("8.8.8.8"))),
        Ignored::Unknown
    );
    let mut lab = authoritative();
    assert_eq!(
        lab.reply(&Message::init_reboot(B, ip("10.0.1.15"))).kind(),
        6
    );
    assert_eq!(lab.reply(&Message::init_reboot(B, ip("8.8.8.8"))).kind(), 6);
}

#[test]
fn renewing_and_rebinding() {
    let mut lab = two_subnets();
    let address = lab.bind(A);
    for message in [
        Message::renewing(A, address),
        Message::rebinding(A, address),
    ] {
        lab.pass(LEASE / 4);
        let ack = lab.reply(&message);
        assert_eq!((ack.kind(), ack.yiaddr()), (5, address));
        assert_eq!(
            lab.engine.lease_at(address).unwrap().expires,
            lab.now.boot + LEASE
        );
    }
    assert_eq!(lab.records.len(), 1, "within the promise");
    for wrong in [
        Message::renewing(B, address),
        Message::rebinding(B, address),
    ] {
        assert_eq!(lab.ignored(&wrong), Ignored::Unknown);
    }
    assert_eq!(
        lab.ignored(&Message::renewing(A, ip("10.0.1.15"))),
        Ignored::Unknown
    );
    let mut moved = Message::rebinding(A, address);
    moved.link = OTHER_LINK;
    assert_eq!(lab.reply(&moved).kind(), 6, "known, and on another link");
    let mut lab = authoritative();
    for message in [
        Message::renewing(B, ip("10.0.1.15")),
        Message::rebinding(B, ip("10.0.1.15")),
        Message::rebinding(B, ip("172.31.0.1")),
    ] {
        assert_eq!(lab.reply(&message).kind(), 6);
    }
}

#[test]
fn beyond_the_promise_a_renewal_is_recorded_first() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    lab.pass(LEASE - SECOND);
    lab.reply(&Message::renewing(A, address));
    assert_eq!(lab.records.len(), 1);
    lab.pass(LEASE - SECOND);
    lab.reply(&Message::renewing(A, address));
    assert_eq!(lab.records.len(), 2);
    assert_eq!(lab.records[1].since, lab.records[0].since);
    assert_eq!(lab.records[1].reserved_until, lab.now.boot + 2 * LEASE);
}

#[test]
fn a_lapsed_lease_is_granted_again_while_nobody_else_has_it() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    lab.pass(LEASE + SECOND);
    lab.sweep();
    assert_eq!(lab.reply(&Message::renewing(A, address)).kind(), 5);
    lab.pass(LEASE + SECOND);
    lab.sweep();
    lab.reply(&Message::discover(B).requested(address));
    lab.reply(&Message::selecting(B, address));
    assert_eq!(
        lab.ignored(&Message::renewing(A, address)),
        Ignored::Unknown
    );
}

#[test]
fn contradictions_are_ignored() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    let both = Message::renewing(A, address).requested(ip("10.0.1.19"));
    assert_eq!(lab.ignored(&both), Ignored::Invalid);
    let twice = Message::renewing(A, address).requested(address);
    assert_eq!(lab.reply(&twice).kind(), 5, "the same said twice");
    assert_eq!(lab.ignored(&Message::new(3, A)), Ignored::Invalid);
    assert_eq!(
        lab.ignored(&Message::new(3, A).server(SERVER)),
        Ignored::Invalid
    );
}

#[test]
fn packets_for_other_servers_and_links_are_not_ours() {
    let mut lab = Lab::small();
    let mut message = Message::discover(A);
    message.link = OTHER_LINK;
    assert_eq!(lab.ignored(&message), Ignored::NoSubnet);
    message.link.ifindex = 99;
    assert_eq!(lab.ignored(&message), Ignored::NoSubnet);
    let mut routed = Message::renewing(A, ip("10.0.1.15"));
    routed.destination = ip("10.0.0.9");
    assert_eq!(lab.ignored(&routed), Ignored::OtherServer);
    let mut tagged = Message::discover(A);
    tagged.link.outer = 7;
    assert_eq!(lab.ignored(&tagged), Ignored::NoSubnet);
}

#[test]
fn relayed_clients_get_addresses_of_the_relays_subnet() {
    let mut lab = two_subnets();
    let offer = lab.reply(&Message::discover(A).relayed("172.16.0.1"));
    assert_eq!(offer.yiaddr(), ip("172.16.0.10"));
    let request = Message::selecting(A, offer.yiaddr()).relayed("172.16.0.1");
    assert_eq!(lab.reply(&request).kind(), 5);
    assert!(!lab.engine.lease_of(A)[0].memo, "relayed");
    let unknown = Message::discover(A).relayed("172.17.0.1");
    assert_eq!(lab.ignored(&unknown), Ignored::NoSubnet);
}

#[test]
fn a_renewal_copied_by_a_relay_is_answered_to_it_and_never_refused_for_that() {
    let mut lab = two_subnets();
    let offer = lab.reply(&Message::discover(A).relayed("172.16.0.1"));
    let address = offer.yiaddr();
    lab.reply(&Message::selecting(A, address).relayed("172.16.0.1"));
    for giaddr in ["172.16.0.1", "10.0.200.1", "172.30.0.1"] {
        let copy = Message::rebinding(A, address).relayed(giaddr);
        let ack = lab.reply(&copy);
        assert_eq!((ack.kind(), ack.to()), (5, (ip(giaddr), 67)));
        assert_eq!(ack.to_mac(), [2, 0, 0, 0, 0, 0x99]);
        let unknown = Message::rebinding(B, address).relayed(giaddr);
        assert!(matches!(lab.ignored(&unknown), Ignored::Unknown));
    }
    let mut routed = Message::renewing(A, address);
    routed.l2[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x99]);
    let ack = lab.reply(&routed);
    assert_eq!(
        (ack.to(), ack.to_mac()),
        ((address, 68), [2, 0, 0, 0, 0, 0x99])
    );
    assert!(lab.engine.lease_of(A)[0].memo, "taught");
}

#[test]
fn one_mac_may_have_an_address_in_each_subnet() {
    let mut lab = two_subnets();
    let here = lab.bind(A);
    let mut there = Message::discover(A);
    there.link = OTHER_LINK;
    let offer = lab.reply(&there);
    assert_eq!(offer.yiaddr(), ip("192.168.7.100"));
    assert_eq!(offer.option(54), Some(&[192, 168, 7, 1][..]));
    assert_eq!(lab.engine.lease_of(A).len(), 2);
    assert_eq!(lab.engine.lease_at(here).unwrap().kind, Kind::Bound);
}

#[test]
fn of_several_subnets_on_a_link_the_one_where_the_client_is_known_comes_first() {
    let mut second = subnet("10.5.0.0/24", ("10.5.0.10", "10.5.0.19"));
    second.interface = Some("eth3".into());
    reserve(&mut second, B, "10.5.0.50", None);
    let first = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.10"));
    let mut lab = Lab::new(config(vec![first, second]));
    assert_eq!(lab.bind(B), ip("10.5.0.50"));
    assert_eq!(lab.bind(A), ip("10.0.1.10"));
    assert_eq!(lab.bind(mac(1)), ip("10.5.0.10"), "the first is full");
    assert_eq!(lab.bind(mac(1)), ip("10.5.0.10"));
}

#[test]
fn vlans_are_links_of_their_own() {
    let mut net = subnet("10.5.0.0/24", ("10.5.0.10", "10.5.0.19"));
    net.interface = Some("eth3".into());
    net.vlan = [100, 7];
    let mut lab = Lab::new(config(vec![net]));
    assert_eq!(lab.ignored(&Message::discover(A)), Ignored::NoSubnet);
    let mut tagged = Message::discover(A);
    tagged.link.outer = 100;
    tagged.link.inner = 7;
    tagged.l2.truncate(12);
    tagged
        .l2
        .extend([0x88, 0xa8, 0, 100, 0x81, 0, 0x20, 7, 8, 0]);
    let offer = lab.reply(&tagged);
    assert_eq!(offer.yiaddr(), ip("10.5.0.10"));
    assert_eq!(offer.frame[12..22], tagged.l2[12..22]);
}

#[test]
fn a_new_reservation_moves_its_client_at_the_next_renewal() {
    let mut lab = Lab::small();
    let old = lab.bind(A);
    let taken = lab.bind(B);
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    reserve(&mut net, A, &taken.to_string(), None);
    let mut new = config(vec![net]);
    new.fingerprint = 2;
    lab.engine.reload(new.into(), lab.now).unwrap();
    assert_eq!(lab.reply(&Message::renewing(A, old)).kind(), 5, "still B's");
    assert_eq!(lab.reply(&Message::renewing(B, taken)).kind(), 6);
    lab.send(&Message::release(B, taken)).unwrap();
    assert_eq!(lab.reply(&Message::renewing(A, old)).kind(), 6);
    assert_eq!(lab.bind(A), taken);
}

#[test]
fn a_client_keeps_its_address_when_the_subnet_grows() {
    let net = |prefix| {
        let mut net = subnet(prefix, ("10.1.200.10", "10.1.200.19"));
        net.interface = Some("eth3".into());
        config(vec![net])
    };
    let mut lab = Lab::new(net("10.1.0.0/16"));
    let address = lab.bind(A);
    lab.engine
        .reload(net("10.0.0.0/15").into(), lab.now)
        .unwrap();
    assert_eq!(lab.bind(A), address);
    assert_eq!(lab.engine.lease_of(A).len(), 1);
    assert_eq!(lab.engine.known_clients(), 1);
}

#[test]
fn an_address_that_is_ours_no_longer_may_be_given() {
    let mut lab = Lab::new(config(vec![subnet(
        "10.0.0.0/16",
        ("10.0.0.1", "10.0.0.2"),
    )]));
    let given = lab.bind(A);
    assert_eq!(lab.engine.pools()[0].free, 0);
    lab.engine
        .set_interfaces(vec![interface(3, &["10.0.0.2/16"])], lab.now);
    lab.engine
        .set_interfaces(vec![interface(3, &["10.0.9.9/16"])], lab.now);
    assert_eq!(given, ip("10.0.0.2"));
    assert_eq!(lab.engine.pools()[0].free, 1, "the client's stays taken");
    let offer = lab.reply(&Message::discover(mac(2)));
    assert_eq!(offer.yiaddr(), SERVER);
}
