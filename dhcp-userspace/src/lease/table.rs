//! The lease table: address -> slot, in memory that the kernel may share.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use dhcp_common::boot::{self, Bucket, Entry, WAYS};
use dhcp_common::guard::{self, Keeper, Line, Lines};
use dhcp_common::layout::{self, BLOCK, Meta, ROOT_LEN, block_index, root_index, slot_index};
use dhcp_common::slot::{Kind, Lease, Slot};
use dhcp_common::template::{Tail, Template};
use dhcp_common::word::Word;

use super::memory::Memory;

/// How many entries the maps of a table have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Blocks of 256 addresses.
    pub blocks: u32,
    /// Pages of 256 blocks.
    pub pages: u32,
    pub templates: u32,
    /// Buckets of boot memos: a power of two, or 0.
    pub buckets: u32,
}

impl Size {
    /// Room for `blocks` of addresses that stand in `pages` different /16 networks, and for no boot
    /// memos.
    #[must_use]
    pub const fn for_addresses(blocks: u32, pages: u32) -> Self {
        Self {
            blocks,
            pages,
            templates: 4096,
            buckets: 0,
        }
    }

    /// The same, with room for as many boot memos at least.
    #[must_use]
    pub const fn with_boots(self, memos: u32) -> Self {
        let buckets = match memos.div_ceil(WAYS as u32) {
            0 => 0,
            some => some.next_power_of_two(),
        };
        Self { buckets, ..self }
    }

    #[must_use]
    pub const fn slots(self) -> u32 {
        self.blocks * BLOCK
    }
}

/// The memories of a table, all zero when new.
pub struct Parts {
    pub root: Memory<Word>,
    pub blocks: Memory<Word>,
    pub slots: Memory<Slot>,
    pub tails: Memory<Tail>,
    pub boots: Memory<Bucket>,
    pub templates: Memory<Template>,
    pub meta: Memory<Meta>,
    pub guard: Memory<Line>,
}

pub struct Table {
    parts: Parts,
    size: Size,
    /// Blocks and pages handed out so far; who holds it may add some.
    used: Mutex<Used>,
    /// Held by threads of the daemon while they answer as the kernel does.
    runs: RwLock<()>,
}

#[derive(Clone, Copy, Default)]
struct Used {
    blocks: u32,
    pages: u32,
}

/// The table has no room for another block.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the lease table is full: it has room for {capacity} addresses in blocks of 256")]
pub struct Full {
    pub capacity: u32,
}

impl Table {
    /// A table of this process alone.
    ///
    /// # Errors
    /// If the system has no memory.
    pub fn anonymous(size: Size) -> io::Result<Self> {
        let parts = Parts {
            root: Memory::anonymous(ROOT_LEN as usize)?,
            blocks: Memory::anonymous((size.pages * BLOCK) as usize)?,
            slots: Memory::anonymous(size.slots() as usize)?,
            tails: Memory::anonymous(size.slots() as usize)?,
            boots: Memory::anonymous(size.buckets as usize)?,
            templates: Memory::anonymous(size.templates as usize)?,
            meta: Memory::anonymous(1)?,
            guard: Memory::anonymous(guard::LINES as usize)?,
        };
        Ok(Self::new(parts, size))
    }

    /// A table over given memory, fresh or with the content of an earlier run.
    #[must_use]
    pub fn new(parts: Parts, size: Size) -> Self {
        let table = Self {
            used: Mutex::default(),
            runs: RwLock::default(),
            parts,
            size,
        };
        let used = Used {
            pages: table.parts.root.iter().map(Word::load).max().unwrap_or(0) as u32,
            blocks: table.parts.blocks.iter().map(Word::load).max().unwrap_or(0) as u32,
        };
        *table.used.lock().expect("no panics while held") = used;
        if table.meta().version.load() != u64::from(layout::VERSION) {
            table.set_up();
        }
        table.meta().buckets.store(u64::from(size.buckets));
        table
    }

