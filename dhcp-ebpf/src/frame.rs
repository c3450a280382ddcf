//! A packet as the fast path sees it. Bytes move by helper calls between the packet and map
//! memory: no packet pointer lives in Rust code, so LLVM cannot re-derive one that the verifier
//! then does not recognise. Lengths pass through `black_box` and a mask right before a helper for
//! the same reason; the masks hide nothing, the shared code has checked them.

use core::hint::black_box;
use core::mem::offset_of;

use aya_ebpf::helpers::{
    bpf_ktime_get_boot_ns, bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_load_bytes,
    bpf_xdp_store_bytes,
};
use aya_ebpf::programs::XdpContext;
use dhcp_common::boot::Bucket;
use dhcp_common::fast::{Env, PEEK, Peek, Window};
use dhcp_common::guard::{Line, Lines};
use dhcp_common::head::{HEAD_LEN, Head};
use dhcp_common::layout::Meta;
use dhcp_common::slot::Slot;
use dhcp_common::template::{END_PAD, Tail, Template};

use crate::maps;

pub struct Frame<'a> {
    ctx: &'a XdpContext,
}

impl<'a> Frame<'a> {
    #[inline(always)]
    pub fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx }
    }

    /// Reads `len` bytes at `at` to `to`, which has room for 1023.
    #[inline(always)]
    pub fn load(&self, at: usize, to: *mut u8, len: usize) -> bool {
        let len = (black_box(len) & 1023) as u32;
        if len == 0 {
            return false;
        }
        // SAFETY: the verifier checks that the memory behind `to` holds `len` bytes.
        unsafe { bpf_xdp_load_bytes(self.ctx.ctx, at as u32, to.cast(), len) == 0 }
    }

    /// Writes `len` bytes of `from` at `at`; the mask bounds `len` for the verifier.
    #[inline(always)]
    pub fn store(&self, at: usize, from: *const u8, len: usize, mask: usize) -> bool {
        let len = (black_box(len) & mask) as u32;
        if len == 0 {
            return false;
        }
        // SAFETY: the verifier checks that the memory behind `from` holds `len` bytes.
        unsafe { bpf_xdp_store_bytes(self.ctx.ctx, at as u32, from.cast_mut().cast(), len) == 0 }
    }
}

impl Lines for Frame<'_> {
    #[inline(always)]
    fn line(&self, index: u32) -> Option<&Line> {
        maps::guard(index)
    }
}

impl Env for Frame<'_> {
    #[inline(always)]
    fn frame_len(&self) -> usize {
        self.ctx.data_end() - self.ctx.data()
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context is the program's own.
        unsafe { (*self.ctx.ctx).ingress_ifindex }
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: takes nothing.
        unsafe { bpf_ktime_get_boot_ns() }
    }

    #[inline(always)]
    fn peek(&self, to: &mut Peek) -> bool {
        let start = self.ctx.data();
        if start + PEEK > self.ctx.data_end() {
            return false;
        }
        // Two bytes at a time, which is how a frame is aligned at least.
        let (from, to) = (start as *const u16, to.0.as_mut_ptr().cast::<u16>());
        // SAFETY: the bytes lie within the packet, as just checked, and `to` holds as many.
        unsafe { core::ptr::copy_nonoverlapping(from, to, PEEK / 2) };
        true
    }

    #[inline(always)]
    fn window(&self, at: usize, len: usize, to: &mut Window) -> bool {
        let start = core::ptr::from_mut(to)
            .cast::<u8>()
            .wrapping_add(offset_of!(Window, ip));
        self.load(at, start, len)
    }

    #[inline(always)]
    fn meta(&self) -> Option<&Meta> {
        maps::meta()
    }

    #[inline(always)]
    fn root(&self, index: u32) -> Option<u64> {
        maps::root(index)
    }

    #[inline(always)]
    fn block(&self, index: u32) -> Option<u64> {
        maps::block(index)
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<&Slot> {
        maps::slot(index)
    }

    #[inline(always)]
    fn tail(&self, index: u32) -> Option<&Tail> {
        maps::tail(index)
    }

    #[inline(always)]
    fn template(&self, index: u32) -> Option<&Template> {
        maps::template(index)
    }

    #[inline(always)]
    fn bucket(&self, index: u32) -> Option<&Bucket> {
        maps::bucket(index)
    }

    #[inline(always)]
    fn resize(&mut self, from: usize, to: usize) -> bool {
        let more = to as i32 - from as i32;
        if more == 0 {
            return true;
        }
        // SAFETY: no packet pointer is in use.
        if unsafe { bpf_xdp_adjust_tail(self.ctx.ctx, more) } == 0 {
            return true;
        }
        // A frame that a socket sent over veth has no room behind it, but always before it.
        // SAFETY: no packet pointer is in use.
        more > 0 && unsafe { bpf_xdp_adjust_head(self.ctx.ctx, -more) } == 0
    }

    #[inline(always)]
    fn store_head(&mut self, head: &Head, from: usize) -> bool {
        let from = black_box(from) & 15;
        self.store(0, head.0.as_ptr().wrapping_add(from), HEAD_LEN - from, 127)
    }

    #[inline(always)]
    fn store_body(&mut self, at: usize, template: u32, len: usize) -> bool {
        let Some(template) = maps::template(template) else {
            return false;
        };
        // A template's body has 704 bytes: more than 512, less than 1023.
        let len = black_box(len) & 1023;
        len <= size_of_val(template.body())
            && self.store(at, template.body().as_ptr().cast(), len, 1023)
    }

    #[inline(always)]
    fn store_tail(&mut self, at: usize, tail: &[u64; 8], len: usize) -> bool {
        self.store(at, tail.as_ptr().cast(), len, 63)
    }

    #[inline(always)]
    fn store_option(&mut self, at: usize, window: &Window, from: usize, len: usize) -> bool {
        let from = black_box(from) & 511;
        self.store(
            at,
            window.options.as_ptr().cast::<u8>().wrapping_add(from),
            len,
            255,
        )
    }

    #[inline(always)]
    fn store_end(&mut self, at: usize, len: usize) -> bool {
        self.store(at, END_PAD.as_ptr(), len, 63)
    }
}
