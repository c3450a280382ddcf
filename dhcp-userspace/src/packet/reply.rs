//! The one builder of replies.
//!
//! Every reply is laid out as the fast path lays it out (`dhcp_common::fast`), so that what the
//! kernel sends is what the engine sends: head | sname, file, cookie, shared options | client
//! part (12 of a reservation, 61, 82) | END and padding. Shared options stand in this order: 53,
//! 54, 51, 58, 59, 1, what netboot needs, what the client asks for in its order, what is always
//! sent. Those that find no room go to file and sname, if these are free (option 52): to the
//! template, and so to the kernel, these are bytes like all others.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::ops::Range;

use dhcp_common::head::padded_len;
use dhcp_common::head::{HEAD_IP, Head, Header, write_ip_udp};
use dhcp_common::slot::Splice;
use dhcp_common::template::{FIXED, Facts, MAX_BODY, MAX_TAIL};
use dhcp_common::wire::{
    BOOTP_HEAD, BOOTREPLY, ETH_LEN, IP_LEN, MAGIC_COOKIE, Sum, TAG_LEN, UDP_LEN, bootp, option,
};

use super::extras::Extras;
use super::layers::Layers;
use super::options::{encoded_len, put};
use super::plan::Plan;
use super::region::Region;
use super::request::{MessageType, Request};
use crate::config::model::{Boot, Mac, Times};
use crate::lease::templates::Content;

/// A client takes messages of this size at least (RFC 2132 section 9.10); IP and UDP headers
/// count.
pub const MIN_SIZE: u16 = 576;
const HEADERS: usize = IP_LEN + UDP_LEN;
const BOOTP_AT: usize = HEAD_IP + HEADERS;
/// sname and file hold a string with its final zero.
pub(super) const SNAME_LEN: usize = bootp::FILE - bootp::SNAME;
pub(super) const FILE_LEN: usize = bootp::COOKIE - bootp::FILE;

/// What a reply says.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub message_type: MessageType,
    /// Option 54.
    pub server: Ipv4Addr,
    /// The server's own address: option 54 may be a relay's (RFC 5107).
    pub own: Ipv4Addr,
    /// Options 51, 58 and 59.
    pub times: Option<Times>,
    /// Option 1.
    pub mask: Option<Ipv4Addr>,
    pub boot: &'a Boot,
    /// siaddr and option 66: what `boot` says, or who else has its file.
    pub next_server: Option<Ipv4Addr>,
    /// Other addresses of this host would change what is said here: no template of it would last.
    pub hangs_on_addresses: bool,
    pub options: Layers<'a>,
    /// Options of this message alone: a renewal's answer has them not, and the kernel says them not.
    pub once: &'a [(u8, Vec<u8>)],
    /// Option 12 of a reservation.
    pub hostname: Option<&'a str>,
    /// Option 56.
    pub message: Option<&'a str>,
}

/// How a reply travels, and the addresses in its head.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The link header of the request; tags and type are the reply's too. Empty where the link
    /// layer makes its own: then the frame starts with the IP header, and the MACs go unused.
    pub l2: &'a [u8],
    /// The server's address where option 54 is another's (RFC 5107).
    pub source: Option<Ipv4Addr>,
    pub to_mac: Mac,
    pub from_mac: Mac,
    pub destination: Ipv4Addr,
    /// The port that the request was sent to.
    pub from_port: u16,
    pub port: u16,
    pub flags: u16,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    /// Bytes that the link carries in a packet.
    pub mtu: u32,
}

/// Where the parts of a composed frame are.
#[derive(Clone, Debug)]
pub struct Composed {
    /// sname to the last shared option.
    body: Range<usize>,
    /// The client part and END.
    client: Range<usize>,
    /// The reservation's hostname option, at the start of the client part.
    tail_len: usize,
    facts: Facts,
    /// Not to be made a template of: it would serve one client only, or not for long, or options of
    /// this message alone, or the link that it came by, took room that a renewal's answer has.
    special: bool,
    /// Options left out because they did not fit.
    pub left_out: u32,
}

