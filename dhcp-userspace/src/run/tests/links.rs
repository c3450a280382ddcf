//! Links of all kinds: under tags that the kernel takes out of the frames, through a bridge, and
//! such as are not Ethernet.

use std::sync::Arc;

use super::super::handler::Packet;
use super::{CONFIG, Lab, Message, start, write};
use crate::net::frame::{Frame, parse};
use crate::net::link::LinkAddress;
use crate::net::socket;
use crate::net::tests::tag;
use crate::net::tests::tun::{L2, Tun};
use crate::net::tests::wire::{ip, on_veth, put, wait_for_carrier};

const VLANS: &str = "
server: {state_dir: DIR/state, control_socket: DIR/control.sock, workers: 2}
fast_path: {mode: \"off\"}
interfaces: [INTERFACE]
subnets:
  - {subnet: 10.0.0.0/24, pools: [10.0.0.100-10.0.0.109]}
  - {subnet: 10.1.0.0/24, pools: [10.1.0.100-10.1.0.109], interface: INTERFACE, vlan: 100, server_address: 10.1.0.1}
  - {subnet: 10.2.0.0/24, pools: [10.2.0.100-10.2.0.109], interface: INTERFACE, vlan: [300, 7], server_address: 10.2.0.1}
";

/// A packet socket gets every tagged frame with the outer tag beside it, as from a NIC that takes
/// tags off. Each row: the tags, outermost first, and the network that they lead to.
fn replies_go_back_under_their_tags(lab: &Lab) {
    let rows: [(&[(u16, u16)], u8); 6] = [
        (&[], 0),
        (&[(0x8100, 100)], 1),
        (&[(0x8100, 100 | 5 << 13)], 1),
        (&[(0x88a8, 300), (0x8100, 7)], 2),
        (&[(0x8100, 300), (0x8100, 7 | 3 << 13)], 2),
        (&[(0x8100, 0)], 0),
    ];
    for (client, (tags, network)) in (1..).zip(rows) {
        let under_tags = |frame: &[u8]| {
            let inwards = tags.iter().rev();
            inwards.fold(frame.to_vec(), |frame, (kind, number)| {
                tag(&frame, *kind, *number)
            })
        };
        put(&lab.client, [under_tags(&Message::new(client, 1).frame())]);
        let reply = lab.hear_frame();
        let l2 = 14 + 4 * tags.len();
        assert_eq!(
            reply[12..l2],
            under_tags(&[0; 14])[12..l2 - 2]
                .iter()
                .chain(&[8, 0])
                .copied()
                .collect::<Vec<_>>()[..],
            "{tags:x?}"
        );
        let yiaddr = &reply[l2 + 28 + 16..][..3];
        assert_eq!(yiaddr, [10, network, 0], "{tags:x?}");
    }
}

#[test]
fn tags_that_were_taken_off_are_on_the_replies() {
    on_veth(|_, client| {
        wait_for_carrier();
        let lab = Lab::start_with(client, &VLANS.replace("INTERFACE", "server"));
        replies_go_back_under_their_tags(&lab);
    });
}

/// The server's interface is a bridge: frames come to it from a port of it.
#[test]
fn tags_are_right_through_a_bridge_too() {
    on_veth(|_, client| {
        ip("link add br0 type bridge forward_delay 0 mcast_snooping 0");
        ip("link set server master br0");
        ip("address flush dev server");
        ip("address add 10.0.0.1/24 dev br0");
        ip("link set br0 up");
        wait_for_carrier();
        let lab = Lab::start_with(client, &VLANS.replace("INTERFACE", "br0"));
        replies_go_back_under_their_tags(&lab);
    });
}

/// The link layer has no addresses here: replies go to all.
#[test]
fn a_client_binds_where_there_is_no_ethernet() {
    on_veth(|_, _| {
        let (tun, _) = Tun::new(libc::ARPHRD_NONE, "10.5.0.1/24");
        let directory = tempfile::tempdir().unwrap();
        let config = CONFIG.replace("10.0.0.", "10.5.0.");
        let (daemon, shared) = start(&write(&directory, &config));
        let ask = |message: &Message| {
            tun.put(&message.frame()[L2..]);
            super::Answer::of(&[&[0; L2][..], &tun.take()].concat())
        };
        let offer = ask(&Message::new(7, 1));
        assert_eq!((offer.kind(), offer.yiaddr), (2, [10, 5, 0, 100]));
        let mut select = Message::new(7, 3);
        select.options.insert(50, offer.yiaddr.to_vec());
        select.options.insert(54, vec![10, 5, 0, 1]);
        assert_eq!(
            (ask(&select).kind(), ask(&select).yiaddr),
            (5, offer.yiaddr)
        );
        let mut renewal = Message::renewal(7, offer.yiaddr);
        renewal.destination = [10, 5, 0, 1];
        for _ in 0..3 {
            assert_eq!(ask(&renewal).kind(), 5);
        }
        assert_eq!(shared.core.metrics.fast_here().iter().sum::<u64>(), 0);
        daemon.stop().unwrap();
    });
}

/// However long it waits.
#[test]
fn a_reply_goes_to_whom_the_request_came_from() {
    on_veth(|_, _| {
        let (_tun, nic) = Tun::new(libc::ARPHRD_INFINIBAND, "10.5.0.1/24");
        let socket = Arc::new(socket::open(&nic, &[], 1).unwrap().remove(0));
        let bytes = Message::new(7, 1).frame().split_off(L2);
        let frame = Frame {
            bytes: &bytes,
            ifindex: nic.index(),
            verify_udp: true,
            framing: nic.framing,
            from: LinkAddress::new(&[7; 20]),
            arrived: 0,
        };
        let packet = Packet {
            socket: &socket,
            frame: &frame,
            incoming: &parse(&frame).unwrap(),
            conflicts: 0,
            admitted: None,
        };
        assert_eq!(packet.parcel(Vec::new()).to, frame.from);
        let kept = packet.kept(Vec::new());
        assert_eq!(
            (kept.frame().bytes, kept.frame().from),
            (&bytes[..], frame.from)
        );
    });
}

/// With a client identifier of 22 bytes, it fills the MTU of 1500. A link has room for one tag
/// beside that.
const LONG: usize = 1162;

#[test]
fn the_longest_reply_fits_under_two_tags() {
    on_veth(|_, client| {
        wait_for_carrier();
        let options = format!(
            "\ndefaults: {{options: {{root-path: {}}}}}\n",
            "x".repeat(LONG)
        );
        let config = VLANS.replace("INTERFACE", "server") + &options;
        let lab = Lab::start_with(client, &config);
        let mut message = Message::new(7, 1);
        message.options.insert(55, vec![1, 17]);
        message.options.insert(61, vec![7; 22]);
        message.options.insert(57, 1500u16.to_be_bytes().to_vec());
        let once = tag(&message.frame(), 0x8100, 100);
        put(&lab.client, [once]);
        let longest = 18 + 1500;
        assert!((longest - 4..=longest).contains(&lab.hear_frame().len()));

        let twice = tag(&tag(&message.frame(), 0x8100, 7), 0x88a8, 300);
        put(&lab.client, [twice]);
        assert!(lab.hear_frame().len() <= longest);
        assert_eq!(lab.shared.core.metrics.send_errors.get(), 0);
        assert_eq!(lab.shared.core.engine.options_left_out(), 1);
    });
}
