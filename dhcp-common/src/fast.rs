//! The fast path: from a frame to a reply, or to a [`Reason`] why not.
//!
//! The way of a frame: Ethernet and up to two VLAN tags, IPv4 without options or fragments, UDP
//! to port 67 ([`locate`]); a BOOTREQUEST for our MAC or broadcast ([`examine`]), that the guard lets
//! pass ([`guard::judge`]); of an Ethernet client, with the cookie, giaddr 0, ciaddr
//! set and equal to the IP source ([`check_renewal`]); the slot of ciaddr with this chaddr and
//! this memo, alive, promised, and for a broadcast the same link
//! ([`Slot::check`], [`Slot::extend`]); then, and only then, writes: the whole frame anew from
//! the template, so that it does not matter whether it was grown at its tail or its head.
//!
//! Both targets run exactly this; [`Env`] is what differs: how to reach bytes and tables.
#![forbid(unsafe_code)]

use core::hint::black_box;

use crate::Reason;
use crate::guard::{self, Asker, Sender};
use crate::head::{self, Head, padded_len};
use crate::layout::{Meta, PORTS, block_index, root_index, slot_index};
use crate::memo::{self, MAX_REGION};
use crate::slot::{Asked, Checked, Link, Slot, may_extend};
use crate::template::{Facts, Tail, Template};
use crate::wire::{
    BOOTP_HEAD, BOOTP_LEN, BROADCAST_IP, CLIENT_PORT, ETHERTYPE_IPV4, ETHERTYPE_QINQ,
    ETHERTYPE_VLAN, IP_LEN, MAGIC_COOKIE, MAX_L2, PROTO_UDP, SERVER_PORT, Sum, UDP_LEN, be16, be32,
    bootp, mac_bits,
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
    request: Renewal,
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
            request: Renewal::default(),
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
struct Renewal {
    l2: usize,
    chaddr: u64,
    ciaddr: u32,
    destination: u32,
    link: u64,
    our_mac: u64,
    region: usize,
}

/// Answers the frame in place if it may be answered; extends the lease.
#[inline(always)]
pub fn answer(env: &mut impl Env, scratch: &mut Scratch) -> Reason {
    match admit(env, scratch, false) {
        Ok(grant) => match commit(env, scratch, &grant) {
            Ok(()) => Reason::Hit,
            Err(reason) => reason,
        },
        Err(reason) => reason,
    }
}

/// What [`answer`] would say of the frame; changes nothing.
#[inline(always)]
pub fn explain(env: &impl Env, scratch: &mut Scratch) -> Reason {
    match admit(env, scratch, true) {
        Ok(grant) => match may_extend(&grant.checked, grant.now, grant.until) {
            Ok(()) => Reason::Hit,
            Err(reason) => reason,
        },
        Err(reason) => reason,
    }
}

/// Everything that [`commit`] needs.
struct Grant {
    renewal: Renewal,
    checked: Checked,
    facts: Facts,
    slot: u32,
    now: u64,
    until: u64,
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
    let scratch = &*black_box(scratch);
    let renewal = scratch.request;
    check_renewal(&scratch.window, renewal.region)?;
    let address = renewal.ciaddr;
    let page = env
        .root(root_index(address))
        .filter(|page| *page != 0)
        .ok_or(Reason::NoBlock)?;
    let block = env
        .block(block_index(page, address))
        .filter(|block| *block != 0);
    let index = slot_index(block.ok_or(Reason::NoBlock)?, address);
    let slot = env.slot(index).ok_or(Reason::NoBlock)?;
    let broadcast = renewal.destination == BROADCAST_IP;
    let asked = Asked {
        chaddr: renewal.chaddr,
        memo: memo_of(meta, scratch, renewal.region, explains),
        link: if broadcast { Some(renewal.link) } else { None },
    };
    let checked = slot.check(&asked)?;
    let facts = env
        .template(checked.template)
        .ok_or(Reason::NoLease)?
        .facts();
    if !broadcast && renewal.destination != facts.server {
        return Err(Reason::WrongServer);
    }
    let now = env.now();
    let until = now + u64::from(facts.lease_secs) * 1_000_000_000;
    Ok(Grant {
        renewal,
        checked,
        facts,
        slot: index,
        now,
        until,
    })
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
) -> Result<Renewal, Reason> {
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
    Ok(Renewal {
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

/// Checks that it is a renewal as the memo knows them.
#[inline(always)]
fn check_renewal(window: &Window, region: usize) -> Result<(), Reason> {
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
    let ciaddr = be32(&window.bootp, bootp::CIADDR);
    if ciaddr == 0 {
        return Err(Reason::NotRenewal);
    }
    if be32(&window.ip, 12) != ciaddr {
        return Err(Reason::WrongSource);
    }
    Ok(())
}

/// Extends the lease and writes the reply.
#[inline(always)]
fn commit(env: &mut impl Env, scratch: &mut Scratch, grant: &Grant) -> Result<(), Reason> {
    let splice = grant.checked.splice;
    if splice.tail_len != 0 {
        // Before the lease is found unchanged: the daemon rewrites a tail only after closing.
        let tail = env.tail(grant.slot).ok_or(Reason::NoLease)?;
        let mut i = 0;
        while i < 8 {
            scratch.tail[i] = tail[i].load();
            i += 1;
        }
    }
    let slot = env.slot(grant.slot).ok_or(Reason::NoLease)?;
    slot.extend(&grant.checked, grant.now, grant.until)?;

    let plan = Plan::new(&grant.facts, splice.len());
    let l2 = grant.renewal.l2;
    if !env.resize(env.frame_len(), l2 + IP_LEN + UDP_LEN + plan.bootp) {
        return Err(Reason::NoRoom);
    }
    write_reply(env, scratch, grant, &plan).ok_or(Reason::Broken)
}

/// Lengths of a reply's parts.
struct Plan {
    /// Bytes of the template's body.
    body: usize,
    /// Bytes of END and padding behind the client part; 0 if the body has them.
    end: usize,
    /// Bytes of the BOOTP message.
    bootp: usize,
}

impl Plan {
    #[inline(always)]
    fn new(facts: &Facts, client: usize) -> Self {
        if client == 0 {
            let body = facts.full_len as usize;
            return Self {
                body,
                end: 0,
                bootp: BOOTP_HEAD + body,
            };
        }
        let body = facts.open_len as usize;
        let open = BOOTP_HEAD + body + client;
        let bootp = padded_len(open);
        Self {
            body,
            end: bootp - open,
            bootp,
        }
    }
}

#[inline(always)]
fn write_reply(
    env: &mut impl Env,
    scratch: &mut Scratch,
    grant: &Grant,
    plan: &Plan,
) -> Option<()> {
    let splice = grant.checked.splice;
    let l2 = grant.renewal.l2;
    let facts = &grant.facts;
    let rest = if splice.is_empty() {
        Sum::of(facts.full_sum)
    } else {
        Sum::of(facts.open_sum).word(splice.sum)
    };
    let header = head::Header {
        source: facts.server,
        destination: grant.renewal.ciaddr,
        source_port: SERVER_PORT,
        port: CLIENT_PORT,
        bootp: plan.bootp,
        rest,
    };
    head::write_bootp(&mut scratch.head, &scratch.window.bootp, facts.siaddr);
    head::write_ip_udp(&mut scratch.head, &header);
    let from = head::write_l2(&mut scratch.head, &scratch.peek, l2, grant.renewal.our_mac);
    env.store_head(&scratch.head, from).then_some(())?;

    let mut at = l2 + IP_LEN + UDP_LEN + BOOTP_HEAD;
    env.store_body(at, grant.checked.template, plan.body)
        .then_some(())?;
    at += plan.body;
    if splice.is_empty() {
        return Some(());
    }
    let tail_len = splice.tail_len as usize;
    if tail_len != 0 {
        env.store_tail(at, &scratch.tail, tail_len).then_some(())?;
        at += tail_len;
    }
    at = cut(env, scratch, at, splice.id_at, splice.id_len)?;
    at = cut(env, scratch, at, splice.agent_at, splice.agent_len)?;
    env.store_end(at, plan.end).then_some(())
}

/// Writes an option cut whole from the request; tells where it ends.
#[inline(always)]
fn cut(env: &mut impl Env, scratch: &Scratch, at: usize, from: u16, len: u8) -> Option<usize> {
    let (from, len) = (from as usize, len as usize);
    if len == 0 {
        return Some(at);
    }
    env.store_option(at, &scratch.window, from, len)
        .then_some(at + len)
}