/// Writes a whole frame into `frame`.
pub fn compose(
    frame: &mut Vec<u8>,
    request: &Request<'_>,
    answer: &Answer<'_>,
    envelope: &Envelope<'_>,
) -> Composed {
    let extras = Extras::new(request, answer);
    let client = ClientPart::new(request, answer.hostname);
    let start = envelope.l2.len() + HEADERS;
    frame.clear();
    frame.resize(start + BOOTP_HEAD, 0);
    put_fixed(frame, answer.boot);
    put_own(frame, answer);
    let size = size_limit(request, envelope);
    let limit = start + size.bytes - HEADERS;
    let once: usize = answer
        .once
        .iter()
        .map(|(_, value)| encoded_len(value))
        .sum();
    let room = limit.saturating_sub(frame.len() + client.len() + once + 1);
    let plan = Plan::new(&wanted(request, answer, &extras), room, answer.boot);
    plan.put(frame, start);

    let body = start + BOOTP_HEAD..frame.len();
    for (code, value) in answer.once {
        put(frame, *code, value);
    }
    let client_start = frame.len();
    client.put(frame);
    frame.push(option::END);
    let client_end = frame.len();
    let bootp_len = padded_len(client_end - 1 - start);
    frame.resize(start + bootp_len, 0);
    finish(frame, start, request, answer, envelope);
    Composed {
        client: client_start..client_end,
        tail_len: client.hostname.map_or(0, encoded_len),
        facts: facts_of(&frame[body.clone()], answer),
        body,
        special: extras.are_personal()
            || answer.hangs_on_addresses
            || (once > 0 || size.is_the_links) && plan.is_crowded(),
        left_out: plan.left_out,
    }
}

struct SizeLimit {
    bytes: usize,
    /// The client would take more: by another link, it would get it.
    is_the_links: bool,
}

fn size_limit(request: &Request<'_>, envelope: &Envelope<'_>) -> SizeLimit {
    let asked = u32::from(request.max_size.unwrap_or(MIN_SIZE));
    // A link has room for one tag beside its MTU; a second one is at the packet's cost.
    let second_tag = envelope.l2.len().saturating_sub(ETH_LEN + TAG_LEN) as u32;
    let most = envelope.mtu.saturating_sub(second_tag);
    SizeLimit {
        bytes: asked.min(most).max(u32::from(MIN_SIZE)) as usize,
        is_the_links: most < asked,
    }
}

/// The size, as option 57 counts it, of a reply that is put together from these.
#[must_use]
pub fn reply_size(facts: &Facts, splice: &Splice) -> u32 {
    let client = [splice.id_len, splice.agent_len, splice.tail_len];
    let client: u32 = client.into_iter().map(u32::from).sum();
    (HEADERS + BOOTP_HEAD + 1) as u32 + u32::from(facts.open_len) + client
}

/// sname, file and magic cookie.
fn put_fixed(frame: &mut Vec<u8>, boot: &Boot) {
    put_string(frame, &boot.server_name, SNAME_LEN);
    put_string(frame, &boot.file, FILE_LEN);
    frame.extend(MAGIC_COOKIE);
}

/// A text that is too long for the field is in option 66 or 67 alone: cut, it would be another.
fn put_string(frame: &mut Vec<u8>, text: &str, len: usize) {
    let end = frame.len() + len;
    if text.len() < len {
        frame.extend(text.as_bytes());
    }
    frame.resize(end, 0);
}

/// What the server itself has to say.
fn put_own(frame: &mut Vec<u8>, answer: &Answer<'_>) {
    put(frame, option::MESSAGE_TYPE, &[answer.message_type as u8]);
    put(frame, option::SERVER_ID, &answer.server.octets());
    if let Some(times) = &answer.times {
        let seconds = [
            (option::LEASE_TIME, times.lease),
            (option::RENEWAL_TIME, times.renew),
            (option::REBINDING_TIME, times.rebind),
        ];
        for (code, time) in seconds {
            put(frame, code, &lease_secs(time).to_be_bytes());
        }
    }
    if let Some(mask) = answer.mask {
        match answer.options.get(option::SUBNET_MASK) {
            Some(own) => put(frame, option::SUBNET_MASK, &own.data),
            None => put(frame, option::SUBNET_MASK, &mask.octets()),
        }
    }
    if let Some(message) = answer.message {
        put(frame, option::MESSAGE, message.as_bytes());
    }
}

