//! Clients on InfiniBand (RFC 4390).

use super::lab::*;
use crate::engine::Ignored;
use crate::packet::infiniband::pseudo_mac;

const ID: &[u8] = &[0xff, 0, 0, 0, 7, 1, 2, 3];

fn client(mut message: Message, id: &[u8]) -> Message {
    message.mac = [0; 6];
    message.edit = |bytes| bytes[1..3].copy_from_slice(&[32, 0]);
    message.with(61, id)
}

#[test]
fn it_binds_and_renews_by_its_client_id_and_hears_broadcasts() {
    let mut lab = Lab::small();
    let offer = lab.reply(&client(Message::discover([0; 6]), ID));
    assert_eq!((offer.kind(), offer.to()), (2, (ALL, 68)));
    assert_eq!(offer.message()[..3], [2, 32, 0]);
    assert_eq!(offer.message()[28..44], [0; 16]);
    assert_ne!(offer.message()[10] & 0x80, 0);
    let address = offer.yiaddr();
    let ack = lab.reply(&client(Message::selecting([0; 6], address), ID));
    assert_eq!((ack.kind(), ack.to()), (5, (ALL, 68)));
    let renewal = client(Message::renewing([0; 6], address), ID);
    assert_eq!(lab.reply(&renewal).to(), (address, 68));
    let view = lab.engine.lease_at(address).unwrap();
    assert_eq!((view.mac, &view.client_id[..]), (pseudo_mac(ID), ID));
    assert!(!view.memo, "the kernel knows Ethernet only");
}

#[test]
fn a_relay_is_told_to_broadcast() {
    let mut lab = Lab::small();
    let offer = lab.reply(&client(Message::discover([0; 6]).relayed("10.0.7.7"), ID));
    assert_eq!(offer.to(), (ip("10.0.7.7"), 67));
    assert_ne!(offer.message()[10] & 0x80, 0);
}

/// Two identifiers with the same pseudo-MAC are too rare to wait for: the other one is put in the
/// place of the first, in memory and on disk.
#[test]
fn another_identifier_with_the_same_pseudo_mac_is_refused_and_not_confused() {
    let mut lab = Lab::small();
    let offer = lab.reply(&client(Message::discover([0; 6]), ID));
    lab.reply(&client(Message::selecting([0; 6], offer.yiaddr()), ID));
    let mut record = lab.records[0].clone();
    record.client_id = vec![0xff, 9, 9];
    let mut lab = Lab::small();
    lab.engine.restore([record], lab.now);
    let address = offer.yiaddr();
    for message in [
        Message::discover([0; 6]),
        Message::selecting([0; 6], address),
        Message::renewing([0; 6], address),
        Message::release([0; 6], address),
    ] {
        assert_eq!(lab.ignored(&client(message, ID)), Ignored::IdentityTaken);
    }
    lab.pass(3 * LEASE);
    lab.sweep();
    assert_eq!(
        lab.reply(&client(Message::discover([0; 6]), ID)).kind(),
        2,
        "it is gone"
    );
    assert_eq!(
        lab.reply(&client(Message::selecting([0; 6], address), ID))
            .kind(),
        5
    );
}

#[test]
fn no_ethernet_host_can_have_its_key() {
    let mut lab = Lab::small();
    let message = Message::discover(pseudo_mac(ID));
    assert_eq!(lab.ignored(&message), Ignored::WrongHardware);
}
