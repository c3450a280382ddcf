//! Option 82 as a part of the lease: it counts when the client renews past its relay.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use dhcp_common::Reason;

use super::classes::with_classes;
use super::lab::*;
use crate::class::ClassId;
use crate::clock::SECOND;
use crate::config::model::{Config, Identifier, Level, Mac, OptionValue, Reservation};
use crate::engine::{Binding, Ignored, Outcome};

const A: Mac = [0x52, 0x54, 0, 0, 0, 0xa];
const B: Mac = [0x52, 0x54, 0, 0, 0, 0xb];
const RELAY: &str = "172.16.0.1";
const PORT_7: &[u8] = b"\x01\x06ge-0/7";
const PORT_8: &[u8] = b"\x01\x06ge-0/8";
/// A relay that tells that its client asked everybody (RFC 5010).
const BROADCAST: &[u8] = b"\x0a\x01\x00";

/// Members of the class of port 7 get option 101, those behind the relay option 102.
fn by_port() -> Config {
    let behind = subnet("172.16.0.0/24", ("172.16.0.10", "172.16.0.19"));
    let here = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    let list = [
        ("port", "relay4[1].hex == 'ge-0/7'"),
        ("rack", "pkt4.giaddr == 172.16.0.1"),
    ];
    let mut config = with_classes(config(vec![here, behind]), &list);
    config.classes[0].level = says(101);
    config.classes[1].level = says(102);
    config
}

fn says(code: u8) -> Level {
    let value = OptionValue {
        data: b"yes".to_vec(),
        always_send: true,
    };
    Level {
        options: BTreeMap::from([(code, Some(value))]),
        ..Level::default()
    }
}

fn at(port: &[u8], message: Message) -> Message {
    message.relayed(RELAY).with(82, port)
}

fn bind_at(lab: &mut Lab, mac: Mac, port: &[u8]) -> Ipv4Addr {
    let address = lab.reply(&at(port, Message::discover(mac))).yiaddr();
    let ack = lab.reply(&at(port, Message::selecting(mac, address)));
    assert_eq!((ack.kind(), ack.yiaddr()), (5, address));
    address
}

fn routed(mac: Mac, address: Ipv4Addr) -> Message {
    let mut message = Message::renewing(mac, address);
    message.link = OTHER_LINK;
    message
}

/// Whether a direct renewal is answered as at port 7.
fn is_at_7(lab: &mut Lab, address: Ipv4Addr) -> bool {
    let ack = lab.reply(&routed(A, address));
    assert_eq!((ack.kind(), ack.option(82)), (5, None));
    ack.option(101).is_some()
}

#[test]
fn a_member_by_port_gets_the_same_in_every_answer() {
    let mut lab = Lab::new(by_port());
    let address = lab.reply(&at(PORT_7, Message::discover(A))).yiaddr();
    let ack = lab.reply(&at(PORT_7, Message::selecting(A, address)));
    assert_eq!(ack.option(101), Some(&b"yes"[..]));
    assert_eq!(ack.option(82), Some(PORT_7));
    let ack = lab.reply(&routed(A, address));
    assert_eq!(ack.option(101), Some(&b"yes"[..]));
    assert_eq!(
        ack.option(82),
        None,
        "only what was in the request goes back"
    );
    lab.agree(&routed(A, address));
    // giaddr is not kept.
    assert_eq!(ack.option(102), None);
    let told = lab.explain(&routed(A, address)).unwrap();
    assert_eq!(told[0].classes, ["port"]);
    let stranger = lab.explain(&routed(B, address)).unwrap();
    assert_eq!(stranger[0].classes, [""; 0], "not the holder");
    let other = bind_at(&mut lab, B, PORT_8);
    assert_eq!(lab.reply(&routed(B, other)).option(101), None);
}

#[test]
fn it_is_kept_through_a_restart_and_by_hand() {
    let mut lab = Lab::new(by_port());
    let address = bind_at(&mut lab, A, PORT_7);
    lab.pass(LEASE);
    assert!(is_at_7(&mut lab, address));
    let mut again = Lab::new(by_port());
    again.engine.restore(lab.records.clone(), lab.now);
    again.now = lab.now;
    assert!(is_at_7(&mut again, address));
    let view = lab.engine.lease_at(address).unwrap();
    let binding = Binding {
        address,
        mac: A,
        expires: lab.now.boot + LEASE,
        since: view.since,
        client_id: Vec::new(),
        hostname: Vec::new(),
        relay_agent: view.relay_agent,
    };
    let mut imported = Lab::new(by_port());
    for relay_agent in [binding.relay_agent.clone(), Vec::new()] {
        let binding = Binding {
            relay_agent,
            ..binding.clone()
        };
        let commit = imported.engine.force_bind(binding, lab.now).unwrap();
        imported.now = lab.now;
        imported.engine.complete(&commit.change, imported.now);
        imported.records.push(commit.record);
        assert!(is_at_7(&mut imported, address));
        imported.agree(&routed(A, address));
    }
    assert_eq!(imported.records[1].relay_agent, PORT_7);
}

#[test]
fn a_client_that_starts_at_another_port_is_there_from_then_on() {
    let mut lab = Lab::new(by_port());
    let address = bind_at(&mut lab, A, PORT_7);
    assert!(is_at_7(&mut lab, address));
    let records = lab.records.len();
    lab.reply(&at(PORT_7, Message::init_reboot(A, address)));
    lab.agree(&routed(A, address));
    assert_eq!(lab.records.len(), records, "the promise suffices");
    lab.reply(&at(PORT_8, Message::init_reboot(A, address)));
    assert_eq!(
        lab.records[records].relay_agent, PORT_8,
        "on disk all the same"
    );
    assert_eq!(lab.kernel(&routed(A, address)), Err(Reason::MemoMiss));
    assert!(!is_at_7(&mut lab, address));
    lab.agree(&routed(A, address));
}

