//! Every captured message gets the kind of answer that its sender waits for, where it waits.

use std::net::Ipv4Addr;

use dhcp_common::wire::{BROADCAST_MAC, Sum, bootp};
use dhcproto::{Decodable, v4};

use super::*;
use crate::captured;
use crate::clock::SECOND;
use crate::config::model::Boot;
use crate::engine::EventKind;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Answered with this message type.
    Answered(u8, EventKind),
    /// Heeded without a reply.
    Heeded(EventKind),
    Ignored(Ignored),
}

const OFFER: u8 = 2;
const ACK: u8 = 5;

/// By the name of the message; dhcping asks about a lease that it does not have.
fn fate_of(client: &str, name: &str) -> Fate {
    match (client, name) {
        ("dhcping", "release") => Fate::Ignored(Ignored::NotHolder),
        ("dhcping", _) => Fate::Ignored(Ignored::Unknown),
        (_, "discover") => Fate::Answered(OFFER, EventKind::Offer),
        (_, "selecting" | "init-reboot") => Fate::Answered(ACK, EventKind::Bind),
        (_, "renewing" | "renewing-relayed" | "rebinding") => Fate::Answered(ACK, EventKind::Renew),
        (_, "inform") => Fate::Answered(ACK, EventKind::Inform),
        (_, "release") => Fate::Heeded(EventKind::Release),
        (_, "decline") => Fate::Heeded(EventKind::Decline),
        (_, "bootp") => Fate::Ignored(Ignored::Bootp),
        (_, other) => panic!("{client}: what is {other}?"),
    }
}

/// One client after the other, each in the order in which it spoke, at a server of its own.
fn for_each_answer(net: impl Fn(&[Capture]) -> Subnet, check: impl Fn(&Capture, &Reply)) {
    for client in captured::clients() {
        let messages = captured::of(&client);
        let mut lab = server(net(&messages));
        for message in &messages {
            let heard = lab.hear(message);
            let fate = match &heard {
                Ok(Some(reply)) => Fate::Answered(reply.kind(), reply.event),
                Ok(None) => Fate::Heeded(lab.events.last().unwrap().kind),
                Err(why) => Fate::Ignored(*why),
            };
            let name = &message.name;
            assert_eq!(fate, fate_of(&client, name), "{client} {name}");
            if let Ok(Some(reply)) = &heard {
                check(message, reply);
            }
            lab.pass(60 * SECOND);
        }
    }
}

#[test]
fn every_message_meets_its_fate() {
    for_each_answer(net_of, |_, _| {});
}

#[test]
fn every_answer_fits_its_request() {
    for_each_answer(net_of, |request, reply| {
        let what = format!("{} {}", request.client, request.name);
        let (asked, said) = (request.message(), reply.message());
        assert_eq!(said[..4], [2, 1, 6, 0], "{what}");
        assert_eq!(said[bootp::XID..][..4], asked[bootp::XID..][..4], "{what}");
        assert_eq!(said[bootp::SECS..][..2], [0, 0], "{what}");
        assert_eq!(said[bootp::FLAGS..][..2], asked[bootp::FLAGS..][..2]);
        assert_eq!(mac_of(said), mac_of(asked), "{what}");
        assert!((300..=1500 - 28).contains(&said.len()), "{what}");
        let read = v4::Message::from_bytes(said).unwrap();
        assert_eq!(read.opcode(), v4::Opcode::BootReply, "{what}");
        assert_eq!(reply.option(54), Some(&ip(SERVER).octets()[..]), "{what}");
        let parsed = Request::parse(asked).unwrap();
        assert_eq!(reply.option(61), parsed.client_id().as_deref(), "{what}");
        let address = address_of(request);
        match request.name.as_str() {
            "inform" => {
                assert_eq!(reply.yiaddr(), Ipv4Addr::UNSPECIFIED, "{what}");
                assert_eq!(reply.option(51), None, "{what}");
            }
            "discover" => assert!(reply.option(51).is_some(), "{what}"),
            _ => assert_eq!(Some(reply.yiaddr()), address, "{what}"),
        }
    });
}

#[test]
fn every_answer_goes_where_its_client_listens() {
    for_each_answer(net_of, |request, reply| {
        let what = format!("{} {}", request.client, request.name);
        let want = where_to(request, reply);
        assert_eq!((reply.to_mac(), reply.to()), want, "{what}");
        assert_eq!(reply.frame[6..12], SERVER_MAC, "{what}");
        let source = header_address(reply.ip(), 12);
        assert_eq!(source, ip(SERVER), "{what}");
    });
}

/// RFC 2131 section 4.1.
fn where_to(request: &Capture, reply: &Reply) -> (Mac, (Ipv4Addr, u16)) {
    let message = request.message();
    let sender: Mac = request.frame[6..12].try_into().unwrap();
    let source = header_address(&request.frame, 14 + 12);
    let port = u16::from_be_bytes([request.frame[34], request.frame[35]]);
    let giaddr = header_address(message, bootp::GIADDR);
    let ciaddr = header_address(message, bootp::CIADDR);
    if !giaddr.is_unspecified() {
        (sender, (giaddr, 67))
    } else if ciaddr.is_broadcast() {
        (sender, (source, port))
    } else if !ciaddr.is_unspecified() {
        (sender, (ciaddr, 68))
    } else if message[bootp::FLAGS] & 0x80 != 0 {
        (BROADCAST_MAC, (Ipv4Addr::BROADCAST, 68))
    } else {
        (mac_of(message), (reply.yiaddr(), 68))
    }
}

