//! What changes while a new state is made of a new configuration. That takes long with many addresses,
//! so answers go on under the old state, which notes whose slots change; the new one looks at these
//! again before it takes over.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dhcp_common::slot::Kind;
use foldhash::fast::RandomState;

use super::state::State;
use crate::lease::table::Table;

#[derive(Default)]
pub(super) struct Meanwhile {
    is_noting: AtomicBool,
    changed: Mutex<Vec<Ipv4Addr>>,
    /// Addresses that the pools took for offered when they were made. Empty once the state is in use.
    offered: HashSet<Ipv4Addr, RandomState>,
}

impl Meanwhile {
    /// From now on changes are noted. Only who has the state to itself may say so: what has begun
    /// before is noted nowhere.
    pub(super) fn begin(&self) {
        self.changed().clear();
        self.is_noting.store(true, Ordering::Release);
    }

    /// The addresses whose slots may have changed since. A change that is noted may still be under way
    /// unless the caller has the state to itself.
    pub(super) fn end(&self) -> Vec<Ipv4Addr> {
        self.is_noting.store(false, Ordering::Release);
        std::mem::take(&mut *self.changed())
    }

    /// The slot of this address is about to change.
    pub(super) fn note(&self, address: Ipv4Addr) {
        if self.is_noting.load(Ordering::Acquire) {
            self.changed().push(address);
        }
    }

    pub(super) fn saw_offer(&mut self, address: Ipv4Addr) {
        self.offered.insert(address);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.changed().len() + self.offered.len()
    }

    fn changed(&self) -> MutexGuard<'_, Vec<Ipv4Addr>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Brings the pools in line with the slots of these addresses. No slot changes meanwhile.
    pub(super) fn catch_up(&mut self, changed: Vec<Ipv4Addr>, table: &Table) {
        let mut offered = std::mem::take(&mut self.meanwhile.offered);
        for address in changed {
            let Some(index) = table.index(address) else {
                continue;
            };
            let kind = table.slot(index).kind();
            self.mark(address, kind.is_taken());
            let held = kind == Kind::Offered;
            let counted = if held {
                !offered.insert(address)
            } else {
                offered.remove(&address)
            };
            if let Some(id) = self.subnet_of(address).filter(|_| held != counted) {
                self.pools[id].count_offer(address, held);
            }
        }
    }
}
