//! BOOTP clients (RFC 951, RFC 1534).

use dhcp_common::slot::Kind;
use dhcp_common::wire::bootp;

use super::lab::*;
use crate::clock::{Now, SECOND};
use crate::config::model::{Bootp, Subnet};
use crate::engine::{EventKind, Ignored, Outcome};
use crate::lease::yaml::File;

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xb];
/// 2^32 - 1 seconds.
const FOR_GOOD: u64 = u32::MAX as u64 * SECOND;

fn lab(bootp: Bootp) -> Lab {
    let mut subnet: Subnet = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    reserve(&mut subnet, A, "10.0.2.1", Some("node"));
    subnet.policy.bootp = bootp;
    subnet.boot.file = "pxelinux.0".to_owned();
    Lab::new(config(vec![subnet]))
}

/// As the oldest clients send it: without a cookie, and no longer than that.
fn bare(mac: [u8; 6]) -> Message {
    let mut message = Message::new(0, mac);
    message.options.clear();
    message.edit = |bytes| {
        bytes.truncate(236);
        bytes[bootp::SNAME..bootp::FILE].fill(0);
    };
    message
}

fn with_cookie(mac: [u8; 6]) -> Message {
    let mut message = Message::new(0, mac);
    message.options.clear();
    message.edit = |bytes| bytes[bootp::SNAME..bootp::FILE].fill(0);
    message
}

#[test]
fn where_it_is_off_nobody_is_answered_and_where_reserved_no_stranger() {
    for message in [bare(A), with_cookie(A)] {
        assert_eq!(lab(Bootp::Off).ignored(&message), Ignored::Bootp);
    }
    for message in [bare(B), with_cookie(B)] {
        assert_eq!(lab(Bootp::Reserved).ignored(&message), Ignored::Bootp);
    }
}

#[test]
fn the_reply_is_of_the_clients_age() {
    let mut lab = lab(Bootp::Reserved);
    let reply = lab.reply(&bare(A));
    assert_eq!(
        (reply.yiaddr(), reply.message().len()),
        (ip("10.0.2.1"), 300)
    );
    assert_eq!(reply.message()[..4], [2, 1, 6, 0]);
    assert_eq!(reply.message()[236..], [0; 64]);
    assert_eq!(&reply.message()[108..119], b"pxelinux.0\0");
    assert_eq!(reply.address(20), SERVER);
    assert_eq!((reply.to(), reply.to_mac()), ((ip("10.0.2.1"), 68), A));
    let reply = lab.reply(&with_cookie(A));
    assert_eq!(reply.message().len(), 300);
    assert_eq!(reply.message()[236..240], [0x63, 0x82, 0x53, 0x63]);
    assert_eq!(reply.codes(), [1, 3, 6, 12, 15]);
    assert_eq!(reply.option(1), Some(&[255, 255, 0, 0][..]));
    assert_eq!(reply.option(12), Some(&b"node"[..]));
}

#[test]
fn options_that_do_not_fit_are_left_out() {
    let mut lab = lab(Bootp::Dynamic);
    let mut new = (*lab.engine.config()).clone();
    new.subnets[0].options = options(&[
        (3, &[7; 4], false),
        (17, &[b'a'; 60], false),
        (42, &[8; 4], false),
    ]);
    lab.engine.reload(new.into(), lab.now).unwrap();
    let reply = lab.reply(&with_cookie(A));
    assert_eq!(
        (reply.message().len(), reply.codes()),
        (300, vec![1, 3, 12, 42])
    );
}

#[test]
fn an_address_is_given_for_good_and_recorded_before_it_is_said() {
    let mut lab = lab(Bootp::Dynamic);
    let mut reply = Vec::new();
    let Outcome::Commit(commit) = lab.handle(&bare(B), &mut reply) else {
        panic!("granted before its record");
    };
    assert_eq!(commit.record.reserved_until, lab.now.boot + FOR_GOOD);
    lab.commit(commit);
    let address = lab.reply(&bare(B)).yiaddr();
    assert_eq!(lab.events.last().unwrap().kind, EventKind::Renew);
    assert_eq!(lab.records.len(), 1, "asked again: nothing new to record");
    lab.pass(50 * 365 * 86_400 * SECOND);
    lab.sweep();
    let view = lab.engine.lease_at(address).unwrap();
    assert_eq!((view.kind, view.memo), (Kind::Bound, false));
    assert_eq!(lab.reply(&bare(B)).yiaddr(), address);
    for i in 0..9 {
        assert_ne!(lab.bind(mac(i)), address);
    }
    assert_eq!(lab.ignored(&bare(mac(99))), Ignored::NoAddress);
}

#[test]
fn for_good_is_for_good_on_disk_and_in_yaml_too() {
    let mut lab = lab(Bootp::Dynamic);
    let address = lab.reply(&bare(B)).yiaddr();
    let text = File::new(&lab.engine.leases(), lab.now).to_string();
    let entry = File::parse(&text).unwrap().leases.remove(0);
    assert_eq!(entry.expires, lab.now.unix / SECOND + u64::from(u32::MAX));
    assert_eq!(entry.binding(lab.now).expires, lab.now.boot + FOR_GOOD);
    // A record that is read after a reboot: the clock has begun anew.
    let mut record = lab.records[0].clone();
    let reboot = Now {
        boot: 5 * SECOND,
        unix: lab.now.unix + 100 * SECOND,
    };
    record.reserved_until = reboot.to_boot(lab.now.to_unix(record.reserved_until));
    let mut again = self::lab(Bootp::Dynamic);
    again.now = reboot;
    again.engine.restore([record], reboot);
    assert_eq!(again.reply(&bare(B)).yiaddr(), address);
    assert!(again.records.is_empty());
}

