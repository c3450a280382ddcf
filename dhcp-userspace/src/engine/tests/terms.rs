//! What a client gets beside its address, and which level says so.

use std::collections::BTreeMap;
use std::time::Duration;

use dhcp_common::wire::bootp;

use super::lab::*;
use crate::class::ClassId;
use crate::config::model::{
    BootOverrides, Class, Config, Identifier, Level, Mac, OptionValue, Pool, Reservation, Times,
};

const A: Mac = [0x52, 0x54, 0, 0, 0, 0xa];
const B: Mac = [0x52, 0x54, 0, 0, 0, 0xb];

/// Its times, options 15 and `code`, and boot file say who it is.
fn level(name: &str, code: u8, minutes: u64) -> Level {
    let value = || {
        Some(OptionValue {
            data: name.as_bytes().to_vec(),
            always_send: true,
        })
    };
    Level {
        times: Some(Times::of(Duration::from_secs(minutes * 60))),
        options: BTreeMap::from([(15, value()), (code, value())]),
        boot: BootOverrides {
            file: Some(name.into()),
            ..BootOverrides::default()
        },
    }
}

fn class(name: &str, level: Level) -> Class {
    Class {
        name: name.into(),
        test: None,
        level,
        ignore: false,
    }
}

/// A host of two classes in a pool, all with something to say.
fn levels() -> Config {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.pools[0].level = level("pool", 101, 10);
    net.pools.push(Pool::open((ip("10.0.2.0"), ip("10.0.2.9"))));
    net.hosts.insert(Reservation {
        level: level("host", 104, 40).into(),
        classes: vec![ClassId(1), ClassId(0)],
        ..Reservation::new(Identifier::Mac(A), None)
    });
    let mut config = config(vec![net]);
    config.classes = vec![
        class("first", level("first", 102, 20)),
        class("second", level("second", 103, 30)),
        class("third", level("third", 105, 50)),
    ];
    config
}

fn file(reply: &Reply) -> String {
    let field = reply.message()[bootp::FILE..bootp::COOKIE].iter();
    let text: Vec<u8> = field.copied().take_while(|byte| *byte != 0).collect();
    String::from_utf8(text).unwrap()
}

fn seconds(reply: &Reply, code: u8) -> u32 {
    u32::from_be_bytes(reply.option(code).unwrap().try_into().unwrap())
}

fn assert_says(reply: &Reply, name: &str, minutes: u32) {
    assert_eq!(reply.option(15), Some(name.as_bytes()));
    assert_eq!(file(reply), name);
    assert_eq!(seconds(reply, 51), minutes * 60);
}

#[test]
fn the_most_specific_level_counts_and_the_others_fill_in() {
    let mut config = levels();
    let clear = |level: &mut Level| {
        level.times = None;
        level.options.remove(&15);
        level.boot = BootOverrides::default();
    };
    let offer = Lab::new(config.clone()).reply(&Message::discover(A));
    assert_says(&offer, "host", 40);
    for (code, name) in [
        (101, "pool"),
        (102, "first"),
        (103, "second"),
        (104, "host"),
    ] {
        assert_eq!(offer.option(code), Some(name.as_bytes()));
    }
    assert_eq!(offer.option(105), None, "not a member");
    let mut host = config.subnets[0].hosts.iter().next().unwrap().clone();
    clear(&mut host.level);
    config.subnets[0].hosts = crate::config::model::Hosts::default();
    config.subnets[0].hosts.insert(host);
    let discover = Message::discover(A);
    assert_says(&Lab::new(config.clone()).reply(&discover), "second", 30);
    clear(&mut config.classes[1].level);
    assert_says(&Lab::new(config.clone()).reply(&discover), "first", 20);
    clear(&mut config.classes[0].level);
    assert_says(&Lab::new(config.clone()).reply(&discover), "pool", 10);
    clear(&mut config.subnets[0].pools[0].level);
    assert_eq!(seconds(&Lab::new(config).reply(&discover), 51), 3600);
}

