//! How large the lease table must be.

use std::collections::BTreeSet;

use dhcp_common::layout::{BLOCK, block_index, root_index};

use crate::config::Config;
use crate::lease::table::Size;

/// Spare pages (networks of 65,536 addresses): a page takes 2 KiB, and a reload may add networks.
const SPARE_PAGES: u32 = 16;
/// Spare blocks at most: a /16 more. A block takes 32 KiB, used or not.
const SPARE_BLOCKS: u32 = 256;

/// Boot memos for each address, unless the operator says how many altogether: firmware and system, or
/// firmware and boot loader.
const BOOTS_EACH: u32 = 4;
/// 32 MiB, which nobody has to think about.
const MOST_BOOTS: u32 = 1 << 20;

/// What a configuration asks of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// First addresses of the blocks of 256 that hold a leasable address.
    pub blocks: BTreeSet<u32>,
    /// Addresses that the operator wants room for.
    pub capacity: Option<u32>,
    /// Boot memos that the operator wants room for.
    pub boot_memos: Option<u32>,
}

impl Needs {
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let ranges = config.addresses();
        let blocks =
            ranges.flat_map(|(first, last)| first.to_bits() / BLOCK..=last.to_bits() / BLOCK);
        Self {
            blocks: blocks.map(|block| block * BLOCK).collect(),
            capacity: config.fast_path.capacity,
            boot_memos: config.fast_path.boot_memos,
        }
    }

    /// Room for all of it and for growth.
    #[must_use]
    pub fn size(&self) -> Size {
        let needed = self.blocks.len() as u32;
        let wanted = self
            .capacity
            .map_or(needed + needed.min(SPARE_BLOCKS), |addresses| {
                addresses.div_ceil(BLOCK)
            });
        let pages = self.pages();
        // A table of all addresses of IPv4 has 2^24 blocks; slots are counted in 32 bits.
        let blocks = wanted.max(needed).clamp(1, (1 << 24) - 1);
        Size::for_addresses(blocks, 2 * pages + SPARE_PAGES).with_boots(self.boots())
    }

    fn boots(&self) -> u32 {
        let addresses = self.blocks.len() as u32 * BLOCK;
        let usual = addresses.saturating_mul(BOOTS_EACH).min(MOST_BOOTS);
        self.boot_memos.unwrap_or(usual)
    }

    fn pages(&self) -> u32 {
        let pages: BTreeSet<u32> = self.blocks.iter().map(|block| root_index(*block)).collect();
        pages.len() as u32
    }
}

/// Entries of `BLOCKS` in a table of this size.
#[must_use]
pub fn block_entries(size: Size) -> u32 {
    block_index(u64::from(size.pages) + 1, 0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;
    use super::*;

    fn needs(pools: &str, capacity: Option<u32>) -> Needs {
        let mut config = config(pools);
        config.fast_path.capacity = capacity;
        Needs::of(&config)
    }

    #[test]
    fn twice_what_the_pools_touch() {
        let needs = needs("10.0.0.250-10.0.2.3 10.1.0.1-10.1.0.1", None);
        let blocks = [0x0a00_0000, 0x0a00_0100, 0x0a00_0200, 0x0a01_0000];
        assert_eq!(needs.blocks, BTreeSet::from(blocks));
        assert_eq!(needs.size(), Size::for_addresses(8, 20).with_boots(4096));
    }

    #[test]
    fn no_more_than_a_16_is_spare() {
        for (last, blocks) in [("10.0.255.255", 2 * 256), ("10.15.255.255", 17 * 256)] {
            let needs = needs(&format!("10.0.0.0-{last}"), None);
            assert_eq!(needs.size().blocks, blocks);
        }
    }

    #[test]
    fn a_capacity_counts_in_blocks_and_never_below_the_need() {
        let pools = "10.0.0.1-10.0.1.254";
        assert_eq!(needs(pools, Some(1000)).size().blocks, 4);
        assert_eq!(needs(pools, Some(1025)).size().blocks, 5);
        assert_eq!(needs(pools, Some(1)).size().blocks, 2);
        assert_eq!(needs(pools, Some(u32::MAX)).size().blocks, (1 << 24) - 1);
    }

    #[test]
    fn without_pools_a_table_still_exists() {
        assert_eq!(needs("", None).size().blocks, 1);
    }

    #[test]
    fn entries_of_blocks() {
        assert_eq!(block_entries(Size::for_addresses(1, 3)), 3 * 256);
    }
}
