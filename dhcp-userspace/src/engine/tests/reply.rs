//! What replies look like on the wire.

use std::sync::Arc;
use std::time::Duration;

use dhcp_common::wire::{BROADCAST_MAC, Sum, bootp};
use dhcproto::Decodable;
use dhcproto::v4;

use super::lab::*;
use crate::config::model::{Boot, Identifier, Menu, MenuItem, Reservation, Times};
use crate::engine::{EventKind, Ignored};
use crate::packet::registry::Definitions;

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
    let tiny = lab.reply(&asked.clone().with(57, &64u16.to_be_bytes()));
    assert_eq!(tiny.codes().len(), 8, "576 at least");
    let huge = asked.with(57, &65535u16.to_be_bytes());
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.options = options(&[(119, &[1; 800], false), (6, &[1; 800], false)]);
    let offer = Lab::new(config(vec![net])).reply(&huge);
    assert!(offer.option(119).is_some() && offer.option(6).is_none());
    assert!(offer.ip().len() <= 1500, "the MTU at most");
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

#[test]
fn options_that_find_no_room_go_to_the_free_header_fields() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.options = options(&[
        (6, &[10, 0, 0, 2], false),
        (119, &[3; 220], false),
        (114, &[b'a'; 90], false),
        (17, &[b'r'; 50], false),
    ]);
    let asked = Message::discover(A)
        .with(61, &[1, 2, 3])
        .with(55, &[119, 114, 6, 17]);
    let offer = Lab::new(config(vec![net.clone()])).reply(&asked);
    assert_eq!(offer.codes(), [53, 54, 51, 58, 59, 1, 52, 119, 6, 61]);
    assert_eq!(offer.option(52), Some(&[3][..]));
    assert_eq!(offer.message()[bootp::FILE..][..2], [114, 90]);
    assert_eq!(offer.message()[bootp::SNAME..][..2], [17, 50]);
    let read = v4::Message::from_bytes(offer.message()).unwrap();
    let expected = v4::DhcpOption::OptionOverload(3);
    assert_eq!(
        read.opts().get(v4::OptionCode::OptionOverload),
        Some(&expected)
    );

    net.boot.file = "ipxe.efi".into();
    let mut lab = Lab::new(config(vec![net]));
    let offer = lab.reply(&asked);
    assert_eq!(offer.message()[bootp::FILE..][..9], *b"ipxe.efi\0");
    assert_eq!(offer.option(52), Some(&[2][..]), "the file is taken");
    assert_eq!(lab.engine.options_left_out(), 1, "114 finds no room");
    let roomy = asked.with(57, &1500u16.to_be_bytes());
    assert_eq!(lab.reply(&roomy).option(52), None);
}

#[test]
fn the_boot_settings_are_options_too_for_clients_that_ask() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.boot = Boot {
        next_server: Some(ip("10.0.0.2")),
        file: "ipxe.efi".into(),
        ..Boot::default()
    };
    let mut lab = Lab::new(config(vec![net.clone()]));
    let asked = Message::discover(A).with(55, &[67, 66]);
    let offer = lab.reply(&asked);
    assert_eq!(offer.codes(), [53, 54, 51, 58, 59, 1, 67, 66]);
    assert_eq!(offer.option(66), Some(&b"10.0.0.2"[..]));
    assert_eq!(offer.option(67), Some(&b"ipxe.efi"[..]));
    let silent = lab.reply(&Message::discover(A).with(55, &[3]));
    assert_eq!(silent.option(67), None);
    let plain = lab.reply(&Message::discover(A));
    assert_eq!(plain.codes(), [53, 54, 51, 58, 59, 1, 3, 6, 15, 67, 66]);

    net.boot.server_name = "boot".into();
    net.options = options(&[(67, b"own", false)]);
    let offer = Lab::new(config(vec![net.clone()])).reply(&asked);
    assert_eq!(offer.option(66), Some(&b"boot"[..]));
    assert_eq!(
        offer.option(67),
        Some(&b"own"[..]),
        "what is configured wins"
    );

    net.options = options(&[]);
    net.boot.file = "x".repeat(128);
    let offer = Lab::new(config(vec![net])).reply(&Message::discover(A).with(55, &[3]));
    assert_eq!(
        offer.option(67),
        Some(&[b'x'; 128][..]),
        "the header has no room"
    );
    assert_eq!(
        offer.message()[bootp::FILE],
        0,
        "cut, it would be another file"
    );
}

const UUID: [u8; 17] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

#[test]
fn an_http_client_gets_its_class_back_and_a_url() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.options = options(&[]);
    net.boot.file = "http://10.0.0.2/a.efi".into();
    let http = Message::discover(A)
        .with(60, b"HTTPClient:Arch:00016:UNDI:003001")
        .with(97, &UUID)
        .with(55, &[3]);
    let offer = Lab::new(config(vec![net.clone()])).reply(&http);
    assert_eq!(offer.option(60), Some(&b"HTTPClient"[..]));
    assert_eq!(offer.option(67), Some(&b"http://10.0.0.2/a.efi"[..]));
    assert_eq!(offer.option(97), Some(&UUID[..]));
    net.boot.file = "ipxe.efi".into();
    let offer = Lab::new(config(vec![net])).reply(&http);
    assert_eq!(offer.option(60), None, "it would take a path for a URL");
}

#[test]
fn a_pxe_client_hears_its_class_only_with_a_way_to_a_boot_server() {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.options = options(&[(43, &[1, 1, 1], false)]);
    let pxe = Message::discover(A)
        .with(60, b"PXEClient:Arch:00007:UNDI:003001")
        .with(97, &UUID)
        .with(55, &[3, 43]);
    let offer = Lab::new(config(vec![net.clone()])).reply(&pxe);
    assert_eq!(
        (offer.option(60), offer.option(97)),
        (None, Some(&UUID[..]))
    );
    assert_eq!(offer.option(43), Some(&[1, 1, 1][..]), "another vendor's");
    net.options = options(&[(43, &[6, 1, 8, 255], false)]);
    let offer = Lab::new(config(vec![net.clone()])).reply(&pxe);
    assert_eq!(offer.option(60), Some(&b"PXEClient"[..]));
    let other = Lab::new(config(vec![net])).reply(&Message::discover(A).with(97, &UUID));
    assert_eq!((other.option(60), other.option(97)), (None, None));
}

#[test]
fn a_pxe_client_is_shown_the_menu() {
    let item = |text: &str, file: &str| MenuItem {
        text: text.into(),
        file: file.into(),
        server: None,
    };
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    net.boot.menu = Some(Arc::new(Menu {
        prompt: "Boot".into(),
        timeout: Some(Duration::from_secs(5)),
        items: vec![item("Disk", ""), item("Installer", "inst.efi")],
    }));
    let pxe = Message::discover(A).with(60, b"PXEClient").with(55, &[3]);
    let offer = Lab::new(config(vec![net])).reply(&pxe);
    assert_eq!(offer.option(60), Some(&b"PXEClient"[..]));
    assert_eq!(
        Definitions::default().show(43, offer.option(43).unwrap()),
        "{suboptions: {discovery-control: 7, boot-servers: [2, 10.0.0.1], \
         boot-menu: [0, Disk, 2, Installer], menu-prompt: [5, Boot]}}"
    );
}
