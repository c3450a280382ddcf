//! Boot memos: what a client that boots was answered before, to be said again by the kernel.
//!
//! A client that renews is found by its address; one that boots has none to show. So the replies to
//! DISCOVER, SELECTING and INIT-REBOOT stand in a table of their own, found by a hash of chaddr and
//! option bytes ([`tag`]), in buckets of [`WAYS`]. An entry grants nothing by itself: it names an
//! address, and the kernel answers only while that slot is leased to this client, on this link, and
//! says that it may ([`crate::slot::Lease::boots`]).
//!
//! | word | content |
//! |---|---|
//! | 0 | tag, or 0: empty |
//! | 1 | address << 32, reply template |
//! | 2 | where to cut the client part from the request ([`Splice`]); [`Says`] in the highest byte |
//! | 3 | hash of the tail << 32, checksum of the client part << 16, sequence |
//!
//! The daemon's threads take an entry by making its sequence odd; the kernel, which never waits, takes
//! an entry for empty whose sequence is odd or has changed while it was read.
#![forbid(unsafe_code)]

use crate::memo::{self, Key};
use crate::slot::Splice;
use crate::word::Word;

/// Entries that a tag may stand in.
pub const WAYS: usize = 4;

const ODD: u64 = 1;
const SEQUENCE: u64 = 0xffff;
/// Where [`Says`] stands in its word.
const SAYS: u32 = 56;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Says {
    /// Promises nothing.
    Offer = 1,
    /// Grants lease time, as a renewal's does.
    Ack = 2,
}

/// A reply that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    pub tag: u64,
    /// The client's address.
    pub address: u32,
    pub template: u32,
    pub splice: Splice,
    pub says: Says,
    /// [`tail_hash`] of the slot's tail if the reply has it.
    pub tail: u32,
}

#[derive(Debug, Default)]
#[repr(C)]
pub struct Entry {
    tag: Word,
    place: Word,
    splice: Word,
    check: Word,
}

/// The entries that a tag may stand in.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Bucket(pub [Entry; WAYS]);

#[cfg(not(loom))]
const _: () = assert!(size_of::<Bucket>() == 128);

/// What a request of this client with these option bytes is found by. Never 0.
#[inline(always)]
#[must_use]
pub const fn tag(memo: u64, chaddr: u64) -> u64 {
    let tag = memo ^ chaddr.wrapping_mul(SPREAD);
    tag | (tag == 0) as u64
}

/// The bucket of a tag, of so many (a power of two).
#[inline(always)]
#[must_use]
pub const fn bucket(tag: u64, buckets: u64) -> u32 {
    ((tag.wrapping_mul(SPREAD) >> 32) & (buckets - 1)) as u32
}

/// By which an entry knows that the tail beside the slot is still the one that its reply had.
#[inline(always)]
#[must_use]
pub fn tail_hash(tail: &[u64; 8], len: usize, key: &Key) -> u32 {
    let hash = memo::hash(tail, len, key);
    (hash ^ hash >> 32) as u32
}

impl Bucket {
    /// The entry with this tag.
    #[inline(always)]
    #[must_use]
    pub fn find(&self, tag: u64) -> Option<Boot> {
        let mut i = 0;
        while i < WAYS {
            if self.0[i].tag.load() == tag {
                return self.0[i].read().filter(|boot| boot.tag == tag);
            }
            i += 1;
        }
        None
    }
}

impl Entry {
    /// What stands here; `None` if nothing does, or if it is just being changed.
    #[inline(always)]
    #[must_use]
    pub fn read(&self) -> Option<Boot> {
        let check = self.check.load();
        let (tag, place, splice) = (self.tag.load(), self.place.load(), self.splice.load());
        if check & ODD != 0 || tag == 0 || self.check.load() != check {
            return None;
        }
        Some(Boot::unpack(tag, place, splice, check))
    }
}

impl Boot {
    /// Where a client that renews is found; how it is answered stands in the slot.
    #[inline(always)]
    pub(crate) const fn at(address: u32) -> Self {
        Self {
            tag: 0,
            address,
            template: 0,
            splice: Splice::unpack(0, 0),
            says: Says::Ack,
            tail: 0,
        }
    }

    #[inline(always)]
    const fn unpack(tag: u64, place: u64, splice: u64, check: u64) -> Self {
        let offers = splice >> SAYS == Says::Offer as u64;
        Self {
            tag,
            address: (place >> 32) as u32,
            template: place as u32,
            splice: Splice::unpack(splice, (check >> 16) as u16),
            says: if offers { Says::Offer } else { Says::Ack },
            tail: (check >> 32) as u32,
        }
    }
}

