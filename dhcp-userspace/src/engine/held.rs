//! A slot that this thread has locked, and the only ways in which a slot changes.

use std::net::Ipv4Addr;

use dhcp_common::slot::{Kind, Lease, Slot};

use super::api::{Change, Ignored};
use super::commit::without_memo;
use super::state::State;
use super::{Engine, Stop};
use crate::clock::SECOND;

/// Frames that the kernel takes from an interface together, it dates with the last one's time.
const TOGETHER: u64 = SECOND / 100_000;

/// A locked slot; given back as it is when dropped.
pub(super) struct Held<'a> {
    engine: &'a Engine,
    state: &'a State,
    pub(super) address: Ipv4Addr,
    pub(super) index: u32,
    pub(super) kind: Kind,
    /// As it was when it was locked; the kernel may extend it until the slot is closed.
    pub(super) lease: Lease,
    /// The pool's bit was set for this, to be cleared if nothing comes of it.
    pub(super) claimed: bool,
    /// What the client was told before counts no longer.
    pub(super) anew: bool,
    done: bool,
}

/// New content of a slot.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) lease: Lease,
    pub(super) tail: Vec<u8>,
}

impl Entry {
    pub(super) fn new(kind: Kind, lease: Lease) -> Self {
        Self {
            kind,
            lease,
            tail: Vec::new(),
        }
    }

    /// An address that was offered and not taken; it stays in mind for who had it before, and
    /// while nobody else is offered it, for who asks again.
    pub(super) fn after_offer(chaddr: u64, had_it: bool) -> Self {
        let lease = Lease {
            chaddr,
            ..Lease::default()
        };
        let kind = if had_it { Kind::Expired } else { Kind::Free };
        Self::new(kind, lease)
    }
}

impl<'a> Held<'a> {
    /// Locks the slot of an address, or tells that another thread has it. `None`: no slot.
    pub(super) fn lock(
        engine: &'a Engine,
        state: &'a State,
        address: Ipv4Addr,
    ) -> Result<Option<Self>, Stop> {
        let Some(index) = engine.table.index(address) else {
            return Ok(None);
        };
        let slot = engine.table.slot(index);
        if !slot.try_lock() {
            return Err(Stop::Busy);
        }
        Ok(Some(Self {
            engine,
            state,
            address,
            index,
            kind: slot.kind(),
            lease: slot.lease(),
            claimed: false,
            anew: false,
            done: false,
        }))
    }

    pub(super) fn slot(&self) -> &'a Slot {
        self.engine.table.slot(self.index)
    }

    pub(super) fn is_of(&self, mac: u64) -> bool {
        self.lease.chaddr == mac && self.kind != Kind::Free && self.kind != Kind::Declined
    }

    /// Takes the kernel's permission back, unless the kernel has given the client time since it said this:
    /// then what it said is of the past.
    pub(super) fn unless_granted_since(mut self, said: u64) -> Result<Self, Stop> {
        let told = self.slot().close();
        let lease = self.slot().lease();
        let time = self
            .engine
            .table
            .template(lease.template)
            .facts()
            .lease_secs;
        let granted = told.saturating_sub(u64::from(time) * SECOND);
        if lease.renewals == 0 || time == 0 || granted.saturating_add(TOGETHER) < said {
            return Ok(self);
        }
        self.done = true;
        self.engine.reinstate(self.index, false, said);
        Err(Ignored::NotHolder.into())
    }

    /// Takes the kernel's permission back and writes the slot. A bound lease keeps what the
    /// kernel told the client meanwhile.
    pub(super) fn publish(mut self, mut entry: Entry, now: u64) {
        self.close_into(&mut entry);
        self.done = true;
        self.engine.write(self.state, self.index, &entry, now);
    }

    /// Takes the kernel's permission back and leaves the slot locked until the change is on
    /// disk.
    pub(super) fn change(mut self, mut entry: Entry) -> Change {
        self.close_into(&mut entry);
        self.done = true;
        Change::Publish {
            index: self.index,
            kind: entry.kind,
            valid: entry.kind == Kind::Bound,
            lease: entry.lease,
            tail: entry.tail,
        }
    }

    /// Ends what has lapsed; false if it has not, because the kernel extended it just now.
    pub(super) fn end(mut self, entry: &Entry, now: u64) -> bool {
        if self.lease.expires > now {
            return false;
        }
        self.done = true;
        if self.slot().close() > now {
            self.engine.reinstate(self.index, false, now);
            return false;
        }
        self.engine.write(self.state, self.index, entry, now);
        true
    }

    fn close_into(&self, entry: &mut Entry) {
        let told = self.slot().close();
        let same = self.kind == Kind::Bound && self.lease.chaddr == entry.lease.chaddr;
        if same && !self.anew && entry.kind == Kind::Bound {
            entry.lease.expires = entry.lease.expires.max(told);
            entry.lease.renewals = self.slot().lease().renewals;
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if self.claimed {
            self.state.mark(self.address, false);
        }
        self.slot().unlock();
    }
}

impl Engine {
    /// Writes a slot that is locked and closed, and everything that hangs on it.
    pub(super) fn write(&self, state: &State, index: u32, entry: &Entry, now: u64) {
        let slot = self.table.slot(index);
        let (old_kind, old) = (slot.kind(), slot.lease());
        for (word, chunk) in self.table.tail(index).iter().zip(entry.tail.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_ne_bytes(bytes));
        }
        if entry.lease.renewals == 0 {
            self.marks.set(index, 0);
        }
        let address = state.address_of(index);
        self.count_offers(state, address, [old_kind, entry.kind]);
        state.mark(address, entry.kind.is_taken());
        slot.publish(entry.kind, entry.kind == Kind::Bound, &entry.lease);
        if old.chaddr != entry.lease.chaddr && old.chaddr != 0 {
            self.forget(state, old.chaddr, address);
        }
        // Last, as the template may be the same one.
        self.release_template(old.template, now);
    }

    /// Gives a slot back as it was before a change that came to nothing. It is locked and
    /// closed. Its memo, if not to be kept, is taken.
    pub(super) fn reinstate(&self, index: u32, drop_memo: bool, now: u64) {
        let slot = self.table.slot(index);
        let (kind, old) = (slot.kind(), slot.lease());
        let mut lease = old;
        if drop_memo {
            without_memo(&mut lease);
        }
        slot.publish(kind, kind == Kind::Bound, &lease);
        if drop_memo {
            self.release_template(old.template, now);
        }
    }

    /// Forgets that a MAC had an address.
    pub(super) fn forget(&self, state: &State, chaddr: u64, address: Ipv4Addr) {
        self.clients.forget(&state.key_of(address, chaddr), address);
    }

    fn count_offers(&self, state: &State, address: Ipv4Addr, change: [Kind; 2]) {
        use std::sync::atomic::Ordering::Relaxed;
        let held = match change.map(|kind| kind == Kind::Offered) {
            [false, true] => true,
            [true, false] => false,
            _ => return,
        };
        if held {
            self.offers.fetch_add(1, Relaxed);
        } else {
            self.offers.fetch_sub(1, Relaxed);
        }
        if let Some(id) = state.subnet_of(address) {
            state.pools[id].count_offer(address, held);
        }
    }
}
