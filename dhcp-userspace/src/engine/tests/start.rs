//! Starting over a journal and a table that an earlier run may have left.

use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use dhcp_common::slot::Kind;
use dhcp_common::wire::mac_bits;

use super::lab::*;
use crate::clock::SECOND;
use crate::config::Config;
use crate::config::model::Pool;
use crate::engine::{Outcome, Swept};
use crate::journal::Record;
use crate::lease::table::{Size, Table};

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xa];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0xb];

fn small() -> Config {
    config(vec![subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.19"))])
}

/// The last record of each address, as the journal gives them.
fn replay(records: &[Record]) -> Vec<Record> {
    let mut last: Vec<Record> = Vec::new();
    for record in records {
        last.retain(|other| other.address != record.address);
        last.push(record.clone());
    }
    last
}

fn fresh(old: &Lab) -> Lab {
    let table = Table::anonymous(Size::for_addresses(64, 8)).unwrap();
    restart(old, small(), Arc::new(table))
}

fn pinned(old: &Lab) -> Lab {
    restart(old, small(), Arc::clone(old.engine.table()))
}

fn restart(old: &Lab, config: Config, table: Arc<Table>) -> Lab {
    let mut lab = Lab::over(config, table);
    lab.now = old.now;
    lab.engine.restore(replay(&old.records), lab.now);
    lab
}

/// A lab in which A has an address, B has given one back, and a third client declined one.
fn one_of_each() -> (Lab, [Ipv4Addr; 3]) {
    let mut old = Lab::small();
    let address = old.bind(A);
    let released = old.bind(B);
    old.send(&Message::release(B, released)).unwrap();
    let declined = old.bind(mac(1));
    old.send(&Message::decline(mac(1), declined)).unwrap();
    (old, [address, released, declined])
}

#[test]
fn with_a_new_table_leases_count_for_as_long_as_they_were_promised() {
    let (mut old, [address, released, declined]) = one_of_each();
    let mut lab = fresh(&old);
    let lease = lab.engine.lease_at(address).unwrap();
    assert_eq!((lease.kind, lease.mac, lease.memo), (Kind::Bound, A, false));
    assert_eq!(lease.expires, old.records[0].reserved_until);
    assert_eq!(lab.engine.lease_at(declined).unwrap().kind, Kind::Declined);
    assert_eq!(lab.engine.pools()[0].free, 8);
    assert_eq!(lab.bind(B), released, "remembered");
    assert_ne!(lab.bind(mac(1)), declined);
    assert_eq!(lab.reply(&Message::renewing(A, address)).kind(), 5);
    assert!(lab.engine.lease_at(address).unwrap().memo);
    assert_eq!(lab.bind(A), address);
    old.pass(3 * LEASE);
    let lab = fresh(&old);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Expired);
}

#[test]
fn with_a_new_table_a_renewed_lease_is_not_recorded_every_second() {
    let mut old = Lab::small();
    let address = old.bind(A);
    let mut lab = fresh(&old);
    lab.reply(&Message::renewing(A, address));
    let before = lab.records.len();
    for _ in 0..60 {
        lab.pass(SECOND);
        lab.sweep();
    }
    assert_eq!(lab.records.len(), before, "the promise is as good as new");
    lab.pass(LEASE / 2);
    lab.reply(&Message::renewing(A, address));
    lab.sweep();
    assert_eq!(lab.records.len(), before + 1, "and moves when it is time");
}

#[test]
fn a_client_is_known_by_the_address_that_it_has_not_by_one_that_it_had() {
    let mut old = Lab::small();
    let address = old.bind(A);
    old.pass(SECOND);
    // A copy of what it asked before comes late.
    let other = ip("10.0.1.15");
    assert_eq!(old.reply(&Message::selecting(A, other)).kind(), 5);
    assert_eq!(old.reply(&Message::renewing(A, address)).kind(), 5);
    for gives_back in [false, true] {
        if gives_back {
            old.pass(SECOND);
            old.send(&Message::release(A, other)).unwrap();
        } else {
            old.records.iter_mut().for_each(|record| {
                if record.address == other {
                    record.reserved_until = old.now.boot;
                }
            });
        }
        assert_eq!(fresh(&old).bind(A), address, "given back: {gives_back}");
    }
    assert_eq!(pinned(&old).bind(A), address);
}

#[test]
fn with_a_pinned_table_nothing_is_lost() {
    let mut old = Lab::small();
    let address = old.bind(A);
    old.pass(LEASE / 4);
    old.reply(&Message::renewing(A, address));
    let before = old.engine.lease_at(address).unwrap();
    let lab = pinned(&old);
    assert_eq!(lab.engine.lease_at(address).unwrap(), before);
    assert_eq!(lab.engine.templates_in_use(), 1);
    assert_eq!(lab.engine.pools()[0].free, 9);
}

#[test]
fn a_lease_whose_record_is_lost_is_closed_and_ends_when_it_was_told() {
    let mut old = Lab::small();
    let address = old.bind(A);
    let other = old.bind(B);
    old.reply(&Message::discover(mac(3)));
    old.records.retain(|record| record.address != address);
    let told = old.engine.lease_at(address).unwrap().expires;
    let mut lab = pinned(&old);
    let lease = lab.engine.lease_at(address).unwrap();
    assert_eq!((lease.kind, lease.mac), (Kind::Bound, A));
    assert_eq!((lease.expires, lease.memo), (told, false));
    assert_eq!(lab.engine.lease_at(other).unwrap().kind, Kind::Bound);
    assert_eq!(
        (lab.engine.open_offers(), lab.engine.pools()[0].free),
        (0, 8)
    );
    assert_ne!(lab.bind(mac(3)), address);
    assert_eq!(lab.reply(&Message::discover(A)).yiaddr(), address);
    let before = lab.records.len();
    assert_eq!(lab.reply(&Message::renewing(A, address)).kind(), 5);
    assert_eq!(lab.records.len(), before + 1, "on disk again");
    assert!(lab.engine.lease_at(address).unwrap().memo);
}

#[test]
fn leases_of_which_the_table_knows_more_than_the_journal_are_counted() {
    let mut old = Lab::small();
    let address = old.bind(A);
    old.bind(B);
    let told = old.engine.lease_at(address).unwrap().expires;
    let lost = |change: &dyn Fn(&mut Vec<Record>)| {
        let mut records = replay(&old.records);
        change(&mut records);
        let mut lab = Lab::over(small(), Arc::clone(old.engine.table()));
        lab.now = old.now;
        lab.engine.restore(records, lab.now)
    };
    assert_eq!(lost(&|_| {}), 0);
    assert_eq!(lost(&|records| records[0].reserved_until = told), 0);
    assert_eq!(lost(&|records| records[0].reserved_until = told - 1), 1);
    assert_eq!(lost(&|records| records.truncate(1)), 1, "B is unknown");
}

#[test]
fn where_leases_may_be_lost_the_network_is_asked_and_clients_are_believed() {
    let (address, other) = (ip("10.0.1.15"), ip("10.0.1.16"));
    let mut lab = Lab::small();
    lab.ignored(&Message::renewing(A, address));
    let doubted = lab.engine.doubt(lab.now);
    let reserve = lab.engine.config().fast_path.reserve;
    let lasts = Duration::from_nanos(LEASE).mul_f64(reserve);
    assert_eq!((doubted.lasts, doubted.for_good), (lasts, false));
    assert_eq!(lab.reply(&Message::renewing(A, address)).kind(), 5);
    lab.ignored(&Message::init_reboot(B, other));
    assert_ne!(lab.bind(mac(3)), address);
    let mut reply = Vec::new();
    let offer = lab.handle(&Message::discover(mac(4)), &mut reply);
    assert!(
        matches!(&offer, Outcome::Later(later) if later.probe.is_some()),
        "{offer:?}"
    );

    let Outcome::Later(later) = offer else {
        unreachable!()
    };
    let used = later.event.address;
    let conflict = lab.engine.conflict(lab.now, used, mac_bits(&mac(4), 0));
    lab.commit(conflict.unwrap());
    assert_eq!(lab.engine.lease_at(used).unwrap().kind, Kind::Declined);
    assert_eq!(lab.reply(&Message::renewing(mac(7), used)).kind(), 5);

    lab.pass(lasts.as_nanos() as u64);
    let offer = lab.handle(&Message::discover(mac(5)), &mut reply);
    assert!(matches!(offer, Outcome::Reply(_)), "{offer:?}");
    lab.ignored(&Message::renewing(mac(6), ip("10.0.1.19")));
}

#[test]
fn a_lease_whose_record_is_lost_lapses_unless_renewed() {
    let mut old = Lab::small();
    let address = old.bind(A);
    old.records.clear();
    let mut lab = pinned(&old);
    lab.pass(LEASE + SECOND);
    lab.sweep();
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Expired);
    old.pass(LEASE + SECOND);
    assert!(pinned(&old).engine.lease_at(address).is_none());
}

