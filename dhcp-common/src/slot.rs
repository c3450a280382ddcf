//! A lease as one cache line, and the protocol by which the kernel extends it while the daemon
//! may be changing it.
//!
//! | word | content | written by |
//! |---|---|---|
//! | 0 | state: bit 0 valid, bit 1 locked, bits 2-4 [`Kind`], bit 5 writing, bit 6 boots, bits 8-63 generation | daemon |
//! | 1 | expires: what the client has been told, ns of `CLOCK_BOOTTIME` | daemon, kernel |
//! | 2 | reserved until: what is on disk, same clock | daemon |
//! | 3 | memo of the request that the kernel may answer, or 0 | daemon |
//! | 4 | link: interface index << 32, outer and inner VLAN << 16 and << 0 | daemon |
//! | 5 | reply template << 32, renewals granted by the kernel | daemon, kernel (low half) |
//! | 6 | chaddr << 16, checksum of the client part of the reply | daemon |
//! | 7 | where to cut the client part from the request ([`Splice`]) | daemon |
//!
//! *Locked* belongs to the daemon's threads alone: who set it owns the slot until it stores a
//! state without it; the kernel ignores it. *Valid* is the kernel's permission.
//!
//! [`Slot::extend`] moves `expires` from what it was to what it promises in one step (a full
//! barrier) and then reads the state again; [`Slot::close`] stores a state without *valid*, then a
//! full barrier, then reads `expires`. So either the kernel sees the closing and passes the frame
//! up, or the daemon sees the extension (Dekker's argument; `tests/loom` walks through every
//! interleaving). The generation in the state rules out that a slot closed and published anew
//! looks unchanged, and an extension that comes too late finds another `expires` and does nothing.
//!
//! *Writing* is set while [`Slot::publish`] writes the fields: who reads them without the lock
//! ([`Slot::snapshot`]) waits for its end, and looks again if the generation is another one by then.
//!
//! The kernel reads the fields with plain loads: right where loads are not reordered among each
//! other (x86). Elsewhere the program is not loaded.
#![forbid(unsafe_code)]

use crate::Reason;
use crate::word::{Word, fence};

const VALID: u64 = 1;
const LOCKED: u64 = 1 << 1;
const KIND_SHIFT: u32 = 2;
const KIND_MASK: u64 = 0b111 << KIND_SHIFT;
const WRITING: u64 = 1 << 5;
const BOOTS: u64 = 1 << 6;
const GENERATION: u64 = 1 << 8;
/// Where the count of renewals stands still until the daemon starts it anew: it must not run over
/// into the template's index, however many CPUs add to it at once.
const MOST_RENEWALS: u32 = u32::MAX - (1 << 16);

/// What the daemon knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Never leased, or forgotten.
    Free = 0,
    /// Held for a client between OFFER and REQUEST; `expires` is the offer's end.
    Offered = 1,
    /// Leased.
    Bound = 2,
    /// In quarantine after a DECLINE; `expires` is its end.
    Declined = 3,
    /// Given back; chaddr remembers whose it was.
    Released = 4,
    /// Lapsed; chaddr remembers whose it was.
    Expired = 5,
}

impl Kind {
    #[inline(always)]
    const fn of(state: u64) -> Self {
        match (state & KIND_MASK) >> KIND_SHIFT {
            1 => Self::Offered,
            2 => Self::Bound,
            3 => Self::Declined,
            4 => Self::Released,
            5 => Self::Expired,
            _ => Self::Free,
        }
    }

    /// Whether the address may not be given to another client now.
    #[must_use]
    pub const fn is_taken(self) -> bool {
        matches!(self, Self::Offered | Self::Bound | Self::Declined)
    }
}

/// The client part of a reply, which follows the template's options: a tail that is kept beside
/// the slot (the client's hostname), then options 61 and 82 cut whole from the request, whose
/// bytes are known because the memo matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Splice {
    /// Offset of option 61 in the request's option region, and its length with code and length
    /// bytes; 0 for none.
    pub id_at: u16,
    pub id_len: u8,
    pub agent_at: u16,
    pub agent_len: u8,
    pub tail_len: u8,
    /// Checksum of the whole client part and the END behind it, as if at an even offset where
    /// the template's options end evenly, at an odd one otherwise.
    pub sum: u16,
}

impl Splice {
    #[inline(always)]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.id_len as usize + self.agent_len as usize + self.tail_len as usize
    }

    #[inline(always)]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) const fn pack(&self) -> u64 {
        self.id_at as u64
            | (self.agent_at as u64) << 16
            | (self.id_len as u64) << 32
            | (self.agent_len as u64) << 40
            | (self.tail_len as u64) << 48
    }

    #[inline(always)]
    pub(crate) const fn unpack(word: u64, sum: u16) -> Self {
        Self {
            id_at: word as u16,
            agent_at: (word >> 16) as u16,
            id_len: (word >> 32) as u8,
            agent_len: (word >> 40) as u8,
            tail_len: (word >> 48) as u8,
            sum,
        }
    }
}

