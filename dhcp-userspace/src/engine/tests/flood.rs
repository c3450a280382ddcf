//! What many DISCOVERs can take, and what they cannot.

use std::net::Ipv4Addr;

use super::lab::*;
use crate::clock::SECOND;
use crate::engine::Ignored;

/// A DISCOVER of client `number` that came by a relay, or directly.
fn discover_by(number: u32, relay: Ipv4Addr, secs: u16) -> Message {
    let mut message = Message::discover(mac(number));
    (message.giaddr, message.secs) = (relay, secs);
    message
}

#[test]
fn open_offers_are_bounded_and_beginners_go_without_first() {
    let mut config = config(vec![subnet("10.0.0.0/16", ("10.0.1.0", "10.0.1.255"))]);
    config.server.max_offers = 8;
    let mut lab = Lab::new(config);
    let relay = ip("10.0.0.9");
    let mut ask = |number, relay, secs| {
        lab.reply(&discover_by(number, relay, secs));
        lab.engine.open_offers()
    };
    // A link or relay holds half of them at once.
    let open: Vec<_> = (0..6).map(|number| ask(number, ANYONE, 0)).collect();
    assert_eq!(open, [1, 2, 3, 4, 4, 4]);
    let open: Vec<_> = (10..13).map(|number| ask(number, relay, 0)).collect();
    assert_eq!(open, [5, 6, 7]);
    assert_eq!(ask(13, relay, 0), 7);
    assert_eq!(ask(14, relay, 5), 8);
    assert_eq!(ask(15, ip("10.0.0.8"), 5), 8);
    assert_eq!(ask(3, ANYONE, 0), 8, "again is not one more");
    let held = lab.engine.lease_of(mac(0))[0].address;
    assert_eq!(lab.reply(&Message::selecting(mac(0), held)).kind(), 5);
    assert_eq!(
        (lab.engine.open_offers(), lab.engine.offers_not_held()),
        (7, 4)
    );
}

#[test]
fn a_flood_takes_nothing_from_those_who_go_on() {
    let mut lab = Lab::new(config(vec![subnet(
        "10.0.0.0/16",
        ("10.0.1.0", "10.0.1.63"),
    )]));
    for i in 1000..5000 {
        assert_eq!(lab.reply(&Message::discover(mac(i))).kind(), 2);
    }
    assert_eq!(lab.engine.open_offers(), 32, "half of the pool");
    let clients = 0..32;
    // All at once: offers first, then requests.
    let offered = |i| (i, lab.reply(&Message::discover(mac(i))).yiaddr());
    let offers: Vec<_> = clients.map(offered).collect();
    for (i, address) in offers {
        let ack = lab.reply(&Message::selecting(mac(i), address));
        assert_eq!((ack.kind(), ack.yiaddr()), (5, address), "client {i}");
    }
    assert_eq!(lab.ignored(&Message::discover(mac(77))), Ignored::NoAddress);
}

#[test]
fn offers_in_one_subnet_do_not_crowd_another() {
    let big = subnet("10.0.0.0/16", ("10.0.1.0", "10.0.1.255"));
    let small = subnet("172.16.0.0/24", ("172.16.0.10", "172.16.0.19"));
    let mut lab = Lab::new(config(vec![big, small]));
    for i in 0..64 {
        lab.reply(&Message::discover(mac(i)));
    }
    assert_eq!(lab.engine.open_offers(), 64);
    let mut behind = |number| {
        lab.reply(&discover_by(number, ip("172.16.0.1"), 0));
        (lab.engine.open_offers() - 64, lab.engine.offers_not_held())
    };
    let held: Vec<_> = (100..107).map(&mut behind).collect();
    assert_eq!(held[..5], [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]);
    assert_eq!(held[5..], [(5, 1), (5, 2)], "half of its own pool");
    // A new configuration counts what is open.
    lab.reload(|config| config.server.max_offers += 1);
    lab.pass(61 * SECOND);
    lab.reply(&discover_by(107, ip("172.16.0.1"), 0));
    assert_eq!(lab.engine.offers_not_held(), 3);
}

#[test]
fn who_was_offered_an_address_before_has_no_more_right_to_hold_it() {
    let mut config = config(vec![subnet("10.0.0.0/16", ("10.0.1.0", "10.0.1.255"))]);
    config.server.max_offers = 8;
    let mut lab = Lab::new(config);
    let first = lab.reply(&Message::discover(mac(1))).yiaddr();
    lab.pass(31 * SECOND);
    lab.sweep();
    for i in 10..14 {
        lab.reply(&Message::discover(mac(i)));
    }
    assert_eq!(lab.engine.open_offers(), 4);
    assert_eq!(lab.reply(&Message::discover(mac(1))).yiaddr(), first);
    assert_eq!(
        (lab.engine.open_offers(), lab.engine.offers_not_held()),
        (4, 1)
    );
}

