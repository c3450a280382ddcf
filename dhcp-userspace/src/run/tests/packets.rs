//! Clients and their packets, over restarts too.

use std::sync::Arc;

use super::super::handler::Handler;
use super::super::journal::Listener;
use super::super::mailbox::Mailbox;
use super::super::rewrite;
use super::super::ticket::Ticket;
use super::{Lab, Message, SERVER};
use crate::clock::{Now, SECOND};
use crate::control::protocol::{Filter, Request};
use crate::journal::{JournalError, Verdict};
use crate::net::tests::{tag, wire};
use crate::net::{frame as wire_frame, socket};

#[test]
fn a_client_binds_renews_and_is_remembered_over_a_restart() {
    wire::on_veth(|_, client| {
        let mut lab = Lab::start(client);
        let address = lab.bind(7);
        assert_eq!(address, [10, 0, 0, 100]);
        let renewal = Message::renewal(7, address);
        assert_eq!(lab.ask(&renewal).options[&51], 3600u32.to_be_bytes());
        lab.restart();
        assert_eq!(lab.ask(&renewal).kind(), 5);
        assert_ne!(lab.bind(8), address, "taken, as the journal knows");
    });
}

#[test]
fn a_request_behind_its_own_record_waits_for_it() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let offer = lab.ask(&Message::new(7, 1));
        let mut select = Message::new(7, 3);
        select.options.insert(50, offer.yiaddr.to_vec());
        select.options.insert(54, SERVER.to_vec());
        wire::put(
            &lab.client,
            [select.frame(), select.frame(), select.frame()],
        );
        for _ in 0..3 {
            assert_eq!((lab.hear().kind(), offer.yiaddr), (5, [10, 0, 0, 100]));
        }
        assert_eq!(lab.shared.core.metrics.waited_too_long.get(), 0);
    });
}

#[test]
fn a_stop_answers_what_was_received() {
    wire::on_veth(|_, client| {
        let mut lab = Lab::start(client);
        let offer = lab.ask(&Message::new(7, 1));
        let mut select = Message::new(7, 3);
        select.options.insert(50, offer.yiaddr.to_vec());
        select.options.insert(54, SERVER.to_vec());
        wire::put(&lab.client, vec![select.frame(); 8]);
        while lab.shared.core.metrics.received.get() < 9 {
            std::thread::yield_now();
        }
        lab.daemon.take().unwrap().stop().unwrap();
        for _ in 0..8 {
            assert_eq!(lab.hear().kind(), 5);
        }
    });
}

#[test]
fn tags_of_served_subinterfaces_are_not_even_counted() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let socket = socket::open(&lab.client, &[100], 1).unwrap().remove(0);
        let socket = Arc::new(socket);
        let mut handler = Handler::new(Arc::clone(&lab.shared), Arc::new(Mailbox::new().unwrap()));
        let mut received_after = |number| {
            let bytes = tag(&Message::new(7, 1).frame(), 0x8100, number);
            let frame = wire_frame::Frame::new(&bytes, 9, true);
            handler.frame(&socket, &frame, Now::read());
            lab.shared.core.metrics.received.get()
        };
        assert_eq!(received_after(100), 0);
        assert_eq!(received_after(101), 1);
    });
}

#[test]
fn without_xdp_the_workers_run_the_fast_path() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let address = lab.bind(7);
        let renewal = Message::renewal(7, address);
        for _ in 0..3 {
            assert_eq!(lab.ask(&renewal).kind(), 5);
        }
        let hits = lab.shared.core.metrics.fast_here()[dhcp_common::Reason::Hit as usize];
        assert!(
            hits >= 2,
            "{hits} hits: all but, at most, the first that teaches the memo"
        );
        let (_, why) = lab.control(Request::Why {
            mac: "52:54:00:00:00:07".into(),
        });
        let why = why.as_str().unwrap();
        assert!(
            why.contains("would be answered by the daemon's own fast path"),
            "{why}"
        );
    });
}

