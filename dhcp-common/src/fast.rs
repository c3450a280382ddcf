//! The fast path: from a frame to a reply, or to a [`Reason`] why not.
//!
//! The way of a frame: Ethernet and up to two VLAN tags, IPv4 without options or fragments, UDP
//! to port 67 ([`locate`]); a BOOTREQUEST for our MAC or broadcast ([`examine`]), that the guard lets
//! pass ([`guard::judge`]); of an Ethernet client, with the cookie, giaddr 0 ([`check_message`]).
//! With a ciaddr it is a renewal: its IP source is ciaddr, whose slot has this chaddr and this memo.
//! Without, it is of a client that boots: [`crate::boot`] knows what it was answered and at which
//! address, whose slot has this chaddr and allows it. The lease is alive, promised if it is given time,
//! and for a broadcast on the same link ([`Slot::check`], [`Slot::extend`], [`Slot::stands`]); then, and
//! only then, writes: the whole frame anew from the template, so that it does not matter whether it was
//! grown at its tail or its head.
//!
//! Both targets run exactly this; [`Env`] is what differs: how to reach bytes and tables.
#![forbid(unsafe_code)]

use core::hint::black_box;

use crate::Reason;
use crate::boot::{self, Boot, Bucket, Says};
use crate::guard::{self, Asker, Sender};
use crate::head::Head;
use crate::layout::{Meta, PORTS, block_index, root_index, slot_index};
use crate::memo::{self, MAX_REGION};
use crate::reply::{Plan, load_tail, write_reply};
use crate::slot::{Asked, Checked, Link, Slot, may_extend, may_stand};
use crate::template::{Facts, Tail, Template};
use crate::wire::{
    BOOTP_LEN, BROADCAST_IP, CLIENT_PORT, ETHERTYPE_IPV4, ETHERTYPE_QINQ, ETHERTYPE_VLAN, IP_LEN,
    MAGIC_COOKIE, MAX_L2, PROTO_UDP, SERVER_PORT, Sum, UDP_LEN, be16, be32, bootp, mac_bits,
};

/// The start of a frame that tells whether it is for DHCP, under any number of tags.
pub const PEEK: usize = MAX_L2 + IP_LEN + UDP_LEN;

/// The first [`PEEK`] bytes of a frame.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Peek(pub [u8; PEEK]);
/// Words of option space in a [`Window`]: the region, and what a splice could reach behind it.
const WINDOW_WORDS: usize = MAX_REGION / 8 + 32;

/// A frame from its IP header on, at fixed places.
#[derive(Debug)]
#[repr(C, align(8))]
pub struct Window {
    lead: [u8; 4],
    pub ip: [u8; IP_LEN],
    pub udp: [u8; UDP_LEN],
    pub bootp: [u8; BOOTP_LEN],
    pub options: [u64; WINDOW_WORDS],
}

/// Bytes from the IP header to the end of a window's option region.
pub const MAX_WINDOW: usize = IP_LEN + UDP_LEN + BOOTP_LEN + MAX_REGION;

/// Memory for one run: a per-CPU map entry in the kernel, whose stack has 512 bytes only.
#[derive(Debug)]
#[repr(C, align(8))]
pub struct Scratch {
    pub window: Window,
    pub head: Head,
    pub tail: [u64; 8],
    pub peek: Peek,
    /// What is known of the request by now. The verifier does not know what is read back from
    /// here, so it walks once through what follows, not once for each number of tags and each way
    /// through the guard.
    request: Asking,
    boot: Boot,
    /// The same for a program's outcome.
    pub code: u32,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            window: Window {
                lead: [0; 4],
                ip: [0; IP_LEN],
                udp: [0; UDP_LEN],
                bootp: [0; BOOTP_LEN],
                options: [0; WINDOW_WORDS],
            },
            head: Head::default(),
            tail: [0; 8],
            peek: Peek([0; PEEK]),
            request: Asking::default(),
            boot: Boot::at(0),
            code: 0,
        }
    }
}

/// What the two targets do differently. Methods return `None` or false for "out of bounds".
pub trait Env: guard::Lines {
    fn frame_len(&self) -> usize;
    fn ifindex(&self) -> u32;
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    fn now(&self) -> u64;
    /// Copies the first [`PEEK`] bytes.
    fn peek(&self, to: &mut Peek) -> bool;
    /// Copies `len` (at most [`MAX_WINDOW`]) bytes from `at` on.
    fn window(&self, at: usize, len: usize, to: &mut Window) -> bool;

