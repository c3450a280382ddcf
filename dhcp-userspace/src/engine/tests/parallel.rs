//! Many clients at once: no address is held twice, and none is lost.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dhcp_common::memo;
use dhcp_common::slot::Kind;

use super::lab::*;
use crate::clock::SECOND;
use crate::config::model::{Mac, Times};
use crate::engine::{Binding, Engine, Outcome, Swept};

/// Hands a message in until it is not busy, and completes what is to be committed.
fn send(lab: &Lab, message: &Message) -> Option<(u8, Ipv4Addr)> {
    let mut reply = Vec::new();
    loop {
        match lab.handle(message, &mut reply) {
            Outcome::Ignore(_) => return None,
            Outcome::Busy => std::thread::yield_now(),
            Outcome::Reply(_) | Outcome::Later(_) => break,
            Outcome::Commit(commit) => {
                std::thread::yield_now();
                lab.engine.complete(&commit.change, lab.now);
                break;
            }
        }
    }
    let yiaddr: [u8; 4] = reply.get(14 + 28 + 16..14 + 28 + 20)?.try_into().ok()?;
    Some((reply[14 + 28 + 242], yiaddr.into()))
}

fn live(lab: &Lab, mac: Mac, held: &Held) {
    let seconds = ((lease_of(mac) / SECOND) as u32).to_be_bytes();
    let asking = |message: Message| message.with(51, &seconds);
    for round in 0..20 {
        let Some((2, address)) = send(lab, &asking(Message::discover(mac))) else {
            continue;
        };
        if send(lab, &asking(Message::selecting(mac, address))) != Some((5, address)) {
            continue;
        }
        let before = held.lock().unwrap().insert(address, mac);
        assert_eq!(before, None, "{address} has two holders");
        assert_eq!(
            send(lab, &asking(Message::renewing(mac, address))),
            Some((5, address))
        );
        held.lock().unwrap().remove(&address);
        let end = if round % 5 == 0 {
            Message::decline(mac, address)
        } else {
            Message::release(mac, address)
        };
        send(lab, &end);
    }
}

fn sweep_until(engine: &Engine, lab: &Lab, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        engine.sweep(lab.now, &|| true, &mut |swept| {
            if let Swept::Promise(commit) = swept {
                engine.complete(&commit.change, lab.now);
            }
        });
    }
}

#[test]
fn no_address_is_held_twice() {
    live_meanwhile(8, |lab, done| sweep_until(&lab.engine, lab, done));
}

/// So many clients of each of four workers live beside what else happens until they are done; gives what comes of that.
fn live_meanwhile<T: Send>(
    clients: u32,
    meanwhile: impl FnOnce(&Lab, &AtomicBool) -> T + Send,
) -> T {
    let lab = Lab::new(config(vec![subnet(
        "10.0.0.0/16",
        ("10.0.1.0", "10.0.1.139"),
    )]));
    let held = Mutex::new(HashMap::new());
    let done = AtomicBool::new(false);
    let came = std::thread::scope(|scope| {
        let (lab, held, done) = (&lab, &held, &done);
        let meanwhile = scope.spawn(move || meanwhile(lab, done));
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                scope.spawn(move || {
                    for client in 0..clients {
                        live(lab, mac(worker * 100 + client), held);
                    }
                })
            })
            .collect();
        let results: Vec<_> = workers
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok));
        meanwhile.join().unwrap()
    });
    expect_books_in_order(&lab);
    came
}

/// The pool and the counts of offers are what the slots say.
fn expect_books_in_order(lab: &Lab) {
    let taken = lab
        .engine
        .leases()
        .iter()
        .filter(|lease| lease.kind.is_taken())
        .count() as u64;
    let pool = lab.engine.pools()[0];
    assert_eq!((pool.free + taken, pool.size), (140, 140), "no bit is lost");
    let offered = lab
        .engine
        .leases()
        .iter()
        .filter(|lease| lease.kind == Kind::Offered)
        .count();
    assert_eq!(lab.engine.open_offers(), offered);
    assert_eq!(lab.engine.read().pools[0].offered(), offered as u64);
}