    fn set_up(&self) {
        let meta = self.meta();
        for word in &meta.key {
            word.store(random());
        }
        meta.guard.seed.store(random());
        meta.version.store(u64::from(layout::VERSION));
    }

    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.parts.meta[0]
    }

    /// The guard's memory, to be written.
    #[must_use]
    pub fn guard(&self) -> Keeper<'_, Self> {
        Keeper {
            lines: self,
            orders: &self.meta().guard,
        }
    }

    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Where an address stands, if its block was added.
    #[must_use]
    pub fn index(&self, address: Ipv4Addr) -> Option<u32> {
        let address = address.to_bits();
        let page = self.parts.root[root_index(address) as usize].load();
        if page == 0 {
            return None;
        }
        let block = self
            .parts
            .blocks
            .get(block_index(page, address) as usize)?
            .load();
        (block != 0).then(|| slot_index(block, address))
    }

    /// # Panics
    /// If `index` did not come from this table.
    #[must_use]
    pub fn slot(&self, index: u32) -> &Slot {
        &self.parts.slots[index as usize]
    }

    /// What a slot holds, whoever changes it just now.
    ///
    /// # Panics
    /// If `index` did not come from this table.
    #[must_use]
    pub fn look(&self, index: u32) -> (Kind, Lease) {
        loop {
            // It is written in a moment, unless its writer has to wait for a processor.
            if let Some(whole) = self.slot(index).snapshot() {
                return whole;
            }
            std::thread::yield_now();
        }
    }

    #[must_use]
    pub fn tail(&self, index: u32) -> &Tail {
        &self.parts.tails[index as usize]
    }

    /// Where a boot memo with this tag may stand; none if there is no room for any.
    #[must_use]
    pub fn bucket(&self, tag: u64) -> Option<&Bucket> {
        let buckets = u64::from(self.size.buckets);
        (buckets != 0).then(|| &self.parts.boots[boot::bucket(tag, buckets) as usize])
    }

    /// All places for boot memos.
    pub fn boots(&self) -> impl Iterator<Item = &Entry> {
        self.parts.boots.iter().flat_map(|bucket| &bucket.0)
    }

    #[must_use]
    pub fn template(&self, index: u32) -> &Template {
        &self.parts.templates[index as usize]
    }

    /// To be held by who answers from this table on the host, for as long as one frame takes.
    pub fn run(&self) -> RwLockReadGuard<'_, ()> {
        self.runs.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when everybody who was answering from this table, here or in the kernel, has come to an
    /// end: after a frame, and some hundredths of a second.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn wait_for_runs(&self) -> io::Result<()> {
        drop(self.runs.write().unwrap_or_else(PoisonError::into_inner));
        if self.parts.templates.is_shared() {
            wait_for_programs()?;
        }
        Ok(())
    }

    /// Makes room for the block of an address; tells where the address stands.
    ///
    /// # Errors
    /// If the table is full.
    pub fn add(&self, address: Ipv4Addr) -> Result<u32, Full> {
        if let Some(index) = self.index(address) {
            return Ok(index);
        }
        let bits = address.to_bits();
        let mut used = self.used.lock().expect("no panics while held");
        let root = &self.parts.root[root_index(bits) as usize];
        if root.load() == 0 {
            let full = used.pages == self.size.pages;
            (!full).then_some(()).ok_or(Full {
                capacity: self.size.slots(),
            })?;
            used.pages += 1;
            root.store(u64::from(used.pages));
        }
        let block = &self.parts.blocks[block_index(root.load(), bits) as usize];
        if block.load() == 0 {
            let full = used.blocks == self.size.blocks;
            (!full).then_some(()).ok_or(Full {
                capacity: self.size.slots(),
            })?;
            used.blocks += 1;
            block.store(u64::from(used.blocks));
        }
        Ok(slot_index(block.load(), bits))
    }

    /// Every address that has a slot, with its index; neighbours follow each other.
    pub fn addresses(&self) -> impl Iterator<Item = (Ipv4Addr, u32)> + '_ {
        // Behind the last page that was handed out there is nothing to look at.
        let pages = self.used.lock().expect("no panics while held").pages;
        self.parts
            .root
            .iter()
            .enumerate()
            .filter(|(_, page)| page.load() != 0)
            .take(pages as usize)
            .flat_map(move |(high, page)| {
                let page = page.load();
                (0..BLOCK).flat_map(move |low| {
                    let start = (high as u32) << 16 | low << 8;
                    let block = self.parts.blocks[block_index(page, start) as usize].load();
                    let last = if block == 0 { 0 } else { BLOCK };
                    (0..last).map(move |octet| {
                        (Ipv4Addr::from_bits(start | octet), slot_index(block, octet))
                    })
                })
            })
    }
}

impl Lines for Table {
    fn line(&self, index: u32) -> Option<&Line> {
        self.parts.guard.get(index as usize)
    }
}

/// Waits until every run of a BPF program is over that has begun by now: programs run in RCU sections,
/// and this ends with a grace period of RCU.
fn wait_for_programs() -> io::Result<()> {
    let command = libc::MEMBARRIER_CMD_GLOBAL;
    // SAFETY: takes three numbers and touches no memory of ours.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A random number from the kernel.
fn random() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is 8 bytes long; so few bytes are always given whole.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    assert_eq!(got, 8, "getrandom gives 8 bytes once the system is up");
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_added_until_full_and_listed_in_order() {
        let table = Table::anonymous(Size::for_addresses(3, 2)).unwrap();
        let address = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        assert_eq!(table.index(address("10.0.1.7")), None);
        assert_eq!(table.add(address("10.0.1.7")), Ok(7));
        assert_eq!(table.add(address("10.0.1.255")), Ok(255));
        assert_eq!(table.add(address("10.1.0.0")), Ok(256));
        assert_eq!(
            table.add(address("10.2.0.0")),
            Err(Full { capacity: 768 }),
            "no third page"
        );
        assert_eq!(table.add(address("10.0.0.9")), Ok(521));
        assert_eq!(table.add(address("10.0.2.0")), Err(Full { capacity: 768 }));
        assert_eq!(table.index(address("10.1.0.3")), Some(259));
        let listed: Vec<_> = table.addresses().collect();
        assert_eq!(listed.len(), 768);
        assert_eq!(listed[0], (address("10.0.0.0"), 512));
        assert_eq!(listed[767], (address("10.1.0.255"), 511));
    }

    #[test]
    fn the_key_is_random_and_stays() {
        let one = Table::anonymous(Size::for_addresses(1, 1)).unwrap();
        let two = Table::anonymous(Size::for_addresses(1, 1)).unwrap();
        assert_ne!(one.meta().key[0].load(), two.meta().key[0].load());
        let key = one.meta().key[63].load();
        let again = Table::new(one.parts, Size::for_addresses(1, 1));
        assert_eq!(again.meta().key[63].load(), key);
    }
}
