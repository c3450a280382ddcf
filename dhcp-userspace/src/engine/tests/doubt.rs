//! After damage to the journal: no client whose record is lost loses its address to another one.

use std::sync::Arc;
use std::time::Duration;

use dhcp_common::slot::Kind;

use super::lab::*;
use crate::clock::SECOND;
use crate::config::Config;
use crate::config::model::Bootp;
use crate::engine::{Ignored, Outcome};
use crate::lease::table::{Size, Table};

const X: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];
const Y: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xb];

/// Tells strangers no, commits at once, and gives BOOTP clients any address.
fn eager() -> Config {
    let mut subnet = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    subnet.policy.authoritative = true;
    subnet.policy.rapid_commit = true;
    subnet.policy.bootp = Bootp::Dynamic;
    config(vec![subnet])
}

fn doubtful() -> Lab {
    let lab = Lab::new(eager());
    lab.engine.doubt(lab.now);
    lab
}

/// A server that finds of an address only that Y had it before X.
fn with_an_older_record() -> (Lab, std::net::Ipv4Addr) {
    let mut old = Lab::new(eager());
    let address = old.bind(Y);
    old.pass(2 * LEASE + SECOND);
    let table = Arc::new(Table::anonymous(Size::for_addresses(64, 8)).unwrap());
    let mut lab = Lab::over(eager(), table);
    lab.now = old.now;
    lab.engine.restore(old.records, lab.now);
    lab.engine.doubt(lab.now);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Expired);
    (lab, address)
}

fn bootp(mac: [u8; 6]) -> Message {
    let mut message = Message::new(0, mac);
    message.options.clear();
    message.edit = |bytes| {
        bytes.truncate(236);
        bytes[44..].fill(0);
    };
    message
}

fn is_probed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Later(later) if later.probe.is_some())
}

#[test]
fn a_holder_that_renews_what_is_only_offered_to_another_keeps_it() {
    for renewal in [Message::renewing, Message::rebinding] {
        let mut lab = doubtful();
        let address = lab.reply(&Message::discover(Y)).yiaddr();
        let ack = lab.reply(&renewal(X, address));
        assert_eq!((ack.kind(), ack.yiaddr()), (5, address));
        assert_eq!(lab.engine.open_offers(), 0, "Y has none any more");
        assert_eq!(lab.reply(&Message::selecting(Y, address)).kind(), 6);
        assert_ne!(lab.bind(Y), address);
        assert_eq!(lab.engine.lease_at(address).unwrap().mac, X);
    }
}

#[test]
fn whoever_renews_what_another_has_been_given_is_told_no() {
    let mut lab = doubtful();
    let address = lab.bind(Y);
    assert_eq!(lab.reply(&Message::renewing(X, address)).kind(), 6);
    let mut sure = Lab::new(eager());
    let address = sure.reply(&Message::discover(Y)).yiaddr();
    assert_eq!(sure.reply(&Message::renewing(X, address)).kind(), 6);
}

#[test]
fn a_restarted_client_is_given_what_it_has_and_nothing_else_without_a_probe() {
    let (mut lab, address) = with_an_older_record();
    let free = ip("10.0.1.19");
    for (mac, wanted) in [(Y, address), (X, address), (X, free)] {
        let silence = lab.ignored(&Message::init_reboot(mac, wanted));
        assert_eq!(silence, Ignored::Unknown);
    }
    let mut reply = Vec::new();
    assert!(is_probed(&lab.handle(&Message::discover(Y), &mut reply)));
    let silence = lab.ignored(&Message::init_reboot(X, address));
    assert_eq!(silence, Ignored::Unknown, "Y has only been offered it");
    let own = lab.bind(Y);
    assert_eq!(lab.reply(&Message::init_reboot(Y, own)).kind(), 5);
    assert_eq!(lab.reply(&Message::init_reboot(X, own)).kind(), 6);
}

#[test]
fn rapid_commit_waits_for_the_probe() {
    let (mut lab, address) = with_an_older_record();
    let mut reply = Vec::new();
    for mac in [Y, X] {
        let rapid = Message::discover(mac).with(80, &[]);
        let offer = lab.handle(&rapid, &mut reply);
        assert!(is_probed(&offer), "{offer:?}");
    }
    assert_eq!(lab.reply(&Message::selecting(Y, address)).kind(), 5);
    let again = Message::discover(Y).with(80, &[]);
    assert_eq!(lab.reply(&again).kind(), 5, "it has it");
}

#[test]
fn no_address_is_given_for_good_that_the_client_does_not_have() {
    let (mut lab, address) = with_an_older_record();
    assert_eq!(lab.ignored(&bootp(X)), Ignored::NoAddress);
    assert_eq!(lab.ignored(&bootp(Y)), Ignored::NoAddress, "it had one");
    assert_eq!(lab.bind(Y), address);
    assert_eq!(lab.reply(&bootp(Y)).yiaddr(), address);
    lab.pass(30 * 86400 * SECOND);
    let given = lab.reply(&bootp(X)).yiaddr();
    assert_ne!(given, address);
}

#[test]
fn leases_for_good_do_not_make_it_last_for_good() {
    let day = Duration::from_secs(86400);
    let doubt = |config: Config, bind: &dyn Fn(&mut Lab)| {
        let mut lab = Lab::new(config);
        bind(&mut lab);
        lab.engine.doubt(lab.now)
    };
    let by_bootp = |lab: &mut Lab| drop(lab.reply(&bootp(X)));
    for bind in [&|_: &mut Lab| {}, &by_bootp as &dyn Fn(&mut Lab)] {
        let doubted = doubt(eager(), bind);
        assert_eq!((doubted.lasts, doubted.for_good), (30 * day, true));
    }
    // Who promised more waits for longer.
    let mut patient = eager();
    patient.subnets[0].times.lease = 40 * day;
    let doubted = doubt(patient, &by_bootp);
    assert!(doubted.lasts >= 40 * day && doubted.for_good);
    let mut without = eager();
    without.subnets[0].policy.bootp = Bootp::Off;
    let doubted = doubt(without, &|_| {});
    assert!(doubted.lasts < day && !doubted.for_good);
}