type Held = Mutex<HashMap<Ipv4Addr, Mac>>;

/// An operator leases addresses to machines of his own, and takes them back.
fn operate(lab: &Lab, mac: Mac, held: &Held, done: &AtomicBool) {
    let engine = &lab.engine;
    for address in pool().cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
        let Ok(commit) = engine.force_bind(binding(lab, mac, address), lab.now) else {
            continue;
        };
        engine.complete(&commit.change, lab.now);
        let before = held.lock().unwrap().insert(address, mac);
        assert_eq!(before, None, "{address} has two holders");
        let _ = engine.force_renew(address, lab.now);
        held.lock().unwrap().remove(&address);
        if let Ok(commit) = engine.force_release(address, Some(mac), lab.now) {
            engine.complete(&commit.change, lab.now);
        }
    }
}

fn pool() -> impl Iterator<Item = Ipv4Addr> + Clone {
    (0..140).map(|last| Ipv4Addr::new(10, 0, 1, last))
}

fn binding(lab: &Lab, mac: Mac, address: Ipv4Addr) -> Binding {
    Binding {
        address,
        mac,
        expires: lab.now.boot + lease_of(mac),
        since: lab.now.unix,
        client_id: Vec::new(),
        hostname: Vec::new(),
        relay_agent: Vec::new(),
    }
}

/// For how long a client asks for, so that its leases can be told from others'.
fn lease_of(mac: Mac) -> u64 {
    (60 + u64::from(mac[4]) * 100 + u64::from(mac[5])) * SECOND
}

/// Others look at all leases meanwhile, and the journal is written anew.
fn look_until(lab: &Lab, done: &AtomicBool) {
    let engine = &lab.engine;
    while !done.load(Ordering::Relaxed) {
        engine.records(&|_| true, &mut |_, record| {
            if let Some(record) = record {
                assert!(record.reserved_until > lab.now.boot, "{record:?}");
            }
            ControlFlow::Continue(())
        });
        let leases = engine.leases();
        let bound = leases.iter().filter(|lease| lease.kind == Kind::Bound);
        for lease in bound {
            let expires = lab.now.boot + lease_of(lease.mac);
            assert_eq!(lease.expires, expires, "half of another's: {lease:?}");
        }
    }
}

/// Now one configuration, now another.
fn alternate_until(lab: &Lab, done: &AtomicBool) {
    let config = lab.engine.config();
    for turn in (1u64..).take_while(|_| !done.load(Ordering::Relaxed)) {
        let mut other = (*config).clone();
        other.fingerprint += turn % 2;
        other.subnets[0].options = options(&[(15, &[b'a' + (turn % 2) as u8], false)]);
        lab.engine.reload(Arc::new(other), lab.now).unwrap();
        std::thread::yield_now();
    }
}

/// Everything at once: clients, an operator, the sweeper, reloads, lease queries.
#[test]
fn whatever_else_is_done_no_address_is_held_twice() {
    let mut subnet = subnet("10.0.0.0/16", ("10.0.1.0", "10.0.1.139"));
    subnet.lease_bounds = (Duration::from_secs(1), Duration::from_secs(3600));
    let lab = Lab::new(config(vec![subnet]));
    lab.engine.set_secret([7; 32]);
    let (held, done) = (Held::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (lab, held, done) = (&lab, &held, &done);
        let others = [
            scope.spawn(move || sweep_until(&lab.engine, lab, done)),
            scope.spawn(move || look_until(lab, done)),
            scope.spawn(move || alternate_until(lab, done)),
            scope.spawn(move || operate(lab, mac(900), held, done)),
        ];
        let clients = [0, 1].map(|worker| {
            scope.spawn(move || {
                for client in 0..8 {
                    live(lab, mac(worker * 100 + client), held);
                }
            })
        });
        let results = clients.map(std::thread::ScopedJoinHandle::join);
        done.store(true, Ordering::Relaxed);
        let others = others.map(std::thread::ScopedJoinHandle::join);
        assert!(results.iter().chain(&others).all(Result::is_ok));
    });
}