#[test]
fn the_pool_is_the_one_that_has_the_address() {
    let mut lab = Lab::new(levels());
    assert_says(&lab.reply(&Message::discover(B)), "pool", 10);
    let wish = Message::discover(mac(1)).requested(ip("10.0.2.3"));
    let offer = lab.reply(&wish);
    assert_eq!(offer.yiaddr(), ip("10.0.2.3"));
    assert_eq!(seconds(&offer, 51), 3600);
    let mut inform = Message::new(8, mac(2));
    inform.ciaddr = ip("10.0.1.15");
    assert_eq!(lab.reply(&inform).option(15), Some(&b"pool"[..]));
}

#[test]
fn all_replies_of_a_conversation_have_the_same_terms() {
    let mut lab = Lab::new(levels());
    let address = lab.bind(A);
    for message in [
        Message::selecting(A, address),
        Message::init_reboot(A, address),
        Message::renewing(A, address),
        Message::rebinding(A, address),
    ] {
        assert_says(&lab.reply(&message), "host", 40);
    }
}

fn bounded(shortest: u64, longest: u64) -> Lab {
    let mut config = config(vec![subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"))]);
    config.subnets[0].lease_bounds = (Duration::from_secs(shortest), Duration::from_secs(longest));
    Lab::new(config)
}

#[test]
fn a_client_may_ask_for_a_time_within_bounds() {
    let mut lab = bounded(600, 7200);
    let times = |wish: &[u8], lab: &mut Lab| {
        let offer = lab.reply(&Message::discover(A).with(51, wish));
        [51, 58, 59].map(|code| seconds(&offer, code))
    };
    let ask = |wish: u32, lab: &mut Lab| times(&wish.to_be_bytes(), lab);
    assert_eq!(ask(1200, &mut lab), [1200, 600, 1050]);
    assert_eq!(ask(1, &mut lab), [600, 300, 525]);
    assert_eq!(ask(0, &mut lab), [600, 300, 525]);
    assert_eq!(ask(u32::MAX, &mut lab), [7200, 3600, 6300]);
    assert_eq!(times(&[1, 2], &mut lab), [3600, 1800, 3150], "no time");
    let usual = lab.reply(&Message::discover(A));
    assert_eq!(seconds(&usual, 51), 3600);
}

#[test]
fn a_time_that_was_asked_for_is_what_is_kept_and_renewed() {
    let mut lab = bounded(600, 7200);
    let wish = 1200u32.to_be_bytes();
    let offer = lab.reply(&Message::discover(A).with(51, &wish));
    let select = Message::selecting(A, offer.yiaddr()).with(51, &wish);
    assert_eq!(seconds(&lab.reply(&select), 51), 1200);
    let lease = lab.engine.lease_of(A).remove(0);
    assert_eq!(lease.expires, lab.now.boot + LEASE / 3);
    assert!(lease.memo);
    let plain = Message::renewing(A, offer.yiaddr());
    assert_eq!(seconds(&lab.reply(&plain), 51), 3600);
}

#[test]
fn bounds_are_closed_unless_they_are_opened() {
    let mut lab = Lab::small();
    let wish = Message::discover(A).with(51, &60u32.to_be_bytes());
    assert_eq!(seconds(&lab.reply(&wish), 51), 3600);
}

#[test]
fn what_is_said_of_a_level_is_not_the_client_s_to_choose() {
    let mut config = levels();
    config.subnets[0].lease_bounds = (Duration::from_secs(60), Duration::from_secs(86_400));
    let mut lab = Lab::new(config);
    let wish = Message::discover(B).with(51, &7200u32.to_be_bytes());
    assert_says(&lab.reply(&wish), "pool", 10);
}

#[test]
fn a_level_of_a_pool_that_changes_drops_the_memos_of_that_pool() {
    let mut lab = Lab::new(levels());
    let second = ip("10.0.2.3");
    lab.bind(B);
    lab.reply(&Message::discover(mac(1)).requested(second));
    lab.reply(&Message::selecting(mac(1), second));
    let memos = |lab: &Lab| [B, mac(1)].map(|mac| lab.engine.lease_of(mac)[0].memo);
    assert_eq!(memos(&lab), [true, true]);
    let mut config = levels();
    config.subnets[0].pools[0].level.times = None;
    lab.engine.reload(config.clone().into(), lab.now).unwrap();
    assert_eq!(memos(&lab), [false, true]);
    config.classes[2].name = "other".into();
    lab.engine.reload(config.into(), lab.now).unwrap();
    assert_eq!(memos(&lab), [false, false]);
}
