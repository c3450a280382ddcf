//! Rapid commit (RFC 4039): a lease for a DISCOVER, without an OFFER between.

use dhcp_common::slot::Kind;
use dhcp_common::wire::option;

use super::Stop;
use super::api::{EventKind, Outcome};
use super::context::Context;
use super::held::Held;
use super::state::SubnetId;

impl<'a> Context<'a> {
    /// Whether this DISCOVER may be answered with an ACK. Another server may be meant to be
    /// first where offers are delayed, so there the client must be able to choose.
    pub(super) fn may_commit(&self, id: SubnetId, held: &Held<'_>) -> bool {
        let policy = &self.subnet(id).policy;
        let asked = self.request.rapid_commit && policy.rapid_commit;
        asked && policy.offer_delay.is_zero() && policy.min_secs == 0 && self.has_room(id, held)
    }

    /// Of a pool, clients that are new get half at most by one message: those cost nothing to
    /// forge, and what is only offered is soon free again.
    pub(super) fn has_room(&self, id: SubnetId, held: &Held<'_>) -> bool {
        let (free, size) = self.state.pools[id].counts();
        let known = held.kind == Kind::Bound || self.reserved(id) == Some(held.address);
        known || free * 2 >= size
    }

    pub(super) fn commit_at_once(
        &self,
        id: SubnetId,
        held: Held<'a>,
        reply: &mut Vec<u8>,
    ) -> Result<Outcome, Stop> {
        let once = vec![(option::RAPID_COMMIT, Vec::new())];
        self.grant_with(id, held, EventKind::Bind, once, reply)
    }
}
