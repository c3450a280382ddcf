//! Replies that wait for their time, or for the answer of a stranger.

use std::sync::Arc;
use std::time::Duration;

use super::super::handler::{Handler, Packet};
use super::super::mailbox::Mailbox;
use super::{Lab, Message};
use crate::clock::{Now, SECOND};
use crate::config::model::ConflictCheck;
use crate::control::protocol::{Filter, Request};
use crate::engine::{Later, Outcome};
use crate::net::frame::{Frame, parse};
use crate::net::tests::elsewhere::Elsewhere;
use crate::net::tests::wire;
use crate::net::{Nic, Socket, socket};

const DELAY: Duration = Duration::from_secs(2);

/// A worker's handler without the worker, so that the time is the test's.
struct Desk {
    lab: Lab,
    handler: Handler,
    socket: Arc<Socket>,
    started: Now,
}

impl Desk {
    fn new(server: &Nic, client: Nic) -> Self {
        let lab = Lab::start(client);
        let mailbox = Arc::new(Mailbox::new().unwrap());
        Self {
            handler: Handler::new(Arc::clone(&lab.shared), mailbox),
            socket: Arc::new(socket::open(server, &[], 1).unwrap().remove(0)),
            started: Now::read(),
            lab,
        }
    }

    fn at(&self, seconds: f64) -> Now {
        let passed = (seconds * SECOND as f64) as u64;
        Now {
            boot: self.started.boot + passed,
            unix: self.started.unix + passed,
        }
    }

    /// Hands a DISCOVER in whose answer is to wait.
    fn delay(&mut self, message: &Message, seconds: f64) {
        let now = self.at(seconds);
        let bytes = message.frame();
        let frame = Frame::new(&bytes, self.socket.ifindex, true);
        let incoming = parse(&frame).unwrap();
        let mut reply = Vec::new();
        let engine = &self.lab.shared.core.engine;
        let Outcome::Reply(event) = engine.handle(now, &incoming, &mut reply) else {
            panic!("no offer");
        };
        let later = Later {
            event,
            after: DELAY,
            probe: None,
        };
        let before = self
            .handler
            .outlived(&incoming, &Outcome::Later(later.clone()));
        let packet = Packet {
            socket: &self.socket,
            frame: &frame,
            incoming: &incoming,
            conflicts: 0,
        };
        self.handler.wait(packet, reply, later, before, now);
    }

    fn take(&mut self, message: &Message) {
        let bytes = message.frame();
        let frame = Frame::new(&bytes, self.socket.ifindex, true);
        self.handler.frame(&self.socket, &frame, self.at(1.0));
    }

    /// Lets time pass; tells how many offers were sent in all.
    fn pass(&mut self, seconds: f64) -> u64 {
        self.handler.send_due(self.at(seconds));
        self.handler.flush();
        self.lab.shared.core.metrics.by_kind()["offer"]
    }
}

#[test]
fn a_reply_waits_for_its_time_and_is_counted_then() {
    wire::on_veth(|server, client| {
        let mut desk = Desk::new(&server, client);
        desk.delay(&Message::new(7, 1), 0.0);
        desk.delay(&Message::new(8, 1), 0.5);
        assert_eq!(desk.handler.next_due(), Some(desk.at(2.0).boot));
        assert_eq!(desk.pass(1.999), 0);
        assert_eq!(desk.pass(2.0), 1);
        assert_eq!(desk.lab.hear().yiaddr, [10, 0, 0, 100]);
        assert_eq!(desk.handler.next_due(), Some(desk.at(2.5).boot));
        assert_eq!(desk.pass(9.0), 2);
        assert_eq!(desk.lab.hear().yiaddr, [10, 0, 0, 101]);
        assert_eq!(desk.handler.next_due(), None);
    });
}

