//! FORCERENEW with the nonce of RFC 6704, as a client would check it.

use dhcp_common::wire::BOOTP_LEN;
use hmac::{Hmac, Mac};
use md5::Md5;

use super::lab::*;
use crate::clock::SECOND;
use crate::engine::NotForced;

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xb];

fn lab() -> Lab {
    let lab = Lab::small();
    lab.engine.set_secret([7; 32]);
    lab
}

fn capable(message: Message) -> Message {
    message.with(145, &[1])
}

/// DISCOVER to ACK with option 145; the ACK.
fn bind(lab: &mut Lab, mac: [u8; 6]) -> Reply {
    let offer = lab.reply(&capable(Message::discover(mac)));
    assert_eq!(
        (offer.option(145), offer.option(90)),
        (Some(&[1][..]), None)
    );
    lab.reply(&capable(Message::selecting(mac, offer.yiaddr())))
}

#[test]
fn the_nonce_is_in_the_first_ack_alone_and_only_if_asked_for() {
    let mut lab = lab();
    let ack = bind(&mut lab, A);
    let auth = ack.option(90).unwrap();
    assert_eq!((&auth[..3], auth[11], auth.len()), (&[3, 1, 0][..], 1, 28));
    let memo = lab.engine.lease_at(ack.yiaddr()).unwrap().memo;
    assert!(memo, "the renewal is predicted all the same");
    let renewal = lab.reply(&capable(Message::renewing(A, ack.yiaddr())));
    assert_eq!((renewal.kind(), renewal.option(90)), (5, None));
    let other = lab.bind(B);
    let again = lab.reply(&Message::init_reboot(B, other));
    assert_eq!(again.option(90), None, "not asked for");
    let again = lab.reply(&capable(Message::init_reboot(B, other)));
    assert_ne!(
        again.option(90).unwrap()[12..],
        auth[12..],
        "each client has its own"
    );
    let unable = Message::init_reboot(B, other).with(145, &[9]);
    assert_eq!(
        lab.reply(&unable).option(90),
        None,
        "no algorithm in common"
    );
}

#[test]
fn the_digest_is_right_and_the_memo_gone() {
    let mut lab = lab();
    let ack = bind(&mut lab, A);
    let nonce = ack.option(90).unwrap()[12..].to_vec();
    let address = ack.yiaddr();
    lab.pass(SECOND);
    let forced = lab.engine.force_renew(address, lab.now).unwrap();
    assert_eq!(
        (forced.mac, forced.ifindex, forced.renewed_by_kernel),
        (A, Some(3), false)
    );
    let frame = &forced.frame;
    assert_eq!(
        (&frame[..6], &frame[12..14], &frame[30..34]),
        (&A[..], &[8, 0][..], &address.octets()[..])
    );
    assert_eq!(frame[26..30], SERVER.octets());
    let mut message = frame[42..].to_vec();
    assert_eq!(
        (message[0], &message[4..8]),
        (2, &[0xde, 0xad, 0xbe, 0xef][..]),
        "xid of the REQUEST"
    );
    assert_eq!(message[BOOTP_LEN..][..3], [53, 1, 9]);
    let auth = BOOTP_LEN + 3;
    assert_eq!(message[auth..auth + 5], [90, 28, 3, 1, 0]);
    assert_eq!(message[auth + 13], 2);
    let replay = |value: &[u8]| u64::from_be_bytes(value[3..11].try_into().unwrap());
    assert!(replay(&message[auth + 2..]) > replay(ack.option(90).unwrap()));
    let digest = message[auth + 14..auth + 30].to_vec();
    message[auth + 14..auth + 30].fill(0);
    let mut mac = Hmac::<Md5>::new_from_slice(&nonce).unwrap();
    mac.update(&message);
    assert_eq!(mac.finalize().into_bytes()[..], digest);
    assert!(
        !lab.engine.lease_at(address).unwrap().memo,
        "the engine answers next"
    );
}

#[test]
fn a_routed_client_is_reached_by_ip_alone() {
    let mut lab = lab();
    let offer = lab.reply(&Message::discover(A).relayed("10.0.7.7"));
    lab.reply(&Message::selecting(A, offer.yiaddr()).relayed("10.0.7.7"));
    let forced = lab.engine.force_renew(offer.yiaddr(), lab.now).unwrap();
    assert_eq!((forced.ifindex, forced.frame[0]), (None, 0x45));
    assert_eq!(forced.frame[12..16], SERVER.octets());
}

#[test]
fn tags_are_those_of_the_clients_link() {
    let mut tagged = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    (tagged.interface, tagged.vlan) = (Some("eth3".to_owned()), [7, 9]);
    let mut lab = Lab::new(config(vec![tagged]));
    lab.engine.set_secret([7; 32]);
    let tag = |mut message: Message| {
        (message.link.outer, message.link.inner) = (7, 9);
        message.l2.splice(12..12, [0x88, 0xa8, 0, 7, 0x81, 0, 0, 9]);
        message
    };
    let address = lab.reply(&tag(Message::discover(A))).yiaddr();
    lab.reply(&tag(Message::selecting(A, address)));
    let forced = lab.engine.force_renew(address, lab.now).unwrap();
    assert_eq!(
        forced.frame[12..22],
        [0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, 8, 0]
    );
}

#[test]
fn what_cannot_be() {
    let mut lab = lab();
    let address = lab.bind(A);
    let force = |lab: &Lab, address| lab.engine.force_renew(address, lab.now).err();
    let other = ip("10.0.1.19");
    assert_eq!(force(&lab, other), Some(NotForced::NotLeased(other)));
    lab.pass(LEASE);
    assert_eq!(force(&lab, address), Some(NotForced::NotLeased(address)));
    let mut without = Lab::small();
    let address = without.bind(A);
    assert_eq!(force(&without, address), Some(NotForced::NoSecret));
    let mut config = config(vec![subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"))]);
    config.server.forcerenew = false;
    let mut off = Lab::new(config);
    let address = off.bind(A);
    assert_eq!(force(&off, address), Some(NotForced::Off));
}

#[test]
fn each_lease_of_a_mac_has_a_nonce_of_its_own() {
    let mut lab = lab();
    let nonce = |reply: &Reply| reply.option(90).unwrap()[12..].to_vec();
    let first = nonce(&bind(&mut lab, A));
    assert_eq!(nonce(&bind(&mut lab, A)), first, "the same lease");
    let address = bind(&mut lab, A).yiaddr();
    assert!(!lab.engine.force_renew(address, lab.now).unwrap().unheard);
    let restarted = self::lab();
    restarted.engine.restore(lab.records.clone(), lab.now);
    assert!(
        restarted
            .engine
            .force_renew(address, lab.now)
            .unwrap()
            .unheard
    );
    lab.send(&Message::release(A, address)).unwrap();
    lab.pass(SECOND);
    let again = bind(&mut lab, A);
    assert_eq!(again.yiaddr(), address);
    assert_ne!(nonce(&again), first);
}