/// The daemon's side.
#[cfg(not(target_arch = "bpf"))]
impl Entry {
    /// Takes the entry for this thread; `None` if another has it. The kernel finds nothing here until
    /// it is given back.
    #[must_use]
    pub fn try_lock(&self) -> Option<Locked<'_>> {
        let check = self.check.load();
        let free = check & ODD == 0 && self.check.replace(check, check | ODD);
        free.then(|| Locked(self))
    }

    /// Whether nothing stands here, now or in a moment that is over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tag.load() == 0 && self.check.load() & ODD == 0
    }

    /// Empties it, whoever had it locked: that thread was killed.
    pub fn reset(&self) {
        let check = self.check.load();
        self.check.store(check | ODD);
        self.tag.store(0);
        self.check.store((check | ODD).wrapping_add(1) & SEQUENCE);
    }
}

/// An entry that this thread has; given back when dropped.
#[cfg(not(target_arch = "bpf"))]
#[derive(Debug)]
pub struct Locked<'a>(&'a Entry);

#[cfg(not(target_arch = "bpf"))]
impl Locked<'_> {
    #[must_use]
    pub fn get(&self) -> Option<Boot> {
        let Entry {
            tag,
            place,
            splice,
            check,
        } = self.0;
        let tag = tag.load();
        (tag != 0).then(|| Boot::unpack(tag, place.load(), splice.load(), check.load()))
    }

    pub fn set(&self, boot: &Boot) {
        let entry = self.0;
        entry.tag.store(boot.tag);
        let place = u64::from(boot.address) << 32 | u64::from(boot.template);
        entry.place.store(place);
        let says = (boot.says as u64) << SAYS;
        entry.splice.store(boot.splice.pack() | says);
        let sequence = entry.check.load() & SEQUENCE;
        let sum = u64::from(boot.splice.sum) << 16;
        let check = u64::from(boot.tail) << 32 | sum | sequence;
        entry.check.store(check);
    }

    pub fn clear(&self) {
        self.0.tag.store(0);
    }
}

#[cfg(not(target_arch = "bpf"))]
impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let check = self.0.check.load();
        let sequence = check.wrapping_add(1) & SEQUENCE;
        self.0.check.store(check & !SEQUENCE | sequence);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn boot(tag: u64) -> Boot {
        Boot {
            tag,
            address: 0x0a00_0001,
            template: 7,
            splice: Splice {
                id_at: 3,
                id_len: 9,
                agent_at: 0,
                agent_len: 0,
                tail_len: 12,
                sum: 0xabcd,
            },
            says: Says::Offer,
            tail: 0x1234_5678,
        }
    }

    #[test]
    fn what_is_set_is_found_once_it_is_given_back() {
        let bucket = Bucket::default();
        assert_eq!(bucket.find(5), None);
        for (entry, tag) in bucket.0.iter().zip(1..) {
            let locked = entry.try_lock().unwrap();
            assert!(entry.try_lock().is_none());
            assert_eq!(locked.get(), None);
            locked.set(&boot(tag));
            assert_eq!(bucket.find(tag), None, "not yet given back");
            assert_eq!(locked.get(), Some(boot(tag)));
            drop(locked);
            assert_eq!(bucket.find(tag), Some(boot(tag)));
        }
        bucket.0[2].try_lock().unwrap().clear();
        assert_eq!(bucket.find(3), None);
        let ack = Boot {
            says: Says::Ack,
            ..boot(9)
        };
        bucket.0[2].try_lock().unwrap().set(&ack);
        assert_eq!(bucket.find(9), Some(ack));
    }

    #[test]
    fn the_sequence_runs_over_without_touching_what_stands_beside_it() {
        let entry = Entry::default();
        for _ in 0..40_000 {
            entry.try_lock().unwrap().set(&boot(1));
        }
        assert_eq!(entry.read(), Some(boot(1)));
    }

    #[test]
    fn an_entry_that_was_left_locked_is_emptied_and_usable() {
        let entry = Entry::default();
        let locked = core::mem::ManuallyDrop::new(entry.try_lock().unwrap());
        locked.set(&boot(1));
        entry.reset();
        assert_eq!(entry.read(), None);
        entry.try_lock().unwrap().set(&boot(2));
        assert_eq!(entry.read(), Some(boot(2)));
    }

    #[test]
    fn tags_are_never_none_and_spread_over_the_buckets() {
        assert_ne!(tag(SPREAD, 1), 0);
        let mut seen = [0u32; 64];
        for chaddr in 0..6400 {
            seen[bucket(tag(77, 0x5254_0000_0000 | chaddr), 64) as usize] += 1;
        }
        assert!(
            seen.iter().all(|count| (50..200).contains(count)),
            "{seen:?}"
        );
    }
}
