//! Questions on a real wire, answered by the kernel of another host.

use std::time::Duration;

use super::super::later::asked;
use super::*;
use crate::net::Nic;
use crate::net::frame::{Frame, parse};
use crate::net::tests::elsewhere::Elsewhere;
use crate::net::tests::wire::{
    ip, on_veth, put, wait_for_carrier, wait_for_carrier_of, wait_readable,
};
use crate::net::tests::{request, tag};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const NOW: u64 = 1_000 * SECOND;

struct Lab {
    prober: Prober,
    mailbox: Arc<Mailbox>,
    server: Nic,
}

impl Lab {
    fn new(server: Nic) -> Self {
        Self {
            prober: Prober::default(),
            mailbox: Arc::new(Mailbox::new().unwrap()),
            server,
        }
    }

    /// Asks as if for a client with this MAC, under the tags of a frame.
    fn begin(&self, frame: &[u8], address: [u8; 4], on_link: bool, mac: Mac) -> Begun {
        let incoming = parse(&Frame::new(frame, self.server.index(), false)).unwrap();
        let mut l2 = incoming.l2.to_vec();
        l2[6..12].copy_from_slice(&self.server.interface.mac);
        let question = Question {
            probe: Probe {
                address: address.into(),
                server: SERVER,
                on_link,
                wait: Duration::from_secs(1),
            },
            l2: &l2,
            link: incoming.link,
            client: client(),
            mac,
            mailbox: &self.mailbox,
        };
        self.prober.ask(&question, NOW)
    }

    /// The same on the link, without tags; sends the question.
    fn ask(&self, address: [u8; 4]) {
        let Begun::Asked(Some(frame)) = self.begin(&request(1), address, true, [9; 6]) else {
            panic!("not asked");
        };
        put(&self.server, [frame]);
    }

    /// Whose addresses were found, up to the next.
    fn found(&self) -> Vec<Ipv4Addr> {
        wait_readable(&self.mailbox.fd());
        let address = |message| match message {
            Message::Conflict(whose, address) => {
                assert_eq!(whose, client());
                address
            }
            _ => panic!("another message"),
        };
        self.mailbox.take().into_iter().map(address).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.prober.stop();
    }
}

fn client() -> Client {
    let frame = request(1);
    let incoming = parse(&Frame::new(&frame, 1, false)).unwrap();
    asked(&incoming).unwrap().0
}

/// A host that has these addresses at the far end of the wire.
fn stranger(addresses: &[&str]) -> Elsewhere {
    let there = Elsewhere::new();
    there.take("client");
    for address in addresses {
        there.ip(&format!("address add {address} dev client"));
    }
    there.wait_for_carrier(1);
    wait_for_carrier_of(1);
    there
}

#[test]
fn a_stranger_on_the_link_is_found() {
    on_veth(|server, client| {
        let _stranger = stranger(&["10.0.0.50/24", "10.0.0.52/24"]);
        let lab = Lab::new(server);
        lab.ask([10, 0, 0, 51]);
        lab.ask([10, 0, 0, 50]);
        assert_eq!(lab.found(), [Ipv4Addr::new(10, 0, 0, 50)]);

        // What the client itself says is no conflict.
        let own = client.interface.mac;
        let begun = lab.begin(&request(1), [10, 0, 0, 50], true, own);
        let Begun::Asked(Some(frame)) = begun else {
            panic!("{begun:?}");
        };
        put(&lab.server, [frame]);
        lab.ask([10, 0, 0, 52]);
        assert_eq!(lab.found(), [Ipv4Addr::new(10, 0, 0, 52)]);
    });
}

/// Two hosts have the address, one in another VLAN.
#[test]
fn a_stranger_in_the_clients_vlan_is_found() {
    on_veth(|server, far| {
        wait_for_carrier();
        let lab = Lab::new(server);
        let tagged = tag(&tag(&request(1), 0x8100, 0x2064), 0x88a8, 7);
        let mut answers = Vec::new();
        for last in [50, 52] {
            let begun = lab.begin(&tagged, [10, 0, 0, last], true, [9; 6]);
            let Begun::Asked(Some(frame)) = begun else {
                panic!("{begun:?}");
            };
            answers.push(answer(&frame, &lab.server, last));
        }
        let elsewhere = [&answers[0][..12], &answers[0][16..]].concat();
        let untagged = [&answers[0][..12], &answers[0][20..]].concat();
        put(&far, [elsewhere, untagged, answers[1].clone()]);
        assert_eq!(lab.found(), [Ipv4Addr::new(10, 0, 0, 52)]);
    });
}