#[test]
fn an_address_that_was_not_held_is_the_first_ones() {
    let mut lab = Lab::new(config(vec![subnet(
        "10.0.0.0/16",
        ("10.0.1.1", "10.0.1.1"),
    )]));
    let offers = [1, 2].map(|i| lab.reply(&Message::discover(mac(i))).yiaddr());
    assert_eq!((offers, lab.engine.open_offers()), ([ip("10.0.1.1"); 2], 0));
    let take = |i| Message::selecting(mac(i), ip("10.0.1.1"));
    assert_eq!(lab.reply(&take(2)).kind(), 5);
    assert_eq!(lab.reply(&take(1)).kind(), 6);
    assert!(lab.engine.is_known(mac(2)) && !lab.engine.is_known(mac(1)));
}

#[test]
fn a_circuit_holds_its_share_and_no_more() {
    let mut config = config(vec![subnet("10.0.0.0/16", ("10.0.1.0", "10.0.7.255"))]);
    config.guard.offers_per_circuit = 8;
    let mut lab = Lab::new(config);
    let mut ask = |number, circuit: u8| {
        let mut message = discover_by(number, ip("10.0.0.9"), 0);
        message.options.push((82, vec![1, 1, circuit]));
        assert_eq!(lab.reply(&message).kind(), 2);
        lab.engine.open_offers()
    };
    let open: Vec<_> = (0..6).map(|number| ask(number, 1)).collect();
    assert_eq!(open, [1, 2, 3, 4, 4, 4]);
    assert_eq!(ask(10, 2), 5);
}

#[test]
fn who_takes_its_offer_leaves_the_place_to_the_next() {
    let mut config = config(vec![subnet("10.0.0.0/16", ("10.0.1.0", "10.0.7.255"))]);
    config.guard.offers_per_circuit = 8;
    let mut lab = Lab::new(config);
    let by = |mut message: Message| {
        message.giaddr = ip("10.0.0.9");
        message.options.push((82, vec![1, 1, 1]));
        message
    };
    for number in 0..100 {
        let offer = lab.reply(&by(discover_by(number, ip("10.0.0.9"), 0)));
        assert_eq!(lab.engine.open_offers(), 1, "of client {number}");
        lab.reply(&by(
            Message::selecting(mac(number), offer.yiaddr()).relayed("10.0.0.9")
        ));
    }
    assert_eq!(lab.engine.offers_not_held(), 0);
}

#[test]
fn who_asks_again_is_offered_the_same_address_while_it_is_free() {
    let mut lab = Lab::small();
    let first = lab.reply(&Message::discover(mac(1))).yiaddr();
    for _ in 0..3 {
        lab.pass(31 * SECOND);
        lab.sweep();
        assert_eq!(lab.engine.open_offers(), 0);
        assert_eq!(lab.reply(&Message::discover(mac(1))).yiaddr(), first);
    }
    let wish = ip("10.0.1.17");
    lab.pass(31 * SECOND);
    lab.sweep();
    let other = Message::discover(mac(1)).requested(wish);
    assert_eq!(lab.reply(&other).yiaddr(), wish, "what it asks for");
    lab.pass(31 * SECOND);
    lab.sweep();
    // Without an offer that holds, nobody has a right to the address.
    assert_eq!(
        lab.ignored(&Message::init_reboot(mac(1), wish)),
        Ignored::Unknown
    );
    lab.reply(&Message::selecting(mac(2), wish));
    assert_ne!(lab.reply(&Message::discover(mac(1))).yiaddr(), wish);
    assert_eq!(lab.engine.known_clients(), 2);
}

#[test]
fn what_a_relay_says_it_offered_is_granted_though_it_was_not_held() {
    let mut config = config(vec![subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"))]);
    config.server.max_offers = 1;
    let mut lab = Lab::new(config);
    lab.reply(&Message::discover(mac(1)));
    let relayed = |message: Message| {
        let agent = [11, 4, 10, 0, 0, 9];
        message.relayed("10.0.0.9").with(82, &agent)
    };
    let address = lab.reply(&relayed(Message::discover(mac(2)))).yiaddr();
    assert_eq!(lab.engine.offers_not_held(), 1);
    let request = Message::new(3, mac(2)).server(ip("10.0.0.9"));
    let ack = lab.reply(&relayed(request.requested(address)));
    assert_eq!((ack.kind(), ack.yiaddr()), (5, address));
}

#[test]
fn a_discover_with_an_address_of_its_own_is_none() {
    let mut lab = Lab::small();
    let mut discover = Message::discover(mac(1));
    discover.ciaddr = ip("0.0.0.1");
    assert_eq!(lab.ignored(&discover), Ignored::Invalid);
    discover.ciaddr = ip("10.0.1.12");
    assert_eq!(lab.ignored(&discover), Ignored::Invalid);
    assert_eq!(lab.engine.open_offers(), 0);
}