    fn meta(&self) -> Option<&Meta>;
    fn root(&self, index: u32) -> Option<u64>;
    fn block(&self, index: u32) -> Option<u64>;
    fn slot(&self, index: u32) -> Option<&Slot>;
    fn tail(&self, index: u32) -> Option<&Tail>;
    fn template(&self, index: u32) -> Option<&Template>;
    fn bucket(&self, index: u32) -> Option<&Bucket>;

    /// Makes the frame `to` bytes long, by whatever end; its content is lost only on success.
    fn resize(&mut self, from: usize, to: usize) -> bool;
    /// Writes `head.0[from..]` to the start of the frame.
    fn store_head(&mut self, head: &Head, from: usize) -> bool;
    /// Writes the first `len` bytes of a template's body.
    fn store_body(&mut self, at: usize, template: u32, len: usize) -> bool;
    fn store_tail(&mut self, at: usize, tail: &[u64; 8], len: usize) -> bool;
    /// Writes `len` bytes of the window's option region from `from` on.
    fn store_option(&mut self, at: usize, window: &Window, from: usize, len: usize) -> bool;
    /// Writes END and padding, `len` bytes together.
    fn store_end(&mut self, at: usize, len: usize) -> bool;
}

/// A request for this server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asking {
    pub(crate) l2: usize,
    pub(crate) chaddr: u64,
    pub(crate) ciaddr: u32,
    destination: u32,
    link: u64,
    pub(crate) our_mac: u64,
    region: usize,
}

/// Answers the frame in place if it may be answered; extends the lease.
#[inline(always)]
pub fn answer(env: &mut impl Env, scratch: &mut Scratch) -> Reason {
    match admit(env, scratch, false) {
        Ok(grant) => match commit(env, scratch, &grant) {
            Ok(()) => grant.answers(),
            Err(reason) => reason,
        },
        Err(reason) => reason,
    }
}

/// What [`answer`] would say of the frame; changes nothing.
#[inline(always)]
pub fn explain(env: &impl Env, scratch: &mut Scratch) -> Reason {
    let grant = match admit(env, scratch, true) {
        Ok(grant) => grant,
        Err(reason) => return reason,
    };
    let said = load_tail(env, scratch, &grant).and_then(|()| match grant.promises() {
        true => may_extend(&grant.checked, grant.now, grant.until),
        false => may_stand(&grant.checked, grant.now),
    });
    said.map_or_else(|reason| reason, |()| grant.answers())
}

/// Everything that [`commit`] needs.
pub(crate) struct Grant {
    pub(crate) request: Asking,
    /// Of a client that renews, its address alone.
    pub(crate) boot: Boot,
    pub(crate) checked: Checked,
    pub(crate) facts: Facts,
    pub(crate) slot: u32,
    now: u64,
    until: u64,
}

impl Grant {
    /// Whether the client is given time.
    #[inline(always)]
    fn promises(&self) -> bool {
        matches!(self.boot.says, Says::Ack)
    }

    #[inline(always)]
    fn answers(&self) -> Reason {
        if self.boots() {
            Reason::Boot
        } else {
            Reason::Hit
        }
    }

    #[inline(always)]
    pub(crate) fn boots(&self) -> bool {
        self.request.ciaddr == 0
    }
}

/// All checks up to the clock; writes to scratch only. Only what explains may assume a memo.
#[inline(always)]
fn admit(env: &impl Env, scratch: &mut Scratch, explains: bool) -> Result<Grant, Reason> {
    let l2 = locate(env, &mut scratch.peek)?;
    let meta = env.meta().ok_or(Reason::NotOurs)?;
    scratch.request = examine(env, meta, l2, scratch)?;
    if meta.guard.duty.load() & (guard::BLOCKS | guard::RATES) != 0 {
        let scratch = black_box(&*scratch);
        watch(env, meta, scratch, !explains)?;
    }
    let scratch = &mut *black_box(scratch);
    let request = scratch.request;
    check_message(&scratch.window, request.region)?;
    let memo = memo_of(meta, scratch, request.region, explains);
    scratch.boot = if request.ciaddr == 0 {
        boot_of(env, meta, &scratch.window, &request, memo)?
    } else {
        check_renewal(&scratch.window, request.ciaddr)?;
        Boot::at(request.ciaddr)
    };
    let boot = black_box(&*scratch).boot;
    let boots = request.ciaddr == 0;
    let index = index_of(env, boot.address)?;
    let slot = env.slot(index).ok_or(Reason::NoBlock)?;
    let broadcast = request.destination == BROADCAST_IP;
    let asked = Asked {
        chaddr: request.chaddr,
        memo: if boots { None } else { Some(memo) },
        link: if broadcast { Some(request.link) } else { None },
    };
    let mut checked = slot.check(&asked)?;
    let mut facts = facts_of(env, checked.template)?;
    if boots {
        let usual = facts.lease_secs;
        (checked.template, checked.splice) = (boot.template, boot.splice);
        facts = facts_of(env, checked.template)?;
        // So that the end of the lease tells when time was given last: whoever gives the lease up must
        // have said so after that.
        if matches!(boot.says, Says::Ack) && facts.lease_secs != usual {
            return Err(Reason::MemoMiss);
        }
    }
    if !broadcast && request.destination != facts.server {
        return Err(Reason::WrongServer);
    }
    let now = env.now();
    let until = now + u64::from(facts.lease_secs) * 1_000_000_000;
    Ok(Grant {
        request,
        boot,
        checked,
        facts,
        slot: index,
        now,
        until,
    })
}

