//! Programs for measuring, beside the real ones: what a frame costs when every run starts from a
//! fresh request of a random client, and a generator for whole servers. The daemon never loads them.
#![no_std]
#![no_main]

mod frame;
mod maps;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use dhcp_common::Reason;
use dhcp_common::fast::{self, Env};
use dhcp_common::layout::bench::{
    FRAME, KEEP_EVERY, KEPT_FRAMES, KEPT_LEN, MADE, Plan, RIGHT, WRONG, xid_of,
};
use dhcp_common::wire::{Sum, bootp};

use frame::Frame;

#[map]
static BENCH: Array<Plan> = Array::with_max_entries(1, 0);
#[map]
static COUNTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(3, 0);
#[map]
static KEPT: Array<[u8; KEPT_LEN]> = Array::with_max_entries(KEPT_FRAMES, 0);

/// Where the BOOTP message begins.
const MESSAGE: usize = 42;
/// Before the number in the MACs that are made here.
const OUI: usize = 2;

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
        Some(_) => XDP_TX,
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
        Reason::Hit | Reason::Boot => XDP_TX,
        _ => XDP_PASS,
    }
}

/// Makes the frame a request of a random client and sends it off.
#[xdp]
pub fn xdhcp_flood(ctx: XdpContext) -> u32 {
    match restore(&ctx).and_then(|client| sign(&ctx, client)) {
        Some(()) => {
            count(MADE);
            XDP_TX
        }
        None => XDP_ABORTED,
    }
}

/// Counts the answers to what [`xdhcp_flood`] made, right and wrong ones, and keeps some.
#[xdp]
pub fn xdhcp_sink(ctx: XdpContext) -> u32 {
    match judge(&ctx) {
        None => XDP_PASS,
        Some(false) => {
            count(WRONG);
            XDP_DROP
        }
        Some(true) => {
            let number = count(RIGHT);
            if number % KEEP_EVERY == 0 {
                keep(&ctx, (number / KEEP_EVERY) as u32 % KEPT_FRAMES);
            }
            XDP_DROP
        }
    }
}

/// How often that was counted before, on this CPU.
#[inline(always)]
fn count(what: u32) -> u64 {
    let Some(counter) = COUNTS.get_ptr_mut(what) else {
        return 0;
    };
    // SAFETY: the entry belongs to this CPU, and an XDP program is not interrupted by another.
    let counter = unsafe { &mut *counter };
    *counter += 1;
    *counter - 1
}

#[inline(always)]
fn keep(ctx: &XdpContext, place: u32) {
    if let Some(kept) = KEPT.get_ptr_mut(place) {
        Frame::new(ctx).load(0, kept.cast(), ctx.data_end() - ctx.data());
    }
}

/// Whether the answer is right; `None` for another frame.
#[inline(always)]
fn judge(ctx: &XdpContext) -> Option<bool> {
    // SAFETY: the one entry, written before the run only.
    let plan = unsafe { &*BENCH.get_ptr(0)? };
    let frame: *const [u8; FRAME] = at(ctx, 0)?;
    // SAFETY: the bytes lie within the packet, as just checked.
    let frame = unsafe { &*frame };
    // IPv4 and UDP, from or to a server.
    if frame[12] != 8 || frame[13] != 0 || frame[23] != 17 {
        return None;
    }
    let number = number(frame, MESSAGE + bootp::CHADDR + OUI);
    let echo = u32::from(frame[MESSAGE]) == 1;
    let place = if echo { bootp::CIADDR } else { bootp::YIADDR };
    let address = self::number(frame, MESSAGE + place);
    // The message type comes first.
    let kind = frame[MESSAGE + bootp::OPTIONS + 2];
    Some(
        u32::from(frame[MESSAGE]) == plan.answer_op
            && self::number(frame, MESSAGE + bootp::XID) == xid_of(number)
            && address == plan.first_address.wrapping_add(number)
            && (echo || kind == 5),
    )
}

#[inline(always)]
fn number(frame: &[u8; FRAME], at: usize) -> u32 {
    u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
}

/// Puts the xid of its client into a request, and the number wherever else it stands.
#[inline(always)]
fn sign(ctx: &XdpContext, client: u32) -> Option<()> {
    // SAFETY: the one entry, written before the run only.
    let number_at = unsafe { (*BENCH.get_ptr(0)?).number_at };
    let frame = Frame::new(ctx);
    let (xid, number) = (xid_of(client).to_be_bytes(), client.to_be_bytes());
    frame
        .store(MESSAGE + bootp::XID, xid.as_ptr(), 4, 7)
        .then_some(())?;
    // The sender's address, too.
    frame.store(6 + OUI, number.as_ptr(), 4, 7).then_some(())?;
    let at = (number_at & 511) as usize;
    frame.store(at, number.as_ptr(), 4, 7).then_some(())
}

/// Some bytes of the packet.
#[inline(always)]
fn at<T>(ctx: &XdpContext, offset: usize) -> Option<*mut T> {
    let start = ctx.data() + offset;
    (start + size_of::<T>() <= ctx.data_end()).then_some(start as *mut T)
}

/// Makes the frame a request of a random client, whose number this is.
#[inline(always)]
fn restore(ctx: &XdpContext) -> Option<u32> {
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
        .then_some(client)
}

#[inline(always)]
fn swap_macs(ctx: &XdpContext) -> Option<()> {
    let macs: *mut [[u8; 6]; 2] = at(ctx, 0)?;
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
