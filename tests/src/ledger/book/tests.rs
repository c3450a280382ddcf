//! Each kind of lie is found, and honest service is none.

use super::*;

const A: Mac = [2, 0, 0, 0, 0, 0xa];
const B: Mac = [2, 0, 0, 0, 0, 0xb];
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
const LEASE: u32 = 60;

/// A book, and a link where each message takes a millisecond.
#[derive(Default)]
struct Link {
    book: Book,
    now: u64,
    xid: u32,
}

impl Link {
    fn pass(&mut self, secs: u64) {
        self.now += secs * SECOND;
    }

    fn message(&mut self, is_reply: bool, kind: u8, mac: Mac) -> Message {
        self.now += 1_000_000;
        Message {
            is_reply,
            kind,
            xid: self.xid,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: mac,
            requested: None,
            lease: None,
        }
    }

    fn ask(&mut self, kind: u8, mac: Mac) {
        self.xid += 1;
        self.repeat(kind, mac);
    }

    fn repeat(&mut self, kind: u8, mac: Mac) {
        let mut message = self.message(false, kind, mac);
        message.ciaddr = ADDRESS;
        self.book.hear(self.now, 0, &message);
    }

    fn answer(&mut self, kind: u8, mac: Mac, lease: u32) {
        let mut message = self.message(true, kind, mac);
        message.yiaddr = ADDRESS;
        message.lease = (kind != wire::NAK).then_some(lease);
        self.book.hear(self.now, 0, &message);
    }

    fn bind(&mut self, mac: Mac) {
        self.ask(wire::REQUEST, mac);
        self.answer(wire::ACK, mac, LEASE);
    }

    fn complaint(&self, part: &str) {
        let complaints = &self.book.complaints;
        let told = complaints.len() == 1 && complaints[0].contains(part);
        assert!(told, "{part:?} is not in {complaints:?}");
    }

    fn content(&self) {
        assert_eq!(self.book.complaints, [] as [&str; 0]);
    }
}

#[test]
fn honest_service_is_no_reason_to_complain() {
    let mut link = Link::default();
    for mac in [A, B, A] {
        for _ in 0..3 {
            link.ask(wire::DISCOVER, mac);
            link.answer(wire::OFFER, mac, LEASE);
            link.bind(mac);
            link.pass(30);
        }
        link.ask(wire::RELEASE, mac);
    }
    link.bind(A);
    link.pass(LEASE.into());
    link.bind(B);
    link.pass(LEASE.into());
    link.ask(wire::REQUEST, B);
    link.answer(wire::NAK, B, 0);
    link.content();
    assert_eq!(link.book.acks, 11);
}

#[test]
fn an_address_given_to_another_is_found() {
    let mut link = Link::default();
    link.bind(A);
    link.pass(u64::from(LEASE) - 1);
    link.bind(B);
    link.complaint("was given to 02:00:00:00:00:0b, but 02:00:00:00:00:0a holds it");
}

#[test]
fn an_address_offered_to_another_is_found() {
    let mut link = Link::default();
    link.bind(A);
    link.ask(wire::DISCOVER, B);
    link.answer(wire::OFFER, B, LEASE);
    link.complaint("was offered to 02:00:00:00:00:0b");
}

#[test]
fn a_refusal_to_the_holder_is_found() {
    let mut link = Link::default();
    link.bind(A);
    link.ask(wire::REQUEST, A);
    link.answer(wire::NAK, A, 0);
    link.complaint("was refused to 02:00:00:00:00:0a");
    assert_eq!(link.book.live(link.now), []);
}

#[test]
fn a_refusal_on_another_link_is_right() {
    let mut link = Link::default();
    link.bind(A);
    link.xid += 1;
    for (is_reply, kind) in [(false, wire::REQUEST), (true, wire::NAK)] {
        let mut message = link.message(is_reply, kind, A);
        message.requested = (!is_reply).then_some(ADDRESS);
        link.book.hear(link.now, 1, &message);
    }
    link.content();
}

#[test]
fn a_lease_that_was_shortened_is_found() {
    let mut link = Link::default();
    link.bind(A);
    link.pass(10);
    link.ask(wire::REQUEST, A);
    link.answer(wire::ACK, A, LEASE - 10 - 2);
    link.complaint("was shortened by 1.99");
}

#[test]
fn rounding_to_seconds_is_allowed() {
    let mut link = Link::default();
    link.bind(A);
    link.pass(10);
    link.ask(wire::REQUEST, A);
    link.answer(wire::ACK, A, LEASE - 10 - 1);
    link.content();
}

#[test]
fn a_shorter_lease_time_is_told_once() {
    let mut link = Link::default();
    link.bind(A);
    link.book.lease_time_changed(link.now, 20 * SECOND);
    link.ask(wire::REQUEST, A);
    link.answer(wire::ACK, A, 20);
    link.content();
    link.ask(wire::REQUEST, A);
    link.answer(wire::ACK, A, 10);
    link.complaint("was shortened by 9.99");
}

