//! The guard: which requests are dropped before anybody looks at them closely.
//!
//! It stands in shared memory of 64-byte lines, in four parts:
//!
//! | part | content | written by |
//! |---|---|---|
//! | known | twice a blocked Bloom filter over chaddr; which one counts, [`Orders::duty`] tells | daemon |
//! | blocks | sets of four: chaddr, fingerprint of ingress and sender, and until when | daemon |
//! | buckets | per ingress when its next request is due, in two classes, and what was dropped; one more for all relays together | both |
//! | places | links and addresses that the daemon serves; others' requests are not touched | daemon |
//!
//! Every request is held against the blocks, and, unless its client is known, takes from its
//! ingress's bucket: whatever it says of itself, as that costs a liar nothing. One that came by a
//! relay also takes from the relays' common bucket, as giaddrs can be made up and links cannot. The
//! filter may take a stranger for known, never the other way round. All ends by itself when the
//! daemon does: orders hold for [`HOLDS`], and are renewed every second. A bucket is one word, the time at which the next request would be due if all came
//! evenly spaced (GCRA): whoever loses the race for it passes for free, which costs a request now
//! and then and no loop.
//!
//! The index of everything is keyed, so nobody can choose MACs that share a line.
#![forbid(unsafe_code)]

use crate::Reason;
use crate::wire::{BOOTP_LEN, BOOTREQUEST, BROADCAST_IP, HTYPE_ETHERNET, be16, be32, bootp};
use crate::word::Word;

/// Words of a line.
pub const LINE: usize = 8;
/// One cache line of the guard's memory.
pub type Line = [Word; LINE];

/// Lines of one of the two filters: 16 bits for each of a million clients.
pub const FILTER: u32 = 1 << 15;
/// Sets of the block list.
pub const SETS: u32 = 1 << 12;
/// Entries of a set.
pub const WAYS: usize = LINE / 2;
pub const BUCKETS: u32 = 1 << 10;
const PLACES: u32 = 1 << 7;

const FIRST_SET: u32 = 2 * FILTER;
const FIRST_BUCKET: u32 = FIRST_SET + SETS;
const FIRST_PLACE: u32 = FIRST_BUCKET + BUCKETS;
/// The relays' common bucket.
const TOGETHER: u32 = FIRST_PLACE + PLACES;
/// Lines of the whole.
pub const LINES: u32 = TOGETHER + 1;

/// Somebody is blocked.
pub const BLOCKS: u64 = 1;
/// Requests of clients that are not known are counted against [`Orders::interval`].
pub const RATES: u64 = 1 << 1;
/// The second filter counts, not the first.
pub const SECOND: u64 = 1 << 2;

/// How far a bucket may run ahead: a second's worth of requests may come at once.
pub const BURST: u64 = 1_000_000_000;

/// Nanoseconds for which orders hold.
pub const HOLDS: u64 = 5_000_000_000;

/// As many relays as may send at the full rate at once.
pub const RELAYS: u64 = 8;

/// Words of a bucket's line behind the two times.
const DROPPED: usize = 2;
const WHOSE: usize = 3;

/// What the daemon wants done; part of `META`.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Orders {
    /// [`BLOCKS`], [`RATES`], [`SECOND`]; while none of the first two is set, nothing is done.
    pub duty: Word,
    /// Until when (ns of `CLOCK_BOOTTIME`) the daemon stands by its orders.
    pub until: Word,
    /// Nanoseconds between two requests of an ingress in one [`Class`]; 0: no limit.
    pub interval: Word,
    /// Random; made with the table.
    pub seed: Word,
}

/// How the guard's memory is reached; `None`: out of bounds.
pub trait Lines {
    fn line(&self, index: u32) -> Option<&Line>;
}

/// Which of an ingress's two buckets a request takes from, so that clients that have asked in vain
/// do not wait behind those that have only just begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Class {
    /// `secs` is 0.
    First = 0,
    Again = 1,
}

/// A request as far as the guard looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// chaddr, 48 bits.
    pub mac: u64,
    pub ingress: u64,
    /// Who sent the frame: the Ethernet source on a link, the IP source behind a relay. Whoever asks
    /// in another's name, but as itself, has only itself blocked.
    pub source: u64,
    pub class: Class,
    /// Other hardware than Ethernet's: no MAC, so never known or blocked.
    pub foreign: bool,
    /// A REQUEST that says so first of all, as all clients' do: it may take an offer.
    pub selects: bool,
}

