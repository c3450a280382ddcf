//! Start: what an earlier run left in the table is held against the journal.

use std::net::Ipv4Addr;
use std::sync::RwLockWriteGuard;

use dhcp_common::slot::{Kind, Lease};
use dhcp_common::wire::mac_bits;

use super::Engine;
use super::clients::{Client, ClientRef};
use super::commit::without_memo;
use super::held::{Entry, Held};
use super::state::State;
use crate::clock::Now;
use crate::journal::{Kind as RecordKind, Record, Written};
use crate::lease::table::Table;
use crate::lease::templates::Templates;

/// Makes the slots of an earlier run usable: no thread has them locked, offers are over, and
/// templates that are named are counted. Leases that the kernel may extend it goes on extending.
/// Tells which slots were being written: what they say belongs to no one lease.
pub(super) fn adopt(table: &Table, templates: &Templates) -> Vec<u32> {
    let mut torn = Vec::new();
    for (_, index) in table.addresses() {
        let slot = table.slot(index);
        if slot.is_being_written() {
            torn.push(index);
        }
        slot.adopt();
        // Which address a client would get is found out anew.
        slot.stop_boots();
        let mut lease = slot.lease();
        if slot.kind() == Kind::Offered {
            slot.close();
            slot.publish(Kind::Free, false, &Lease::default());
        } else if lease.template >= table.size().templates {
            slot.close();
            without_memo(&mut lease);
            slot.publish(slot.kind(), false, &lease);
        } else if lease.template != 0 {
            templates.adopt(table, lease.template);
        }
    }
    for entry in table.boots() {
        entry.reset();
    }
    templates.adopted();
    torn
}

/// The table is being brought in line with the journal. Nobody is answered meanwhile.
pub struct Restoring<'a> {
    engine: &'a Engine,
    state: RwLockWriteGuard<'a, State>,
    now: Now,
    /// By slot: whether there is a record, and it counts.
    known: Vec<Option<bool>>,
    lost: usize,
}

impl Restoring<'_> {
    /// Takes the last record of an address.
    pub fn take(&mut self, record: &Written<'_>) {
        // Outside of all pools too: a reload may bring the pool back. Without room in the
        // table the address is not one that could be given.
        let Ok(index) = self.engine.table.add(record.address) else {
            return;
        };
        self.state.know_block(index, record.address);
        let (engine, now) = (self.engine, self.now);
        let outdated = engine.is_outdated(index, record, now);
        self.known[index as usize] = Some(!outdated);
        self.lost += usize::from(outdated || engine.was_told_more(index, record, now));
        if !outdated {
            engine.apply(&self.state, index, record, now);
        }
    }

    /// Tells of how many leases the table knows more than the journal, which has lost records then,
    /// and should get them once more.
    #[must_use]
    pub fn finish(self) -> usize {
        let (engine, now, mut lost) = (self.engine, self.now, self.lost);
        for (address, index) in engine.table.addresses() {
            let record = self.known[index as usize];
            lost += usize::from(record.is_none() && engine.is_open(index, now));
            if record != Some(true) {
                engine.without_record(&self.state, address, index, now);
            }
        }
        drop(self.state);
        engine.drop_stale_memos(now);
        lost
    }
}

impl Engine {
    /// Brings the table in line with the journal, whose last record of each address is given.
    /// A lease that the kernel may still extend stays as it is if the journal agrees; one whose
    /// slot was lost counts as taken for as long as any client may have been told. A lease of
    /// which the slot alone knows was recorded too, but its record is lost: the client has been
    /// told, so the address stays taken until the lease ends.
    ///
    /// Tells what [`Restoring::finish`] does.
    pub fn restore(&self, records: impl IntoIterator<Item = Record>, now: Now) -> usize {
        let mut restoring = self.restoring(0, now);
        for record in records {
            restoring.take(&record.written());
        }
        restoring.finish()
    }