#[test]
fn a_client_that_takes_another_servers_offer_gets_none() {
    wire::on_veth(|server, client| {
        let mut desk = Desk::new(&server, client);
        desk.delay(&Message::new(7, 1), 0.0);
        desk.delay(&Message::new(8, 1), 0.0);
        let mut select = Message::new(7, 3);
        select.options.insert(50, vec![10, 0, 0, 9]);
        select.options.insert(54, vec![10, 0, 0, 2]);
        desk.take(&select);
        assert_eq!(desk.pass(9.0), 1, "the other client's");
        assert_eq!(desk.lab.hear().yiaddr, [10, 0, 0, 101]);
    });
}

#[test]
fn what_is_ignored_otherwise_changes_nothing() {
    wire::on_veth(|server, client| {
        let mut desk = Desk::new(&server, client);
        desk.delay(&Message::new(7, 1), 0.0);
        desk.take(&Message::new(7, 2));
        assert_eq!(desk.pass(2.0), 1);
    });
}

#[test]
fn a_newer_answer_takes_the_place_of_the_one_that_waits() {
    wire::on_veth(|server, client| {
        let mut desk = Desk::new(&server, client);
        let mut message = Message::new(7, 1);
        desk.delay(&message, 0.0);
        message.xid = 5;
        desk.delay(&message, 1.0);
        assert_eq!(desk.pass(2.5), 0, "another question: its delay is its own");
        assert_eq!(desk.pass(9.0), 1);
        assert_eq!(desk.lab.hear_frame()[42 + 7], 5);

        desk.delay(&message, 10.0);
        desk.take(&message);
        assert_eq!(desk.handler.next_due(), None, "it was answered at once");
    });
}

/// A client asks again before a long delay has passed; the answer would never come.
#[test]
fn asking_again_does_not_put_the_answer_off() {
    wire::on_veth(|server, client| {
        let mut desk = Desk::new(&server, client);
        for second in [0.0, 1.0, 1.9] {
            desk.delay(&Message::new(7, 1), second);
            assert_eq!(desk.handler.next_due(), Some(desk.at(2.0).boot));
        }
        assert_eq!(desk.pass(2.0), 1);
    });
}

/// The server's interface is a bridge, with the client at one port and, at another, a host that
/// has the addresses that it would offer first.
#[test]
fn an_address_that_a_stranger_has_is_not_offered() {
    wire::on_veth(|_, client| {
        let stranger = Elsewhere::new();
        wire::ip("link add near type veth peer name far");
        stranger.take("far");
        wire::ip("link add br0 type bridge forward_delay 0 mcast_snooping 0");
        wire::ip("address flush dev server");
        wire::ip("address add 10.0.0.1/24 dev br0");
        wire::ip("link set server master br0");
        wire::ip("link set near master br0");
        wire::ip("link set near up");
        wire::ip("link set br0 up");
        for last in [100, 101] {
            stranger.ip(&format!("address add 10.0.0.{last}/24 dev far"));
        }
        stranger.wait_for_carrier(1);
        wire::wait_for_carrier_of(3);

        let lab = Lab::start_changed(client, super::CONFIG, |config| {
            config.subnets[0].policy.conflict_check = Some(ConflictCheck {
                wait: Duration::from_secs(1),
                reservations: false,
            });
        });
        assert_eq!(lab.bind(7), [10, 0, 0, 102]);
        let counts = lab.shared.core.metrics.by_kind();
        assert_eq!((counts["conflict"], counts["offer"]), (2, 1));
        let (leases, _) = lab.control(Request::Leases(Filter::default()));
        let state = |last| {
            let address = format!("10.0.0.{last}");
            let lease = leases.iter().find(|lease| lease["address"] == address);
            lease.map(|lease| lease["state"].clone())
        };
        assert_eq!(state(100), Some("declined".into()));
        assert_eq!(state(101), Some("declined".into()));
    });
}

/// Nobody has the address: the offer comes when the check is over, without another check.
#[test]
fn a_free_address_is_offered_after_the_check() {
    wire::on_veth(|_, client| {
        wire::wait_for_carrier();
        let lab = Lab::start_changed(client, super::CONFIG, |config| {
            config.subnets[0].policy.conflict_check = Some(ConflictCheck {
                wait: Duration::from_millis(20),
                reservations: false,
            });
        });
        assert_eq!(lab.bind(7), [10, 0, 0, 100]);
    });
}
