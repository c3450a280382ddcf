//! What follows a record: the change becomes visible once it is durable, or nothing happened.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dhcp_common::memo;
use dhcp_common::slot::{Kind, Lease, Splice};
use foldhash::fast::RandomState;

use super::Engine;
use super::api::Change;
use super::clients::Client;
use super::held::Entry;
use super::state::State;
use crate::clock::Now;

/// Slots that are locked by a commit of which more is to be kept in mind than the change itself.
#[derive(Debug, Default)]
pub(super) struct Tainted {
    any: AtomicBool,
    slots: Mutex<HashMap<u32, Taint, RandomState>>,
}

#[derive(Debug, Default)]
struct Taint {
    /// The slot has no memo when the change is done, whatever becomes of it: it was computed under an
    /// earlier configuration, as reload found the slot locked, or under an option 82 that the lease
    /// has no more.
    has_no_memo: bool,
    /// What is to be known of the client again if the change is refused.
    before: Option<Client>,
}

impl Tainted {
    pub(super) fn add(&self, index: u32) {
        let mut slots = self.lock();
        slots.entry(index).or_default().has_no_memo = true;
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn add_moved(&self, index: u32, before: Client) {
        self.add_known(index, before);
        self.add(index);
    }

    /// Of a client that gets another address than it has.
    pub(super) fn add_known(&self, index: u32, before: Client) {
        let mut slots = self.lock();
        slots.entry(index).or_default().before = Some(before);
        self.any.store(true, Ordering::Release);
    }

    fn remove(&self, index: u32) -> Option<Taint> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut slots = self.lock();
        let was = slots.remove(&index);
        self.any.store(!slots.is_empty(), Ordering::Release);
        was
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Taint, RandomState>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// The record of this change is on disk: makes it visible.
    pub fn complete(&self, change: &Change, now: Now) {
        let state = self.read();
        match change {
            Change::Publish {
                index,
                kind,
                lease,
                tail,
                ..
            } => {
                let mut entry = Entry {
                    kind: *kind,
                    lease: *lease,
                    tail: tail.clone(),
                };
                let taint = self.tainted.remove(*index);
                if taint.is_some_and(|taint| taint.has_no_memo) {
                    self.release_template(entry.lease.template, now.boot);
                    without_memo(&mut entry.lease);
                }
                self.write(&state, *index, &entry, now.boot);
            }
            Change::Reserve {
                index,
                generation,
                until,
            } => self.move_promise(*index, *generation, *until),
        }
    }

    /// The record of this change could not be written: gives the slot back as it was.
    pub fn refuse(&self, change: &Change, now: Now) {
        let state = self.read();
        match change {
            Change::Publish { index, lease, .. } => self.abandon(&state, *index, lease, now.boot),
            Change::Reserve { index, .. } => self.promise_settled(*index),
        }
    }

    fn abandon(&self, state: &State, index: u32, lease: &Lease, now: u64) {
        let old = self.table.slot(index).lease();
        if old.chaddr != lease.chaddr {
            self.forget(state, lease.chaddr, state.address_of(index));
        }
        self.release_template(lease.template, now);
        let taint = self.tainted.remove(index).unwrap_or_default();
        if let Some(before) = taint
            .before
            .filter(|it| self.names(it.address, lease.chaddr))
        {
            let key = state.key_of(before.address, lease.chaddr);
            self.clients.insert(key, &before);
        }
        let taken = self.table.slot(index).kind().is_taken();
        state.mark(state.address_of(index), taken);
        self.reinstate(index, taint.has_no_memo, now);
    }

    /// Whether the slot of an address is still of this client.
    fn names(&self, address: Ipv4Addr, chaddr: u64) -> bool {
        let index = self.table.index(address);
        index.is_some_and(|index| self.table.slot(index).lease().chaddr == chaddr)
    }

    fn move_promise(&self, index: u32, generation: u64, until: u64) {
        let slot = self.table.slot(index);
        // Whoever has the slot locked changes the lease, and the promise with it.
        if slot.try_lock() {
            if slot.generation() == generation && slot.kind() == Kind::Bound {
                slot.reserve(until);
            }
            slot.unlock();
        }
        self.promise_settled(index);
    }

    fn promise_settled(&self, index: u32) {
        self.marks.moving[index as usize].store(false, Ordering::Release);
    }

    pub(super) fn release_template(&self, index: u32, now: u64) {
        self.templates.release(&self.table, index, now);
    }
}

/// So that the kernel passes every renewal up.
pub(super) fn without_memo(lease: &mut Lease) {
    lease.memo = memo::NONE;
    lease.template = 0;
    lease.splice = Splice::default();
}