#[test]
fn the_same_machine_keeps_its_address_as_it_comes_to_speak_dhcp_but_no_longer_for_good() {
    let mut lab = lab(Bootp::Dynamic);
    let address = lab.reply(&bare(B)).yiaddr();
    lab.records.clear();
    assert_eq!(lab.bind(B), address);
    let view = lab.engine.lease_at(address).unwrap();
    assert_eq!(view.expires, lab.now.boot + LEASE);
    assert_eq!(
        lab.records.last().unwrap().reserved_until,
        lab.now.boot + 2 * LEASE
    );
    lab.pass(LEASE);
    lab.sweep();
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Expired);
    // And its firmware again, as it starts the next time.
    assert_eq!(lab.reply(&bare(B)).yiaddr(), address);
    assert_eq!(
        lab.engine.lease_at(address).unwrap().expires,
        lab.now.boot + FOR_GOOD
    );
}

/// Anybody on its link may speak DHCP in its name: what that costs it is the end of the lease, and not
/// an address that is reserved.
#[test]
fn a_reserved_address_is_nobody_elses_whatever_is_said_in_its_holders_name() {
    let mut subnet: Subnet = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.13"));
    let own = "10.0.1.11";
    reserve(&mut subnet, A, own, None);
    subnet.policy.bootp = Bootp::Reserved;
    let mut lab = Lab::new(config(vec![subnet]));
    let own = ip(own);
    assert_eq!(lab.reply(&bare(A)).yiaddr(), own);
    assert_eq!(lab.reply(&Message::renewing(A, own)).kind(), 5);
    assert_eq!(
        lab.engine.lease_at(own).unwrap().expires,
        lab.now.boot + LEASE,
        "as by any client with this MAC"
    );
    lab.pass(3 * LEASE);
    lab.sweep();
    for number in 0..3 {
        assert_ne!(lab.bind(mac(number)), own);
    }
    assert_eq!(lab.ignored(&Message::discover(mac(9))), Ignored::NoAddress);
    assert_eq!(lab.reply(&bare(A)).yiaddr(), own);
    let expires = lab.engine.lease_at(own).unwrap().expires;
    assert_eq!(expires, lab.now.boot + FOR_GOOD);
}

#[test]
fn who_was_refused_another_address_is_known_by_the_one_it_has() {
    let mut lab = lab(Bootp::Dynamic);
    let own = lab.reply(&bare(B)).yiaddr();
    let before = lab.engine.config();
    let mut without = (*before).clone();
    without.subnets[0].pools[0].first = ip("10.0.1.15");
    lab.engine.reload(without.into(), lab.now).unwrap();
    let mut reply = Vec::new();
    let Outcome::Commit(commit) = lab.handle(&bare(B), &mut reply) else {
        panic!("its address is of no pool any more");
    };
    assert_ne!(commit.record.address, own);
    lab.engine.refuse(&commit.change, lab.now);
    lab.engine.reload(before, lab.now).unwrap();
    assert_eq!(lab.reply(&bare(B)).yiaddr(), own);
    lab.engine.audit().unwrap();
}

#[test]
fn for_good_stays_while_the_record_of_another_lease_is_refused() {
    let mut lab = lab(Bootp::Dynamic);
    let address = lab.reply(&bare(B)).yiaddr();
    let until = lab.engine.lease_at(address).unwrap().expires;
    let mut reply = Vec::new();
    let Outcome::Commit(commit) = lab.handle(&Message::selecting(B, address), &mut reply) else {
        panic!("granted before its record");
    };
    lab.engine.refuse(&commit.change, lab.now);
    assert_eq!(lab.engine.lease_at(address).unwrap().expires, until);
}

#[test]
fn a_flood_gets_half_of_the_pool_and_the_others_their_address() {
    let mut lab = lab(Bootp::Dynamic);
    let bound = (100..200).filter(|number| lab.send(&bare(mac(*number))).is_ok());
    let bound: Vec<u32> = bound.collect();
    assert!((1..=5).contains(&bound.len()), "{bound:?}");
    assert!(lab.send(&bare(mac(bound[0]))).is_ok(), "has one");
    assert_eq!(lab.reply(&bare(A)).yiaddr(), ip("10.0.2.1"), "reserved");
    lab.bind(B);
}

#[test]
fn who_has_an_address_by_other_means_gets_none_for_good() {
    let mut lab = lab(Bootp::Dynamic);
    let mut message = bare(B);
    message.ciaddr = ip("10.0.3.3");
    assert_eq!(lab.ignored(&message), Ignored::NoAddress);
}

#[test]
fn bootp_clients_wait_as_long_as_the_others() {
    let mut lab = lab(Bootp::Dynamic);
    lab.reload(|config| config.subnets[0].policy.min_secs = 4);
    assert_eq!(lab.ignored(&bare(B)), Ignored::TooEarly);
    let mut message = bare(B);
    message.secs = 4;
    assert!(lab.send(&message).is_ok());
}

#[test]
fn a_client_that_names_its_server_hears_no_other_one() {
    let mut lab = lab(Bootp::Dynamic);
    lab.reload(|config| config.subnets[0].boot.server_name = "ours".to_owned());
    let mut message = with_cookie(B);
    message.edit = |bytes| bytes[bootp::SNAME..][..5].copy_from_slice(b"junk\0");
    assert_eq!(lab.ignored(&message), Ignored::OtherServer);
    message.edit = |bytes| bytes[bootp::SNAME..][..5].copy_from_slice(b"OURS\0");
    assert!(lab.send(&message).is_ok());
}