/// A time as options 51, 58 and 59 tell it.
#[must_use]
fn lease_secs(time: std::time::Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// A set of option codes.
#[derive(Clone, Copy)]
struct Codes([u64; 4]);

impl Codes {
    /// What the server writes by itself, never from the configuration.
    fn own(hostname: bool) -> Self {
        let mut codes = Self([0; 4]);
        let fixed = [
            option::PAD,
            option::SUBNET_MASK,
            option::CLIENT_ID,
            option::RELAY_AGENT,
            option::END,
        ];
        let ours = option::REQUESTED_ADDRESS..=option::REBINDING_TIME;
        for code in ours.filter(|code| *code != option::MESSAGE).chain(fixed) {
            codes.insert(code);
        }
        if hostname {
            codes.insert(option::HOSTNAME);
        }
        codes
    }

    /// False if it was there.
    fn insert(&mut self, code: u8) -> bool {
        let (word, bit) = (usize::from(code / 64), 1 << (code % 64));
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }
}

/// The options for this client, the most wanted first. A client without a parameter list gets
/// all.
fn wanted<'a>(
    request: &Request<'_>,
    answer: &Answer<'a>,
    extras: &'a Extras<'_>,
) -> Vec<(u8, &'a [u8])> {
    let options = answer.options;
    let asked = request.parameters();
    let always = options
        .iter()
        .filter(|(_, value)| asked.is_none() || value.always_send)
        .map(|(code, _)| code);
    let rest = extras.codes().filter(|_| asked.is_none());
    let asked = asked.as_deref().unwrap_or_default().iter().copied();
    let mut seen = Codes::own(answer.hostname.is_some());
    for (code, _) in answer.once {
        seen.insert(*code);
    }
    let codes = extras.needed().chain(asked).chain(always).chain(rest);
    codes
        .filter(|code| seen.insert(*code))
        .filter_map(|code| {
            let configured = options.get(code).map(|value| &*value.data);
            Some((code, configured.or_else(|| extras.get(code))?))
        })
        .collect()
}

/// The options at the end that are this client's alone.
struct ClientPart<'a> {
    hostname: Option<&'a [u8]>,
    client_id: Option<Cow<'a, [u8]>>,
    relay_agent: Option<Cow<'a, [u8]>>,
}

impl<'a> ClientPart<'a> {
    fn new(request: &Request<'a>, hostname: Option<&'a str>) -> Self {
        Self {
            hostname: hostname.map(str::as_bytes),
            client_id: request.client_id(),
            relay_agent: request.relay_agent(),
        }
    }

    fn parts(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let parts = [
            (option::HOSTNAME, self.hostname),
            (option::CLIENT_ID, self.client_id.as_deref()),
            (option::RELAY_AGENT, self.relay_agent.as_deref()),
        ];
        parts
            .into_iter()
            .filter_map(|(code, value)| Some((code, value?)))
    }

    fn len(&self) -> usize {
        self.parts().map(|(_, value)| encoded_len(value)).sum()
    }

    fn put(&self, frame: &mut Vec<u8>) {
        for (code, value) in self.parts() {
            put(frame, code, value);
        }
    }
}

