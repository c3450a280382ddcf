extern crate std;

use std::cell::Cell;
use std::collections::HashSet;
use std::vec::Vec;

use super::*;

const NOW: u64 = 1_000 * BURST;
const LINK: u64 = 3 << 32;

struct Heap(Vec<Line>);

impl Lines for Heap {
    fn line(&self, index: u32) -> Option<&Line> {
        self.0.get(index as usize)
    }
}

struct Lab {
    lines: Heap,
    orders: Orders,
    now: Cell<u64>,
}

impl Lab {
    fn new() -> Self {
        let orders = Orders::default();
        orders.seed.store(0x1234_5678_9abc_def1);
        orders.until.store(u64::MAX);
        let lines = Heap((0..LINES).map(|_| Line::default()).collect());
        let now = Cell::new(NOW);
        Self { lines, orders, now }
    }

    fn keeper(&self) -> Keeper<'_, Heap> {
        let (lines, orders) = (&self.lines, &self.orders);
        Keeper { lines, orders }
    }

    fn judge(&self, asker: &Asker) -> Result<(), Reason> {
        judge(&self.lines, &self.orders, asker, self.now.get(), true)
    }
}

fn asker(mac: u64) -> Asker {
    Asker {
        mac,
        ingress: LINK,
        source: 0x0200_0000_0009,
        class: Class::First,
        foreign: false,
        selects: false,
    }
}

#[test]
fn nothing_is_done_without_orders() {
    let lab = Lab::new();
    assert_eq!(lab.judge(&asker(1)), Ok(()));
}

#[test]
fn a_block_is_for_one_mac_at_one_place_and_ends() {
    let lab = Lab::new();
    lab.keeper().block(&asker(7), NOW + 10, NOW);
    let foreign = Asker {
        foreign: true,
        ..asker(7)
    };
    assert_eq!(lab.judge(&asker(7)), Err(Reason::Blocked));
    assert_eq!(lab.judge(&foreign), Ok(()), "has no MAC");
    assert_eq!(lab.judge(&asker(8)), Ok(()));
    let elsewhere = Asker {
        ingress: relay(0x0a00_0001),
        ..asker(7)
    };
    assert_eq!(lab.judge(&elsewhere), Ok(()));
    let other = Asker {
        source: 7,
        ..asker(7)
    };
    assert_eq!(lab.judge(&other), Ok(()), "sent by another");
    lab.now.set(NOW + 10);
    assert_eq!(lab.judge(&asker(7)), Ok(()));
}

#[test]
fn the_block_that_ends_first_makes_room() {
    let lab = Lab::new();
    let keeper = lab.keeper();
    let set = |mac| set_line(&lab.orders, block_key(&lab.orders, &asker(mac)));
    let same: Vec<u64> = (1..).filter(|mac| set(*mac) == set(1)).take(6).collect();
    for (i, mac) in same[..4].iter().enumerate() {
        keeper.block(&asker(*mac), NOW + 100 - i as u64, NOW);
    }
    keeper.block(&asker(same[1]), NOW + 99, NOW);
    assert_eq!(keeper.blocks(NOW).count(), 4, "again is not one more");
    keeper.block(&asker(same[4]), NOW + 50, NOW);
    assert_eq!(lab.judge(&asker(same[3])), Ok(()));
    assert_eq!(lab.judge(&asker(same[0])), Err(Reason::Blocked));
    lab.now.set(NOW + 60);
    let at = keeper.block(&asker(same[5]), NOW + 90, NOW + 60);
    let macs: HashSet<u64> = keeper.blocks(NOW + 60).map(|entry| entry.mac).collect();
    let want = [same[0], same[1], same[2], same[5]];
    assert_eq!(macs, HashSet::from(want), "one that has ended goes first");
    keeper.unblock(at);
    assert_eq!(lab.judge(&asker(same[5])), Ok(()));
    keeper.unblock_all();
    assert_eq!(lab.judge(&asker(same[0])), Ok(()), "nobody looks");
}

