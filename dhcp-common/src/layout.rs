//! The shared memory: which maps there are, how they are indexed, and the number that changes
//! when any of it does.
//!
//! An address finds its slot in two steps, without hashing: `ROOT[address >> 16]` names a page of
//! 256 entries in `BLOCKS`, whose entry for `(address >> 8) & 255` names 256 slots in a row. Both
//! count from 1, so that fresh memory means "none".
#![forbid(unsafe_code)]

use crate::guard::Orders;
use crate::memo::Key;
use crate::word::Word;

/// Goes into the pin directory's name. Change it with any change to the maps, to what is in
/// them, or to what their content means.
pub const VERSION: u32 = 4;

/// Names of the maps. All but the counters can be mapped into memory.
pub mod map {
    pub const ROOT: &str = "ROOT";
    pub const BLOCKS: &str = "BLOCKS";
    pub const SLOTS: &str = "SLOTS";
    pub const TAILS: &str = "TAILS";
    pub const BOOTS: &str = "BOOTS";
    pub const TEMPLATES: &str = "TEMPLATES";
    pub const META: &str = "META";
    pub const GUARD: &str = "GUARD";
    pub const COUNTERS: &str = "COUNTERS";
    pub const SCRATCH: &str = "SCRATCH";
}

/// Names of the programs.
pub mod program {
    /// Answers.
    pub const ANSWER: &str = "xdhcp";
    /// Tells by its return value what [`ANSWER`] would do, and changes nothing: 256 + Reason.
    pub const EXPLAIN: &str = "xdhcp_explain";
    /// Passes everything: for the far end of a veth pair, which must have a program.
    pub const PASS: &str = "xdhcp_pass";
}

/// What the measuring programs (`dhcp-ebpf/src/bench.rs`) are given.
pub mod bench {
    pub const MAP: &str = "BENCH";
    /// Swaps the MAC addresses and sends the frame back: the bare limit.
    pub const SWAP: &str = "xdhcp_swap";
    /// Makes the frame a request of a random client.
    pub const BASE: &str = "xdhcp_bench_base";
    /// The same, then answers it.
    pub const ANSWER: &str = "xdhcp_bench";
    /// Makes the frame a request of a random client and sends it off: a generator, by live frames.
    pub const FLOOD: &str = "xdhcp_flood";
    /// Looks at the answers to that, counts and drops them.
    pub const SINK: &str = "xdhcp_sink";
    /// What [`SINK`] has counted.
    pub const COUNTS: &str = "COUNTS";
    pub const RIGHT: u32 = 0;
    pub const WRONG: u32 = 1;
    /// What [`FLOOD`] has made.
    pub const MADE: u32 = 2;
    /// Some of the answers, whole.
    pub const KEPT: &str = "KEPT";
    pub const KEPT_FRAMES: u32 = 64;
    /// Bytes that are kept of each, at most.
    pub const KEPT_LEN: usize = 1024;
    /// One answer of so many is kept.
    pub const KEEP_EVERY: u64 = 1024;
    /// The xid of a client's request, so that its answer can be told from another's.
    #[inline(always)]
    #[must_use]
    pub const fn xid_of(client: u32) -> u32 {
        client.wrapping_mul(0x9e37_79b1)
    }
    /// Bytes of a request frame: Ethernet, IP, UDP and the smallest BOOTP message.
    pub const FRAME: usize = 342;

    /// Client `n` has the MAC of the frame with `n` in its last four bytes, and the address
    /// `first_address + n`.
    #[derive(Clone, Copy, Debug)]
    #[repr(C)]
    pub struct Plan {
        pub first_address: u32,
        /// One less than the number of clients, a power of two.
        pub client_mask: u32,
        /// Folded sum of the IP header without source address and checksum.
        pub ip_sum: u32,
        /// Where else in the frame the client's number stands (in option 61), or 0.
        pub number_at: u32,
        /// The op of an answer: BOOTREPLY, or what came back from the bare limit.
        pub answer_op: u32,
        pub frame: [u8; FRAME],
    }
}

pub const ROOT_LEN: u32 = 1 << 16;
/// Addresses in a block, and blocks in a page.
pub const BLOCK: u32 = 256;
/// Served interfaces at most; an interface's place is its index modulo this.
pub const PORTS: usize = 256;

/// An interface that is served: its index and MAC.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Port {
    ifindex: Word,
    mac: Word,
}

impl Port {
    /// The MAC of the interface if it is served.
    #[inline(always)]
    #[must_use]
    pub fn mac_of(&self, ifindex: u32) -> Option<u64> {
        if self.ifindex.load() == u64::from(ifindex) {
            Some(self.mac.load())
        } else {
            None
        }
    }

    /// Serves an interface from this place, or (0) none.
    #[cfg(not(target_arch = "bpf"))]
    pub fn set(&self, ifindex: u32, mac: u64) {
        self.ifindex.store(0);
        self.mac.store(mac);
        self.ifindex.store(u64::from(ifindex));
    }

    /// The index of the interface that this place serves, or 0.
    #[cfg(not(target_arch = "bpf"))]
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.ifindex.load() as u32
    }
}

/// The one entry of `META`.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Meta {
    /// [`VERSION`], or 0 while the table is not set up.
    pub version: Word,
    /// Fingerprint of the configuration that the memos were made under.
    pub fingerprint: Word,
    /// The MAC whose frames are logged, or 0.
    pub trace: Word,
    /// For [`program::EXPLAIN`]: the memo to take instead of the frame's own, or 0.
    pub assume_memo: Word,
    pub guard: Orders,
    /// The memo's key, made with the table ([`crate::memo`]).
    pub key: Key,
    /// Buckets of boot memos: a power of two, or 0.
    pub buckets: Word,
    pub ports: [Port; PORTS],
}

const _: () = assert!(size_of::<Key>() == 64 * 8);
// What every frame looks at stands in one cache line.
const _: () = assert!(size_of::<Orders>() == 4 * 8);

/// Where an address stands in `ROOT`.
#[inline(always)]
#[must_use]
pub const fn root_index(address: u32) -> u32 {
    address >> 16
}

/// Where an address stands in `BLOCKS`, given its page's number from `ROOT` (not 0).
#[inline(always)]
#[must_use]
pub const fn block_index(page: u64, address: u32) -> u32 {
    (page as u32).wrapping_sub(1).wrapping_mul(BLOCK) + ((address >> 8) & 255)
}

/// The slot of an address, given its block's number from `BLOCKS` (not 0).
#[inline(always)]
#[must_use]
pub const fn slot_index(block: u64, address: u32) -> u32 {
    (block as u32).wrapping_sub(1).wrapping_mul(BLOCK) + (address & 255)
}