#[test]
fn an_answer_may_be_to_what_was_asked_before_the_lease_time_changed() {
    let mut link = Link::default();
    link.ask(wire::REQUEST, A);
    link.pass(1);
    link.book.lease_time_changed(link.now, 20 * SECOND);
    link.repeat(wire::REQUEST, A);
    link.answer(wire::ACK, A, LEASE);
    link.ask(wire::REQUEST, A);
    link.answer(wire::ACK, A, 20);
    link.content();
}

#[test]
fn less_than_the_shortest_lease_time_is_found() {
    let mut link = Link::default();
    link.bind(A);
    link.book.lease_time_changed(u64::MAX, 20 * SECOND);
    link.ask(wire::REQUEST, A);
    link.answer(wire::ACK, A, 18);
    link.complaint("was shortened by 2.000 s");
}

#[test]
fn what_was_given_back_is_nobodys() {
    for kind in [wire::RELEASE, wire::DECLINE] {
        let mut link = Link::default();
        link.bind(A);
        link.ask(kind, A);
        assert_eq!(link.book.live(link.now), []);
        link.bind(B);
        link.content();
    }
}

#[test]
fn one_client_cannot_give_back_for_another() {
    let mut link = Link::default();
    link.bind(A);
    link.ask(wire::RELEASE, B);
    link.bind(B);
    link.complaint("was given");
}

#[test]
fn an_ack_that_crosses_a_release_binds_nobody() {
    let mut link = Link::default();
    link.bind(A);
    link.ask(wire::REQUEST, A);
    let asked = link.xid;
    link.ask(wire::RELEASE, A);
    link.xid = asked;
    link.answer(wire::ACK, A, LEASE);
    link.bind(B);
    link.content();
}

#[test]
fn a_lease_counts_from_the_last_of_several_requests() {
    let mut link = Link::default();
    link.ask(wire::REQUEST, A);
    link.pass(5);
    link.repeat(wire::REQUEST, A);
    let last = link.now;
    link.answer(wire::ACK, A, LEASE);
    let claim = link.book.live(link.now)[0];
    assert_eq!(claim.until, last + u64::from(LEASE) * SECOND);
    assert_eq!(link.book.answers.renewals().max.as_millis(), 5002);
}

#[test]
fn a_late_answer_to_an_older_request_shortens_nothing() {
    let mut link = Link::default();
    link.ask(wire::REQUEST, A);
    let older = link.xid;
    link.pass(5);
    link.bind(A);
    let claim = link.book.live(link.now);
    link.xid = older;
    link.answer(wire::ACK, A, LEASE);
    assert_eq!(link.book.live(link.now), claim);
    link.content();
}

#[test]
fn an_answer_to_nobody_is_found_and_not_heeded() {
    for (kind, mac, later) in [(wire::ACK, A, 1), (wire::OFFER, A, 1), (wire::ACK, B, 0)] {
        let mut link = Link::default();
        link.ask(wire::REQUEST, A);
        link.xid += later;
        link.answer(kind, mac, LEASE);
        link.complaint("which has not asked as");
        assert_eq!((link.book.acks, link.book.live(link.now).len()), (0, 0));
    }
}

#[test]
fn an_answer_that_comes_very_late_is_not_heeded() {
    let mut link = Link::default();
    link.ask(wire::REQUEST, A);
    link.pass(100);
    link.repeat(wire::REQUEST, A);
    link.pass(100);
    link.answer(wire::ACK, A, LEASE);
    assert_eq!(link.book.acks, 1);
    link.pass(100);
    link.answer(wire::ACK, A, LEASE);
    assert_eq!(link.book.acks, 1);
    link.content();
}

#[test]
fn only_who_asks_for_options_alone_gets_no_lease_time() {
    let mut link = Link::default();
    link.ask(wire::INFORM, A);
    let mut ack = link.message(true, wire::ACK, A);
    link.book.hear(link.now, 0, &ack);
    link.content();
    link.ask(wire::REQUEST, A);
    ack.xid = link.xid;
    link.book.hear(link.now, 0, &ack);
    link.complaint("without a lease time");
}

#[test]
fn a_lease_for_good_has_no_end() {
    let mut link = Link::default();
    link.ask(wire::REQUEST, A);
    link.answer(wire::ACK, A, FOR_EVER);
    link.pass(1 << 32);
    link.bind(B);
    link.complaint("holds it");
}

#[test]
fn another_address_than_the_one_asked_for_is_found() {
    let mut link = Link::default();
    link.ask(wire::REQUEST, A);
    let mut ack = link.message(true, wire::ACK, A);
    ack.yiaddr = Ipv4Addr::new(10, 0, 0, 8);
    ack.lease = Some(LEASE);
    link.book.hear(link.now, 0, &ack);
    link.complaint("10.0.0.8 was given to 02:00:00:00:00:0a, which asked for 10.0.0.7");
}
