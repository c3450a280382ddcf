//! Which addresses a client may have, and how it gets one to itself.

use std::net::Ipv4Addr;

use dhcp_common::slot::Kind;

use super::Stop;
use super::context::Context;
use super::held::Held;
use super::pool::Pools;
use super::state::SubnetId;

impl<'a> Context<'a> {
    /// The address that is reserved for this client, here or elsewhere in the shared network.
    pub(super) fn reserved(&self, id: SubnetId) -> Option<Ipv4Addr> {
        let host = self.host(id)?;
        let address = host.address?;
        if self.subnet(id).prefix.contains(&address) {
            return Some(address);
        }
        let there = self.standing(self.state.subnet_of(address)?);
        let same = there.host.is_some_and(|other| std::ptr::eq(other, host));
        (same && there.refused.is_none()).then_some(address)
    }

    /// Whether the configuration lets this client have this address: his reserved one, or one
    /// of the pools if he has none or another client is still on it.
    pub(super) fn may_have(&self, id: SubnetId, address: Ipv4Addr) -> bool {
        if self.standing(id).refused.is_some() || !self.subnet(id).prefix.contains(&address) {
            return false;
        }
        match self.reserved(id) {
            Some(own) if own == address => true,
            Some(own) if !self.is_in_use(own) => false,
            _ => self.is_in_his_pools(id, address) && !self.state.is_ours(address),
        }
    }

    fn is_in_his_pools(&self, id: SubnetId, address: Ipv4Addr) -> bool {
        let pool = self.state.pool_of(id, address);
        let passes = pool.is_some_and(|pool| self.standing(id).passes(&pool.classes));
        passes && self.state.pools[id].contains(address)
    }

    /// Whether the address is another client's, or in quarantine.
    fn is_in_use(&self, address: Ipv4Addr) -> bool {
        let Some(index) = self.engine.table.index(address) else {
            return false;
        };
        let slot = self.engine.table.slot(index);
        let kind = slot.kind();
        kind == Kind::Declined || kind.is_taken() && slot.lease().chaddr != self.chaddr
    }

    /// Locks an address for this client if it is his, or free and allowed. `only_own` leaves
    /// alone what was never his, a reservation excepted.
    pub(super) fn seize(
        &self,
        id: SubnetId,
        address: Ipv4Addr,
        only_own: bool,
    ) -> Result<Option<Held<'a>>, Stop> {
        if !self.may_have(id, address) {
            return Ok(None);
        }
        let Some(mut held) = Held::lock(self.engine, self.state, address)? else {
            return Ok(None);
        };
        if held.kind.is_taken() {
            return Ok(held.is_of(self.chaddr).then_some(held));
        }
        if self.reserved(id) == Some(address) {
            return Ok(Some(held));
        }
        if only_own && !held.is_of(self.chaddr) || self.avoids(address) {
            return Ok(None);
        }
        // The bit may be set by a thread that looks for a free address and finds this one
        // locked: the slot is the truth.
        self.state.pools[id].claim(address);
        held.claimed = true;
        Ok(Some(held))
    }

    /// Whether the client has just declined this address.
    pub(super) fn avoids(&self, address: Ipv4Addr) -> bool {
        let declines = &self.engine.declines;
        declines.avoids(self.chaddr, address, self.now.boot)
    }

    /// The address that the client has in one of several subnets: it is not given up for one that
    /// it had before in a subnet that stands first.
    pub(super) fn settled(&self) -> Result<Option<(SubnetId, Held<'a>)>, Stop> {
        if self.subnets().len() < 2 {
            return Ok(None);
        }
        for id in self.subnets() {
            if let Some(address) = self.leased(*id)
                && let Some(held) = self.seize(*id, address, true)?
            {
                return Ok(Some((*id, held)));
            }
        }
        Ok(None)
    }

    pub(super) fn leased(&self, id: SubnetId) -> Option<Ipv4Addr> {
        let address = self.engine.clients.address(&self.key(id))?;
        let his = self.engine.is_bound_to(address, self.chaddr);
        his.then_some(address)
    }

    /// The subnets that the client may be in, those first that have it among their hosts.
    pub(super) fn homes_first(&self) -> impl Iterator<Item = SubnetId> {
        let several = self.subnets().len() > 1;
        let is_home = move |id: &&SubnetId| several && self.is_home(**id);
        let homes = self.subnets().iter().filter(is_home);
        let others = self.subnets().iter().filter(move |id| !is_home(id));
        homes.chain(others).copied()
    }

    /// Claims a free address: in pools for the client's classes first, so that those for
    /// everybody last for the others.
    pub(super) fn claim_free(&self, id: SubnetId) -> Option<Ipv4Addr> {
        self.pick(id, |pools, may| pools.claim_next(may))
    }

    /// The same, not claimed.
    pub(super) fn glance_free(&self, id: SubnetId) -> Option<Ipv4Addr> {
        self.pick(id, |pools, may| pools.glance_next(may))
    }

    /// How many addresses are free in the pools that the client may get one of, by their place, in
    /// the order in which they are asked.
    pub(super) fn free_pools(&self, id: SubnetId) -> Vec<(usize, u64)> {
        let standing = self.standing(id);
        if standing.refused.is_some() {
            return Vec::new();
        }
        let pools = &self.subnet(id).pools;
        let may = |at: &usize| standing.passes(&pools[*at].classes);
        let mut all: Vec<usize> = (0..pools.len()).filter(may).collect();
        all.sort_by_key(|at| pools[*at].classes.is_empty());
        let free = &self.state.pools[id];
        all.into_iter().map(|at| (at, free.free_in(at))).collect()
    }

    fn pick(
        &self,
        id: SubnetId,
        from: impl Fn(&Pools, &dyn Fn(usize) -> bool) -> Option<Ipv4Addr>,
    ) -> Option<Ipv4Addr> {
        let standing = self.standing(id);
        if standing.refused.is_some() {
            return None;
        }
        let pools = &self.subnet(id).pools;
        let guard = |at: usize| pools[at].classes.as_slice();
        let own = |at: usize| !guard(at).is_empty() && standing.passes(guard(at));
        let free = &self.state.pools[id];
        from(free, &own).or_else(|| from(free, &|at| guard(at).is_empty()))
    }
}
