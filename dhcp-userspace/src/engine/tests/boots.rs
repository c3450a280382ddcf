//! What the kernel says to clients that boot is what the engine would have said, and for no longer.

use std::collections::VecDeque;

use dhcp_common::Reason;
use dhcp_common::boot::{Entry, WAYS};
use dhcp_common::slot::Kind;
use proptest::prelude::*;

use super::lab::*;
use crate::clock::SECOND;
use crate::engine::{Commit, EventKind, Ignored, Outcome};
use crate::lease::table::{Size, Table};

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xb];

/// Firmware and system, which ask for other things.
const STAGES: [&[u8]; 2] = [&[1, 3, 6, 66, 67], &[1, 3, 6, 12, 15]];

fn discover(mac: [u8; 6], stage: &[u8]) -> Message {
    Message::discover(mac).with(61, &mac).with(55, stage)
}

fn selecting(mac: [u8; 6], stage: &[u8], address: std::net::Ipv4Addr) -> Message {
    Message::selecting(mac, address)
        .with(61, &mac)
        .with(55, stage)
}

impl Lab {
    /// All stages of a boot, by the daemon; the address.
    fn boots(&mut self, mac: [u8; 6]) -> std::net::Ipv4Addr {
        for stage in STAGES {
            let address = self.reply(&discover(mac, stage)).yiaddr();
            self.reply(&selecting(mac, stage, address));
        }
        self.engine.lease_of(mac)[0].address
    }

