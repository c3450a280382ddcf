//! Clients that are known by a hash of their identifier: two may have the same one.

use dhcp_common::wire::mac_bits;

use super::Stop;
use super::api::Ignored;
use super::context::Context;
use super::state::SubnetId;

impl Context<'_> {
    /// Refuses a client that would be taken for another that has an address now.
    pub(super) fn check_identity(&self) -> Result<(), Stop> {
        if !self.request.is_infiniband() || self.request.message_type.is_query() {
            return Ok(());
        }
        let by_address = self.state.subnet_of(self.request.ciaddr);
        let mut places = self.subnets().iter().copied().chain(by_address);
        if places.any(|id| self.is_anothers(id)) {
            return Err(Ignored::IdentityTaken.into());
        }
        Ok(())
    }

    fn is_anothers(&self, id: SubnetId) -> bool {
        let Some(known) = self.engine.clients.get(&self.key(id)) else {
            return false;
        };
        let index = self.engine.table.index(known.address);
        let has_it = index.is_some_and(|index| {
            let slot = self.engine.table.slot(index);
            slot.kind().is_taken() && slot.lease().chaddr == mac_bits(&self.mac(), 0)
        });
        let id = self.request.client_id().unwrap_or_default();
        has_it && !known.client_id.is_empty() && known.client_id[..] != id[..]
    }
}
