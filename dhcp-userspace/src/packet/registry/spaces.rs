//! Sub-options that this server knows by name, by the option that holds them.

use super::kind::{BINARY, Field, Kind};
use super::table::{
    BOOL, DOMAIN, DOMAIN_LIST, EMPTY, IDENTIFIER, IPV4, IPV4_LIST, TEXT, U8, U16, U32,
};
use super::{Definition, also, of};

/// The space of option 125, which is one of enterprise numbers.
pub const ENTERPRISE: &str = "enterprise";

const U8_FIELD: Field = Field::Uint { bytes: 1, min: 0 };
const U16_FIELD: Field = Field::Uint { bytes: 2, min: 0 };
const U32_FIELD: Field = Field::Uint { bytes: 4, min: 0 };

/// A set of sub-options.
#[derive(Debug)]
pub struct Space {
    pub name: &'static str,
    /// What it is, for the documentation.
    pub about: &'static str,
    /// Ascending by code.
    pub options: &'static [Definition],
}

/// The space with this name, if it is a built-in one.
#[must_use]
pub fn space(name: &str) -> Option<&'static Space> {
    SPACES.iter().find(|space| space.name == name)
}

/// All built-in spaces.
#[must_use]
pub fn spaces() -> &'static [Space] {
    SPACES
}

/// Whether END closes the sub-options of this space: PXE ROMs look for it.
#[must_use]
pub fn has_end(space: &str) -> bool {
    space == "pxe"
}

/// Whether the name is that of an enterprise's space: its number.
#[must_use]
pub fn is_enterprise(space: &str) -> bool {
    space.parse::<u32>().is_ok()
}

static SPACES: &[Space] = &[
    Space {
        name: "pxe",
        about: "PXE 2.1, in option 43",
        options: PXE,
    },
    Space {
        name: "ipxe",
        about: "iPXE, in option 175",
        options: IPXE,
    },
    Space {
        name: "relay-agent",
        about: "relay agents, in option 82; they are shown, never set",
        options: RELAY_AGENT,
    },
    Space {
        name: "nwip",
        about: "NetWare/IP (RFC 2242), in option 63",
        options: NWIP,
    },
    Space {
        name: "ccc",
        about: "CableLabs client configuration (RFC 3495), in option 122",
        options: CCC,
    },
    Space {
        name: "mos-address",
        about: "mobility services (RFC 5678), in option 139",
        options: MOS_ADDRESS,
    },
    Space {
        name: "mos-fqdn",
        about: "mobility services (RFC 5678), in option 140",
        options: MOS_FQDN,
    },
];

static PXE: &[Definition] = &[
    of(1, "mtftp-ip", IPV4),
    of(2, "mtftp-cport", U16),
    of(3, "mtftp-sport", U16),
    of(4, "mtftp-tmout", U8),
    of(5, "mtftp-delay", U8),
    of(6, "discovery-control", U8),
    of(7, "discovery-mcast-addr", IPV4),
    of(
        8,
        "boot-servers",
        Kind::groups(&[U16_FIELD, Field::Group { in_bytes: false }]),
    ),
    of(
        9,
        "boot-menu",
        Kind::groups(&[U16_FIELD, Field::Counted { bytes: 1 }]),
    ),
    of(10, "menu-prompt", Kind::one(&[U8_FIELD, Field::Text])),
    of(64, "mcast-addrs-alloc", BINARY),
    of(65, "credential-types", BINARY),
    of(71, "boot-item", Kind::one(&[U16_FIELD, U16_FIELD])),
];