/// U-Boot puts the file that it would like in the header; EDK2 says in its REQUEST that it takes
/// 65,280 bytes, and has a byte in its parameter list that it never wrote.
#[test]
fn what_clients_fill_in_is_not_echoed_and_not_believed() {
    let file = "boot/a-server-names-the-file.efi";
    let long = |messages: &[Capture]| {
        let mut net = net_of(messages);
        net.boot = Boot {
            file: file.to_owned(),
            ..Boot::default()
        };
        let filler = [b'x'; 250];
        let many: Vec<_> = (128..=135).map(|code| (code, &filler[..], true)).collect();
        net.options = lab::options(&many);
        net
    };
    for_each_answer(long, |request, reply| {
        let what = format!("{} {}", request.client, request.name);
        let said = reply.message();
        assert!(said.len() + 28 <= 1500, "{what}: {}", said.len());
        if reply.option(52).is_none() {
            assert_eq!(said[bootp::SNAME..bootp::FILE], [0; 64], "{what}");
        }
        assert_eq!(&said[bootp::FILE..][..file.len()], file.as_bytes());
        assert_eq!(said[bootp::FILE + file.len()], 0, "{what}");
        assert_eq!((reply.option(0), reply.option(255)), (None, None), "{what}");
    });
}

/// How a frame's UDP checksum stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UdpSum {
    Right,
    Absent,
    /// That of the addresses alone: the sender's kernel left the rest to a NIC, and there is none
    /// between network namespaces.
    Partial,
}

fn udp_sum(capture: &Capture) -> UdpSum {
    let frame = Frame::new(&capture.frame, LINK.ifindex, true);
    let field = &capture.frame[40..42];
    if field == [0, 0] {
        return UdpSum::Absent;
    }
    if parse(&frame).is_ok() {
        return UdpSum::Right;
    }
    let pseudo = Sum::default()
        .slice(&capture.frame[26..34])
        .slice(&[0, 17])
        .slice(&capture.frame[38..40]);
    let what = || format!("{} {}", capture.client, capture.name);
    assert_eq!(pseudo.fold().to_ne_bytes(), field, "{}", what());
    UdpSum::Partial
}

fn who_has(sum: UdpSum) -> Vec<String> {
    let captures = captured::all().into_iter();
    let found = captures.filter(|capture| udp_sum(capture) == sum);
    let mut names: Vec<_> = found.map(|capture| capture.client).collect();
    names.dedup();
    names
}

/// A server that insists on right checksums would not hear these.
#[test]
fn checksums_that_are_not_right() {
    assert_eq!(
        who_has(UdpSum::Absent),
        [
            "dhcpcd",
            "dhcpcd-unanswered",
            "klibc",
            "klibc-bootp",
            "u-boot-arm32",
            "u-boot-arm32-efi",
            "u-boot-arm64",
            "u-boot-arm64-efi"
        ]
    );
    assert_eq!(
        who_has(UdpSum::Partial),
        [
            "bootpc",
            "dhclient",
            "dhclient-bare",
            "dhcping",
            "dhcping-inform",
            "networkd",
            "networkd-mac",
            "networkmanager",
            "nmap-inform",
            "perfdhcp",
            "udhcpc",
            "udhcpc-unanswered"
        ]
    );
}

/// dhcping asks for the address that its host has, and hears of it only if that is so.
#[test]
fn dhcping_is_answered_for_the_address_that_the_host_has() {
    let messages = captured::of("dhcping");
    let mut lab = server(net_of(&messages));
    let mac = mac_of(messages[0].message());
    let mut request = lab::Message::new(1, mac);
    let address = lab.reply(&request).yiaddr();
    request.options = vec![
        (53, vec![3]),
        (50, address.octets().into()),
        (54, ip(SERVER).octets().into()),
    ];
    assert_eq!(lab.reply(&request).event, EventKind::Bind);
    assert_eq!(lab.answer(&messages[0]).event, EventKind::Renew);
    assert!(lab.hear(&messages[1]).unwrap().is_none());
    assert_eq!(lab.seen(EventKind::Release), 1);
}

/// Beside another server (proxyDHCP) firmware is told where to boot from, and the rest nothing.
#[test]
fn beside_another_server_only_firmware_is_told() {
    let mut told = Vec::new();
    for client in captured::clients() {
        let first = &captured::of(&client)[0];
        let mut net = subnet("198.18.5.0/24", ("198.18.5.100", "198.18.5.199"));
        net.pools.clear();
        net.policy.proxy = true;
        net.boot.file = "http://198.18.5.1/ipxe.efi".into();
        match server(net).hear(first) {
            Ok(reply) => told.push((client, reply.unwrap())),
            Err(why) => assert!(
                matches!(why, Ignored::NotNetboot | Ignored::Bootp),
                "{why:?}"
            ),
        }
    }
    let names: Vec<_> = told.iter().map(|(client, _)| client.as_str()).collect();
    assert_eq!(
        names,
        [
            "aavmf-http",
            "aavmf-pxe",
            "ipxe-bios",
            "ipxe-efi",
            "ipxe-snponly",
            "ipxe-undionly",
            "ovmf-http",
            "ovmf-pxe",
            "u-boot-arm32-efi",
            "u-boot-arm64-efi"
        ]
    );
    for (client, reply) in told {
        let class = if client.ends_with("-http") {
            &b"HTTPClient"[..]
        } else {
            b"PXEClient"
        };
        assert_eq!(reply.option(60), Some(class), "{client}");
        assert_eq!((reply.kind(), reply.event), (OFFER, EventKind::Proxy));
        assert_eq!(reply.yiaddr(), Ipv4Addr::UNSPECIFIED, "{client}");
        assert_eq!(reply.option(51), None, "{client}");
    }
}