/// The link that a frame came in on: interface and VLAN tags (0: none).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link {
    pub ifindex: u32,
    pub outer: u16,
    pub inner: u16,
}

impl Link {
    #[inline(always)]
    #[must_use]
    pub const fn pack(self) -> u64 {
        (self.ifindex as u64) << 32 | (self.outer as u64) << 16 | self.inner as u64
    }

    #[must_use]
    pub const fn unpack(word: u64) -> Self {
        Self {
            ifindex: (word >> 32) as u32,
            outer: (word >> 16) as u16,
            inner: word as u16,
        }
    }
}

/// Everything in a slot but its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// 48 bits, see [`crate::wire::mac_bits`].
    pub chaddr: u64,
    pub expires: u64,
    pub reserved_until: u64,
    pub memo: u64,
    pub link: Link,
    pub template: u32,
    pub renewals: u32,
    pub splice: Splice,
    /// Whether the kernel may say what stands in boot memos for this address: it is the one that the
    /// client would get if it booted now.
    pub boots: bool,
}

/// What a request asks of its slot.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub chaddr: u64,
    /// Of a renewal; none of a client that boots.
    pub memo: Option<u64>,
    /// The packed link if the request was broadcast (REBINDING, and all when booting), none if
    /// unicast (RENEWING).
    pub link: Option<u64>,
}

#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Slot {
    state: Word,
    expires: Word,
    reserved_until: Word,
    memo: Word,
    link: Word,
    template: Word,
    chaddr: Word,
    splice: Word,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Slot>() == 64 && align_of::<Slot>() == 64);

/// What [`Slot::check`] has read: consistent once [`Slot::extend`] succeeds.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    state: u64,
    expires: u64,
    reserved_until: u64,
    renewals: u32,
    pub template: u32,
    pub splice: Splice,
}

/// The kernel's side.
impl Slot {
    /// Everything that can be checked without a template and a clock.
    ///
    /// # Errors
    /// The first check that fails.
    #[inline(always)]
    pub fn check(&self, asked: &Asked) -> Result<Checked, Reason> {
        let state = self.state.load();
        if state & VALID == 0 {
            return Err(Reason::NoLease);
        }
        let chaddr = self.chaddr.load();
        if chaddr >> 16 != asked.chaddr {
            return Err(Reason::OtherClient);
        }
        let allowed = match asked.memo {
            Some(memo) => self.memo.load() == memo,
            None => state & BOOTS != 0,
        };
        if !allowed {
            return Err(Reason::MemoMiss);
        }
        if asked.link.is_some_and(|link| link != self.link.load()) {
            return Err(Reason::OtherLink);
        }
        let template = self.template.load();
        Ok(Checked {
            state,
            expires: self.expires.load(),
            reserved_until: self.reserved_until.load(),
            renewals: template as u32,
            template: (template >> 32) as u32,
            splice: Splice::unpack(self.splice.load(), chaddr as u16),
        })
    }

    /// Extends the lease to `until`, unless it has lapsed, the promise does not reach, or
    /// somebody changed the slot meanwhile. Never moves `expires` back: a client whose lease time
    /// became shorter may still believe the longer one. A try that fails after all may have moved
    /// it forward, which keeps the address longer than needed and does no harm.
    ///
    /// # Errors
    /// [`Reason::Lapsed`], [`Reason::Promise`] or [`Reason::Raced`].
    #[inline(always)]
    pub fn extend(&self, checked: &Checked, now: u64, until: u64) -> Result<(), Reason> {
        may_extend(checked, now, until)?;
        let until = if until > checked.expires {
            until
        } else {
            checked.expires
        };
        if !self.expires.replace(checked.expires, until) || self.has_changed(checked) {
            return Err(Reason::Raced);
        }
        if checked.renewals < MOST_RENEWALS {
            self.template.add(1);
        }
        Ok(())
    }

    /// Whether the lease that was found still is as it was found: for what promises nothing new.
    ///
    /// # Errors
    /// [`Reason::Lapsed`] or [`Reason::Raced`].
    #[inline(always)]
    pub fn stands(&self, checked: &Checked, now: u64) -> Result<(), Reason> {
        may_stand(checked, now)?;
        if self.has_changed(checked) {
            return Err(Reason::Raced);
        }
        Ok(())
    }