#[inline(always)]
fn facts_of(env: &impl Env, template: u32) -> Result<Facts, Reason> {
    Ok(env.template(template).ok_or(Reason::NoLease)?.facts())
}

#[inline(always)]
fn index_of(env: &impl Env, address: u32) -> Result<u32, Reason> {
    let page = env
        .root(root_index(address))
        .filter(|page| *page != 0)
        .ok_or(Reason::NoBlock)?;
    let block = env
        .block(block_index(page, address))
        .filter(|block| *block != 0);
    Ok(slot_index(block.ok_or(Reason::NoBlock)?, address))
}

/// What a client that boots was answered when it asked the same.
#[inline(always)]
fn boot_of(
    env: &impl Env,
    meta: &Meta,
    window: &Window,
    request: &Asking,
    memo: u64,
) -> Result<Boot, Reason> {
    let buckets = meta.buckets.load();
    if buckets == 0 {
        return Err(Reason::NotRenewal);
    }
    if be32(&window.ip, 12) != 0 {
        return Err(Reason::WrongSource);
    }
    if request.destination != BROADCAST_IP {
        return Err(Reason::WrongServer);
    }
    let tag = boot::tag(memo, request.chaddr);
    let bucket = env.bucket(boot::bucket(tag, buckets));
    bucket
        .and_then(|bucket| bucket.find(tag))
        .ok_or(Reason::MemoMiss)
}

#[inline(always)]
fn memo_of(meta: &Meta, scratch: &Scratch, region: usize, explains: bool) -> u64 {
    let assumed = meta.assume_memo.load();
    if explains && assumed != memo::NONE {
        return assumed;
    }
    memo::hash(&scratch.window.options, region, &meta.key)
}

/// Finds the IP header of what may be a DHCP request.
#[inline(always)]
fn locate(env: &impl Env, peek: &mut Peek) -> Result<usize, Reason> {
    if !env.peek(peek) {
        return Err(Reason::NotDhcp);
    }
    match be16(&peek.0, 12) {
        ETHERTYPE_IPV4 => to_server::<14>(peek),
        ETHERTYPE_VLAN | ETHERTYPE_QINQ => match be16(&peek.0, 16) {
            ETHERTYPE_IPV4 => to_server::<18>(peek),
            ETHERTYPE_VLAN | ETHERTYPE_QINQ if be16(&peek.0, 20) == ETHERTYPE_IPV4 => {
                to_server::<22>(peek)
            }
            _ => Err(Reason::NotDhcp),
        },
        _ => Err(Reason::NotDhcp),
    }
}

#[inline(always)]
fn to_server<const L2: usize>(peek: &Peek) -> Result<usize, Reason> {
    let udp = L2 + IP_LEN;
    if peek.0[L2 + 9] != PROTO_UDP || be16(&peek.0, udp + 2) != SERVER_PORT {
        return Err(Reason::NotDhcp);
    }
    Ok(L2)
}

/// The guard's turn. Requests that are not for the daemon are none of its business.
#[inline(always)]
fn watch(env: &impl Env, meta: &Meta, scratch: &Scratch, takes: bool) -> Result<(), Reason> {
    let request = &scratch.request;
    if !guard::is_served(env, &meta.guard, request.link, request.destination) {
        return Ok(());
    }
    let window = &scratch.window;
    let options = if request.region < 8 {
        None
    } else {
        Some(window.options[0])
    };
    let sender = Sender {
        link: request.link,
        mac: mac_bits(&scratch.peek.0, 6),
        ip: be32(&window.ip, 12),
    };
    let asker = Asker::of(&window.bootp, sender, options);
    guard::judge(env, &meta.guard, &asker, env.now(), takes)
}

