//! DHCPACK with lease time: what the client gets, what must be on disk before, and what the
//! kernel may say from then on.

use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp_common::boot::Says;
use dhcp_common::slot::{Kind, Lease, Splice};
use dhcp_common::template::copy_words;
use dhcp_common::wire::CLIENT_PORT;

use super::Stop;
use super::api::{Commit, EventKind, Outcome};
use super::context::Context;
use super::held::{Entry, Held};
use super::state::SubnetId;
use super::terms::Terms;
use crate::journal::Kind as RecordKind;
use crate::packet::{Composed, MessageType, Region, reply_size};

/// What the kernel may answer, and with what.
#[derive(Default)]
struct Memo {
    memo: u64,
    template: u32,
    splice: Splice,
    tail: Vec<u8>,
}

impl<'a> Context<'a> {
    pub(super) fn grant(
        &self,
        id: SubnetId,
        held: Held<'a>,
        kind: EventKind,
        reply: &mut Vec<u8>,
    ) -> Result<Outcome, Stop> {
        self.grant_with(id, held, kind, Vec::new(), reply)
    }

    /// As [`Self::grant`], with options that this ACK alone has.
    pub(super) fn grant_with(
        &self,
        id: SubnetId,
        mut held: Held<'a>,
        kind: EventKind,
        once: Vec<(u8, Vec<u8>)>,
        reply: &mut Vec<u8>,
    ) -> Result<Outcome, Stop> {
        let address = held.address;
        let mut terms = self.terms_at(id, address)?;
        let same = held.kind == Kind::Bound && held.lease.chaddr == self.chaddr;
        let update = self.update(id, &held, same)?;
        terms.once.extend(once);
        let nonce = (kind == EventKind::Bind).then(|| self.nonce(&update.client));
        terms.once.extend(nonce.flatten());
        let composed = self.compose(reply, MessageType::Ack, &terms, address);
        let boots = self.boots_from(id, address);
        if boots && self.request.message_type == MessageType::Request {
            self.note_boot(address, Says::Ack, &terms, (&composed, reply));
        }
        let until = self.now.boot.saturating_add(nanos(terms.times.lease));
        let memo = if update.moved {
            Memo::default()
        } else if same && self.request.is_relayed() {
            self.kept_memo(&held)
        } else {
            self.memo(id, address, &composed, reply).unwrap_or_default()
        };
        held.anew = same && held.is_for_good(self.now);
        let durable = same && !held.anew && !update.moved && until <= held.lease.reserved_until;
        let reserved_until = if durable {
            held.lease.reserved_until
        } else {
            self.reserved_until(&terms, &held, same && !held.anew)
        };
        let lease = Lease {
            chaddr: self.chaddr,
            expires: until,
            reserved_until,
            memo: memo.memo,
            link: self.link(id),
            template: memo.template,
            renewals: if same { held.lease.renewals } else { 0 },
            splice: memo.splice,
            boots: boots && update.client.relay_agent.is_empty(),
        };
        let entry = Entry {
            kind: Kind::Bound,
            lease,
            tail: memo.tail,
        };
        let event = self.event(kind, address);
        self.end_hold(id, &held);
        self.remember(id, &update, held.index);
        if durable {
            held.publish(entry, self.now.boot);
            return Ok(Outcome::Reply(event));
        }
        let client = update.client;
        let record = client.record(RecordKind::Bound, self.mac(), reserved_until);
        Ok(Outcome::Commit(Commit {
            record,
            change: held.change(entry),
            event: Some(event),
        }))
    }

    /// How long the lease is promised on disk: never for less than a client has been told.
    fn reserved_until(&self, terms: &Terms<'_>, held: &Held<'_>, same: bool) -> u64 {
        let reserve = self.state.config.fast_path.reserve;
        let promised = promise(self.now.boot, terms.times.lease, reserve);
        if same {
            promised.max(held.lease.reserved_until)
        } else {
            promised
        }
    }

    /// The memo that the lease has. A relay copies the renewals that it routes, so the same client's
    /// packets come both ways, and the copy says nothing against the direct one's memo.
    fn kept_memo(&self, held: &Held<'_>) -> Memo {
        let engine = self.engine;
        let lease = &held.lease;
        engine.templates.retain(lease.template);
        let mut tail = vec![0; usize::from(lease.splice.tail_len)];
        copy_words(engine.table.tail(held.index), &mut tail);
        Memo {
            memo: lease.memo,
            template: lease.template,
            splice: lease.splice,
            tail,
        }
    }

    /// What the kernel may answer after this ACK: the renewal that the client is expected to
    /// send, or the one that was answered now. `None` if the kernel would answer otherwise than
    /// this engine, or not at all.
    fn memo(
        &self,
        id: SubnetId,
        address: Ipv4Addr,
        composed: &Composed,
        reply: &[u8],
    ) -> Option<Memo> {
        if self.reserved(id).is_some_and(|own| own != address) {
            return None;
        }
        // The answer repeats option 118, and no template has it.
        if self.request.subnet_selection.is_some() {
            return None;
        }
        if self.request.is_relayed() || self.packet.source_port != CLIENT_PORT {
            return None;
        }
        if !self.has_one_answer(id) {
            return None;
        }
        // A renewal after rapid commit is like no DISCOVER, and the kernel knows Ethernet only.
        if self.request.message_type != MessageType::Request || self.request.is_infiniband() {
            return None;
        }
        let (ciaddr, source) = (self.request.ciaddr, self.packet.source);
        let region = if ciaddr.is_unspecified() {
            self.is_on_link(id)
                .then(|| Region::predicted(self.request))??
        } else if source == ciaddr || source.is_unspecified() && self.is_on_link(id) {
            // systemd-networkd and NetworkManager rebind from 0.0.0.0, and later renew with the
            // same options.
            self.names_lasting_server(composed)
                .then(|| Region::of_renewal(self.request))??
        } else {
            return None;
        };
        let recipe = composed.recipe(reply, &region)?;
        if !self
            .state
            .carries(reply_size(&recipe.content.facts, &recipe.splice))
        {
            return None;
        }
        let engine = self.engine;
        let template = engine.templates.intern(&engine.table, &recipe.content)?;
        Some(Memo {
            memo: region.memo(&engine.table.meta().key),
            template,
            splice: recipe.splice,
            tail: recipe.tail,
        })
    }

    /// Whether the client hears of the same address of ours by whichever link its renewal comes.
    pub(super) fn has_one_answer(&self, id: SubnetId) -> bool {
        let places = &self.state.places;
        self.is_on_link(id) == places.is_local(id)
            && (self.subnet(id).server_address.is_some() || !places.is_on_several(id))
    }

    /// Whether the server that a renewal names, if it does, is the one that the reply is from: the
    /// memo must not outlive another address of ours.
    pub(super) fn names_lasting_server(&self, composed: &Composed) -> bool {
        let named = self.request.server_id;
        named.is_none_or(|server| server == composed.server())
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The end of a promise of `reserve` lease times.
pub(super) fn promise(now: u64, lease: Duration, reserve: f64) -> u64 {
    now.saturating_add(nanos(lease.mul_f64(reserve)))
}
