//! What must always be true of an engine's books, whatever happened.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use dhcp_common::boot::Entry;
use dhcp_common::slot::Kind;
use dhcp_common::wire::mac_bits;

use crate::engine::Engine;
use crate::engine::state::State;

impl Engine {
    /// Compares counters, bits, references and hints with the slots. Nothing may be on its way to
    /// disk.
    pub(crate) fn audit(&self) -> Result<(), String> {
        let state = self.read();
        self.audit_slots()?;
        self.audit_pools(&state)?;
        self.audit_clients()
    }

    fn audit_slots(&self) -> Result<(), String> {
        let slots = || {
            self.table
                .addresses()
                .map(|(_, index)| self.table.slot(index))
        };
        let offered = slots().filter(|slot| slot.kind() == Kind::Offered).count();
        same("open offers", self.open_offers(), offered)?;
        let boots = self.table.boots().filter_map(Entry::read);
        let templates: BTreeSet<u32> = slots()
            .map(|slot| slot.lease().template)
            .chain(boots.map(|boot| boot.template))
            .collect();
        let named = templates.iter().filter(|template| **template != 0).count();
        same("templates in use", self.templates_in_use(), named)?;
        let (handed_out, idle) = self.templates.handed_out();
        same("templates handed out", handed_out, named + idle)?;
        for (address, index) in self.table.addresses() {
            let slot = self.table.slot(index);
            if slot.is_locked() {
                return Err(format!("{address} is locked for ever"));
            }
            let moving = &self.marks.moving[index as usize];
            if moving.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(format!("the promise of {address} is on its way for ever"));
            }
            let lease = slot.lease();
            let key = self.read().key_of(address, lease.chaddr);
            if lease.boots && self.clients.address(&key) != Some(address) {
                return Err(format!(
                    "{address} is not the one that its client would get"
                ));
            }
            if slot.kind() != Kind::Bound && (slot.is_valid() || slot.lease().template != 0) {
                return Err(format!(
                    "the kernel may extend {address}, which is not leased"
                ));
            }
        }
        Ok(())
    }

    fn audit_pools(&self, state: &State) -> Result<(), String> {
        for (id, subnet) in state.config.subnets.iter().enumerate() {
            let pools = &state.pools[id];
            let in_pools = subnet.pools.iter().flat_map(|pool| {
                (pool.first.to_bits()..=pool.last.to_bits()).map(Ipv4Addr::from_bits)
            });
            let in_pools: Vec<_> = in_pools
                .filter(|address| pools.contains(*address))
                .collect();
            let kind = |address: &Ipv4Addr| {
                let index = self.table.index(*address);
                index.map_or(Kind::Free, |index| self.table.slot(index).kind())
            };
            let is_free =
                |address: &&Ipv4Addr| !kind(address).is_taken() && !state.is_ours(**address);
            let free = in_pools.iter().filter(is_free).count();
            let prefix = subnet.prefix;
            same(
                &format!("free in {prefix}"),
                pools.counts().0 as usize,
                free,
            )?;
            let offered = in_pools
                .iter()
                .filter(|address| kind(address) == Kind::Offered);
            same(
                &format!("offered in {prefix}"),
                pools.offered() as usize,
                offered.count(),
            )?;
        }
        Ok(())
    }

    /// Clients are remembered by slots that name them: as many as addresses, at most.
    fn audit_clients(&self) -> Result<(), String> {
        let mut stale = Vec::new();
        self.clients.each(|key, client| {
            let index = self.table.index(client.address);
            let chaddr = index.map(|index| self.table.slot(index).lease().chaddr);
            if chaddr != Some(mac_bits(&key.mac, 0)) {
                stale.push(format!(
                    "{key:?} at {}, whose slot names {chaddr:x?}",
                    client.address
                ));
            }
        });
        match stale.first() {
            Some(first) => Err(format!(
                "{} clients remembered for ever: {first}",
                stale.len()
            )),
            None => Ok(()),
        }
    }
}

fn same(what: &str, counted: usize, found: usize) -> Result<(), String> {
    if counted == found {
        return Ok(());
    }
    Err(format!("{what}: counted {counted}, found {found}"))
}