#[test]
fn a_slot_that_is_newer_than_the_last_record_counts() {
    let mut old = Lab::small();
    let address = old.bind(A);
    old.send(&Message::release(A, address)).unwrap();
    let lost = old.records.len();
    assert_eq!(old.reply(&Message::selecting(B, address)).kind(), 5);
    old.records.truncate(lost);
    let mut lab = pinned(&old);
    let lease = lab.engine.lease_at(address).unwrap();
    assert_eq!((lease.kind, lease.mac), (Kind::Bound, B));
    assert_ne!(lab.bind(A), address);
}

/// The daemon is killed while a renewal's record is on its way, and that lease's last record is
/// lost, so that an older one is found.
#[test]
fn a_slot_that_was_closed_for_a_record_is_newer_than_another_clients() {
    for end in [Message::release, Message::selecting] {
        let mut old = Lab::small();
        let address = old.bind(B);
        old.send(&end(B, address)).unwrap();
        let last = old.records.clone();
        if old.engine.lease_at(address).unwrap().kind == Kind::Bound {
            old.send(&Message::release(B, address)).unwrap();
        }
        assert_eq!(old.reply(&Message::selecting(A, address)).kind(), 5);
        let (told, lost) = killed_at_a_renewal(&mut old, address, &last);
        let lease = lost.engine.lease_at(address).unwrap();
        assert_eq!(
            (lease.kind, lease.mac, lease.expires),
            (Kind::Bound, A, told)
        );
    }
}