/// Two clients by turns have an address that somebody else looks at: what is shown is all one client's.
#[test]
fn what_is_shown_of_a_lease_belongs_together() {
    let lab = Lab::small();
    let (address, done) = (ip("10.0.1.15"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (lab, done) = (&lab, &done);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let lease = lab.engine.lease_at(address);
                if let Some(lease) = lease.filter(|lease| lease.kind == Kind::Bound) {
                    let expires = lab.now.boot + lease_of(lease.mac);
                    assert_eq!(lease.expires, expires, "half of another's: {lease:?}");
                }
            }
        });
        for round in 0..20_000 {
            let mac = mac(round % 2);
            let commit = lab.engine.force_bind(binding(lab, mac, address), lab.now);
            lab.engine.complete(&commit.unwrap().change, lab.now);
            let commit = lab.engine.force_release(address, Some(mac), lab.now);
            lab.engine.complete(&commit.unwrap().change, lab.now);
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// A thread that looks for a free address has set the bit and not yet found the slot locked.
#[test]
fn a_bit_without_a_slot_is_no_refusal() {
    let mut lab = Lab::small();
    let address = ip("10.0.1.15");
    assert!(lab.engine.read().pools[0].claim(address));
    let ack = lab.reply(&Message::selecting(mac(1), address));
    assert_eq!((ack.kind(), ack.yiaddr()), (5, address));
    lab.send(&Message::release(mac(1), address)).unwrap();
    assert!(
        lab.engine.read().pools[0].claim(address),
        "the bit is right again"
    );
    assert_eq!(lab.reply(&Message::init_reboot(mac(1), address)).kind(), 5);
}

/// The leases with a memo that were given under another configuration.
fn stale(lab: &Lab, lease_secs: u32) -> Vec<Ipv4Addr> {
    let table = lab.engine.table();
    let is_stale = |index: u32| {
        let slot = table.slot(index);
        let (before, locked) = (slot.generation(), slot.is_locked());
        let lease = slot.lease();
        let has_memo = lease.memo != memo::NONE && slot.kind() == Kind::Bound;
        let other = table.template(lease.template).facts().lease_secs != lease_secs;
        // Else it was read while somebody wrote it.
        has_memo && other && !locked && slot.generation() == before && !slot.is_locked()
    };
    let stale = table.addresses().filter(|(_, index)| is_stale(*index));
    stale.map(|(address, _)| address).collect()
}

/// Another lease time with each reload, while clients come and go.
fn reload_until(lab: &Lab, done: &AtomicBool) -> u32 {
    let mut reloads = 0;
    while !done.load(Ordering::Relaxed) {
        reloads += 1;
        let mut config = (*lab.engine.config()).clone();
        config.fingerprint += 1;
        config.subnets[0].times = Times::of(Duration::from_secs(u64::from(1000 + reloads)));
        // Another subnet, so that clients are found by other keys.
        config.subnets.truncate(1);
        if reloads % 3 == 0 {
            config
                .subnets
                .push(subnet("10.1.0.0/16", ("10.1.1.0", "10.1.1.9")));
        }
        lab.engine.reload(config.into(), lab.now).unwrap();
        assert_eq!(
            stale(lab, 1000 + reloads),
            [] as [Ipv4Addr; 0],
            "reload {reloads}"
        );
    }
    reloads
}

#[test]
fn reloads_lose_no_address_and_leave_no_memo_of_before() {
    let reloads = live_meanwhile(16, reload_until);
    assert!(reloads > 3);
}
