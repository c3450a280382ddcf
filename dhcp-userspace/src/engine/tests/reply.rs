//! What replies look like on the wire.

use std::time::Duration;

use dhcp_common::wire::{BROADCAST_MAC, Sum, bootp};
use dhcproto::Decodable;
use dhcproto::v4;

use super::lab::*;
use crate::config::model::{Boot, Identifier, Reservation, Times};
use crate::engine::{EventKind, Ignored};

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];

#[test]
fn order_is_fixed_then_asked_then_always_then_the_clients_own() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.options = options(&[
        (3, &[10, 0, 0, 254], false),
        (6, &[10, 0, 0, 2], false),
        (15, b"x", true),
        (42, &[10, 0, 0, 3], true),
        (26, &[5, 220], false),
    ]);
    reserve(&mut net, A, "10.0.1.11", Some("node-a"));
    let mut lab = Lab::new(config(vec![net]));
    let message = Message::discover(A)
        .with(61, &[1, 2, 3])
        .with(55, &[1, 42, 6, 3, 6, 51, 54, 12, 99])
        .with(82, &[1, 2, 7, 7]);
    let offer = lab.reply(&message);
    assert_eq!(
        offer.codes(),
        [53, 54, 51, 58, 59, 1, 42, 6, 3, 15, 12, 61, 82]
    );
    assert_eq!(offer.option(12), Some(&b"node-a"[..]));
    assert_eq!(offer.option(61), Some(&[1, 2, 3][..]));
    assert_eq!(offer.option(82), Some(&[1, 2, 7, 7][..]));
    assert_eq!(offer.option(51), Some(&3600u32.to_be_bytes()[..]));
    assert_eq!(offer.option(58), Some(&1800u32.to_be_bytes()[..]));
    assert_eq!(offer.option(59), Some(&3150u32.to_be_bytes()[..]));
    assert_eq!(offer.option(1), Some(&[255, 255, 0, 0][..]));
}

#[test]
fn without_a_parameter_list_all_options_are_sent() {
    let offer = Lab::small().reply(&Message::discover(A));
    assert_eq!(offer.codes(), [53, 54, 51, 58, 59, 1, 3, 6, 15]);
}

