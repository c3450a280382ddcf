//! The walk over all slots, about once a second: ends what has lapsed, moves promises forward,
//! notices what the kernel has granted.

use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dhcp_common::memo;
use dhcp_common::slot::{Kind, Lease, Slot};
use dhcp_common::wire::mac_bytes;

use super::Engine;
use super::api::{Change, Commit, Event, EventKind};
use super::grant::promise;
use super::held::{Entry, Held};
use super::state::State;
use crate::clock::{Now, SECOND};
use crate::journal::{Kind as RecordKind, Record};

/// How often boot memos are walked over.
const BOOTS_EVERY: u64 = 60 * SECOND;

/// What a sweep has found.
#[derive(Clone, Debug)]
pub enum Swept {
    /// A promise to move forward. Append its record before returning: the slot is locked, so
    /// that no later record of the address comes before this one.
    Promise(Commit),
    /// A lease has ended, or the kernel has extended one.
    Event(Event),
}

impl Engine {
    /// Walks over all slots. What others have locked is left for the next time, and so are promises
    /// while `may_promise` says no.
    pub fn sweep(&self, now: Now, may_promise: &dyn Fn() -> bool, emit: &mut dyn FnMut(Swept)) {
        self.templates.settle(&self.table, now.boot);
        self.walk(|state, address, index| {
            let slot = self.table.slot(index);
            let kind = slot.kind();
            if !kind.is_taken() {
                return;
            }
            if slot.expires() <= now.boot {
                self.lapse(state, address, now, emit);
            } else if kind == Kind::Bound {
                self.look_at(address, index, emit);
                if self.wants_promise(state, index, now) && may_promise() {
                    self.extend_promise(state, address, index, now, emit);
                }
            }
        });
        let last = self.boots_swept.load(Ordering::Relaxed);
        if now.boot.saturating_sub(last) >= BOOTS_EVERY {
            self.boots_swept.store(now.boot, Ordering::Relaxed);
            self.drop_unused_boots(now);
        }
    }

    /// Ends a lease, offer or quarantine, unless the kernel has extended it meanwhile.
    fn lapse(&self, state: &State, address: Ipv4Addr, now: Now, emit: &mut dyn FnMut(Swept)) {
        let Ok(Some(held)) = Held::lock(self, state, address) else {
            return;
        };
        let lease = held.lease;
        match held.kind {
            Kind::Bound => {
                let lapsed = Lease {
                    chaddr: lease.chaddr,
                    expires: lease.expires,
                    ..Lease::default()
                };
                if held.end(&Entry::new(Kind::Expired, lapsed), now.boot) {
                    emit(Swept::Event(event(EventKind::Expire, address, &lease)));
                }
            }
            Kind::Offered => {
                let key = state.key_of(address, lease.chaddr);
                let had = self.clients.since(&key, address) != 0;
                held.end(&Entry::after_offer(lease.chaddr, had), now.boot);
            }
            Kind::Declined => {
                held.end(&Entry::new(Kind::Free, Lease::default()), now.boot);
            }
            Kind::Free | Kind::Released | Kind::Expired => {}
        }
    }

    /// Notices what the kernel has granted.
    fn look_at(&self, address: Ipv4Addr, index: u32, emit: &mut dyn FnMut(Swept)) {
        let (kind, lease) = self.table.look(index);
        if kind == Kind::Bound && self.marks.seen(index) != lease.renewals {
            self.marks.set(index, lease.renewals);
            emit(Swept::Event(event(EventKind::KernelRenew, address, &lease)));
        }
    }

    fn wants_promise(&self, state: &State, index: u32, now: Now) -> bool {
        let lease = self.table.slot(index).lease();
        if lease.memo == memo::NONE {
            return false;
        }
        let reserve = state.config.fast_path.reserve;
        let time = u64::from(self.table.template(lease.template).facts().lease_secs);
        is_promise_short(&lease, time * SECOND, reserve, now.boot)
    }