#[test]
fn a_slot_that_was_closed_for_a_record_is_newer_than_one_that_has_lapsed() {
    let mut old = Lab::small();
    let address = old.bind(A);
    let last = old.records.clone();
    for _ in 0..3 {
        old.pass(LEASE - SECOND);
        old.reply(&Message::renewing(A, address));
    }
    assert!(last[0].reserved_until < old.now.boot);
    let (told, lost) = killed_at_a_renewal(&mut old, address, &last);
    let lease = lost.engine.lease_at(address).unwrap();
    assert_eq!(
        (lease.kind, lease.mac, lease.expires),
        (Kind::Bound, A, told)
    );
}

/// What A was told, and the server that was started over these records.
fn killed_at_a_renewal(old: &mut Lab, address: Ipv4Addr, last: &[Record]) -> (u64, Lab) {
    old.pass(LEASE * 3 / 4);
    while let Outcome::Reply(_) = old.handle(&Message::renewing(A, address), &mut Vec::new()) {
        old.pass(LEASE * 3 / 4);
    }
    let table = old.engine.table();
    let slot = table.slot(table.index(address).unwrap());
    assert!(slot.is_locked() && !slot.is_valid());
    let told = slot.expires();
    let mut lab = Lab::over(small(), Arc::clone(table));
    lab.now = old.now;
    assert_eq!(
        lab.engine.restore(replay(last), lab.now),
        1,
        "and is written again"
    );
    (told, lab)
}

#[test]
fn a_daemon_killed_between_record_and_publish_leaves_a_usable_slot() {
    let mut old = Lab::small();
    let address = old.bind(A);
    let fresh = ip("10.0.1.15");
    let mut reply = Vec::new();
    for message in [Message::release(A, address), Message::selecting(B, fresh)] {
        match old.handle(&message, &mut reply) {
            Outcome::Commit(commit) => old.records.push(commit.record),
            other => panic!("{other:?}"),
        }
    }
    let mut lab = pinned(&old);
    assert_eq!(lab.engine.lease_at(address).unwrap().kind, Kind::Released);
    let lease = lab.engine.lease_at(fresh).unwrap();
    assert_eq!((lease.kind, lease.mac), (Kind::Bound, B));
    assert_eq!(lease.expires, lease.reserved_until);
    assert_eq!(lab.reply(&Message::selecting(B, fresh)).kind(), 5);
    assert_eq!(lab.bind(A), address);
}