/// The relay that a request came by, as an ingress; links are packed as they are.
#[inline(always)]
#[must_use]
pub const fn relay(giaddr: u32) -> u64 {
    RELAY | giaddr as u64
}

const RELAY: u64 = 1 << 63;

/// The relay's address, if the ingress is one.
#[must_use]
pub const fn giaddr_of(ingress: u64) -> Option<u32> {
    if ingress & RELAY == 0 {
        return None;
    }
    Some(ingress as u32)
}

/// Whether the message is one that the guard judges.
#[inline(always)]
#[must_use]
pub const fn is_request(message: &[u8; BOOTP_LEN]) -> bool {
    message[bootp::OP] == BOOTREQUEST
}

/// Whether chaddr is a MAC.
#[inline(always)]
#[must_use]
pub fn is_ethernet(message: &[u8; BOOTP_LEN]) -> bool {
    be16(message, bootp::HTYPE) == (HTYPE_ETHERNET as u16) << 8 | 6
}

/// Where a frame says that it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// The link it came in on, packed.
    pub link: u64,
    /// 48 bits.
    pub mac: u64,
    pub ip: u32,
}

impl Asker {
    /// From the fixed part of a message, and the first eight bytes of its options as they stand in
    /// memory, if there are as many.
    #[inline(always)]
    #[must_use]
    pub fn of(message: &[u8; BOOTP_LEN], sender: Sender, options: Option<u64>) -> Self {
        const SELECTS: u64 = u64::from_le_bytes([53, 1, 3, 0, 0, 0, 0, 0]);
        let giaddr = be32(message, bootp::GIADDR);
        let first = u64::from_le(options.unwrap_or(0)) & 0xff_ffff;
        let (ingress, source) = match giaddr {
            0 => (sender.link, sender.mac),
            _ => (relay(giaddr), sender.ip as u64),
        };
        Self {
            mac: crate::wire::mac_bits(message, bootp::CHADDR),
            ingress,
            source,
            class: match be16(message, bootp::SECS) {
                0 => Class::First,
                _ => Class::Again,
            },
            foreign: !is_ethernet(message),
            selects: first == SELECTS,
        }
    }
}

/// Whether requests to this destination on this link (packed) are for the daemon. A frame that is
/// only on its way through this host, or belongs to a VLAN that others serve, must not be dropped.
#[inline(always)]
#[must_use]
pub fn is_served(lines: &impl Lines, orders: &Orders, link: u64, destination: u32) -> bool {
    let place = place(link, destination);
    let Some(line) = lines.line(place_line(orders, place)) else {
        return false;
    };
    // Without a way out of the loop: the verifier walks through whatever follows once for each.
    let (mut i, mut other) = (0, u64::MAX);
    while i < LINE {
        other &= differs(line[i & (LINE - 1)].load(), place);
        i += 1;
    }
    other == 0
}

/// All bits, or none if both are the same.
#[inline(always)]
fn differs(one: u64, other: u64) -> u64 {
    let difference = core::hint::black_box(one ^ other);
    0u64.wrapping_sub((difference | 0u64.wrapping_sub(difference)) >> 63)
}

#[inline(always)]
const fn place(link: u64, destination: u32) -> u64 {
    if destination == BROADCAST_IP {
        link
    } else {
        ADDRESS | destination as u64
    }
}

const ADDRESS: u64 = 1 << 63;

#[inline(always)]
fn place_line(orders: &Orders, place: u64) -> u32 {
    FIRST_PLACE + (mix(orders, place) >> 57) as u32
}

/// What becomes of a request: may it pass, and if not, why. Only what `takes` counts against the
/// ingress.
///
/// # Errors
/// [`Reason::Blocked`] or [`Reason::Throttled`].
#[inline(always)]
pub fn judge(
    lines: &impl Lines,
    orders: &Orders,
    asker: &Asker,
    now: u64,
    takes: bool,
) -> Result<(), Reason> {
    let duty = orders.duty.load();
    if orders.until.load() <= now {
        return Ok(());
    }
    if is_blocked(lines, orders, asker, now) {
        return Err(Reason::Blocked);
    }
    if duty & RATES == 0 || may_be_known(lines, orders, asker) {
        return Ok(());
    }
    take(lines, orders, asker, now, takes)
}