    fn extend_promise(
        &self,
        state: &State,
        address: Ipv4Addr,
        index: u32,
        now: Now,
        emit: &mut dyn FnMut(Swept),
    ) {
        let moving = &self.marks.moving[index as usize];
        let slot = self.table.slot(index);
        if moving.load(Ordering::Acquire) || !slot.try_lock() {
            return;
        }
        let lease = slot.lease();
        if slot.kind() == Kind::Bound && lease.memo != memo::NONE {
            moving.store(true, Ordering::Release);
            emit(Swept::Promise(self.promise(state, address, index, now)));
        }
        slot.unlock();
    }

    /// The last record of every lease and quarantine that is wanted, in the order of addresses. Append
    /// it before returning: the slot is locked, so that no later record of the address comes before
    /// this one. `None`: somebody else has it locked, who may write a record or not. Left out is
    /// what has a record on its way.
    pub fn records(
        &self,
        wanted: &dyn Fn(Ipv4Addr) -> bool,
        emit: &mut dyn FnMut(Ipv4Addr, Option<Record>) -> ControlFlow<()>,
    ) {
        self.walk_until(|state, address, index| {
            let slot = self.table.slot(index);
            if record_kind(slot.kind()).is_none() || !wanted(address) {
                return ControlFlow::Continue(());
            }
            if !slot.try_lock() {
                return emit(address, None);
            }
            let lease = slot.lease();
            // A promise that is on its way to disk reaches further than this record would.
            let moving = self.marks.moving[index as usize].load(Ordering::Acquire);
            let kind = record_kind(slot.kind()).filter(|_| !moving);
            let flow = kind.map_or(ControlFlow::Continue(()), |kind| {
                let until = lease.reserved_until.max(lease.expires);
                let record = self.record(state, address, kind, &lease, until);
                emit(address, Some(record))
            });
            slot.unlock();
            flow
        });
    }

    fn record(
        &self,
        state: &State,
        address: Ipv4Addr,
        kind: RecordKind,
        lease: &Lease,
        until: u64,
    ) -> Record {
        let client = self.client_at(state, address, lease.chaddr);
        client.record(kind, mac_bytes(lease.chaddr), until)
    }

    /// The slot is locked.
    fn promise(&self, state: &State, address: Ipv4Addr, index: u32, now: Now) -> Commit {
        let slot: &Slot = self.table.slot(index);
        let lease = slot.lease();
        let time = self.table.template(lease.template).facts().lease_secs;
        let time = Duration::from_secs(u64::from(time));
        let until = promise(now.boot, time, state.config.fast_path.reserve);
        let until = until.max(lease.reserved_until);
        let record = self.record(state, address, RecordKind::Bound, &lease, until);
        Commit {
            record,
            change: Change::Reserve {
                index,
                generation: slot.generation(),
                until,
            },
            event: None,
        }
    }
}

/// Whether the lease was extended since its last record, and a renewal at half of its time
/// would come close to the promise's end. A lease that was lost with its slot lasts as long as
/// its promise: there it is always close, and is not moved for the little that a second brings.
fn is_promise_short(lease: &Lease, time: u64, reserve: f64, now: u64) -> bool {
    let near = lease.expires.saturating_add(time / 2 + time / 16);
    let ahead = (time as f64 * (reserve - 1.0)) as u64;
    let recorded = lease.reserved_until.saturating_sub(ahead);
    let next = now.saturating_add(time).saturating_add(ahead);
    lease.reserved_until < near
        && lease.expires > recorded.saturating_add(time / 64)
        && next > lease.reserved_until.saturating_add(time / 16)
}

fn record_kind(kind: Kind) -> Option<RecordKind> {
    match kind {
        Kind::Bound => Some(RecordKind::Bound),
        Kind::Declined => Some(RecordKind::Declined),
        Kind::Free | Kind::Offered | Kind::Released | Kind::Expired => None,
    }
}

fn event(kind: EventKind, address: Ipv4Addr, lease: &Lease) -> Event {
    Event {
        kind,
        mac: mac_bytes(lease.chaddr),
        address,
        ifindex: lease.link.ifindex,
    }
}
