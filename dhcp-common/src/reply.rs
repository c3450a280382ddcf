//! The fast path's reply: the whole frame anew, from the request's headers, a template, and the client
//! part.
#![forbid(unsafe_code)]

use crate::Reason;
use crate::boot;
use crate::fast::{Env, Grant, Scratch};
use crate::head::{self, padded_len};
use crate::template::Facts;
use crate::wire::{
    BOOTP_HEAD, BROADCAST_IP, BROADCAST_MAC, CLIENT_PORT, FLAG_BROADCAST, IP_LEN, SERVER_PORT, Sum,
    UDP_LEN, be16, bootp, mac_bits,
};

/// Takes a copy of the tail, before the lease is found unchanged: the daemon rewrites a tail only after
/// closing. A boot memo knows which one it must be.
#[inline(always)]
pub(crate) fn load_tail(
    env: &impl Env,
    scratch: &mut Scratch,
    grant: &Grant,
) -> Result<(), Reason> {
    let len = grant.checked.splice.tail_len as usize;
    if len == 0 {
        return Ok(());
    }
    let tail = env.tail(grant.slot).ok_or(Reason::NoLease)?;
    let mut i = 0;
    while i < 8 {
        scratch.tail[i] = tail[i].load();
        i += 1;
    }
    let key = &env.meta().ok_or(Reason::NotOurs)?.key;
    if grant.boots() && boot::tail_hash(&scratch.tail, len, key) != grant.boot.tail {
        return Err(Reason::MemoMiss);
    }
    Ok(())
}

/// Lengths of a reply's parts.
pub(crate) struct Plan {
    /// Bytes of the template's body.
    body: usize,
    /// Bytes of END and padding behind the client part; 0 if the body has them.
    end: usize,
    /// Bytes of the BOOTP message.
    pub(crate) bootp: usize,
}

impl Plan {
    #[inline(always)]
    pub(crate) fn new(facts: &Facts, client: usize) -> Self {
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
pub(crate) fn write_reply(
    env: &mut impl Env,
    scratch: &mut Scratch,
    grant: &Grant,
    plan: &Plan,
) -> Option<()> {
    let splice = grant.checked.splice;
    let l2 = grant.request.l2;
    let to = Receiver::of(grant, scratch);
    let facts = &grant.facts;
    let rest = if splice.is_empty() {
        Sum::of(facts.full_sum)
    } else {
        Sum::of(facts.open_sum).word(splice.sum)
    };
    let header = head::Header {
        source: facts.server,
        destination: to.address,
        source_port: SERVER_PORT,
        port: CLIENT_PORT,
        bootp: plan.bootp,
        rest,
    };
    let bootp = &scratch.window.bootp;
    head::write_bootp(&mut scratch.head, bootp, grant.boot.address, facts.siaddr);
    head::write_ip_udp(&mut scratch.head, &header);
    let macs = [to.mac, grant.request.our_mac];
    let from = head::write_l2(&mut scratch.head, &scratch.peek, l2, macs);
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

/// Where a reply goes (RFC 2131 section 4.1): to the MAC that a renewal came from, which may be a
/// router; to a client that has no address yet, by its chaddr, or to all if it asks for that.
struct Receiver {
    mac: u64,
    address: u32,
}

impl Receiver {
    #[inline(always)]
    fn of(grant: &Grant, scratch: &Scratch) -> Self {
        let request = &grant.request;
        if !grant.boots() {
            return Self {
                mac: mac_bits(&scratch.peek.0, 6),
                address: request.ciaddr,
            };
        }
        if be16(&scratch.window.bootp, bootp::FLAGS) & FLAG_BROADCAST != 0 {
            return Self {
                mac: mac_bits(&BROADCAST_MAC, 0),
                address: BROADCAST_IP,
            };
        }
        Self {
            mac: request.chaddr,
            address: grant.boot.address,
        }
    }
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