/// What a host with this address makes of a question.
fn answer(asked: &[u8], server: &Nic, last: u8) -> Vec<u8> {
    let mut reply = asked.to_vec();
    let arp = reply.len() - 28;
    reply[..6].copy_from_slice(&server.interface.mac);
    reply[6..12].fill(6);
    reply[arp + 7] = 2;
    reply[arp + 8..arp + 14].fill(6);
    reply[arp + 14..arp + 18].copy_from_slice(&[10, 0, 0, last]);
    reply
}

#[test]
fn a_stranger_behind_a_router_is_found() {
    on_veth(|server, _| {
        let router = stranger(&["10.0.0.2/24"]);
        let host = Elsewhere::new();
        ip("link add near type veth peer name far");
        router.take("near");
        host.take("far");
        router.ip("address add 10.9.0.1/24 dev near");
        let forward = || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        router.within(forward);
        host.ip("address add 10.9.0.9/24 dev far");
        host.wait_for_carrier(1);
        router.wait_for_carrier(2);
        host.ip("route add default via 10.9.0.1");
        ip("route add 10.9.0.0/24 via 10.0.0.2");
        let lab = Lab::new(server);
        for last in [8, 9] {
            let begun = lab.begin(&request(1), [10, 9, 0, last], false, [9; 6]);
            assert_eq!(begun, Begun::Asked(None));
        }
        assert_eq!(lab.found(), [Ipv4Addr::new(10, 9, 0, 9)]);
    });
}

#[test]
fn who_is_unreachable_is_not_waited_for() {
    on_veth(|server, _| {
        let lab = Lab::new(server);
        let begun = lab.begin(&request(1), [192, 0, 2, 1], false, [9; 6]);
        assert_eq!(begun, Begun::Needless, "there is no route");
    });
}

#[test]
fn an_address_without_an_owner_is_not_asked_for_again_at_once() {
    on_veth(|server, _| {
        let lab = Lab::new(server);
        let ask = |last| lab.begin(&request(1), [10, 0, 0, last], true, [9; 6]);
        lab.ask([10, 0, 0, 50]);
        lab.prober.is_free([10, 0, 0, 50].into(), NOW);
        assert_eq!(ask(50), Begun::Needless);
        assert_ne!(ask(51), Begun::Needless);
        lab.prober.is_free([10, 0, 0, 50].into(), NOW - FRESH);
        assert_ne!(ask(50), Begun::Needless, "too long ago");
    });
}

#[test]
fn a_full_memory_is_looked_through_once_a_second() {
    let prober = Prober::default();
    let known = |number: usize| Ipv4Addr::from_bits(number as u32);
    for number in 0..MOST_FREE {
        let short = if number == 0 { 0 } else { SECOND };
        prober.is_free(known(number), NOW - FRESH + 1 + short);
    }
    let count = || lock(&prober.questions).free.len();
    let news = |number: usize, now| {
        prober.is_free(known(MOST_FREE + number), now);
        count()
    };
    assert_eq!(news(0, NOW), MOST_FREE, "nothing has lapsed");
    assert_eq!(news(1, NOW + SECOND / 2), MOST_FREE);
    assert!(
        !lock(&prober.questions)
            .free
            .contains_key(&known(MOST_FREE + 1))
    );
    assert_eq!(
        news(2, NOW + SECOND),
        MOST_FREE,
        "in place of the one that has"
    );
    assert!(
        lock(&prober.questions)
            .free
            .contains_key(&known(MOST_FREE + 2))
    );
}

#[test]
fn questions_are_bounded() {
    on_veth(|server, _| {
        let lab = Lab::new(server);
        for number in 0..MOST as u16 {
            let [a, b] = number.to_be_bytes();
            let begun = lab.begin(&request(1), [10, 0, a, b], true, [9; 6]);
            assert!(matches!(begun, Begun::Asked(Some(_))));
        }
        let ask = || lab.begin(&request(1), [10, 1, 0, 0], true, [9; 6]);
        assert_eq!(ask(), Begun::Full);
        lab.prober.forget([10, 0, 0, 7].into());
        assert_ne!(ask(), Begun::Full);
    });
}
