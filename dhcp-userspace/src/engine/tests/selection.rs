//! Which subnet a client is in, and whether the way that its message came is served.

use std::time::Duration;

use dhcp_common::wire::bootp;

use super::lab::*;
use crate::clock::SECOND;
use crate::config::model::{Config, Subnet};
use crate::engine::Ignored;

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xb];
const RELAY: &str = "172.16.0.1";
const FAR_RELAY: &str = "172.17.0.1";

fn local() -> Subnet {
    subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"))
}

fn near() -> Subnet {
    subnet("172.16.0.0/24", ("172.16.0.10", "172.16.0.11"))
}

fn far() -> Subnet {
    subnet("172.17.0.0/24", ("172.17.0.10", "172.17.0.19"))
}

fn three() -> Config {
    config(vec![local(), near(), far()])
}

/// [`near`] and [`far`] are one network.
fn shared() -> Config {
    let mut config = three();
    config.networks = vec!["hall".into()];
    for subnet in &mut config.subnets[1..] {
        subnet.network = Some(0);
    }
    config
}

fn agent(list: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (code, value) in list {
        bytes.extend([*code, value.len() as u8]);
        bytes.extend(*value);
    }
    bytes
}

/// Through the relay, with these sub-options.
fn relayed(message: Message, giaddr: &str, suboptions: &[(u8, &[u8])]) -> Message {
    message.relayed(giaddr).with(82, &agent(suboptions))
}

fn bind_behind(lab: &mut Lab, mac: [u8; 6], giaddr: &str) -> std::net::Ipv4Addr {
    let offer = lab.reply(&Message::discover(mac).relayed(giaddr));
    let request = Message::selecting(mac, offer.yiaddr()).relayed(giaddr);
    let ack = lab.reply(&request);
    assert_eq!(ack.kind(), 5);
    ack.yiaddr()
}

#[test]
fn link_selection_counts_for_more_than_giaddr_which_hears_the_reply() {
    let mut lab = Lab::new(three());
    let select = [(5, &[172, 17, 0, 0][..]), (1, b"port 7")];
    let offer = lab.reply(&relayed(Message::discover(A), RELAY, &select));
    assert_eq!(offer.yiaddr(), ip("172.17.0.10"));
    assert_eq!(offer.to(), (ip(RELAY), 67));
    assert_eq!(offer.option(82), Some(&agent(&select)[..]));
    let not_ours = relayed(Message::discover(B), RELAY, &[(5, &[10, 99, 0, 0])]);
    assert_eq!(lab.ignored(&not_ours), Ignored::NoSubnet);
    let short = relayed(Message::discover(B), RELAY, &[(5, &[10, 99])]);
    assert_eq!(lab.reply(&short).yiaddr(), ip("172.16.0.10"), "no address");
}

#[test]
fn a_client_cannot_select_a_link_with_an_option_82_of_its_own() {
    let mut lab = Lab::new(three());
    let forged = Message::discover(A).with(82, &agent(&[(5, &[172, 17, 0, 0])]));
    assert_eq!(lab.reply(&forged).yiaddr(), ip("10.0.1.10"));
}

#[test]
fn subnet_selection_is_heeded_and_repeated() {
    let mut lab = Lab::new(three());
    let selected = &[172, 17, 0, 0][..];
    let offer = lab.reply(&Message::discover(A).with(118, selected));
    assert_eq!(offer.yiaddr(), ip("172.17.0.10"));
    assert_eq!(offer.option(118), Some(selected));
    let by_relay = Message::discover(A).relayed(RELAY).with(118, selected);
    assert_eq!(lab.reply(&by_relay).yiaddr(), ip("172.17.0.10"));
    let request = Message::selecting(A, offer.yiaddr()).with(118, selected);
    let ack = lab.reply(&request);
    assert_eq!((ack.kind(), ack.option(118)), (5, Some(selected)));
    assert!(
        !lab.engine.lease_of(A)[0].memo,
        "the kernel would leave the option out"
    );
    let renewal = Message::renewing(A, offer.yiaddr()).with(118, selected);
    assert_eq!(lab.reply(&renewal).option(118), Some(selected));
    assert!(!lab.engine.lease_of(A)[0].memo);
    let not_ours = Message::discover(B).with(118, &[10, 99, 0, 0]);
    assert_eq!(lab.ignored(&not_ours), Ignored::NoSubnet);
}

