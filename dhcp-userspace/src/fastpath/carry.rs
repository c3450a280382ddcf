//! Takes the leases of an earlier table over to a new one that has another size, or lives in
//! memory without a kernel.
//!
//! The earlier program may still be answering meanwhile, so every slot is closed first
//! ([`Slot::close`]): after that the earlier program passes its frames up, and `expires` tells the
//! last time that a client was told. No grant is lost, and no link has to be detached for it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use dhcp_common::memo;
use dhcp_common::slot::{Kind, Slot};
use dhcp_common::template::{MAX_BODY, copy_words};

use super::size::Needs;
use crate::lease::table::{Full, Size, Table};

/// Room for what is needed now and for what the old table holds.
#[must_use]
pub fn size(needs: &Needs, old: Option<&Table>) -> Size {
    let mut all = needs.clone();
    all.blocks.extend(old.map(live_blocks).unwrap_or_default());
    all.size()
}

/// Carries over what fits, and says so.
pub fn take_over(old: &Table, new: &Table) {
    match carry(old, new) {
        Ok(0) => {}
        Ok(count) => tracing::info!("took {count} leases over from the earlier lease table"),
        Err(full) => tracing::warn!("not all leases of the earlier table were taken over: {full}"),
    }
}

/// First addresses of the blocks in which something is leased or remembered.
fn live_blocks(old: &Table) -> BTreeSet<u32> {
    let live = old
        .addresses()
        .filter(|(_, index)| old.slot(*index).kind() != Kind::Free);
    live.map(|(address, _)| address.to_bits() & !255).collect()
}

/// Closes every slot of `old` and writes it to `new`, which is fresh.
///
/// # Errors
/// If `new` has no room; then what did not fit is known from the journal alone.
fn carry(old: &Table, new: &Table) -> Result<usize, Full> {
    copy_meta(old, new);
    let templates = copy_templates(old, new);
    let mut carried = 0;
    for (address, index) in old.addresses() {
        if old.slot(index).kind() != Kind::Free {
            carry_slot(old, index, new, address, templates)?;
            carried += 1;
        }
    }
    Ok(carried)
}

fn carry_slot(
    old: &Table,
    index: u32,
    new: &Table,
    address: Ipv4Addr,
    templates: u32,
) -> Result<(), Full> {
    let to = new.add(address)?;
    let slot = old.slot(index);
    let valid = slot.is_valid();
    slot.close();
    let mut lease = slot.lease();
    let keeps_reply = valid && lease.template < templates;
    if !keeps_reply {
        (lease.memo, lease.template) = (memo::NONE, 0);
    }
    for (to, from) in new.tail(to).iter().zip(old.tail(index)) {
        to.store(from.load());
    }
    take(new.slot(to));
    new.slot(to).publish(slot.kind(), keeps_reply, &lease);
    Ok(())
}

/// A fresh table belongs to this thread alone, so the lock is there for the taking.
fn take(slot: &Slot) {
    let locked = slot.try_lock();
    debug_assert!(locked, "nobody else knows the new table");
    slot.close();
}

/// Memos mean the same under the same key only.
fn copy_meta(old: &Table, new: &Table) {
    for (to, from) in new.meta().key.iter().zip(&old.meta().key) {
        to.store(from.load());
    }
    let fingerprint = old.meta().fingerprint.load();
    new.meta().fingerprint.store(fingerprint);
}

/// Copies templates to their old places; tells up to which one.
fn copy_templates(old: &Table, new: &Table) -> u32 {
    let count = old.size().templates.min(new.size().templates);
    for index in 1..count {
        let template = old.template(index);
        let mut body = [0; MAX_BODY];
        copy_words(template.body(), &mut body);
        new.template(index).write(&template.facts(), &body);
    }
    count
}

#[cfg(test)]
mod tests {
    use dhcp_common::Reason;
    use dhcp_common::fast::Scratch;

    use super::super::host::HostEnv;
    use super::super::testing::{ADDRESS, IFINDEX, NOW, Reply, Request, publish, set_up, table};
    use super::*;

    fn answer(table: &Table) -> Reason {
        let mut frame = Request::default().frame();
        let mut env = HostEnv {
            table,
            frame: &mut frame,
            ifindex: IFINDEX,
            now: NOW,
        };
        env.answer(&mut Scratch::default())
    }

    #[test]
    fn a_grant_is_carried_and_the_old_table_falls_silent() {
        let old = table();
        let reply = Reply {
            tail: vec![12, 1, b'x'],
            ..Reply::default()
        };
        let index = publish(&old, &Request::default(), &reply, NOW);
        assert_eq!(answer(&old), Reason::Hit);
        let granted = old.slot(index).expires();

        let new = Table::anonymous(Size::for_addresses(5, 3)).unwrap();
        new.add(Ipv4Addr::new(172, 16, 0, 1)).unwrap();
        assert_eq!(carry(&old, &new), Ok(1));
        set_up(&new);
        let index = new.index(ADDRESS).unwrap();
        assert_eq!(new.slot(index).expires(), granted);
        assert_eq!(answer(&old), Reason::NoLease);
        assert_eq!(
            answer(&new),
            Reason::Hit,
            "memo, reply and tail are still there"
        );
    }

    #[test]
    fn a_closed_slot_stays_closed_and_keeps_its_time() {
        let old = table();
        let index = publish(&old, &Request::default(), &Reply::default(), NOW);
        assert!(old.slot(index).try_lock());
        let expires = old.slot(index).close();
        let new = Table::anonymous(Size::for_addresses(1, 1)).unwrap();
        carry(&old, &new).unwrap();
        let slot = new.slot(new.index(ADDRESS).unwrap());
        assert_eq!(
            (slot.kind(), slot.is_valid(), slot.is_locked()),
            (Kind::Bound, false, false)
        );
        assert_eq!(slot.expires(), expires);
    }

    #[test]
    fn unused_blocks_are_left_behind() {
        let old = table();
        old.add(Ipv4Addr::new(192, 168, 0, 1)).unwrap();
        publish(&old, &Request::default(), &Reply::default(), NOW);
        assert_eq!(live_blocks(&old), BTreeSet::from([0x0a00_0100]));
        let new = Table::anonymous(Size::for_addresses(1, 1)).unwrap();
        assert_eq!(carry(&old, &new), Ok(1));
    }
}