    /// [`Self::restore`] for about so many records that come one by one.
    #[must_use]
    pub fn restoring(&self, records: u64, now: Now) -> Restoring<'_> {
        self.clients.reserve(records as usize);
        Restoring {
            engine: self,
            state: self.write_state(),
            now,
            known: vec![None; self.table.size().slots() as usize],
            lost: 0,
        }
    }

    /// Whether the slot must be newer than the last record. It is closed before another record of
    /// its address is written, so an open one is newer than all but that of its own lease. One
    /// that was closed for a record is newer than all that this cannot be: another client's, as no
    /// lease that runs goes straight to another client, and one by which the lease is over.
    fn is_outdated(&self, index: u32, record: &Written<'_>, now: Now) -> bool {
        let his = self.is_his(index, record);
        let bound = record.kind == RecordKind::Bound;
        if self.table.slot(index).is_valid() {
            return self.is_open(index, now) && !(his && bound);
        }
        let lapsed = bound && record.reserved_until <= now.boot;
        self.is_running(index, now) && (!his || lapsed)
    }

    /// Whether there was a later record of the same lease: nothing is granted beyond one.
    fn was_told_more(&self, index: u32, record: &Written<'_>, now: Now) -> bool {
        let same = self.is_his(index, record) && record.kind == RecordKind::Bound;
        let told = self.table.slot(index).expires();
        same && self.is_running(index, now) && told > record.reserved_until
    }

    fn is_his(&self, index: u32, record: &Written<'_>) -> bool {
        self.table.slot(index).lease().chaddr == mac_bits(&record.mac, 0)
    }

    /// Whether the slot has a lease that was in force when the last run ended, whether the kernel
    /// may extend it or not.
    fn is_running(&self, index: u32, now: Now) -> bool {
        let slot = self.table.slot(index);
        let bound = slot.kind() == Kind::Bound && slot.expires() > now.boot;
        bound && !self.torn.contains(&index)
    }

    fn is_open(&self, index: u32, now: Now) -> bool {
        self.table.slot(index).is_valid() && self.is_running(index, now)
    }

    /// What a slot becomes of which the journal says nothing, or nothing new enough.
    fn without_record(&self, state: &State, address: Ipv4Addr, index: u32, now: Now) {
        let slot = self.table.slot(index);
        let (kind, mut lease) = (slot.kind(), slot.lease());
        if kind == Kind::Bound && lease.expires > now.boot {
            without_memo(&mut lease);
            // Nothing is on disk: the next renewal must be.
            lease.reserved_until = 0;
            let key = state.key_of(address, lease.chaddr);
            self.clients.insert(key, &Client::offered(address));
            self.marks.set(index, lease.renewals);
            self.overwrite(state, address, Entry::new(Kind::Bound, lease), now);
        } else if kind != Kind::Free {
            let nothing = Entry::new(Kind::Free, Lease::default());
            self.overwrite(state, address, nothing, now);
        }
    }

    fn apply(&self, state: &State, index: u32, record: &Written<'_>, now: Now) {
        let address = record.address;
        let chaddr = mac_bits(&record.mac, 0);
        let until = record.reserved_until;
        match record.kind {
            RecordKind::Bound if self.agrees(index, chaddr) => {
                let slot = self.table.slot(index);
                slot.reserve(until);
                self.marks.set(index, slot.lease().renewals);
            }
            RecordKind::Bound if until > now.boot => {
                let lease = lost(chaddr, until);
                self.overwrite(state, address, Entry::new(Kind::Bound, lease), now);
            }
            RecordKind::Bound => {
                let lease = lost(chaddr, until);
                self.overwrite(state, address, Entry::new(Kind::Expired, lease), now);
            }
            RecordKind::Released => {
                let lease = lost(chaddr, 0);
                self.overwrite(state, address, Entry::new(Kind::Released, lease), now);
            }
            RecordKind::Declined if until > now.boot => {
                let lease = lost(chaddr, until);
                self.overwrite(state, address, Entry::new(Kind::Declined, lease), now);
            }
            RecordKind::Declined | RecordKind::Forgotten => {
                let nothing = Entry::new(Kind::Free, Lease::default());
                self.overwrite(state, address, nothing, now);
            }
        }
        if matches!(record.kind, RecordKind::Bound | RecordKind::Released) {
            self.remember(state, chaddr, record);
        }
    }

    fn agrees(&self, index: u32, chaddr: u64) -> bool {
        let slot = self.table.slot(index);
        slot.kind() == Kind::Bound && slot.is_valid() && slot.lease().chaddr == chaddr
    }

    fn overwrite(&self, state: &State, address: Ipv4Addr, entry: Entry, now: Now) {
        if let Ok(Some(held)) = Held::lock(self, state, address) {
            held.publish(entry, now.boot);
        }
    }

    fn remember(&self, state: &State, chaddr: u64, record: &Written<'_>) {
        let client = ClientRef {
            address: record.address,
            since: record.since.max(1),
            client_id: record.client_id,
            hostname: record.hostname,
            relay_agent: record.relay_agent,
            xid: 0,
        };
        // Not simply the latest: one that it gave back since may have the later record.
        self.rekey(state, chaddr, &client);
    }
}

/// A lease of which only the journal knows.
fn lost(chaddr: u64, until: u64) -> Lease {
    Lease {
        chaddr,
        expires: until,
        reserved_until: until,
        ..Lease::default()
    }
}
