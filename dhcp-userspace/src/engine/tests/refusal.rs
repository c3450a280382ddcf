//! NAK, DECLINE and RELEASE: whom they reach, and from whom they count.

use dhcp_common::slot::Kind;

use super::lab::*;
use crate::clock::SECOND;
use crate::engine::{EventKind, Ignored};
use crate::journal::Kind as RecordKind;

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xb];

/// An authoritative subnet on one link, one that is not on another.
fn two_minds() -> Lab {
    let mut sure = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    sure.policy.authoritative = true;
    let unsure = subnet("192.168.7.0/24", ("192.168.7.10", "192.168.7.19"));
    Lab::new(config(vec![sure, unsure]))
}

fn on_other_link(mut message: Message) -> Message {
    message.link = OTHER_LINK;
    message
}

#[test]
fn strangers_are_refused_where_the_subnet_is_authoritative_and_nowhere_else() {
    let mut lab = two_minds();
    let address = ip("10.0.1.15");
    let ours = [
        Message::init_reboot(A, address),
        Message::init_reboot(A, ip("172.16.0.1")),
        Message::renewing(A, address),
        Message::rebinding(A, address),
        Message::rebinding(A, ip("172.16.0.1")),
    ];
    for message in ours {
        let nak = lab.reply(&message);
        assert_eq!((nak.kind(), nak.to().0, nak.to_mac()), (6, ALL, [0xff; 6]));
        assert_eq!(nak.option(51), None);
    }
    let address = ip("192.168.7.15");
    let theirs = [
        Message::init_reboot(A, address),
        Message::init_reboot(A, ip("172.16.0.1")),
        Message::rebinding(A, address),
        Message::rebinding(A, ip("172.16.0.1")),
    ];
    for message in theirs {
        assert_eq!(lab.ignored(&on_other_link(message)), Ignored::Unknown);
    }
    // Whoever chose this server hears from it: RFC 2131 section 4.3.2.
    let wrong = Message::new(3, A)
        .server(ip("192.168.7.1"))
        .requested(ip("10.0.1.15"));
    assert_eq!(lab.reply(&on_other_link(wrong)).kind(), 6);
}

#[test]
fn a_known_client_is_refused_a_wrong_address_by_any_subnet() {
    let mut lab = two_minds();
    let offer = lab.reply(&on_other_link(Message::discover(A)));
    let select = Message::new(3, A)
        .server(ip("192.168.7.1"))
        .requested(offer.yiaddr());
    assert_eq!(lab.reply(&on_other_link(select)).kind(), 5);
    let other = Message::init_reboot(A, ip("192.168.7.19"));
    assert_eq!(lab.reply(&on_other_link(other)).kind(), 6);
}

#[test]
fn behind_a_relay_a_nak_goes_to_the_relay_to_be_broadcast() {
    let mut lab = two_minds();
    let message = Message::init_reboot(A, ip("172.16.0.1")).relayed("10.0.7.7");
    let nak = lab.reply(&message);
    assert_eq!((nak.kind(), nak.to()), (6, (ip("10.0.7.7"), 67)));
    assert_ne!(nak.message()[10] & 0x80, 0);
}

#[test]
fn who_declines_everything_does_not_empty_the_pool() {
    let mut lab = Lab::small();
    for _ in 0..3 {
        let address = lab.bind(A);
        assert!(lab.send(&Message::decline(A, address)).unwrap().is_none());
        assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Declined);
    }
    let address = lab.bind(A);
    assert!(lab.send(&Message::decline(A, address)).unwrap().is_none());
    assert_eq!(lab.engine.lease_at(address), None, "free, and not A's");
    let record = lab.records.last().unwrap();
    assert_eq!(
        (record.address, record.kind),
        (address, RecordKind::Forgotten)
    );
    let wish = Message::discover(A).requested(address);
    assert_ne!(lab.reply(&wish).yiaddr(), address);
    assert_eq!(lab.seen(EventKind::Decline), 4);
    let others = lab.bind(B);
    assert!(
        lab.send(&Message::decline(B, others)).is_ok(),
        "bounded for each client"
    );
    lab.pass(3600 * SECOND);
    let address = lab.bind(A);
    assert!(
        lab.send(&Message::decline(A, address)).is_ok(),
        "an hour later"
    );
}

#[test]
fn what_is_only_offered_is_free_again_when_it_is_declined() {
    let mut lab = Lab::small();
    let before = lab.engine.pools();
    let address = lab.reply(&Message::discover(A)).yiaddr();
    let decline = Message::decline(A, address);
    assert_eq!(lab.ignored(&decline), Ignored::NotHolder);
    assert_eq!((lab.engine.pools(), lab.engine.open_offers()), (before, 0));
    assert!(lab.records.is_empty());
    let wish = Message::discover(A).requested(address);
    assert_ne!(lab.reply(&wish).yiaddr(), address, "not for him just now");
    let wish = Message::discover(B).requested(address);
    assert_eq!(lab.reply(&wish).yiaddr(), address);
}

#[test]
fn a_release_counts_from_its_holder_alone_by_whatever_way() {
    let release = |mac, address| Message::release(mac, address);
    let mut lab = Lab::small();
    let address = lab.bind(A);
    let refused = [
        release(B, address),
        release(A, ip("10.0.1.19")),
        release(A, ANYONE),
        release(B, address).relayed("10.0.7.7"),
    ];
    for message in refused {
        assert_eq!(lab.ignored(&message), Ignored::NotHolder);
    }
    let elsewhere = release(A, address).server(ip("10.9.9.9"));
    assert_eq!(lab.ignored(&elsewhere), Ignored::OtherServer);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Bound);
    // As systemd-networkd sends it: without option 54.
    assert!(lab.send(&release(A, address)).unwrap().is_none());
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Released);
    assert_eq!(
        lab.ignored(&release(A, address)),
        Ignored::NotHolder,
        "once"
    );
    let again = lab.bind(A);
    assert_eq!(again, address);
    let relayed = release(A, address).server(SERVER).relayed("10.0.7.7");
    assert!(lab.send(&relayed).unwrap().is_none());
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Released);
}

#[test]
fn an_inform_by_way_of_a_relay_is_answered_to_it() {
    let mut lab = Lab::small();
    let mut inform = Message::new(8, A).with(55, &[3, 6]).relayed("10.0.7.7");
    inform.ciaddr = ip("10.0.3.3");
    let ack = lab.reply(&inform);
    assert_eq!((ack.kind(), ack.to()), (5, (ip("10.0.7.7"), 67)));
    assert_eq!((ack.address(12), ack.yiaddr()), (ip("10.0.3.3"), ANYONE));
    assert_eq!(ack.option(3), Some(&[10, 0, 0, 254][..]));
    for code in [51, 58, 59] {
        assert_eq!(ack.option(code), None);
    }
    // A scanner's probe: ciaddr all ones, from some port.
    let mut probe = Message::new(8, A);
    (probe.ciaddr, probe.source, probe.source_port) = (ALL, ip("10.0.3.3"), 40_000);
    assert_eq!(lab.reply(&probe).to(), (ip("10.0.3.3"), 40_000));
}
