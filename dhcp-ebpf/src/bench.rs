//! Programs for measuring, beside the real ones: what a frame costs when every run starts from a
//! fresh request of a random client. The daemon never loads them.
#![no_std]
#![no_main]

mod frame;
mod maps;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;
use dhcp_common::Reason;
use dhcp_common::fast::{self, Env};
use dhcp_common::layout::bench::{FRAME, Plan};
use dhcp_common::wire::Sum;

use frame::Frame;

#[map]
static BENCH: Array<Plan> = Array::with_max_entries(1, 0);

/// The bare limit: swaps the MAC addresses and sends the frame back.
#[xdp]
pub fn xdhcp_swap(ctx: XdpContext) -> u32 {
    match swap_macs(&ctx) {
        Some(()) => XDP_TX,
        None => XDP_PASS,
    }
}

/// Makes the frame a request of a random client, no more: what to subtract.
#[xdp]
pub fn xdhcp_bench_base(ctx: XdpContext) -> u32 {
    match restore(&ctx) {
        Some(()) => XDP_TX,
        None => XDP_ABORTED,
    }
}

/// Makes the frame a request of a random client and answers it.
#[xdp]
pub fn xdhcp_bench(ctx: XdpContext) -> u32 {
    if restore(&ctx).is_none() {
        return XDP_ABORTED;
    }
    let Some(scratch) = maps::scratch() else {
        return XDP_ABORTED;
    };
    let reason = fast::answer(&mut Frame::new(&ctx), scratch);
    maps::count(reason as u32);
    match reason {
        Reason::Hit => XDP_TX,
        _ => XDP_PASS,
    }
}

#[inline(always)]
fn restore(ctx: &XdpContext) -> Option<()> {
    let plan = BENCH.get_ptr(0)?;
    // SAFETY: the one entry, written before the run only.
    let plan = unsafe { &*plan };
    let mut frame = Frame::new(ctx);
    let from = frame.frame_len();
    frame.resize(from, FRAME).then_some(())?;
    frame
        .store(0, plan.frame.as_ptr(), FRAME, 511)
        .then_some(())?;
    // SAFETY: takes nothing.
    let client = unsafe { bpf_get_prandom_u32() } & plan.client_mask;
    let address = (plan.first_address + client).to_be_bytes();
    let sum = Sum::of(plan.ip_sum as u16).bytes(&address);
    let checksum = sum.checksum().to_ne_bytes();
    frame.store(24, checksum.as_ptr(), 2, 3).then_some(())?;
    frame.store(26, address.as_ptr(), 4, 7).then_some(())?;
    frame.store(42 + 12, address.as_ptr(), 4, 7).then_some(())?;
    frame
        .store(42 + 28 + 2, client.to_be_bytes().as_ptr(), 4, 7)
        .then_some(())
}

#[inline(always)]
fn swap_macs(ctx: &XdpContext) -> Option<()> {
    let start = ctx.data();
    if start + 12 > ctx.data_end() {
        return None;
    }
    let macs = start as *mut [[u8; 6]; 2];
    // SAFETY: the 12 bytes lie within the packet, as just checked.
    let [to, from] = unsafe { *macs };
    // SAFETY: the same 12 bytes.
    unsafe { *macs = [from, to] };
    Some(())
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