#[test]
fn head_and_length() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.boot = Boot {
        next_server: Some(ip("10.0.0.2")),
        server_name: "boot".into(),
        file: "ipxe.efi".into(),
        menu: None,
    };
    let mut lab = Lab::new(config(vec![net]));
    let mut message = Message::discover(A).with(55, &[3]);
    message.secs = 9;
    let offer = lab.reply(&message);
    let head = offer.message();
    assert_eq!(head[..4], [2, 1, 6, 0], "hops is not echoed");
    assert_eq!(head[bootp::XID..][..4], [0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(head[bootp::SECS..][..2], [0, 0]);
    assert_eq!(offer.address(bootp::CIADDR), ANYONE);
    assert_eq!(offer.address(bootp::SIADDR), ip("10.0.0.2"));
    assert_eq!(head[bootp::CHADDR..][..6], A);
    assert_eq!(head[bootp::SNAME..][..6], *b"boot\0\0");
    assert_eq!(head[bootp::FILE..][..10], *b"ipxe.efi\0\0");
    assert_eq!(head.len(), 300);
    assert_eq!(offer.ip()[20..22], [0, 67], "source port");
}

#[test]
fn checksums_are_right() {
    for extra in [0, 1, 2, 77] {
        let message = Message::discover(A).with(61, &vec![7; extra]);
        let offer = Lab::small().reply(&message);
        let ip = offer.ip();
        assert_eq!(Sum::default().slice(&ip[..20]).fold(), 0xffff);
        let udp_len = (ip.len() - 20) as u16;
        let pseudo = Sum::default()
            .slice(&ip[12..20])
            .slice(&[0, 17])
            .slice(&udp_len.to_be_bytes());
        assert_eq!(pseudo.slice(&ip[20..]).fold(), 0xffff, "{extra}");
    }
}

#[test]
fn where_replies_go() {
    let mut lab = Lab::small();
    let offer = lab.reply(&Message::discover(A));
    assert_eq!((offer.to(), offer.to_mac()), ((offer.yiaddr(), 68), A));
    assert_eq!(offer.frame[6..12], OUR_MAC);
    let mut broadcast = Message::discover(A);
    broadcast.flags = 0x8000;
    let offer = lab.reply(&broadcast);
    assert_eq!((offer.to(), offer.to_mac()), ((ALL, 68), BROADCAST_MAC));
    assert_eq!(offer.message()[bootp::FLAGS], 0x80);
    let offer = lab.reply(&Message::discover(A).relayed("10.0.3.3"));
    assert_eq!(offer.to(), (ip("10.0.3.3"), 67));
    assert_eq!(offer.to_mac(), [2, 0, 0, 0, 0, 0x99]);
    assert_eq!(offer.address(bootp::GIADDR), ip("10.0.3.3"));
    assert_eq!(offer.message()[bootp::FLAGS], 0, "as the relay sent them");
    let address = lab.bind(A);
    let mut renewal = Message::renewing(A, address);
    renewal.flags = 0x8000;
    let ack = lab.reply(&renewal);
    assert_eq!((ack.to(), ack.to_mac()), ((address, 68), A));
    assert_eq!(ack.address(bootp::CIADDR), address);
}

#[test]
fn a_nak_goes_to_all_and_says_little() {
    let mut lab = Lab::small();
    let wrong = Message::selecting(A, ip("10.9.9.9"))
        .with(61, &[1, 2])
        .with(82, &[1, 0]);
    let nak = lab.reply(&wrong);
    assert_eq!(nak.codes(), [53, 54, 56, 61, 82]);
    assert_eq!((nak.to(), nak.to_mac()), ((ALL, 68), BROADCAST_MAC));
    assert_eq!((nak.yiaddr(), nak.message().len()), (ANYONE, 300));
    let nak = lab.reply(&wrong.relayed("10.0.3.3"));
    assert_eq!(nak.to(), (ip("10.0.3.3"), 67));
    assert_eq!(nak.message()[bootp::FLAGS], 0x80);
}

#[test]
fn inform_gives_options_and_no_lease() {
    let mut lab = Lab::small();
    let mut inform = Message::new(8, A);
    inform.ciaddr = ip("10.0.9.9");
    inform.source = ip("10.0.9.9");
    let ack = lab.reply(&inform);
    assert_eq!(ack.event, EventKind::Inform);
    assert_eq!(ack.codes(), [53, 54, 1, 3, 6, 15]);
    assert_eq!((ack.kind(), ack.yiaddr()), (5, ANYONE));
    assert_eq!(ack.address(bootp::CIADDR), ip("10.0.9.9"));
    assert_eq!(ack.to(), (ip("10.0.9.9"), 68));
    assert!(lab.engine.leases().is_empty());
    inform.ciaddr = ALL;
    inform.source_port = 40000;
    assert_eq!(
        lab.reply(&inform).to(),
        (ip("10.0.9.9"), 40000),
        "a probe of nmap"
    );
    inform.source = ANYONE;
    assert_eq!(lab.ignored(&inform), Ignored::Invalid);
}

#[test]
fn rapid_commit_is_not_in_an_offer() {
    let offer = Lab::small().reply(&Message::discover(A).with(80, &[]).with(55, &[80]));
    assert_eq!(offer.option(80), None);
}

#[test]
fn long_values_are_split_and_what_does_not_fit_is_left_out() {
    let long: Vec<u8> = (0..=255).chain(0..44).collect();
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.options = options(&[
        (6, &[10, 0, 0, 2], false),
        (119, &long, false),
        (150, &[1; 100], true),
    ]);
    let mut lab = Lab::new(config(vec![net]));
    let asked = Message::discover(A).with(55, &[119, 6]);
    let offer = lab.reply(&asked);
    assert_eq!(
        offer.codes(),
        [53, 54, 51, 58, 59, 1, 6, 150],
        "576 bytes have no room for 119"
    );
    assert!(offer.message().len() <= 576 - 28);
    assert_eq!(lab.engine.options_left_out(), 1);
    let offer = lab.reply(&asked.clone().with(57, &1500u16.to_be_bytes()));
    assert_eq!(offer.codes(), [53, 54, 51, 58, 59, 1, 119, 119, 6, 150]);
    let parts = offer.options.iter().filter(|(code, _)| *code == 119);
    assert_eq!(
        parts
            .flat_map(|(_, value)| value.clone())
            .collect::<Vec<_>>(),
        long
    );
    let tiny = lab.reply(&asked.with(57, &64u16.to_be_bytes()));
    assert_eq!(tiny.codes().len(), 8, "576 at least");
}

#[test]
fn a_reservation_has_its_own_times_options_and_boot_file() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    let mut own = Reservation::new(Identifier::Mac(A), Some(ip("10.0.1.11")));
    own.level.times = Some(Times::of(Duration::from_secs(60)));
    for (code, value) in &*options(&[(15, b"own", false), (1, &[255; 4], false)]) {
        own.level.options.insert(*code, Some(value.clone()));
    }
    own.level.options.insert(3, None);
    own.level.boot.file = Some("own.efi".into());
    net.hosts.insert(own);
    let offer = Lab::new(config(vec![net])).reply(&Message::discover(A));
    assert_eq!(offer.option(51), Some(&60u32.to_be_bytes()[..]));
    assert_eq!(offer.option(15), Some(&b"own"[..]));
    assert_eq!(offer.option(1), Some(&[255; 4][..]), "its own mask");
    assert_eq!(offer.option(3), None);
    assert_eq!(offer.message()[bootp::FILE..][..7], *b"own.efi");
}

#[test]
fn dhcproto_reads_our_replies() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    reserve(&mut net, A, "10.0.1.11", Some("node-a"));
    let mut lab = Lab::new(config(vec![net]));
    let message = Message::selecting(A, ip("10.0.1.11"))
        .with(61, &[1, 2, 3])
        .with(55, &[3, 6, 15]);
    let ack = lab.reply(&message);
    let read = v4::Message::from_bytes(ack.message()).unwrap();
    assert_eq!(read.opts().msg_type(), Some(v4::MessageType::Ack));
    assert_eq!(
        (read.opcode(), read.yiaddr()),
        (v4::Opcode::BootReply, ip("10.0.1.11"))
    );
    assert_eq!(read.xid(), 0xdead_beef);
    let expected = v4::DhcpOption::AddressLeaseTime(3600);
    assert_eq!(
        read.opts().get(v4::OptionCode::AddressLeaseTime),
        Some(&expected)
    );
    let expected = v4::DhcpOption::DomainName("cluster.example".into());
    assert_eq!(read.opts().get(v4::OptionCode::DomainName), Some(&expected));
    let expected = v4::DhcpOption::Hostname("node-a".into());
    assert_eq!(read.opts().get(v4::OptionCode::Hostname), Some(&expected));
    let expected = v4::DhcpOption::ClientIdentifier(vec![1, 2, 3]);
    assert_eq!(
        read.opts().get(v4::OptionCode::ClientIdentifier),
        Some(&expected)
    );
}