/// Whether the client is blocked where it asks from.
#[inline(always)]
#[must_use]
pub fn is_blocked(lines: &impl Lines, orders: &Orders, asker: &Asker, now: u64) -> bool {
    if orders.duty.load() & BLOCKS == 0 {
        return false;
    }
    let key = block_key(orders, asker);
    let Some(set) = lines.line(set_line(orders, key)) else {
        return false;
    };
    let (mut i, mut until) = (0, 0);
    while i < WAYS {
        let way = 2 * (i & (WAYS - 1));
        until |= set[way + 1].load() & !differs(set[way].load(), key);
        i += 1;
    }
    until > now && !asker.foreign
}

/// A MAC at one place: the same MAC elsewhere is another matter.
#[inline(always)]
fn block_key(orders: &Orders, asker: &Asker) -> u64 {
    let place = asker.ingress ^ mix(orders, asker.source);
    asker.mac << 16 | mix(orders, place) >> 48
}

#[inline(always)]
fn set_line(orders: &Orders, key: u64) -> u32 {
    FIRST_SET + (mix(orders, key) >> 52) as u32
}

/// Whether the client has or may have a lease or a reservation, or is taking an offer.
#[inline(always)]
#[must_use]
pub fn may_be_known(lines: &impl Lines, orders: &Orders, asker: &Asker) -> bool {
    let duty = orders.duty.load();
    let half = if duty & SECOND == 0 { 0 } else { FILTER };
    let hash = mix(orders, asker.mac);
    let Some(line) = lines.line(half + filter_line(hash)) else {
        return true;
    };
    let found = has(line, leased(hash)) || asker.selects && has(line, offered(hash));
    // Who is not found in a filter that counts no more may be in the other: this one is emptied.
    let turned = (orders.duty.load() ^ duty) & SECOND != 0;
    !asker.foreign && (found || turned)
}

/// Where a client stands in a filter: the upper bits, which the places within do not use.
#[inline(always)]
const fn filter_line(hash: u64) -> u32 {
    (hash >> 49) as u32
}

#[inline(always)]
const fn leased(hash: u64) -> u64 {
    hash
}

/// Other places for clients that have no more than an offer.
#[inline(always)]
const fn offered(hash: u64) -> u64 {
    hash.wrapping_mul(ODD) >> 28
}

/// Places within a line that stand for one client; nine bits each.
const PROBES: u32 = 4;

#[inline(always)]
fn has(line: &Line, places: u64) -> bool {
    let (mut i, mut all) = (0, 1);
    while i < PROBES {
        let at = places >> (9 * i);
        all &= line[(at >> 6) as usize & (LINE - 1)].load() >> (at & 63);
        i += 1;
    }
    all & 1 == 1
}

#[inline(always)]
fn take(
    lines: &impl Lines,
    orders: &Orders,
    asker: &Asker,
    now: u64,
    takes: bool,
) -> Result<(), Reason> {
    let interval = orders.interval.load();
    let bucket = lines.line(bucket_line(orders, asker.ingress));
    let (Some(bucket), Some(all)) = (bucket, lines.line(TOGETHER)) else {
        return Ok(());
    };
    if interval == 0 {
        return Ok(());
    }
    let class = asker.class as usize & 1;
    let relayed = asker.ingress & RELAY != 0;
    let (own, common) = (bucket[class].load(), all[class].load());
    if own > now + BURST || relayed && common > now + BURST {
        if takes {
            bucket[DROPPED].add(1);
            bucket[WHOSE].store(asker.ingress);
        }
        return Err(Reason::Throttled);
    }
    if takes {
        bucket[class].replace(own, later(own, now) + interval);
        if relayed {
            all[class].replace(common, later(common, now) + interval / RELAYS);
        }
    }
    Ok(())
}

#[inline(always)]
const fn later(one: u64, other: u64) -> u64 {
    if one > other { one } else { other }
}

#[inline(always)]
fn bucket_line(orders: &Orders, ingress: u64) -> u32 {
    FIRST_BUCKET + (mix(orders, ingress) >> 54) as u32
}

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A keyed hash whose upper bits are good.
#[inline(always)]
fn mix(orders: &Orders, value: u64) -> u64 {
    let seed = orders.seed.load();
    let mut hash = (value ^ seed).wrapping_mul(seed | 1);
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(ODD);
    hash ^= hash >> 29;
    hash.wrapping_mul(seed.rotate_left(32) | 1)
}

#[cfg(not(target_arch = "bpf"))]
mod host;
#[cfg(not(target_arch = "bpf"))]
pub use host::{Entry, Keeper};

#[cfg(all(test, not(loom)))]
mod tests;