#[test]
fn a_move_that_is_not_on_disk_did_not_happen() {
    let mut lab = Lab::new(by_port());
    let address = bind_at(&mut lab, A, PORT_7);
    assert!(is_at_7(&mut lab, address));
    let moves = at(PORT_8, Message::init_reboot(A, address));
    let Outcome::Commit(commit) = lab.handle(&moves, &mut Vec::new()) else {
        panic!("no record");
    };
    lab.engine.refuse(&commit.change, lab.now);
    assert_eq!(lab.kernel(&routed(A, address)), Err(Reason::MemoMiss));
    assert!(is_at_7(&mut lab, address), "as it is on disk");
    lab.agree(&routed(A, address));
    assert_eq!(lab.engine.lease_at(address).unwrap().relay_agent, PORT_7);
}

#[test]
fn only_the_way_of_broadcasts_tells_the_port() {
    let mut lab = Lab::new(by_port());
    let address = bind_at(&mut lab, A, PORT_7);
    // Copied, or written by the client itself.
    let own = routed(A, address).with(82, PORT_8);
    let copy = at(PORT_8, Message::renewing(A, address));
    for message in [own, copy] {
        assert_eq!(lab.reply(&message).option(82), Some(PORT_8));
        assert!(is_at_7(&mut lab, address));
        assert_eq!(lab.engine.lease_at(address).unwrap().relay_agent, PORT_7);
    }
    lab.agree(&routed(A, address));
    let silent = Message::rebinding(A, address).relayed(RELAY);
    assert_eq!(lab.reply(&silent).option(101), Some(&b"yes"[..]));
    assert!(is_at_7(&mut lab, address));
    // Past T2 a client asks everybody.
    lab.pass(LEASE * 15 / 16);
    lab.reply(&at(PORT_8, Message::rebinding(A, address)));
    assert_eq!(lab.kernel(&routed(A, address)), Err(Reason::MemoMiss));
    assert!(!is_at_7(&mut lab, address));
    let told = [PORT_7, BROADCAST].concat();
    lab.reply(&at(&told, Message::rebinding(A, address)));
    assert!(is_at_7(&mut lab, address));
    assert_eq!(lab.records.last().unwrap().relay_agent, told);
}

#[test]
fn a_client_of_the_pool_is_not_the_host_at_a_port_that_gets_its_address() {
    let mut lab = Lab::new(by_port());
    let address = bind_at(&mut lab, B, PORT_8);
    lab.reload(|config| {
        config.subnets[1].hosts.insert(Reservation {
            hostname: Some("rack7".into()),
            ..Reservation::new(Identifier::CircuitId(b"ge-0/7"[..].into()), Some(address))
        });
    });
    let ack = lab.reply(&routed(B, address));
    assert_eq!(
        (ack.kind(), ack.option(12)),
        (6, None),
        "the address is another's"
    );
    let pass = LEASE + SECOND;
    lab.pass(pass);
    lab.sweep();
    assert_eq!(bind_at(&mut lab, A, PORT_7), address);
    for _ in 0..2 {
        let ack = lab.reply(&routed(A, address));
        assert_eq!((ack.kind(), ack.option(12)), (5, Some(&b"rack7"[..])));
    }
    lab.agree(&routed(A, address));
}

#[test]
fn a_host_without_an_address_is_known_at_its_port() {
    let mut config = by_port();
    let id = Identifier::CircuitId(b"ge-0/7"[..].into());
    config.hosts.insert(Reservation {
        hostname: Some("rack7".into()),
        ..Reservation::new(id, None)
    });
    let mut lab = Lab::new(config);
    let address = bind_at(&mut lab, A, PORT_7);
    assert_eq!(
        lab.reply(&routed(A, address)).option(12),
        Some(&b"rack7"[..])
    );
}

#[test]
fn guards_know_the_port_and_excuse_giaddr() {
    let mut config = by_port();
    config.subnets[1].classes = vec![ClassId(1)];
    config.subnets[1].pools[0].classes = vec![ClassId(0)];
    let mut lab = Lab::new(config);
    let address = bind_at(&mut lab, A, PORT_7);
    assert!(is_at_7(&mut lab, address));
    lab.agree(&routed(A, address));
    let stranger = routed(B, address);
    assert_eq!(lab.ignored(&stranger), Ignored::Unknown);
    // The port is in the class no more.
    lab.reload(|config| {
        let test = crate::class::Test::circuit_id("ge-0/9").unwrap();
        config.classes[0].test = Some(test);
    });
    assert_eq!(lab.reply(&routed(A, address)).kind(), 6);
}

#[test]
fn a_client_that_gets_another_address_leaves_no_memo_behind() {
    let mut config = by_port();
    config.subnets[1].pools[0].classes = vec![];
    let mut lab = Lab::new(config);
    let first = bind_at(&mut lab, A, PORT_7);
    assert!(is_at_7(&mut lab, first));
    lab.agree(&routed(A, first));
    lab.reload(|config| reserve(&mut config.subnets[1], A, "172.16.0.77", None));
    let ack = lab.reply(&at(PORT_8, Message::discover(A)));
    assert_eq!(ack.yiaddr(), ip("172.16.0.77"));
    assert_eq!(lab.kernel(&routed(A, first)), Err(Reason::MemoMiss));
}