#[test]
fn of_both_selections_the_relay_s_counts() {
    let mut lab = Lab::new(three());
    let both = relayed(Message::discover(A), FAR_RELAY, &[(5, &[172, 16, 0, 0])]);
    let offer = lab.reply(&both.with(118, &[172, 17, 0, 0]));
    assert_eq!(offer.yiaddr(), ip("172.16.0.10"));
}

#[test]
fn a_relay_that_is_listed_stands_for_its_clients_subnet() {
    let mut config = three();
    config.subnets[2].relays = vec![ip("10.99.0.1"), ip("10.0.0.77")];
    let mut lab = Lab::new(config);
    assert_eq!(bind_behind(&mut lab, A, "10.99.0.1"), ip("172.17.0.10"));
    // Although 10.0.0.77 lies in another subnet of ours.
    assert_eq!(bind_behind(&mut lab, B, "10.0.0.77"), ip("172.17.0.11"));
}

#[test]
fn a_shared_network_is_one_place() {
    let mut lab = Lab::new(shared());
    assert_eq!(bind_behind(&mut lab, mac(1), RELAY), ip("172.16.0.10"));
    assert_eq!(bind_behind(&mut lab, mac(2), RELAY), ip("172.16.0.11"));
    let third = bind_behind(&mut lab, mac(3), RELAY);
    assert_eq!(third, ip("172.17.0.10"), "the first is full");
    assert_eq!(bind_behind(&mut lab, mac(4), FAR_RELAY), ip("172.17.0.11"));
    lab.send(&Message::release(mac(1), ip("172.16.0.10")).relayed(RELAY))
        .unwrap();
    assert_eq!(
        bind_behind(&mut lab, mac(3), RELAY),
        third,
        "it keeps what it has"
    );
    let rebinding = relayed(Message::rebinding(mac(3), third), RELAY, &[(10, &[0])]);
    assert_eq!(lab.reply(&rebinding).kind(), 5);
    assert_eq!(
        lab.reply(&Message::init_reboot(mac(3), third).relayed(RELAY))
            .kind(),
        5
    );
}

#[test]
fn a_reservation_elsewhere_in_the_shared_network_counts() {
    let mut lab = Lab::new(shared());
    assert_eq!(bind_behind(&mut lab, A, RELAY), ip("172.16.0.10"));
    lab.reload(|config| {
        reserve(&mut config.subnets[2], A, "172.17.0.50", None);
    });
    let renewal = Message::renewing(A, ip("172.16.0.10"));
    assert_eq!(lab.reply(&renewal).kind(), 6, "it has one of its own now");
    assert_eq!(bind_behind(&mut lab, A, RELAY), ip("172.17.0.50"));
    assert_eq!(
        lab.reply(&Message::renewing(A, ip("172.17.0.50"))).kind(),
        5
    );
}

#[test]
fn a_shared_network_is_on_the_link_of_any_of_its_subnets() {
    let mut config = shared();
    config.subnets[0].network = Some(0);
    config.subnets[0].pools.clear();
    let mut lab = Lab::new(config);
    assert_eq!(lab.bind(A), ip("172.16.0.10"));
    let view = &lab.engine.lease_of(A)[0];
    assert_eq!((view.link, view.memo), (LINK, true));
}

