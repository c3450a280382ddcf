//! Boot memos: the kernel says to a client that boots what this engine has said to the same question.
//!
//! What an OFFER or the ACK of a SELECTING or INIT-REBOOT says follows, beside what every memo covers
//! (option bytes, chaddr, configuration), from the link and from which address the client has. The
//! link stands in the slot. Which address it is, the slot tells too ([`Lease::boots`]): it is the one
//! that the client would get if it booted now, and stops being that when it gets another one
//! ([`Engine::part`]). So a reply may be noted before the client is bound: until then the slot does
//! not allow it.
//!
//! What hangs on anything else is not noted: offers that wait or are sent to those only who have asked
//! for a while, offers where a client may be in several subnets, what a single message has
//! ([`Terms::once`]).

use std::net::Ipv4Addr;

use dhcp_common::boot::{self, Boot, Entry, Says, WAYS};
use dhcp_common::slot::{Kind, Lease, Slot};
use dhcp_common::wire::CLIENT_PORT;

use super::context::Context;
use super::marks::Counts;
use super::state::SubnetId;
use super::terms::Terms;
use super::{Engine, Stop};
use crate::clock::Now;
use crate::packet::{Composed, Region, reply_size};

/// Boot memos of one address: three stages of a boot are six.
const MOST_EACH: u32 = 16;

impl Context<'_> {
    /// Lets the kernel give this reply again, if it would be right to: to a client that boots from this
    /// address ([`Self::boots_from`]).
    pub(super) fn note_boot(
        &self,
        address: Ipv4Addr,
        says: Says,
        terms: &Terms<'_>,
        (composed, reply): (&Composed, &[u8]),
    ) {
        let to_all = self.packet.destination.is_broadcast() && self.packet.source.is_unspecified();
        let lasts = terms.once.is_empty()
            && self.request.ciaddr.is_unspecified()
            && self.names_lasting_server(composed);
        if self.engine.table.size().buckets == 0 || !to_all || !lasts {
            return;
        }
        if let Some(boot) = self.boot(address, says, composed, reply) {
            self.engine.note(&boot, self.now.boot);
        }
    }

    /// Whether the client boots, on a link of ours and nowhere else, from the address that it would
    /// get whenever it did.
    pub(super) fn boots_from(&self, id: SubnetId, address: Ipv4Addr) -> bool {
        let request = self.request;
        let direct = self.is_on_link(id)
            && self.has_one_answer(id)
            && !request.is_infiniband()
            && request.subnet_selection.is_none()
            && self.packet.source_port == CLIENT_PORT;
        direct && !self.doubts() && self.reserved(id).is_none_or(|own| own == address)
    }

    /// Whether each DISCOVER like this one is answered, at once, by an OFFER.
    pub(super) fn is_offered_always(&self, id: SubnetId) -> bool {
        let policy = &self.subnet(id).policy;
        policy.offer_delay.is_zero()
            && policy.min_secs == 0
            && self.subnets().len() == 1
            && !self.request.rapid_commit
    }

    fn boot(
        &self,
        address: Ipv4Addr,
        says: Says,
        composed: &Composed,
        reply: &[u8],
    ) -> Option<Boot> {
        let (engine, table) = (self.engine, &self.engine.table);
        let region = Region::of_renewal(self.request)?;
        let recipe = composed.recipe(reply, &region)?;
        let size = reply_size(&recipe.content.facts, &recipe.splice);
        if !self.state.carries(size) {
            return None;
        }
        let key = &table.meta().key;
        // The rest is for renewals, which come more often.
        let most = table.size().templates / 4;
        Some(Boot {
            tag: boot::tag(region.memo(key), self.chaddr),
            address: address.to_bits(),
            template: engine
                .templates
                .intern_up_to(table, &recipe.content, most)?,
            splice: recipe.splice,
            says,
            tail: boot::tail_hash(&words(&recipe.tail), recipe.tail.len(), key),
        })
    }
}

/// A tail as it stands beside its slot.
fn words(tail: &[u8]) -> [u64; 8] {
    let mut bytes = [0; 64];
    bytes[..tail.len()].copy_from_slice(tail);
    let (chunks, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|i| u64::from_ne_bytes(chunks[i]))
}

