//! The short form, key by key.

use std::net::Ipv4Addr;

use crate::class::testing::{MAC, captured, matches, matches_as, message, opt, relayed};
use crate::class::{ClassId, Test};

#[test]
fn arch_is_any_of_the_types_listed() {
    let several = message(&opt(93, &[0, 7, 0, 16]));
    assert!(matches(&Test::arch(7), &several) && matches(&Test::arch(16), &several));
    assert!(!matches(&Test::arch(0x0700), &several), "types, not bytes");
    assert!(!matches(&Test::arch(0), &message(&[])));
    assert!(
        !matches(&Test::arch(0), &message(&opt(93, &[0]))),
        "half a type"
    );
}

#[test]
fn vendor_class() {
    for (name, bytes) in captured("udhcpc")
        .iter()
        .filter(|(name, _)| name != "release")
    {
        assert!(
            matches(&Test::vendor_class("udhcp 1.35.0"), bytes),
            "{name}"
        );
        assert!(matches(&Test::vendor_class("udhcp*"), bytes), "{name}");
        assert!(!matches(&Test::vendor_class("udhcp"), bytes), "{name}");
    }
    assert!(
        !matches(&Test::vendor_class("*"), &message(&[])),
        "it is not there"
    );
}

#[test]
fn user_class_in_both_formats() {
    let ipxe = Test::user_class("iPXE");
    assert!(matches(&ipxe, &message(&opt(77, b"iPXE"))));
    assert!(matches(&ipxe, &message(&opt(77, b"\x03foo\x04iPXE"))));
    assert!(!matches(&ipxe, &message(&opt(77, b"\x05iPXE!"))));
    assert!(matches(
        &Test::user_class("iP*"),
        &message(&opt(77, b"\x04iPXE"))
    ));
    assert!(!matches(&ipxe, &message(&[])));
}

#[test]
fn mac_and_relay() {
    let bytes = relayed(Ipv4Addr::new(10, 1, 2, 3), &[]);
    assert!(matches(&Test::mac("52:54:00:*").unwrap(), &bytes));
    assert!(matches(&Test::mac("52:54:00:12:34:AB").unwrap(), &bytes));
    assert!(!matches(&Test::mac("52:54:01:*").unwrap(), &bytes));
    assert!(Test::mac("52:5*").is_err());
    assert!(matches(
        &Test::relay("10.1.0.0/16".parse().unwrap()),
        &bytes
    ));
    assert!(!matches(
        &Test::relay("10.2.0.0/16".parse().unwrap()),
        &bytes
    ));
    assert!(
        !matches(&Test::relay("0.0.0.0/0".parse().unwrap()), &message(&[])),
        "no relay"
    );
}

#[test]
fn relay_identifiers() {
    let agent = [opt(1, b"eth0:7"), opt(2, &MAC)].concat();
    let bytes = message(&opt(82, &agent));
    assert!(matches(&Test::circuit_id("eth0:7").unwrap(), &bytes));
    assert!(matches(&Test::circuit_id("eth0:*").unwrap(), &bytes));
    assert!(!matches(&Test::circuit_id("eth0").unwrap(), &bytes));
    assert!(matches(&Test::remote_id("0x5254001234ab").unwrap(), &bytes));
    assert!(matches(&Test::remote_id("0x5254*").unwrap(), &bytes));
    assert!(!matches(&Test::remote_id("*").unwrap(), &message(&[])));
    assert!(Test::circuit_id("0x123").is_err() && Test::remote_id("0x").is_err());
}

#[test]
fn any_option() {
    let bytes = message(&[opt(175, &[]), opt(12, b"node7")].concat());
    assert!(matches(&Test::option(175, None).unwrap(), &bytes));
    assert!(!matches(&Test::option(176, None).unwrap(), &bytes));
    assert!(matches(&Test::option(12, Some("node*")).unwrap(), &bytes));
    assert!(matches(&Test::option(12, Some("0x6e6f*")).unwrap(), &bytes));
    assert!(!matches(&Test::option(12, Some("node")).unwrap(), &bytes));
    assert_eq!(Test::option(50, Some("10.*")).unwrap_err().at, 0..4);
}

#[test]
fn tests_of_tests() {
    let bytes = message(&[]);
    let is = |test: &Test| matches_as(test, &bytes, &[ClassId(3)], true);
    let (yes, no) = (Test::member(ClassId(3)), Test::member(ClassId(4)));
    assert!(is(&yes) && !is(&no) && is(&Test::known()) && !is(&Test::unknown()));
    assert!(is(&Test::all(vec![yes.clone(), Test::known()])));
    assert!(!is(&Test::all(vec![yes.clone(), no.clone()])));
    assert!(is(&Test::any(vec![no.clone(), yes.clone()])));
    assert!(!is(&Test::any(vec![no.clone(), Test::not(yes)])));
    assert!(is(&Test::all(vec![])) && !is(&Test::any(vec![])));
}
