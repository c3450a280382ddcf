//! The maps, named and laid out as `dhcp_common::layout` says; sizes are set at load.

use core::hint::assert_unchecked;

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};
use dhcp_common::Reason;
use dhcp_common::boot::Bucket;
use dhcp_common::fast::Scratch;
use dhcp_common::guard::{LINES, Line};
use dhcp_common::layout::{Meta, ROOT_LEN};
use dhcp_common::slot::Slot;
use dhcp_common::template::{Tail, Template};
use dhcp_common::word::Word;

const MMAPABLE: u32 = 1 << 10;

#[map]
static ROOT: Array<Word> = Array::with_max_entries(ROOT_LEN, MMAPABLE);
#[map]
static BLOCKS: Array<Word> = Array::with_max_entries(256, MMAPABLE);
#[map]
static SLOTS: Array<Slot> = Array::with_max_entries(256, MMAPABLE);
#[map]
static TAILS: Array<Tail> = Array::with_max_entries(256, MMAPABLE);
#[map]
static BOOTS: Array<Bucket> = Array::with_max_entries(1, MMAPABLE);
#[map]
static TEMPLATES: Array<Template> = Array::with_max_entries(16, MMAPABLE);
#[map]
static META: Array<Meta> = Array::with_max_entries(1, MMAPABLE);
#[map]
static GUARD: Array<Line> = Array::with_max_entries(LINES, MMAPABLE);
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reason::COUNT as u32, 0);
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
pub fn meta() -> Option<&'static Meta> {
    META.get(0)
}

#[inline(always)]
pub fn root(index: u32) -> Option<u64> {
    ROOT.get(index).map(Word::load)
}

#[inline(always)]
pub fn block(index: u32) -> Option<u64> {
    BLOCKS.get(index).map(Word::load)
}

#[inline(always)]
pub fn slot(index: u32) -> Option<&'static Slot> {
    SLOTS.get(index)
}

#[inline(always)]
pub fn tail(index: u32) -> Option<&'static Tail> {
    TAILS.get(index)
}

#[inline(always)]
pub fn template(index: u32) -> Option<&'static Template> {
    TEMPLATES.get(index)
}

#[inline(always)]
pub fn bucket(index: u32) -> Option<&'static Bucket> {
    BOOTS.get(index)
}

#[inline(always)]
pub fn guard(index: u32) -> Option<&'static Line> {
    GUARD.get(index)
}

/// This CPU's working memory.
#[inline(always)]
pub fn scratch() -> Option<&'static mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    // LLVM forgets it when it inlines, and then moves every field byte by byte.
    // SAFETY: map values are aligned to eight bytes.
    unsafe { assert_unchecked(scratch.addr().is_multiple_of(8)) };
    // SAFETY: the entry belongs to this CPU, and an XDP program is not interrupted by another.
    Some(unsafe { &mut *scratch })
}

#[inline(always)]
pub fn count(code: u32) {
    if let Some(counter) = COUNTERS.get_ptr_mut(code) {
        // SAFETY: the entry belongs to this CPU, and an XDP program is not interrupted by another.
        unsafe { *counter += 1 };
    }
}