#[test]
fn strangers_pass_at_the_rate_and_a_second_at_once() {
    let lab = Lab::new();
    lab.keeper().limit(10);
    let passed = |mac: u64, again: bool| {
        let class = if again { Class::Again } else { Class::First };
        let request = Asker {
            class,
            ..asker(mac)
        };
        lab.judge(&request).is_ok()
    };
    let at_once = (0..1000).filter(|mac| passed(*mac, false)).count();
    assert_eq!(at_once, 11);
    assert!(passed(1, true), "who asks again has a bucket of its own");
    let other = Asker {
        ingress: LINK | 1 << 16,
        ..asker(1)
    };
    assert_eq!(lab.judge(&other), Ok(()), "and so has every ingress");
    lab.now.set(NOW + BURST);
    let later = (0..1000).filter(|mac| passed(*mac, false)).count();
    assert_eq!(later, 10);
    let dropped: Vec<_> = lab.keeper().dropped().collect();
    assert_eq!(dropped, [(LINK, 2000 - 21)]);
    lab.keeper().limit(0);
    assert!(passed(1, false));
}

#[test]
fn made_up_relays_do_not_multiply_the_rate() {
    let lab = Lab::new();
    lab.keeper().limit(10);
    let by = |giaddr| Asker {
        ingress: relay(giaddr),
        ..asker(1)
    };
    let passed = (0..100_000).filter(|giaddr| lab.judge(&by(*giaddr)).is_ok());
    assert_eq!(passed.count() as u64, 10 * RELAYS + 1);
    assert_eq!(lab.judge(&asker(1)), Ok(()), "a link cannot be made up");
    lab.now.set(NOW + BURST);
    let passed = (0..100).filter(|_| lab.judge(&by(1)).is_ok());
    assert!(passed.count() <= 11, "of one relay no more than ever");
}

#[test]
fn a_stranger_is_one_whatever_hardware_it_claims() {
    let lab = Lab::new();
    throttle(&lab);
    let foreign = |mac| Asker {
        foreign: true,
        selects: true,
        ..asker(mac)
    };
    lab.keeper().know(5);
    lab.keeper().offer(5);
    assert_eq!(lab.judge(&foreign(5)), Err(Reason::Throttled));
}

#[test]
fn orders_end_with_the_daemon() {
    let lab = Lab::new();
    throttle(&lab);
    lab.keeper().block(&asker(7), NOW * 2, NOW);
    lab.keeper().hold(NOW + HOLDS);
    let both = || [lab.judge(&asker(7)), lab.judge(&asker(8))];
    let dropped = [Err(Reason::Blocked), Err(Reason::Throttled)];
    assert_eq!(both(), dropped);
    lab.now.set(NOW + HOLDS);
    assert_eq!(both(), [Ok(()); 2]);
    lab.now.set(NOW);
    lab.keeper().hold(0);
    assert_eq!(both(), [Ok(()); 2]);
}

#[test]
fn explaining_takes_nothing() {
    let lab = Lab::new();
    lab.keeper().limit(1);
    let explain = || judge(&lab.lines, &lab.orders, &asker(1), NOW, false);
    for _ in 0..10 {
        assert_eq!(explain(), Ok(()));
    }
    while lab.judge(&asker(1)).is_ok() {}
    let dropped: Vec<_> = lab.keeper().dropped().collect();
    assert_eq!(explain(), Err(Reason::Throttled));
    assert_eq!(lab.keeper().dropped().collect::<Vec<_>>(), dropped);
}

/// A stranger that finds the bucket empty.
fn throttle(lab: &Lab) {
    lab.keeper().limit(1);
    while lab.judge(&asker(u64::MAX >> 16)).is_ok() {}
}

