//! What goes into the engine and what comes out.

use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp_common::slot::{Kind, Lease, Link};
use ipnet::Ipv4Net;

use crate::config::model::Mac;
use crate::journal::Record;

/// A network interface as the engine needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    pub mac: Mac,
    pub mtu: u32,
    /// Addresses with their networks, the primary one first.
    pub addresses: Vec<Ipv4Net>,
}

/// A DHCP message as it came in. `payload` is the UDP payload.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    pub link: Link,
    /// The link header, destination MAC first, with all tags and the type.
    pub l2: &'a [u8],
    pub source: Ipv4Addr,
    pub source_port: u16,
    pub destination: Ipv4Addr,
    /// 67, or 4011 for PXE boot servers.
    pub destination_port: u16,
    pub payload: &'a [u8],
    /// When it came, in nanoseconds since 1970; 0: just now.
    pub arrived: u64,
}

/// What to do about a packet. The reply, if any, is a whole frame in the buffer that the caller
/// gave, to be sent on the interface that the packet came in on.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing, for this reason.
    Ignore(Ignored),
    /// A record of this client is on its way to disk: hand the packet in again in a moment.
    Busy,
    /// Send the reply now: it promises nothing that is not on disk.
    Reply(Event),
    /// Send the reply later, unless the client asks another server or something else by then.
    Later(Later),
    /// Append the record, wait until it is on disk, call `Engine::complete`, then send the reply
    /// (if the buffer is not empty). The slot stays locked until then.
    Commit(Commit),
}

/// An answer that waits.
#[derive(Clone, Debug)]
pub struct Later {
    /// What has happened once it is sent.
    pub event: Event,
    pub after: Duration,
    /// Ask for strangers first; `after` counts from the end of that.
    pub probe: Option<Probe>,
}

/// An address of which nobody must be heard before it is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    pub address: Ipv4Addr,
    /// The address to ask from.
    pub server: Ipv4Addr,
    /// By ARP on the client's link; otherwise by ICMP.
    pub on_link: bool,
    pub wait: Duration,
}

/// A change that must be on disk before it may be seen.
#[derive(Clone, Debug)]
pub struct Commit {
    pub record: Record,
    pub change: Change,
    pub event: Option<Event>,
}

/// What becomes of the slot once the record is on disk.
#[derive(Clone, Debug)]
pub enum Change {
    /// The slot is locked and closed: write it and give it back.
    Publish {
        index: u32,
        kind: Kind,
        valid: bool,
        lease: Lease,
        tail: Vec<u8>,
    },
    /// The slot is not locked: move its promise forward if it is still of this generation.
    Reserve {
        index: u32,
        generation: u64,
        until: u64,
    },
}

/// Something that happened to a client, for watchers, metrics and hooks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Event {
    pub kind: EventKind,
    pub mac: Mac,
    pub address: Ipv4Addr,
    /// Interface index.
    pub ifindex: u32,
}

/// Also the label of the reply in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// DHCPOFFER sent.
    Offer,
    /// A new lease.
    Bind,
    /// Extended by the daemon.
    Renew,
    /// Extended by the kernel, seen by the sweeper.
    KernelRenew,
    /// DHCPACK to an INFORM.
    Inform,
    /// Told where to boot from, the address being another server's (proxyDHCP) or known (PXE boot
    /// server).
    Proxy,
    /// DHCPNAK sent.
    Nak,
    Release,
    Decline,
    /// An address to be offered was found in use, and is in quarantine.
    Conflict,
    Expire,
    /// A lease query answered.
    LeaseQuery,
    /// DHCPFORCERENEW sent.
    ForceRenew,
}

macro_rules! ignored {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal,)+) => {
        /// Why the daemon did not answer a packet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Ignored { $($(#[doc = $doc])+ $name,)+ }

        impl Ignored {
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name in metrics and tables.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
    };
}

ignored! {
    /// Lengths or checksums that contradict each other, or options that run past the end.
    Malformed = "malformed",
    /// A BOOTREPLY.
    NotRequest = "not-request",
    /// No message type: plain BOOTP, or no magic cookie.
    Bootp = "bootp",
    /// A message type that a server does not answer.
    WrongType = "wrong-type",
    /// Another hardware than Ethernet.
    WrongHardware = "wrong-hardware",
    /// No subnet for the link or relay it came from.
    NoSubnet = "no-subnet",
    /// A relay that may not: its giaddr or where it sends from is not among those allowed.
    RelayNotAllowed = "relay-not-allowed",
    /// From one of our links, where no clients are served.
    LocalOff = "local-off",
    /// By way of a relay or router, behind which no clients are served.
    RelayedOff = "relayed-off",
    /// Of a class that is not answered.
    IgnoredClass = "ignored-class",
    /// Of none of the classes that the subnet is for.
    WrongClass = "wrong-class",
    /// Addressed to another server (option 54).
    OtherServer = "other-server",
    /// No address to give: pools exhausted and no reservation.
    NoAddress = "no-address",
    /// Not known here, and not authoritative.
    Unknown = "unknown",
    /// Contradicts itself: say, RENEWING with option 50.
    Invalid = "invalid",
    /// More requests of a client than anybody needs, or more records than the journal takes.
    Overload = "overload",
    /// The lease table has no room.
    TableFull = "table-full",
    /// The journal takes no more records: the disk is full.
    DiskFull = "disk-full",
    /// A RELEASE or DECLINE that names no lease of the sender; an offer is none.
    NotHolder = "not-holder",
    /// Has not asked for long enough: its secs field is below what the subnet wants.
    TooEarly = "too-early",
    /// Another client, by its identifier, than the one that is known by the same pseudo-MAC.
    IdentityTaken = "identity-taken",
    /// A lease query of somebody who may not ask, or without an address to answer to.
    QueryDenied = "query-denied",
    /// No firmware that boots from the network, where another server gives the addresses.
    NotNetboot = "not-netboot",
    /// Firmware like this is to boot nothing here: no boot file, or none that it could fetch.
    NothingToBoot = "nothing-to-boot",
}