/// Checks what the headers tell, up to who asks.
#[inline(always)]
fn examine(
    env: &impl Env,
    meta: &Meta,
    l2: usize,
    scratch: &mut Scratch,
) -> Result<Asking, Reason> {
    let peek = &scratch.peek;
    let ifindex = env.ifindex();
    let port = &meta.ports[ifindex as usize % PORTS];
    let our_mac = port.mac_of(ifindex).ok_or(Reason::NotOurs)?;
    let to_mac = mac_bits(&peek.0, 0);
    if to_mac != our_mac && to_mac != mac_bits(&crate::wire::BROADCAST_MAC, 0) {
        return Err(Reason::NotOurs);
    }
    let ip_len = match l2 {
        14 => be16(&peek.0, 16),
        18 => be16(&peek.0, 20),
        _ => be16(&peek.0, 24),
    } as usize;
    let region = region_len(env, l2, ip_len)?;
    let window = &mut scratch.window;
    let shown = if ip_len > MAX_WINDOW {
        MAX_WINDOW
    } else {
        ip_len
    };
    if !env.window(l2, shown, window) {
        return Err(Reason::BadHeader);
    }
    let window = &*window;
    check_headers(window, ip_len)?;
    if !guard::is_request(&window.bootp) {
        return Err(Reason::NotRequest);
    }
    let link = Link {
        ifindex,
        outer: tag(peek, l2 >= 18, 14),
        inner: tag(peek, l2 >= 22, 18),
    };
    Ok(Asking {
        l2,
        chaddr: mac_bits(&window.bootp, bootp::CHADDR),
        ciaddr: be32(&window.bootp, bootp::CIADDR),
        destination: be32(&window.ip, 16),
        link: link.pack(),
        our_mac,
        region,
    })
}

#[inline(always)]
fn tag(peek: &Peek, there: bool, at: usize) -> u16 {
    if there { be16(&peek.0, at) & 0xfff } else { 0 }
}

#[inline(always)]
fn region_len(env: &impl Env, l2: usize, ip_len: usize) -> Result<usize, Reason> {
    let fixed = IP_LEN + UDP_LEN + BOOTP_LEN;
    if l2 + ip_len > env.frame_len() {
        return Err(Reason::BadHeader);
    }
    if ip_len < fixed {
        return Err(Reason::NotRequest);
    }
    Ok(ip_len - fixed)
}

#[inline(always)]
fn check_headers(window: &Window, ip_len: usize) -> Result<(), Reason> {
    // Version 4 without options; neither "more fragments" nor an offset; the checksum is right.
    let sum = Sum::default().bytes(&window.ip).fold();
    if window.ip[0] != 0x45 || be16(&window.ip, 6) & 0x3fff != 0 || sum != 0xffff {
        return Err(Reason::BadHeader);
    }
    if be16(&window.udp, 4) as usize != ip_len - IP_LEN {
        return Err(Reason::BadHeader);
    }
    Ok(())
}

/// Checks that it is a message as memos know them.
#[inline(always)]
fn check_message(window: &Window, region: usize) -> Result<(), Reason> {
    if !guard::is_ethernet(&window.bootp) {
        return Err(Reason::NotRequest);
    }
    if region > MAX_REGION {
        return Err(Reason::LongOptions);
    }
    if be32(&window.bootp, bootp::COOKIE) != u32::from_be_bytes(MAGIC_COOKIE) {
        return Err(Reason::NotRequest);
    }
    if be32(&window.bootp, bootp::GIADDR) != 0 {
        return Err(Reason::Relayed);
    }
    if be16(&window.udp, 0) != CLIENT_PORT {
        return Err(Reason::NotRequest);
    }
    Ok(())
}

#[inline(always)]
fn check_renewal(window: &Window, ciaddr: u32) -> Result<(), Reason> {
    if be32(&window.ip, 12) != ciaddr {
        return Err(Reason::WrongSource);
    }
    Ok(())
}

/// Extends the lease, if the reply gives time, and writes the reply.
#[inline(always)]
fn commit(env: &mut impl Env, scratch: &mut Scratch, grant: &Grant) -> Result<(), Reason> {
    load_tail(env, scratch, grant)?;
    let slot = env.slot(grant.slot).ok_or(Reason::NoLease)?;
    if grant.promises() {
        slot.extend(&grant.checked, grant.now, grant.until)?;
    } else {
        slot.stands(&grant.checked, grant.now)?;
    }

    let plan = Plan::new(&grant.facts, grant.checked.splice.len());
    let l2 = grant.request.l2;
    if !env.resize(env.frame_len(), l2 + IP_LEN + UDP_LEN + plan.bootp) {
        return Err(Reason::NoRoom);
    }
    write_reply(env, scratch, grant, &plan).ok_or(Reason::Broken)
}