    /// Kernel and engine say the same.
    fn agree_on_boot(&mut self, message: &Message) {
        let kernel = self.kernel(message).unwrap();
        let mut engine = Vec::new();
        match self.handle(message, &mut engine) {
            Outcome::Reply(event) => {
                assert!(matches!(event.kind, EventKind::Offer | EventKind::Bind));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(kernel, engine);
    }

    fn memos(&self) -> usize {
        let entries = self.engine.table().boots();
        entries.filter(|entry| entry.read().is_some()).count()
    }
}

fn named() -> Lab {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"));
    reserve(&mut net, B, "10.0.5.5", Some("node-b"));
    Lab::new(config(vec![net]))
}

#[test]
fn a_second_boot_is_answered_by_the_kernel_alone() {
    let mut lab = named();
    for mac in [A, B] {
        let address = lab.boots(mac);
        lab.pass(LEASE / 4);
        for stage in STAGES {
            for flags in [0, 0x8000] {
                for mut message in [discover(mac, stage), selecting(mac, stage, address)] {
                    (message.flags, message.secs, message.padding) = (flags, 4, 60);
                    lab.agree_on_boot(&message);
                }
            }
        }
        let again = Message::init_reboot(mac, address).with(61, &mac);
        assert_eq!(lab.kernel(&again), Err(Reason::MemoMiss));
        lab.reply(&again);
        lab.agree_on_boot(&again);
    }
    lab.engine.audit().unwrap();
}

#[test]
fn an_ack_gives_time_and_an_offer_none() {
    let mut lab = Lab::small();
    let address = lab.boots(A);
    let expires = |lab: &Lab| lab.engine.lease_at(address).unwrap().expires;
    let bound = lab.now.boot;
    lab.pass(LEASE / 2);
    lab.kernel(&discover(A, STAGES[0])).unwrap();
    assert_eq!(expires(&lab), bound + LEASE);
    lab.kernel(&selecting(A, STAGES[0], address)).unwrap();
    assert_eq!(expires(&lab), bound + LEASE / 2 + LEASE);
    lab.sweep();
    assert_eq!(lab.seen(EventKind::KernelRenew), 1);
}

#[test]
fn no_time_beyond_the_promise_and_nothing_after_the_end() {
    let mut lab = Lab::small();
    let address = lab.boots(A);
    let (ask, take) = (discover(A, STAGES[0]), selecting(A, STAGES[0], address));
    lab.pass(LEASE - SECOND);
    lab.kernel(&take).unwrap();
    lab.pass(LEASE - SECOND);
    lab.kernel(&ask).unwrap();
    assert_eq!(lab.kernel(&take), Err(Reason::Promise));
    lab.pass(SECOND);
    for message in [&ask, &take] {
        assert_eq!(lab.kernel(message), Err(Reason::Lapsed));
    }
}

#[test]
fn only_for_whom_the_address_is_on_its_link_and_while_it_is() {
    let mut lab = Lab::small();
    let address = lab.boots(A);
    let ask = discover(A, STAGES[0]);
    let elsewhere = Message {
        link: OTHER_LINK,
        ..ask.clone()
    };
    assert_eq!(lab.kernel(&elsewhere), Err(Reason::OtherLink));
    let other = Message {
        mac: B,
        ..ask.clone()
    };
    assert_eq!(lab.kernel(&other), Err(Reason::MemoMiss));
    let unicast = Message {
        destination: SERVER,
        ..ask.clone()
    };
    assert_eq!(lab.kernel(&unicast), Err(Reason::WrongServer));
    let sourced = Message {
        source: address,
        ..ask.clone()
    };
    assert_eq!(lab.kernel(&sourced), Err(Reason::WrongSource));
    lab.send(&Message::release(A, address)).unwrap();
    assert_eq!(lab.kernel(&ask), Err(Reason::NoLease));
}

#[test]
fn who_gets_another_address_boots_from_the_old_one_no_more() {
    let mut lab = Lab::small();
    let address = lab.boots(A);
    let ask = discover(A, STAGES[0]);
    lab.agree_on_boot(&ask);
    let wanted = ip("10.0.1.17");
    lab.reply(&selecting(A, STAGES[0], wanted));
    assert_ne!(address, wanted);
    let old = lab.engine.lease_at(address).unwrap();
    assert_eq!(old.kind, Kind::Bound, "the old lease runs on");
    assert_eq!(lab.kernel(&ask), Err(Reason::MemoMiss));
    assert_eq!(lab.reply(&ask).yiaddr(), wanted);
    lab.agree_on_boot(&ask);
}

/// A message that waited for the daemon since then.
fn late(lab: &Lab, message: &Message, arrived: u64) -> Result<Outcome, Ignored> {
    let payload = message.payload();
    let mut incoming = message.incoming(&payload);
    incoming.arrived = lab.now.to_unix(arrived);
    match lab.engine.handle(lab.now, &incoming, &mut Vec::new()) {
        Outcome::Ignore(why) => Err(why),
        outcome => Ok(outcome),
    }
}

#[test]
fn what_a_client_gave_up_before_the_kernel_gave_it_anew_it_still_has() {
    let wishes = [
        |address| Message::release(A, address),
        |address| Message::decline(A, address),
    ];
    for wish in wishes {
        let mut lab = Lab::small();
        let address = lab.boots(A);
        lab.pass(SECOND);
        let said = lab.now.boot;
        lab.pass(SECOND);
        lab.kernel(&discover(A, STAGES[0])).unwrap();
        lab.kernel(&selecting(A, STAGES[0], address)).unwrap();
        lab.pass(SECOND);
        assert_eq!(
            late(&lab, &wish(address), said).unwrap_err(),
            Ignored::NotHolder
        );
        let lease = lab.engine.lease_at(address).unwrap();
        assert_eq!(lease.kind, Kind::Bound);
        assert_eq!(lease.expires, lab.now.boot - SECOND + LEASE);
        lab.agree_on_boot(&discover(A, STAGES[0]));
        let unknown = late(&lab, &wish(address), lab.now.boot + SECOND);
        assert_eq!(
            unknown.unwrap_err(),
            Ignored::NotHolder,
            "the clock was set back"
        );
        // Said after that, it counts.
        let outcome = late(&lab, &wish(address), lab.now.boot - SECOND / 2);
        assert!(matches!(outcome, Ok(Outcome::Commit(_))));
    }
}

#[test]
fn time_is_given_by_one_measure_alone() {
    let mut lab = Lab::small();
    lab.reload(|config| config.subnets[0].lease_bounds.0 = std::time::Duration::from_secs(60));
    let address = lab.boots(A);
    let short = selecting(A, STAGES[0], address).with(51, &[0, 0, 2, 88]);
    lab.reply(&short);
    lab.reply(&selecting(A, STAGES[1], address));
    assert_eq!(lab.kernel(&short), Err(Reason::MemoMiss));
    lab.agree_on_boot(&selecting(A, STAGES[1], address));
}

#[test]
fn what_another_configuration_says_the_kernel_says_not() {
    let mut lab = Lab::small();
    let address = lab.boots(A);
    let messages = [discover(A, STAGES[0]), selecting(A, STAGES[0], address)];
    lab.reload(|config| reserve(&mut config.subnets[0], B, "10.0.9.9", None));
    for message in &messages {
        lab.agree_on_boot(message);
    }
    lab.reload(|config| config.subnets[0].policy.min_secs = 1);
    assert_eq!(lab.kernel(&messages[0]), Err(Reason::MemoMiss));
    assert_eq!(lab.ignored(&messages[0]), Ignored::TooEarly);
    lab.reload(|config| config.subnets[0].policy.min_secs = 0);
    for message in &messages {
        lab.reply(message);
        lab.agree_on_boot(message);
    }
    lab.reload(|config| config.subnets[0].options = options(&[(6, &[9, 9, 9, 9], false)]));
    for message in &messages {
        assert_eq!(lab.kernel(message), Err(Reason::MemoMiss));
        lab.reply(message);
        lab.agree_on_boot(message);
    }
    lab.engine.audit().unwrap();
}

#[test]
fn offers_that_hang_on_more_than_the_request_are_not_noted() {
    let mut lab = Lab::small();
    lab.reload(|config| config.subnets[0].policy.rapid_commit = true);
    lab.boots(A);
    let rapid = discover(A, STAGES[0]).with(80, &[]);
    lab.reply(&rapid);
    assert_eq!(lab.kernel(&rapid), Err(Reason::MemoMiss));
    let overloaded = discover(A, STAGES[0]).with(52, &[1]);
    lab.reply(&overloaded);
    assert_eq!(lab.kernel(&overloaded), Err(Reason::MemoMiss));
    let selected = discover(A, STAGES[0]).with(118, &[10, 0, 0, 0]);
    lab.reply(&selected);
    assert_eq!(lab.kernel(&selected), Err(Reason::MemoMiss));
    lab.reload(|config| config.subnets[0].policy.offer_delay = std::time::Duration::from_secs(1));
    let late = discover(A, STAGES[0]);
    assert!(lab.send(&late).is_ok());
    assert_eq!(lab.kernel(&late), Err(Reason::MemoMiss));
}

#[test]
fn who_only_asks_takes_no_place_from_who_boots() {
    let table = Table::anonymous(Size::for_addresses(64, 8).with_boots(WAYS as u32)).unwrap();
    let net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.255"));
    let mut lab = Lab::over(config(vec![net]), table.into());
    let address = lab.boots(A);
    assert_eq!(lab.memos(), WAYS);
    for stranger in 0..100 {
        lab.reply(&discover(mac(stranger), STAGES[0]));
    }
    for stage in STAGES {
        lab.agree_on_boot(&discover(A, stage));
        lab.agree_on_boot(&selecting(A, stage, address));
    }
    lab.boots(B);
    assert_eq!(lab.memos(), WAYS);
    lab.engine.audit().unwrap();
    lab.pass(2 * LEASE);
    lab.sweep();
    lab.engine.drop_unused_boots(lab.now);
    assert_eq!((lab.memos(), lab.engine.templates_in_use()), (0, 0));
    lab.engine.audit().unwrap();
}

#[test]
fn a_start_knows_no_boots_and_frees_what_a_killed_run_had_locked() {
    let mut lab = Lab::small();
    lab.boots(A);
    let table = lab.engine.table().clone();
    let found = table.boots().find(|entry| entry.read().is_some()).unwrap();
    // As by a thread that was killed at it.
    let _never_given_back = std::mem::ManuallyDrop::new(found.try_lock());
    let mut again = Lab::over(
        config(vec![subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"))]),
        table,
    );
    assert_eq!(again.memos(), 0);
    assert!(
        again
            .engine
            .table()
            .boots()
            .all(|entry: &Entry| entry.try_lock().is_some())
    );
    again.boots(A);
    again.agree_on_boot(&discover(A, STAGES[0]));
}

#[test]
fn a_second_address_while_the_first_is_on_its_way_to_disk() {
    let mut lab = Lab::small();
    let ask = discover(A, STAGES[0]);
    let first = lab.reply(&ask).yiaddr();
    let (mut frame, other) = (Vec::new(), ip("10.0.1.17"));
    let mut commit = |message| match lab.handle(&message, &mut frame) {
        Outcome::Commit(commit) => Some(commit),
        Outcome::Busy => None,
        other => panic!("{other:?}"),
    };
    let pending = commit(selecting(A, STAGES[0], first)).unwrap();
    assert!(
        commit(selecting(A, STAGES[0], other)).is_none(),
        "comes first"
    );
    lab.commit(pending);
    lab.reply(&selecting(A, STAGES[0], other));
    assert_eq!(lab.kernel(&ask), Err(Reason::MemoMiss));
    assert_eq!(lab.reply(&ask).yiaddr(), other);
    lab.engine.audit().unwrap();
}

#[test]
fn where_two_of_our_addresses_could_answer_the_kernel_does_not() {
    let mut lab = Lab::small();
    let ports = vec![
        interface(3, &["10.0.0.1/16"]),
        interface(4, &["10.0.0.2/16"]),
    ];
    lab.engine.set_interfaces(ports, lab.now);
    let ask = discover(A, STAGES[0]);
    let address = lab.reply(&ask).yiaddr();
    lab.reply(&selecting(A, STAGES[0], address));
    lab.reply(&ask);
    assert_eq!(lab.kernel(&ask), Err(Reason::MemoMiss));
    assert_eq!(lab.memos(), 0);
}

#[test]
fn one_client_has_so_many_memos_and_no_more() {
    let mut lab = Lab::small();
    lab.boots(A);
    for wish in 100..200 {
        lab.reply(&discover(A, &[wish]));
    }
    assert_eq!(lab.memos(), 16);
    let address = lab.boots(B);
    lab.agree_on_boot(&selecting(B, STAGES[1], address));
    lab.engine.audit().unwrap();
    lab.pass(2 * LEASE);
    lab.sweep();
    assert_eq!(lab.memos(), 0);
    lab.boots(A);
    lab.agree_on_boot(&discover(A, STAGES[1]));
}

/// What may happen to clients that boot.
#[derive(Clone, Debug)]
enum Step {
    /// Client, stage, and the address that it would like.
    Discover(u32, usize, Option<u8>),
    Select(u32, usize, u8),
    Reboot(u32, usize, u8),
    Renew(u32, u8),
    Release(u32, u8),
    /// The oldest record that is on its way is on disk, or could not be written.
    Settle(bool),
    Pass(u64),
    Reload(u16),
}

fn any_step() -> impl Strategy<Value = Step> {
    let (client, stage, host) = (0u32..3, 0usize..2, 10u8..15);
    prop_oneof![
        4 => (client.clone(), stage.clone(), prop::option::weighted(0.3, host.clone()))
            .prop_map(|(client, stage, wish)| Step::Discover(client, stage, wish)),
        4 => (client.clone(), stage.clone(), host.clone())
            .prop_map(|(client, stage, host)| Step::Select(client, stage, host)),
        2 => (client.clone(), stage, host.clone())
            .prop_map(|(client, stage, host)| Step::Reboot(client, stage, host)),
        2 => (client.clone(), host.clone()).prop_map(|(client, host)| Step::Renew(client, host)),
        1 => (client, host).prop_map(|(client, host)| Step::Release(client, host)),
        6 => prop::bool::weighted(0.9).prop_map(Step::Settle),
        2 => (1u64..3000).prop_map(Step::Pass),
        1 => (0u16..2).prop_map(Step::Reload),
    ]
}

fn message_of(step: &Step) -> Option<Message> {
    let at = |host: u8| std::net::Ipv4Addr::new(10, 0, 1, host);
    Some(match step {
        Step::Discover(client, stage, wish) => {
            let message = discover(mac(*client), STAGES[*stage]);
            match wish {
                Some(host) => message.requested(at(*host)),
                None => message,
            }
        }
        Step::Select(client, stage, host) => selecting(mac(*client), STAGES[*stage], at(*host)),
        Step::Reboot(client, stage, host) => {
            Message::init_reboot(mac(*client), at(*host)).with(55, STAGES[*stage])
        }
        Step::Renew(client, host) => Message::renewing(mac(*client), at(*host)),
        Step::Release(client, host) => Message::release(mac(*client), at(*host)),
        Step::Settle(_) | Step::Pass(_) | Step::Reload(_) => return None,
    })
}

/// If the kernel answers, the engine says the same, and needs no disk for it.
fn say(lab: &mut Lab, pending: &mut VecDeque<Commit>, message: &Message) {
    let kernel = lab.kernel(message);
    let mut engine = Vec::new();
    let mut outcome = lab.handle(message, &mut engine);
    if kernel.is_ok() && matches!(outcome, Outcome::Busy) {
        // A record of its other address is on its way: the packet is handed in again after that.
        pending.drain(..).for_each(|commit| lab.commit(commit));
        outcome = lab.handle(message, &mut engine);
    }
    if let Ok(frame) = kernel {
        assert!(
            matches!(outcome, Outcome::Reply(_)),
            "{outcome:?} to {message:?}"
        );
        assert_eq!(frame, engine, "{message:?}");
    } else if let Outcome::Commit(commit) = outcome {
        pending.push_back(commit);
    }
}

fn live(steps: &[Step]) {
    let mut lab = Lab::new(config(vec![subnet(
        "10.0.0.0/16",
        ("10.0.1.10", "10.0.1.14"),
    )]));
    let mut pending = VecDeque::new();
    let settle = |lab: &mut Lab, pending: &mut VecDeque<Commit>, durable| {
        let Some(commit) = pending.pop_front() else {
            return;
        };
        match durable {
            true => lab.commit(commit),
            false => lab.engine.refuse(&commit.change, lab.now),
        }
    };
    for step in steps {
        match step {
            Step::Settle(durable) => settle(&mut lab, &mut pending, *durable),
            Step::Pass(seconds) => {
                lab.pass(seconds * SECOND);
                lab.sweep();
            }
            Step::Reload(secs) => lab.reload(|config| config.subnets[0].policy.min_secs = *secs),
            _ => say(
                &mut lab,
                &mut pending,
                &message_of(step).expect("a message"),
            ),
        }
    }
    while !pending.is_empty() {
        settle(&mut lab, &mut pending, true);
    }
    lab.engine.audit().unwrap();
}

proptest! {
    #[test]
    fn whatever_happened_the_kernel_says_to_who_boots_what_the_engine_says(
        steps in prop::collection::vec(any_step(), 1..60)
    ) {
        live(&steps);
    }
}