#[test]
fn the_relay_is_the_server_to_clients_where_it_says_so() {
    let mut lab = Lab::new(three());
    let relay = [(11, &[172, 16, 0, 1][..])];
    let offer = lab.reply(&relayed(Message::discover(A), RELAY, &relay));
    let address = offer.yiaddr();
    assert_eq!(offer.option(54), Some(&[172, 16, 0, 1][..]));
    assert_eq!(offer.ip()[12..16], SERVER.octets(), "sent by ourselves");
    assert_eq!(offer.to(), (ip(RELAY), 67));
    let select = Message::new(3, A).server(ip(RELAY)).requested(address);
    let ack = lab.reply(&relayed(select.clone(), RELAY, &relay));
    assert_eq!(
        lab.ignored(&select.relayed(RELAY)),
        Ignored::OtherServer,
        "no override in this packet"
    );
    assert_eq!(
        (ack.kind(), ack.option(54)),
        (5, Some(&[172, 16, 0, 1][..]))
    );
    // The client renews with the relay, which sends it on.
    let renewal = relayed(Message::rebinding(A, address), RELAY, &relay);
    let ack = lab.reply(&renewal);
    assert_eq!((ack.kind(), ack.to()), (5, (ip(RELAY), 67)));
    let release = Message::release(A, address).server(ip(RELAY));
    lab.send(&relayed(release, RELAY, &relay)).unwrap();
    assert_eq!(
        lab.engine.lease_of(A)[0].kind,
        dhcp_common::slot::Kind::Released
    );
}

#[test]
fn what_another_server_behind_the_same_relay_offered_is_not_refused() {
    let mut config = three();
    config.subnets[1].policy.authoritative = true;
    let mut lab = Lab::new(config);
    let relay = [(11, &[172, 16, 0, 1][..])];
    bind_behind(&mut lab, B, RELAY);
    for (mac, address) in [(A, "172.16.0.200"), (A, "172.16.0.10"), (B, "172.16.0.200")] {
        lab.reply(&relayed(Message::discover(mac), RELAY, &relay));
        let theirs = Message::new(3, mac)
            .server(ip(RELAY))
            .requested(ip(address));
        let theirs = relayed(theirs, RELAY, &relay);
        assert_eq!(lab.ignored(&theirs), Ignored::OtherServer);
    }
    assert_eq!(lab.engine.open_offers(), 0, "withdrawn");
}

#[test]
fn a_relay_hears_on_its_own_port_if_it_says_so() {
    let mut lab = Lab::new(three());
    let mut discover = relayed(Message::discover(A), RELAY, &[(19, &[])]);
    discover.source_port = 1067;
    assert_eq!(lab.reply(&discover).to(), (ip(RELAY), 1067));
    let mut silent = Message::discover(A).relayed(RELAY);
    silent.source_port = 1067;
    assert_eq!(lab.reply(&silent).to(), (ip(RELAY), 67));
}

#[test]
fn a_client_that_moved_behind_another_relay_is_told() {
    let mut lab = Lab::new(three());
    let address = bind_behind(&mut lab, A, RELAY);
    let moved = |flags| relayed(Message::rebinding(A, address), FAR_RELAY, &[(10, flags)]);
    let nak = lab.reply(&moved(&[0]));
    assert_eq!((nak.kind(), nak.to()), (6, (ip(FAR_RELAY), 67)));
    assert_eq!(
        lab.reply(&moved(&[0x80])).kind(),
        5,
        "a copy of what it routes"
    );
    let stranger = relayed(Message::rebinding(B, address), FAR_RELAY, &[(10, &[0])]);
    assert_eq!(lab.ignored(&stranger), Ignored::Unknown);
    let at_home = relayed(Message::rebinding(A, address), RELAY, &[(10, &[0])]);
    assert_eq!(lab.reply(&at_home).kind(), 5);
}