    #[inline(always)]
    fn has_changed(&self, checked: &Checked) -> bool {
        (self.state.load() ^ checked.state) & !LOCKED != 0
    }
}

/// Whether the lease lives.
///
/// # Errors
/// [`Reason::Lapsed`].
#[inline(always)]
pub fn may_stand(checked: &Checked, now: u64) -> Result<(), Reason> {
    if checked.expires <= now {
        return Err(Reason::Lapsed);
    }
    Ok(())
}

/// Whether the lease lives and the promise reaches.
///
/// # Errors
/// [`Reason::Lapsed`] or [`Reason::Promise`].
#[inline(always)]
pub fn may_extend(checked: &Checked, now: u64, until: u64) -> Result<(), Reason> {
    may_stand(checked, now)?;
    if until > checked.reserved_until {
        return Err(Reason::Promise);
    }
    Ok(())
}

/// The daemon's side.
#[cfg(not(target_arch = "bpf"))]
impl Slot {
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of(self.state.load())
    }

    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.state.load() & VALID != 0
    }

    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.state.load() & LOCKED != 0
    }

    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state.load() / GENERATION
    }

    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires.load()
    }

    /// A copy of all fields that belongs together, whoever has the slot locked; `None` while it is
    /// being written, which takes a moment.
    #[must_use]
    pub fn snapshot(&self) -> Option<(Kind, Lease)> {
        let before = self.state.load();
        let lease = self.lease();
        let same = (self.state.load() ^ before) & !LOCKED == 0;
        (same && before & WRITING == 0).then(|| (Kind::of(before), lease))
    }

    /// A copy of all fields. Consistent only while the caller has the slot locked; a hint
    /// otherwise.
    #[must_use]
    pub fn lease(&self) -> Lease {
        let (template, chaddr) = (self.template.load(), self.chaddr.load());
        let boots = self.state.load() & BOOTS != 0;
        Lease {
            chaddr: chaddr >> 16,
            expires: self.expires.load(),
            reserved_until: self.reserved_until.load(),
            memo: self.memo.load(),
            link: Link::unpack(self.link.load()),
            template: (template >> 32) as u32,
            renewals: template as u32,
            splice: Splice::unpack(self.splice.load(), chaddr as u16),
            boots,
        }
    }

    /// Takes the slot for this thread; false if another has it. The kernel goes on answering.
    #[must_use]
    pub fn try_lock(&self) -> bool {
        let state = self.state.load();
        state & LOCKED == 0 && self.state.replace(state, state | LOCKED)
    }

    /// Gives the slot back as it is. The caller has it locked.
    pub fn unlock(&self) {
        self.state.store(self.state.load() & !LOCKED);
    }

    /// Whether somebody is writing the fields, or was killed at it: they may be of two leases.
    #[must_use]
    pub fn is_being_written(&self) -> bool {
        self.state.load() & WRITING != 0
    }

    /// Nobody has the slot locked or is writing it any more: whoever did was killed.
    pub fn adopt(&self) {
        self.state.store(self.state.load() & !(LOCKED | WRITING));
    }

    /// Takes the kernel's permission back. After this `expires` stands still, and tells the
    /// latest time that any client was told. The caller has the slot locked.
    pub fn close(&self) -> u64 {
        let state = self.state.load();
        self.state.store(state & !VALID);
        fence();
        self.expires.load()
    }

    /// Writes all fields, then gives the slot back: as `kind`, and to the kernel too if `valid`.
    /// The caller has the slot locked and closed.
    pub fn publish(&self, kind: Kind, valid: bool, lease: &Lease) {
        let closed = self.state.load();
        self.state.store(closed | WRITING);
        self.expires.overwrite(lease.expires);
        self.reserved_until.store(lease.reserved_until);
        self.memo.store(lease.memo);
        self.link.store(lease.link.pack());
        let renewals = lease.renewals % MOST_RENEWALS;
        self.template
            .store(u64::from(lease.template) << 32 | u64::from(renewals));
        self.chaddr
            .store(lease.chaddr << 16 | u64::from(lease.splice.sum));
        self.splice.store(lease.splice.pack());
        let generation = (closed & !(GENERATION - 1)).wrapping_add(GENERATION);
        let kind = (kind as u64) << KIND_SHIFT;
        let boots = if lease.boots { BOOTS } else { 0 };
        self.state
            .store(generation | kind | boots | u64::from(valid));
    }

    /// The kernel answers the client no more when it boots, but goes on renewing the lease.
    pub fn stop_boots(&self) {
        self.state.remove(BOOTS);
    }

    /// Moves the promise forward. The caller has the slot locked, and the time is on disk.
    pub fn reserve(&self, until: u64) {
        self.reserved_until.store(until);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