static IPXE: &[Definition] = &[
    of(1, "priority", Kind::one(&[Field::Int { bytes: 1 }])),
    of(8, "keep-san", U8),
    of(9, "skip-san-boot", U8),
    of(16, "pxeext", U8),
    of(17, "iscsi", U8),
    of(18, "aoe", U8),
    of(19, "http", U8),
    of(20, "https", U8),
    of(21, "tftp", U8),
    of(22, "ftp", U8),
    of(23, "dns", U8),
    of(24, "bzimage", U8),
    of(25, "multiboot", U8),
    of(26, "slam", U8),
    of(27, "srp", U8),
    of(32, "nbi", U8),
    of(33, "pxe", U8),
    of(34, "elf", U8),
    of(35, "comboot", U8),
    of(36, "efi", U8),
    of(37, "fcoe", U8),
    of(38, "vlan", U8),
    of(39, "menu", U8),
    of(40, "sdi", U8),
    of(41, "nfs", U8),
    of(81, "scriptlet", TEXT),
    of(85, "syslogs", TEXT),
    of(91, "cert", IDENTIFIER),
    of(92, "privkey", IDENTIFIER),
    of(93, "crosscert", TEXT),
    of(176, "no-pxedhcp", U8),
    of(177, "bus-id", BINARY),
    of(178, "use-cached", U8),
    of(188, "san-filename", TEXT),
    of(189, "bios-drive", U8),
    of(190, "username", TEXT),
    of(191, "password", TEXT),
    of(192, "reverse-username", TEXT),
    of(193, "reverse-password", TEXT),
    of(235, "version", IDENTIFIER),
];

static RELAY_AGENT: &[Definition] = &[
    of(1, "circuit-id", IDENTIFIER),
    of(2, "remote-id", IDENTIFIER),
    of(4, "docsis-device-class", U32),
    of(5, "link-selection", IPV4),
    of(6, "subscriber-id", IDENTIFIER),
    of(7, "radius", BINARY),
    of(8, "auth", BINARY),
    of(9, "vendor-specific-info", BINARY),
    of(10, "relay-agent-flags", U8),
    also(11, "server-id-override", "server-identifier-override", IPV4),
    of(12, "relay-id", IDENTIFIER),
    of(13, "access-techno-type", BINARY),
    of(14, "access-network-name", IDENTIFIER),
    of(15, "access-point-name", IDENTIFIER),
    of(16, "access-point-bssid", Kind::one(&[Field::Mac])),
    of(17, "operator-id", U32),
    of(18, "operator-realm", IDENTIFIER),
    of(19, "relay-port", EMPTY),
    of(151, "virtual-subnet-select", BINARY),
    of(152, "virtual-subnet-select-ctrl", EMPTY),
];

static NWIP: &[Definition] = &[
    of(1, "does-not-exist", EMPTY),
    of(2, "exists-in-options-area", EMPTY),
    of(3, "exists-in-sname-file", EMPTY),
    of(4, "exists-but-too-big", EMPTY),
    of(5, "nsq-broadcast", BOOL),
    of(6, "preferred-dss", IPV4_LIST),
    of(7, "nearest-nwip-server", IPV4_LIST),
    of(8, "autoretries", U8),
    of(9, "autoretry-secs", U8),
    of(10, "nwip-1-1", BOOL),
    of(11, "primary-dss", IPV4),
];

const BACKOFF: Kind = Kind::one(&[U32_FIELD, U32_FIELD, U32_FIELD]);

static CCC: &[Definition] = &[
    of(1, "primary-dhcp-server", IPV4),
    of(2, "secondary-dhcp-server", IPV4),
    of(3, "provisioning-server", BINARY),
    of(4, "as-backoff-retry", BACKOFF),
    of(5, "ap-backoff-retry", BACKOFF),
    of(6, "kerberos-realm", DOMAIN),
    of(7, "ticket-granting-server", BOOL),
    of(8, "provisioning-timer", U8),
    of(9, "ticket-control", U16),
    of(10, "kdc-addresses", IPV4_LIST),
];

static MOS_ADDRESS: &[Definition] = &[
    of(1, "information", IPV4_LIST),
    of(2, "command", IPV4_LIST),
    of(3, "event", IPV4_LIST),
];

static MOS_FQDN: &[Definition] = &[
    of(1, "information", DOMAIN_LIST),
    of(2, "command", DOMAIN_LIST),
    of(3, "event", DOMAIN_LIST),
];