#[test]
fn a_relay_that_does_not_tell_is_believed_to_copy_until_t2() {
    let mut lab = Lab::new(three());
    let address = bind_behind(&mut lab, A, RELAY);
    let moved = Message::rebinding(A, address).relayed(FAR_RELAY);
    lab.pass(LEASE * 3 / 4);
    assert_eq!(lab.reply(&moved).kind(), 5);
    lab.pass(LEASE * 7 / 8 + SECOND);
    let on_our_link = Message::rebinding(A, address).relayed("10.0.200.1");
    let unknown = Message::rebinding(A, address).relayed("172.30.0.1");
    assert_eq!(lab.reply(&moved).kind(), 6);
    assert_eq!(lab.reply(&on_our_link).kind(), 5, "the relay's other side");
    lab.pass(LEASE * 7 / 8 + SECOND);
    assert_eq!(lab.reply(&unknown).kind(), 5);
}

#[test]
fn relays_are_allowed_by_giaddr_and_source() {
    let mut config = three();
    config.server.allowed_relays = vec!["172.16.0.0/30".parse().unwrap()];
    let mut lab = Lab::new(config);
    assert_eq!(bind_behind(&mut lab, A, RELAY), ip("172.16.0.10"));
    let mut forged = Message::discover(B).relayed(RELAY);
    forged.source = ip("10.0.66.6");
    assert_eq!(lab.ignored(&forged), Ignored::RelayNotAllowed);
    let other = Message::discover(B).relayed(FAR_RELAY);
    assert_eq!(lab.ignored(&other), Ignored::RelayNotAllowed);
    assert_eq!(lab.bind(B), ip("10.0.1.10"), "local clients have no relay");
}

#[test]
fn local_and_relayed_clients_are_served_apart() {
    let mut config = three();
    config.server.serve_local = false;
    let mut lab = Lab::new(config);
    assert_eq!(lab.ignored(&Message::discover(A)), Ignored::LocalOff);
    let address = bind_behind(&mut lab, A, RELAY);
    let routed = Message::renewing(A, address);
    assert_eq!(lab.reply(&routed).kind(), 5, "behind a router");
    assert!(lab.engine.lease_of(A)[0].memo);
    lab.reload(|config| {
        config.server.serve_local = true;
        config.server.serve_relayed = false;
    });
    assert!(!lab.engine.lease_of(A)[0].memo, "the kernel is silent too");
    assert_eq!(lab.ignored(&routed), Ignored::RelayedOff);
    let relayed = Message::discover(A).relayed(RELAY);
    assert_eq!(lab.ignored(&relayed), Ignored::RelayedOff);
    let here = lab.bind(B);
    lab.reply(&Message::renewing(B, here));
    lab.reload(|config| config.server.serve_local = false);
    assert!(!lab.engine.lease_of(B)[0].memo);
    assert_eq!(lab.ignored(&Message::renewing(B, here)), Ignored::LocalOff);
}

#[test]
fn the_other_switch_keeps_the_memos() {
    let mut lab = Lab::new(three());
    let here = lab.bind(A);
    let there = bind_behind(&mut lab, B, RELAY);
    lab.reply(&Message::renewing(B, there));
    let memos = |lab: &Lab| [A, B].map(|mac| lab.engine.lease_of(mac)[0].memo);
    assert_eq!(memos(&lab), [true, true]);
    lab.reload(|config| {
        config.server.serve_relayed = false;
        config.server.offer_hold = Duration::from_secs(5);
    });
    assert_eq!(memos(&lab), [true, false]);
    let ack = lab.reply(&Message::renewing(A, here));
    assert_eq!(ack.address(bootp::CIADDR), here);
}

#[test]
fn a_changed_shared_network_drops_its_memos_and_no_others() {
    let mut lab = Lab::new(shared());
    let address = bind_behind(&mut lab, A, RELAY);
    lab.reply(&Message::renewing(A, address));
    lab.bind(B);
    let memos = |lab: &Lab| [A, B].map(|mac| lab.engine.lease_of(mac)[0].memo);
    lab.reload(|config| config.networks = vec!["room".into()]);
    assert_eq!(memos(&lab), [true, true], "a name is nothing");
    lab.reload(|config| config.subnets[2].network = None);
    assert_eq!(memos(&lab), [false, true]);
}