#[test]
fn another_configuration_keeps_leases_and_drops_memos() {
    let mut old = Lab::small();
    let address = old.bind(A);
    old.pass(SECOND);
    let mut config = small();
    config.fingerprint = 2;
    let lab = restart(&old, config, Arc::clone(old.engine.table()));
    let lease = lab.engine.lease_at(address).unwrap();
    assert_eq!((lease.kind, lease.memo), (Kind::Bound, false));
    assert_eq!(lease.expires, lab.now.boot - SECOND + LEASE);
    assert_eq!(lab.engine.templates_in_use(), 0);
}

#[test]
fn leases_outside_of_the_pools_are_kept_in_mind_until_they_end() {
    let mut old = Lab::small();
    let address = old.bind(A);
    let mut config = small();
    config.subnets[0].pools = vec![Pool::open((ip("10.0.9.10"), ip("10.0.9.19")))];
    let table = Arc::new(Table::anonymous(Size::for_addresses(64, 8)).unwrap());
    let mut lab = restart(&old, config, table);
    assert_eq!(lab.reply(&Message::renewing(A, address)).kind(), 6);
    lab.engine.reload(small().into(), lab.now).unwrap();
    assert_eq!(lab.engine.pools()[0].free, 9);
    assert_eq!(lab.engine.lease_at(address).unwrap().mac, A);
}

#[test]
fn a_client_is_known_again_when_its_subnet_comes_back() {
    let mut old = Lab::small();
    let address = old.bind(A);
    let mut config = small();
    config.subnets[0].prefix = "10.9.0.0/16".parse().unwrap();
    config.subnets[0].pools.clear();
    let mut lab = restart(&old, config, Arc::clone(old.engine.table()));
    lab.engine.reload(small().into(), lab.now).unwrap();
    assert_ne!(lab.engine.lease_at(address).unwrap().since, 0);
    assert_eq!(lab.bind(A), address, "no second one");
    assert_eq!(lab.engine.known_clients(), 1);
}

#[test]
fn all_records_can_be_had_again() {
    let (mut old, [address, _, declined]) = one_of_each();
    let busy = old.bind(mac(2));
    let mut reply = Vec::new();
    let release = old.handle(&Message::release(mac(2), busy), &mut reply);
    assert!(matches!(release, Outcome::Commit(_)));
    let records_from = |from| {
        let mut records = Vec::new();
        old.engine.records(&|at| at >= from, &mut |_, record| {
            records.extend(record);
            ControlFlow::Continue(())
        });
        records
    };
    let records = records_from(ANYONE);
    let addresses: Vec<_> = records.iter().map(|record| record.address).collect();
    assert_eq!(addresses, [address, declined], "another has its record");
    assert_eq!(records[0], old.records[0]);
    assert_eq!(records_from(declined), records[1..]);
    old.records = records;
    let lab = fresh(&old);
    assert_eq!(lab.engine.lease_at(address).unwrap().mac, A);
    assert_eq!(lab.engine.lease_at(declined).unwrap().kind, Kind::Declined);
}

#[test]
fn a_record_had_again_does_not_fall_behind_a_promise() {
    let mut lab = Lab::small();
    let address = lab.bind(A);
    lab.pass(LEASE / 2);
    lab.reply(&Message::renewing(A, address));
    let mut promise = None;
    lab.engine
        .sweep(lab.now, &|| true, &mut |swept| match swept {
            Swept::Promise(commit) => promise = Some(commit),
            Swept::Event(_) => {}
        });
    let count = |lab: &Lab| {
        let mut count = 0;
        lab.engine.records(&|_| true, &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        });
        count
    };
    assert_eq!(count(&lab), 0);
    lab.commit(promise.unwrap());
    assert_eq!(count(&lab), 1);
}