/// Writes the link, IP and UDP headers and the head of the message.
fn finish(
    frame: &mut [u8],
    start: usize,
    request: &Request<'_>,
    answer: &Answer<'_>,
    envelope: &Envelope<'_>,
) {
    let l2 = envelope.l2.len();
    let mut head = Head::default();
    write_bootp_head(&mut head.0[BOOTP_AT..], request, answer, envelope);
    let header = Header {
        source: envelope.source.unwrap_or(answer.server).to_bits(),
        destination: envelope.destination.to_bits(),
        source_port: envelope.from_port,
        port: envelope.port,
        bootp: frame.len() - start,
        rest: Sum::default().slice(&frame[start + BOOTP_HEAD..]),
    };
    write_ip_udp(&mut head, &header);
    frame[..l2].copy_from_slice(envelope.l2);
    if l2 != 0 {
        frame[..6].copy_from_slice(&envelope.to_mac);
        frame[6..12].copy_from_slice(&envelope.from_mac);
    }
    frame[l2..start + BOOTP_HEAD].copy_from_slice(&head.0[HEAD_IP..]);
}

/// hops and secs are the server's own: 0.
fn write_bootp_head(
    head: &mut [u8],
    request: &Request<'_>,
    answer: &Answer<'_>,
    envelope: &Envelope<'_>,
) {
    let siaddr = answer.next_server.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let fields: [(usize, &[u8]); 8] = [
        (bootp::OP, &[BOOTREPLY, request.htype, request.hlen]),
        (bootp::XID, &request.xid.to_be_bytes()),
        (bootp::FLAGS, &envelope.flags.to_be_bytes()),
        (bootp::CIADDR, &envelope.ciaddr.octets()),
        (bootp::YIADDR, &envelope.yiaddr.octets()),
        (bootp::SIADDR, &siaddr.octets()),
        (bootp::GIADDR, &request.giaddr.octets()),
        (bootp::CHADDR, request.chaddr()),
    ];
    for (at, bytes) in fields {
        head[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// The scalar fields of a template with this open body.
fn facts_of(body: &[u8], answer: &Answer<'_>) -> Facts {
    let open = Sum::default().slice(body);
    let end = match body.len() % 2 {
        0 => Sum::of(u16::from_ne_bytes([option::END, 0])),
        _ => Sum::of(u16::from_ne_bytes([0, option::END])),
    };
    Facts {
        server: answer.server.to_bits(),
        siaddr: answer.next_server.map_or(0, Ipv4Addr::to_bits),
        lease_secs: answer.times.map_or(0, |times| lease_secs(times.lease)),
        full_sum: open.add(end).fold(),
        open_sum: open.fold(),
        full_len: (padded_len(BOOTP_HEAD + body.len()) - BOOTP_HEAD) as u16,
        open_len: body.len() as u16,
    }
}

/// What the kernel needs to send a reply like a composed one.
#[derive(Debug)]
pub struct Recipe {
    pub content: Content,
    pub splice: Splice,
    pub tail: Vec<u8>,
}

impl Composed {
    /// What the reply says in option 54.
    #[must_use]
    pub fn server(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.facts.server)
    }

    /// The recipe for answering `region`; `None` if the reply does not fit a template.
    #[must_use]
    pub fn recipe(&self, frame: &[u8], region: &Region) -> Option<Recipe> {
        let open = &frame[self.body.clone()];
        let too_long = usize::from(self.facts.full_len) > MAX_BODY || self.tail_len > MAX_TAIL;
        if self.special || too_long {
            return None;
        }
        let mut body = [0; MAX_BODY];
        body[..open.len()].copy_from_slice(open);
        body[open.len()] = option::END;
        let client = &frame[self.client.clone()];
        let sum = Sum::default().slice(client);
        let sum = match open.len() % 2 {
            0 => sum,
            _ => sum.at_odd_offset(),
        };
        let splice = Splice {
            id_at: region.client_id.at,
            id_len: region.client_id.len,
            agent_at: region.relay_agent.at,
            agent_len: region.relay_agent.len,
            tail_len: self.tail_len as u8,
            sum: sum.fold(),
        };
        let content = Content {
            facts: self.facts,
            body,
        };
        Some(Recipe {
            content,
            splice,
            tail: client[..self.tail_len].to_vec(),
        })
    }
}

const _: () = assert!(FIXED == SNAME_LEN + FILE_LEN + MAGIC_COOKIE.len());
