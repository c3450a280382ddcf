//! What the tests of several files need: frames, configurations, and a veth pair in namespaces
//! of its own.

pub(crate) mod elsewhere;
pub(crate) mod tun;
pub(crate) mod wire;

use dhcp_common::wire::{IP_LEN, Sum, UDP_LEN, udp_checksum};

use super::Nic;
use super::link::{Framing, LinkAddress};
use crate::config::Config;
use crate::config::model::{FastPath, FastPathMode, Subnet};
use crate::engine::Interface;

pub(crate) fn nic(index: u32, name: &str, net: &str) -> Nic {
    let interface = Interface {
        index,
        name: name.to_owned(),
        mac: [2, 0, 0, 0, 0, index as u8],
        mtu: 1500,
        addresses: vec![net.parse().unwrap()],
    };
    Nic {
        interface,
        up: true,
        loopback: false,
        framing: Framing::Ethernet,
        broadcast: LinkAddress::new(&[255; 6]),
        vlan: None,
    }
}

pub(crate) fn config(prefix: &str) -> Config {
    let mut subnet = Subnet::new(prefix.parse().unwrap());
    subnet.policy.authoritative = true;
    Config {
        fast_path: FastPath {
            mode: FastPathMode::Off,
            reserve: 2.0,
            ..FastPath::default()
        },
        subnets: vec![subnet],
        fingerprint: 1,
        ..Config::default()
    }
}

/// A broadcast DISCOVER of the client whose MAC ends with `client`, untagged, sums right.
pub(crate) fn request(client: u32) -> Vec<u8> {
    let mac = mac(client);
    let mut bootp = vec![0; 240];
    bootp[..4].copy_from_slice(&[1, 1, 6, 0]);
    bootp[28..34].copy_from_slice(&mac);
    bootp[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    bootp.extend([53, 1, 1, 255]);
    frame(mac, [[0; 4], [255; 4]], &bootp)
}

pub(crate) fn mac(client: u32) -> [u8; 6] {
    let [a, b, c, d] = client.to_be_bytes();
    [0x52, 0x54, a, b, c, d]
}

/// A broadcast frame with a UDP packet from port 68 to 67, from one address to another.
pub(crate) fn frame(mac: [u8; 6], addresses: [[u8; 4]; 2], bootp: &[u8]) -> Vec<u8> {
    let udp_len = (UDP_LEN + bootp.len()) as u16;
    let mut udp = vec![0, 68, 0, 67];
    udp.extend(udp_len.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(bootp);
    let [source, destination] = addresses;
    let pseudo = Sum::default()
        .bytes(&source)
        .bytes(&destination)
        .word(17u16.to_be())
        .word(udp_len.to_be());
    let sum = udp_checksum(pseudo.slice(&udp));
    udp[6..8].copy_from_slice(&sum.to_ne_bytes());

    let mut ip = vec![0x45, 0];
    ip.extend((IP_LEN as u16 + udp_len).to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    ip.extend(source);
    ip.extend(destination);
    let sum = Sum::default().slice(&ip).checksum();
    ip[10..12].copy_from_slice(&sum.to_ne_bytes());

    let mut frame = vec![255; 6];
    frame.extend(mac);
    frame.extend([8, 0]);
    frame.extend(ip);
    frame.extend(udp);
    frame
}

/// The frame under one tag more.
pub(crate) fn tag(frame: &[u8], kind: u16, tag: u16) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    tagged.extend(kind.to_be_bytes());
    tagged.extend(tag.to_be_bytes());
    tagged.extend(&frame[12..]);
    tagged
}