#[test]
fn after_damage_leases_are_written_once_more() {
    wire::on_veth(|_, client| {
        let mut lab = Lab::start(client);
        lab.bind(7);
        lab.bind(8);
        let journal = lab.shared.journal.clone();
        assert_eq!(journal.stats().records.get(), 2);
        let mut listener = Listener::new(Arc::clone(&lab.shared.core), Arc::default());
        listener.hear(Verdict::Damaged(Vec::new()));
        rewrite::go_on(&lab.shared.core, &journal);
        // Waits until all is on disk, whether the sweeper was faster or not.
        lab.restart();
        assert_eq!(journal.stats().records.get(), 4);
        assert_eq!(lab.control(Request::Leases(Filter::default())).0.len(), 2);
    });
}

#[test]
fn damage_is_forgotten_once_nothing_that_was_lost_can_run() {
    wire::on_veth(|_, client| {
        let mut lab = Lab::start(client);
        lab.bind(7);
        let kept = |lab: &Lab, ending: &str| {
            let file = format!("state/journal/0-0.segment.{ending}");
            lab.directory.path().join(file)
        };
        let make = |lab: &Lab| std::fs::write(kept(lab, "damaged"), "").unwrap();
        let settle = |lab: &Lab, now| rewrite::settle(&lab.shared.core, &lab.shared.journal, now);
        let in_a_week = || {
            let now = Now::read();
            let boot = now.boot + 7 * 86400 * SECOND;
            Now { boot, ..now }
        };
        make(&lab);
        lab.restart();
        settle(&lab, Now::read());
        assert!(lab.shared.core.engine.is_in_doubt(Now::read()));
        assert!(kept(&lab, "damaged").exists(), "its leases may run");

        // A compaction finds more.
        let mut listener = Listener::new(Arc::clone(&lab.shared.core), Arc::default());
        listener.hear(Verdict::Damaged(Vec::new()));
        settle(&lab, in_a_week());
        assert!(kept(&lab, "damaged").exists(), "not all is written again");

        lab.restart();
        settle(&lab, in_a_week());
        assert!(kept(&lab, "superseded").exists());
        lab.restart();
        assert!(!lab.shared.core.engine.is_in_doubt(Now::read()));
    });
}

#[test]
fn what_is_refused_after_damage_is_written_when_there_is_space() {
    wire::on_veth(|_, client| {
        let mut lab = Lab::start(client);
        lab.bind(7);
        let journal = lab.shared.journal.clone();
        let mut listener = Listener::new(Arc::clone(&lab.shared.core), Arc::default());
        let ticket = || Ticket {
            change: None,
            event: None,
            reply: None,
            done: None,
        };
        let refuse = |listener: &mut Listener| {
            listener.hear(Verdict::Refused(&mut vec![ticket()], JournalError::Full));
        };
        refuse(&mut listener);
        rewrite::go_on(&lab.shared.core, &journal);
        lab.shared.core.rewrite.ask();
        rewrite::go_on(&lab.shared.core, &journal);
        refuse(&mut listener);
        rewrite::go_on(&lab.shared.core, &journal);
        lab.restart();
        assert_eq!(journal.stats().records.get(), 1 + 2);
    });
}

#[test]
fn nonsense_on_the_wire_is_counted_and_survived() {
    wire::on_veth(|_, client| {
        let lab = Lab::start(client);
        let mut cut = Message::new(7, 1).frame();
        cut.truncate(60);
        let mut odd = Message::new(7, 1).frame();
        odd[50] ^= 1;
        wire::put(&lab.client, [cut, odd]);
        lab.bind(7);
        let ignored = lab.shared.core.metrics.by_reason();
        assert_eq!(ignored["malformed"], 2);
    });
}

/// The frames of these tests are what the daemon's own checks let through.
#[test]
fn messages_are_well_formed() {
    let bytes = Message::renewal(7, [10, 0, 0, 100]).frame();
    let frame = wire_frame::Frame::new(&bytes, 1, true);
    assert!(wire_frame::parse(&frame).is_ok());
}