#[test]
fn whoever_is_known_passes_through_every_turn() {
    let lab = Lab::new();
    let keeper = lab.keeper();
    throttle(&lab);
    for mac in 0..1000 {
        keeper.know(mac << 8);
    }
    for _ in 0..3 {
        assert!((0..1000).all(|mac| lab.judge(&asker(mac << 8)).is_ok()));
        keeper.turn();
        (0..1000).for_each(|mac| keeper.know(mac << 8));
    }
    // Known once, and not told again: gone after two turns.
    keeper.know(5);
    keeper.turn();
    assert_eq!(lab.judge(&asker(5)), Ok(()));
    keeper.turn();
    assert_eq!(lab.judge(&asker(5)), Err(Reason::Throttled));
}

#[test]
fn an_offer_lets_the_request_pass_and_no_discover() {
    let lab = Lab::new();
    throttle(&lab);
    lab.keeper().offer(9);
    let request = Asker {
        selects: true,
        ..asker(9)
    };
    assert_eq!(lab.judge(&request), Ok(()));
    assert_eq!(lab.judge(&asker(9)), Err(Reason::Throttled));
    let other = Asker {
        selects: true,
        ..asker(10)
    };
    assert_eq!(lab.judge(&other), Err(Reason::Throttled));
}

#[test]
fn a_million_clients_leave_few_strangers_unseen() {
    let lab = Lab::new();
    throttle(&lab);
    for client in 0..1_000_000 {
        lab.keeper().know(0x5254_0000_0000 + client);
    }
    let passed = (0..100_000u64).filter(|mac| lab.judge(&asker(mac << 20)).is_ok());
    let passed = passed.count();
    assert!(passed < 1_000, "{passed} of 100,000 strangers passed");
    assert!((100..300).contains(&lab.keeper().fullness()));
}

#[test]
fn only_what_is_served_is_judged() {
    let lab = Lab::new();
    let links: Vec<u64> = (0..40).map(|vlan| LINK | vlan << 16).collect();
    let ours = [0x0a00_0001, 0x0a01_0001];
    let served = |link, to| is_served(&lab.lines, &lab.orders, link, to);
    assert!(!served(LINK, BROADCAST_IP));
    lab.keeper().serve(&links, &ours);
    assert!(links.iter().all(|link| served(*link, BROADCAST_IP)));
    assert!(!served(LINK | 40 << 16, BROADCAST_IP));
    assert!(served(0, ours[0]) && served(LINK, ours[1]));
    assert!(!served(LINK, 0x0a00_0002));
    lab.keeper().serve(&links[..1], &ours);
    assert!(!served(links[1], BROADCAST_IP));
}

#[test]
fn a_message_tells_who_asks() {
    let mut message = [0; BOOTP_LEN];
    message[..3].copy_from_slice(&[1, 1, 6]);
    message[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    assert!(is_request(&message));
    let options = Some(u64::from_ne_bytes([53, 1, 1, 61, 7, 1, 2, 3]));
    let sender = Sender {
        link: LINK,
        mac: 0x0200_0000_0009,
        ip: 0x0a00_0005,
    };
    let of = |message: &[u8; BOOTP_LEN], options| Asker::of(message, sender, options);
    assert_eq!(of(&message, options), asker(0x0200_0000_0009));
    let select = Some(u64::from_ne_bytes([53, 1, 3, 61, 7, 1, 2, 3]));
    assert!(of(&message, select).selects && !of(&message, None).selects);
    message[9] = 1;
    message[24..28].copy_from_slice(&[10, 0, 0, 1]);
    let relayed = of(&message, None);
    assert_eq!(
        (relayed.ingress, relayed.source),
        (relay(0x0a00_0001), 0x0a00_0005)
    );
    assert_eq!(giaddr_of(relayed.ingress), Some(0x0a00_0001));
    assert_eq!((giaddr_of(LINK), relayed.class), (None, Class::Again));
    assert!(!relayed.foreign);
    for (htype, hlen) in [(32, 0), (1, 7), (6, 6)] {
        message[1..3].copy_from_slice(&[htype, hlen]);
        assert!(is_request(&message) && of(&message, None).foreign);
    }
    message[0] = 2;
    assert!(!is_request(&message));
}
