//! The XDP programs. What they decide stands in `dhcp_common::fast`, which the daemon runs too;
//! here is only how the kernel reaches packets ([`frame`]) and tables ([`maps`]).
#![no_std]
#![no_main]

mod frame;
mod maps;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::info;
use dhcp_common::Reason;
use dhcp_common::fast::{self, Scratch};
use dhcp_common::wire::{bootp, mac_bits};

use frame::Frame;

/// Answers the renewals and the boots that the daemon has answered before, and drops what its guard does not let
/// pass; passes everything else.
#[xdp]
pub fn xdhcp(ctx: XdpContext) -> u32 {
    let Some(scratch) = maps::scratch() else {
        return XDP_PASS;
    };
    let reason = fast::answer(&mut Frame::new(&ctx), scratch);
    let code = forget(scratch, reason as u32);
    maps::count(code);
    if code != Reason::NotDhcp as u32 {
        trace(&ctx, scratch, code);
    }
    action(code)
}

/// The same number, read back from memory: the verifier then walks once through what follows, not
/// once for each reason.
#[inline(always)]
fn forget(scratch: &mut Scratch, code: u32) -> u32 {
    scratch.code = code;
    core::hint::black_box(scratch).code
}

#[inline(always)]
fn action(code: u32) -> u32 {
    const HIT: u32 = Reason::Hit as u32;
    const BOOT: u32 = Reason::Boot as u32;
    const BROKEN: u32 = Reason::Broken as u32;
    const BLOCKED: u32 = Reason::Blocked as u32;
    const THROTTLED: u32 = Reason::Throttled as u32;
    match code {
        HIT | BOOT => XDP_TX,
        BROKEN => XDP_ABORTED,
        BLOCKED | THROTTLED => XDP_DROP,
        _ => XDP_PASS,
    }
}

/// Returns what [`xdhcp`] would say of the frame (256 + the reason's number); changes nothing.
#[xdp]
pub fn xdhcp_explain(ctx: XdpContext) -> u32 {
    let Some(scratch) = maps::scratch() else {
        return 0;
    };
    256 + fast::explain(&Frame::new(&ctx), scratch) as u32
}

/// For the far end of a veth pair: XDP_TX reaches it only if it has a native program.
#[xdp]
pub fn xdhcp_pass(_: XdpContext) -> u32 {
    XDP_PASS
}

/// Logs what became of a frame of the one client that an operator watches, and what should never
/// happen at all.
#[inline(always)]
fn trace(ctx: &XdpContext, scratch: &Scratch, code: u32) {
    const NOT_OURS: u32 = Reason::NotOurs as u32;
    const BAD_HEADER: u32 = Reason::BadHeader as u32;
    const NOT_REQUEST: u32 = Reason::NotRequest as u32;
    // Where these come up, the window may still hold another frame.
    if let NOT_OURS | BAD_HEADER | NOT_REQUEST = code {
        return;
    }
    let Some(meta) = maps::meta() else { return };
    let watched = meta.trace.load();
    let client = mac_bits(&scratch.window.bootp, bootp::CHADDR);
    let rare = code == Reason::NoRoom as u32 || code == Reason::Broken as u32;
    if rare || (watched != 0 && watched == client) {
        info!(ctx, "{} {}", client, code);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
