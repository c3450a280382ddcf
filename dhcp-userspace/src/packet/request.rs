//! What a client or relay sent, parsed once and borrowed.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use dhcp_common::wire::{
    BOOTP_LEN, BOOTREQUEST, FLAG_BROADCAST, HTYPE_ETHERNET, MAGIC_COOKIE, be16, be32, bootp, option,
};

use super::infiniband::{self, HTYPE_INFINIBAND};
use super::options::{Field, Options, Truncated};
use crate::config::model::Mac;
use crate::engine::Ignored;

/// Option 53 (RFC 2132 section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// None: BOOTP, not DHCP (RFC 951).
    Bootp = 0,
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
    Inform = 8,
    ForceRenew = 9,
    LeaseQuery = 10,
    LeaseUnassigned = 11,
    LeaseUnknown = 12,
    LeaseActive = 13,
    BulkLeaseQuery = 14,
    LeaseQueryDone = 15,
}

impl MessageType {
    /// What a server answers or acts on.
    fn of_client(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Discover),
            3 => Some(Self::Request),
            4 => Some(Self::Decline),
            7 => Some(Self::Release),
            8 => Some(Self::Inform),
            10 => Some(Self::LeaseQuery),
            14 => Some(Self::BulkLeaseQuery),
            _ => None,
        }
    }

    /// Asks about clients instead of being one: its chaddr may be empty.
    #[must_use]
    pub const fn is_query(self) -> bool {
        matches!(self, Self::LeaseQuery | Self::BulkLeaseQuery)
    }
}

/// The header without options, as BOOTP of old has it.
const PLAIN_BOOTP: usize = BOOTP_LEN - MAGIC_COOKIE.len();
const OVERLOADS_FILE: u8 = 1;
const OVERLOADS_SNAME: u8 = 2;

/// The pieces of one option; more than one belong together (RFC 3396).
#[derive(Clone, Copy, Debug, Default)]
struct Pieces<'a> {
    first: &'a [u8],
    count: u16,
}

impl<'a> Pieces<'a> {
    fn add(&mut self, value: &'a [u8]) {
        if self.count == 0 {
            self.first = value;
        }
        self.count = self.count.saturating_add(1);
    }

    /// The value of an option that has a fixed length.
    fn fixed<const N: usize>(&self) -> Result<Option<[u8; N]>, Ignored> {
        match self.count {
            0 => Ok(None),
            1 => self
                .first
                .try_into()
                .map(Some)
                .map_err(|_| Ignored::Malformed),
            _ => Err(Ignored::Malformed),
        }
    }

    fn address(&self) -> Result<Option<Ipv4Addr>, Ignored> {
        Ok(self.fixed::<4>()?.map(Ipv4Addr::from))
    }
}

#[derive(Default)]
struct Found<'a> {
    message_type: Pieces<'a>,
    requested: Pieces<'a>,
    server_id: Pieces<'a>,
    lease_time: Pieces<'a>,
    max_size: Pieces<'a>,
    overload: Pieces<'a>,
    subnet_selection: Pieces<'a>,
    parameters: Pieces<'a>,
    client_id: Pieces<'a>,
    hostname: Pieces<'a>,
    relay_agent: Pieces<'a>,
    rapid_commit: Pieces<'a>,
    present: Present,
}

/// Codes of the options that are there: most that is asked for is not.
#[derive(Clone, Copy, Debug, Default)]
struct Present([u64; 4]);

impl Present {
    fn insert(&mut self, code: u8) {
        self.0[usize::from(code / 64)] |= 1 << (code % 64);
    }

    fn has(&self, code: u8) -> bool {
        self.0[usize::from(code / 64)] & (1 << (code % 64)) != 0
    }
}

impl<'a> Found<'a> {
    fn add(&mut self, field: &Field<'a>) {
        self.present.insert(field.code);
        let pieces = match field.code {
            option::MESSAGE_TYPE => &mut self.message_type,
            option::REQUESTED_ADDRESS => &mut self.requested,
            option::SERVER_ID => &mut self.server_id,
            option::LEASE_TIME => &mut self.lease_time,
            option::MAX_SIZE => &mut self.max_size,
            option::SUBNET_SELECTION => &mut self.subnet_selection,
            option::OVERLOAD => &mut self.overload,
            option::PARAMETER_LIST => &mut self.parameters,
            option::CLIENT_ID => &mut self.client_id,
            option::HOSTNAME => &mut self.hostname,
            option::RELAY_AGENT => &mut self.relay_agent,
            option::RAPID_COMMIT => &mut self.rapid_commit,
            _ => return,
        };
        pieces.add(field.value);
    }

    fn add_all(&mut self, region: &'a [u8]) -> Result<(), Ignored> {
        for field in Options::new(region) {
            let field = field.map_err(|Truncated| Ignored::Malformed)?;
            self.add(&field);
        }
        Ok(())
    }
}