impl Engine {
    /// Puts a boot memo where its tag may stand: in its own place, in an empty one, in that of a client
    /// without a lease, and in that of another if this one has a lease. So nobody who only asks
    /// takes a place from those who go on to boot. And nobody who asks in ever other ways takes many.
    fn note(&self, boot: &Boot, now: u64) {
        let bucket = self.table.bucket(boot.tag);
        let place = bucket.and_then(|bucket| self.place(&bucket.0, boot)?.try_lock());
        let Some(place) = place else {
            return self.release_template(boot.template, now);
        };
        self.count_boot(boot, Counts::add);
        if let Some(before) = place.get() {
            self.forget_boot(&before, now);
        }
        place.set(boot);
    }

    fn forget_boot(&self, boot: &Boot, now: u64) {
        self.count_boot(boot, Counts::subtract);
        self.release_template(boot.template, now);
    }

    fn count_boot(&self, boot: &Boot, count: impl Fn(&Counts, u32)) {
        if let Some(index) = self.table.index(Ipv4Addr::from_bits(boot.address)) {
            count(&self.marks.boots, index);
        }
    }

    fn place<'a>(&self, entries: &'a [Entry; WAYS], boot: &Boot) -> Option<&'a Entry> {
        let standing = entries.each_ref().map(|entry| (entry, entry.read()));
        let find = |test: &dyn Fn(&Option<Boot>) -> bool| {
            let found = standing.iter().find(|(_, there)| test(there));
            found.map(|(entry, _)| *entry)
        };
        let tagged = |there: &Boot| there.tag == boot.tag;
        let own = find(&|there| there.as_ref().is_some_and(tagged));
        let index = self.table.index(Ipv4Addr::from_bits(boot.address))?;
        if own.is_some() || self.marks.boots.get(index) >= MOST_EACH {
            return own;
        }
        find(&|there| there.is_none())
            .or_else(|| find(&|there| there.is_some_and(|there| !self.is_usable(&there))))
            .or_else(|| {
                let counts = boot.says == Says::Ack || self.is_usable(boot);
                counts.then(|| &entries[(boot.tag >> 60) as usize % WAYS])
            })
    }

    /// Whether the address is leased to somebody who may boot from it.
    fn is_usable(&self, boot: &Boot) -> bool {
        self.leased(boot).is_some_and(|lease| lease.boots)
    }

    /// The lease of the address, with what this reply is made of.
    fn leased(&self, boot: &Boot) -> Option<Lease> {
        let (kind, lease) = self.slot_of(boot)?.snapshot()?;
        (kind == Kind::Bound).then_some(Lease {
            template: boot.template,
            splice: boot.splice,
            ..lease
        })
    }

    fn slot_of(&self, boot: &Boot) -> Option<&Slot> {
        let index = self.table.index(Ipv4Addr::from_bits(boot.address))?;
        Some(self.table.slot(index))
    }

    /// Takes all boot memos away but those of leases to keep. One that is made meanwhile is made
    /// under the state that is there now.
    pub(super) fn drop_boots(&self, now: Now, keep: impl Fn(Ipv4Addr, &Lease) -> bool) {
        self.retain_boots(now, |boot| {
            let lease = self.leased(boot);
            lease.is_some_and(|lease| keep(Ipv4Addr::from_bits(boot.address), &lease))
        });
    }

    /// Forgets boot memos that nobody can use, with the templates that they name: those of leases that
    /// are over, and of offers that nobody took.
    pub fn drop_unused_boots(&self, now: Now) {
        self.retain_boots(now, |boot| {
            let offered = |slot: &Slot| slot.kind() == Kind::Offered;
            self.is_usable(boot) || self.slot_of(boot).is_some_and(offered)
        });
    }

    fn retain_boots(&self, now: Now, keep: impl Fn(&Boot) -> bool) {
        for entry in self.table.boots().filter(|entry| !entry.is_empty()) {
            if entry.read().is_some_and(|boot| keep(&boot)) {
                continue;
            }
            // Who has it locked may have found it worth keeping by another measure; it does not take long.
            let locked = loop {
                match entry.try_lock() {
                    Some(locked) => break locked,
                    None => std::thread::yield_now(),
                }
            };
            if let Some(boot) = locked.get().filter(|boot| !keep(boot)) {
                locked.clear();
                self.forget_boot(&boot, now.boot);
            }
        }
    }

    /// The client would get another address now. A record of the old one may be on its way, which would
    /// make it what it was: that comes first.
    pub(super) fn stop_boots(&self, address: Ipv4Addr, chaddr: u64) -> Result<(), Stop> {
        let Some(index) = self.table.index(address) else {
            return Ok(());
        };
        let slot = self.table.slot(index);
        if !slot.try_lock() {
            return Err(Stop::Busy);
        }
        if slot.lease().chaddr == chaddr {
            slot.stop_boots();
        }
        slot.unlock();
        Ok(())
    }
}