/// A BOOTREQUEST of an Ethernet or InfiniBand client.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    payload: &'a [u8],
    pub message_type: MessageType,
    pub xid: u32,
    pub secs: u16,
    pub flags: u16,
    pub ciaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    /// Hardware type of the client: Ethernet or InfiniBand; a lease query may have none.
    pub htype: u8,
    pub hlen: u8,
    /// What leases know the client by: chaddr, or what stands for it ([`infiniband`]).
    pub mac: Mac,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 54.
    pub server_id: Option<Ipv4Addr>,
    /// Option 51: the lease that the client would like, in seconds.
    pub lease_time: Option<u32>,
    /// Option 57.
    pub max_size: Option<u16>,
    /// Option 118 (RFC 3011).
    pub subnet_selection: Option<Ipv4Addr>,
    /// Option 80: the client takes an ACK for its DISCOVER (RFC 4039).
    pub rapid_commit: bool,
    /// Whether the magic cookie is there, and options may be.
    pub has_cookie: bool,
    overload: u8,
    parameters: Pieces<'a>,
    client_id: Pieces<'a>,
    hostname: Pieces<'a>,
    relay_agent: Pieces<'a>,
    present: Present,
}

impl<'a> Request<'a> {
    /// Parses a UDP payload.
    ///
    /// # Errors
    /// Why no answer to it is possible.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Ignored> {
        let head = check_header(payload)?;
        let has_cookie = payload.get(bootp::COOKIE..bootp::OPTIONS) == Some(&MAGIC_COOKIE);
        let mut found = Found::default();
        if has_cookie {
            found.add_all(&payload[bootp::OPTIONS..])?;
        }
        let overload = found.overload.fixed::<1>()?.map_or(0, |[value]| value);
        for region in overloaded(payload, overload) {
            found.add_all(region)?;
        }
        let message_type = match found.message_type.fixed::<1>()? {
            Some([code]) => MessageType::of_client(code).ok_or(Ignored::WrongType)?,
            None => MessageType::Bootp,
        };
        let mut request = Self {
            payload,
            message_type,
            xid: be32(head, bootp::XID),
            secs: be16(head, bootp::SECS),
            flags: be16(head, bootp::FLAGS),
            ciaddr: Ipv4Addr::from_bits(be32(head, bootp::CIADDR)),
            giaddr: Ipv4Addr::from_bits(be32(head, bootp::GIADDR)),
            htype: head[bootp::HTYPE],
            hlen: head[bootp::HLEN],
            mac: [0; 6],
            requested: found.requested.address()?,
            server_id: found.server_id.address()?,
            // No more than a wish.
            lease_time: found
                .lease_time
                .fixed()
                .ok()
                .flatten()
                .map(u32::from_be_bytes),
            subnet_selection: found.subnet_selection.address()?,
            // It says only how much the client can take.
            max_size: found
                .max_size
                .fixed()
                .ok()
                .flatten()
                .map(u16::from_be_bytes),
            rapid_commit: found.rapid_commit.count > 0,
            has_cookie,
            overload,
            parameters: found.parameters,
            client_id: found.client_id,
            hostname: found.hostname,
            relay_agent: found.relay_agent,
            present: found.present,
        };
        request.mac = request.key()?;
        Ok(request)
    }

    fn key(&self) -> Result<Mac, Ignored> {
        match (self.htype, self.hlen) {
            // Relays that ask by address fill in what they would for any client.
            (HTYPE_ETHERNET, 6) if self.asks_by_address() => Ok([0; 6]),
            (HTYPE_ETHERNET, 6) => mac_of(self.chaddr()),
            (HTYPE_INFINIBAND, 0 | infiniband::HLEN) => {
                let id = self.client_id().filter(|id| !id.is_empty());
                let id = id.ok_or(Ignored::Invalid)?;
                Ok(infiniband::pseudo_mac(&id))
            }
            (_, 0) if self.message_type.is_query() => Ok([0; 6]),
            _ => Err(Ignored::WrongHardware),
        }
    }

    fn asks_by_address(&self) -> bool {
        let nobody = self.chaddr().iter().all(|byte| *byte == 0);
        self.message_type.is_query() && nobody && !self.ciaddr.is_unspecified()
    }

    /// Whether the client is on InfiniBand (RFC 4390).
    #[must_use]
    pub fn is_infiniband(&self) -> bool {
        self.htype == HTYPE_INFINIBAND
    }

    #[must_use]
    pub fn is_relayed(&self) -> bool {
        !self.giaddr.is_unspecified()
    }

    /// The client cannot yet take unicast packets (RFC 2131 section 4.1), or never can before it
    /// has an address (RFC 4390 section 2.2).
    #[must_use]
    pub fn wants_broadcast(&self) -> bool {
        self.flags & FLAG_BROADCAST != 0 || self.is_infiniband()
    }

    /// The flags of the answer: a relay must know that it is to broadcast.
    #[must_use]
    pub fn reply_flags(&self) -> u16 {
        let broadcast = if self.is_infiniband() {
            FLAG_BROADCAST
        } else {
            0
        };
        self.flags | broadcast
    }

    /// All 16 bytes of chaddr.
    #[must_use]
    pub fn chaddr(&self) -> &'a [u8] {
        &self.payload[bootp::CHADDR..bootp::SNAME]
    }

    /// giaddr, as it stands in the message.
    #[must_use]
    pub fn giaddr_bytes(&self) -> &'a [u8] {
        &self.payload[bootp::GIADDR..bootp::CHADDR]
    }

    /// Everything behind the magic cookie.
    #[must_use]
    pub fn region(&self) -> &'a [u8] {
        let region = self.has_cookie.then(|| &self.payload[bootp::OPTIONS..]);
        region.unwrap_or_default()
    }

    /// Option 55.
    #[must_use]
    pub fn parameters(&self) -> Option<Cow<'a, [u8]>> {
        self.join(option::PARAMETER_LIST, &self.parameters)
    }

    /// Option 61.
    #[must_use]
    pub fn client_id(&self) -> Option<Cow<'a, [u8]>> {
        self.join(option::CLIENT_ID, &self.client_id)
    }

    /// Option 12.
    #[must_use]
    pub fn hostname(&self) -> Option<Cow<'a, [u8]>> {
        self.join(option::HOSTNAME, &self.hostname)
    }

    /// Option 82.
    #[must_use]
    pub fn relay_agent(&self) -> Option<Cow<'a, [u8]>> {
        self.join(option::RELAY_AGENT, &self.relay_agent)
    }

    /// A sub-option of option 82 (RFC 3046 section 2.0).
    #[must_use]
    pub fn relay_suboption(&self, code: u8) -> Option<Cow<'a, [u8]>> {
        match self.relay_agent()? {
            Cow::Borrowed(agent) => suboption(agent, code).map(Cow::Borrowed),
            Cow::Owned(agent) => suboption(&agent, code).map(|value| Cow::Owned(value.to_vec())),
        }
    }

    /// Any option; the ones above are found faster by name.
    #[must_use]
    pub fn option(&self, code: u8) -> Option<Cow<'a, [u8]>> {
        if !self.present.has(code) {
            return None;
        }
        let mut pieces = Pieces::default();
        for field in self.fields().filter(|field| field.code == code) {
            pieces.add(field.value);
        }
        self.join(code, &pieces)
    }

    /// Whether the option region holds all options, and 61 and 82 once at most: what a reply
    /// that is spliced from the region needs.
    #[must_use]
    pub(super) fn is_simple(&self) -> bool {
        self.overload == 0 && self.client_id.count <= 1 && self.relay_agent.count <= 1
    }

    /// All options in the order in which pieces belong together (RFC 3396 section 5).
    fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        std::iter::once(self.region())
            .chain(overloaded(self.payload, self.overload))
            .flat_map(Options::new)
            .flatten()
    }

    fn join(&self, code: u8, pieces: &Pieces<'a>) -> Option<Cow<'a, [u8]>> {
        match pieces.count {
            0 => None,
            1 => Some(Cow::Borrowed(pieces.first)),
            _ => {
                let values = self.fields().filter(|field| field.code == code);
                Some(values.flat_map(|field| field.value).copied().collect())
            }
        }
    }
}

/// A sub-option of option 82, which have neither padding nor an end.
#[must_use]
pub fn suboption(mut rest: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [code, len, after @ ..] = rest {
        let (value, next) = after.split_at_checked(usize::from(*len))?;
        if *code == wanted {
            return Some(value);
        }
        rest = next;
    }
    None
}

fn check_header(payload: &[u8]) -> Result<&[u8; PLAIN_BOOTP], Ignored> {
    let head = payload.first_chunk().ok_or(Ignored::Malformed)?;
    if head[bootp::OP] != BOOTREQUEST {
        return Err(Ignored::NotRequest);
    }
    Ok(head)
}

/// No host has the zero address or a group address.
fn mac_of(chaddr: &[u8]) -> Result<Mac, Ignored> {
    let mac: Mac = std::array::from_fn(|i| chaddr[i]);
    if mac == [0; 6] || mac[0] & 1 != 0 {
        return Err(Ignored::WrongHardware);
    }
    Ok(mac)
}

fn overloaded(payload: &[u8], overload: u8) -> impl Iterator<Item = &[u8]> + use<'_> {
    let file = (overload & OVERLOADS_FILE != 0).then(|| &payload[bootp::FILE..bootp::COOKIE]);
    let sname = (overload & OVERLOADS_SNAME != 0).then(|| &payload[bootp::SNAME..bootp::FILE]);
    file.into_iter().chain(sname)
}

#[cfg(test)]
mod tests;
