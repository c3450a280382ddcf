//! The IANA registry of BOOTP and DHCP options: code, name and type of value.
//!
//! The first name is the one this server prints: Kea's, or the registry's own where that is the
//! usual one. [`encode`] and [`show`] go between text and the bytes on the wire.

mod value;

pub use value::{Kind, ValueError, encode, show};

use value::Kind::{
    Binary, Bool, Domain, DomainList, Int32, Ipv4, Ipv4List, Ipv4Pairs, Routes, Text, Uint,
    UintList,
};

/// An option as the registry knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    pub code: u8,
    pub name: &'static str,
    /// Another name in use for the same option; empty: none.
    pub alias: &'static str,
    pub kind: Kind,
}

/// The option with this code, if the registry has one.
#[must_use]
pub fn by_code(code: u8) -> Option<&'static Definition> {
    let at = REGISTRY.binary_search_by_key(&code, |option| option.code);
    at.ok().map(|at| &REGISTRY[at])
}

/// The option with this name or alias.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Definition> {
    let is_meant = |option: &&Definition| option.name == name || option.alias == name;
    REGISTRY
        .iter()
        .find(|option| !name.is_empty() && is_meant(option))
}

/// The name of an option, or its code where it has none.
#[must_use]
pub fn name(code: u8) -> String {
    by_code(code).map_or_else(|| code.to_string(), |option| option.name.to_owned())
}

/// Every option, by code.
#[must_use]
pub fn all() -> &'static [Definition] {
    REGISTRY
}

/// For an option that only the server itself can fill in: what to write in its place.
#[must_use]
pub const fn managed(code: u8) -> Option<&'static str> {
    Some(match code {
        0 | 255 => "it is a marker that every message has where it needs one",
        12 => "give each host its own name: `hostname` of a reservation",
        50 | 55 | 57 => "it is a client's option",
        51 => "use `lease_time`",
        52 => "long replies use it by themselves",
        53 => "the message decides it",
        54 => "use `server_address` of the subnet",
        58 => "use `renew_time`",
        59 => "use `rebind_time`",
        61 | 82 => "it is copied from the request",
        80 => "the server alone decides whether to send it",
        81 => "it is a client's option; use `domain-name` and `hostname` of a reservation",
        90 => "it is computed for each message, which this server does not do",
        118 => "it is a relay's or client's option",
        _ => return None,
    })
}

const U8: Kind = Uint { bytes: 1, min: 0 };
const U16: Kind = Uint { bytes: 2, min: 0 };
const U32: Kind = Uint { bytes: 4, min: 0 };
const U16_LIST: Kind = UintList { bytes: 2, min: 0 };

const fn of(code: u8, name: &'static str, kind: Kind) -> Definition {
    also(code, name, "", kind)
}

const fn also(code: u8, name: &'static str, alias: &'static str, kind: Kind) -> Definition {
    Definition {
        code,
        name,
        alias,
        kind,
    }
}

/// Ascending by code.
static REGISTRY: &[Definition] = &[
    of(1, "subnet-mask", Ipv4),
    of(2, "time-offset", Int32),
    also(3, "routers", "router", Ipv4List),
    also(4, "time-servers", "time-server", Ipv4List),
    also(5, "name-servers", "name-server", Ipv4List),
    also(6, "domain-name-servers", "domain-server", Ipv4List),
    also(7, "log-servers", "log-server", Ipv4List),
    also(8, "cookie-servers", "quotes-server", Ipv4List),
    also(9, "lpr-servers", "lpr-server", Ipv4List),
    also(10, "impress-servers", "impress-server", Ipv4List),
    also(11, "resource-location-servers", "rlp-server", Ipv4List),
    also(12, "host-name", "hostname", Text),
    also(13, "boot-size", "boot-file-size", U16),
    also(14, "merit-dump", "merit-dump-file", Text),
    of(15, "domain-name", Text),
    of(16, "swap-server", Ipv4),
    of(17, "root-path", Text),
    also(18, "extensions-path", "extension-file", Text),
    also(19, "ip-forwarding", "forward-on-off", Bool),
    also(20, "non-local-source-routing", "srcrte-on-off", Bool),
    of(21, "policy-filter", Ipv4Pairs),
    also(
        22,
        "max-dgram-reassembly",
        "max-dg-assembly",
        Uint { bytes: 2, min: 576 },
    ),
    of(23, "default-ip-ttl", Uint { bytes: 1, min: 1 }),
    also(24, "path-mtu-aging-timeout", "mtu-timeout", U32),
    also(
        25,
        "path-mtu-plateau-table",
        "mtu-plateau",
        UintList { bytes: 2, min: 68 },
    ),
    also(26, "interface-mtu", "mtu", Uint { bytes: 2, min: 68 }),
    also(27, "all-subnets-local", "mtu-subnet", Bool),
    of(28, "broadcast-address", Ipv4),
    also(29, "perform-mask-discovery", "mask-discovery", Bool),
    of(30, "mask-supplier", Bool),
    of(31, "router-discovery", Bool),
    also(32, "router-solicitation-address", "router-request", Ipv4),
    also(33, "static-routes", "static-route", Ipv4Pairs),
    also(34, "trailer-encapsulation", "trailers", Bool),
    also(35, "arp-cache-timeout", "arp-timeout", U32),
    also(36, "ieee802-3-encapsulation", "ethernet", Bool),
    of(37, "default-tcp-ttl", Uint { bytes: 1, min: 1 }),
    also(38, "tcp-keepalive-interval", "keepalive-time", U32),
    also(39, "tcp-keepalive-garbage", "keepalive-data", Bool),
    of(40, "nis-domain", Text),
    of(41, "nis-servers", Ipv4List),
    of(42, "ntp-servers", Ipv4List),
    also(43, "vendor-encapsulated-options", "vendor-specific", Binary),
    also(44, "netbios-name-servers", "netbios-name-srv", Ipv4List),
    also(45, "netbios-dd-server", "netbios-dist-srv", Ipv4List),
    of(46, "netbios-node-type", Uint { bytes: 1, min: 1 }),
    of(47, "netbios-scope", Text),
    also(48, "font-servers", "x-window-font", Ipv4List),
    also(49, "x-display-manager", "x-window-manager", Ipv4List),
    also(50, "dhcp-requested-address", "address-request", Ipv4),
    also(51, "dhcp-lease-time", "address-time", U32),
    also(52, "dhcp-option-overload", "overload", U8),
    also(53, "dhcp-message-type", "dhcp-msg-type", U8),
    also(54, "dhcp-server-identifier", "dhcp-server-id", Ipv4),
    also(
        55,
        "dhcp-parameter-request-list",
        "parameter-list",
        UintList { bytes: 1, min: 0 },
    ),
    of(56, "dhcp-message", Text),
    also(57, "dhcp-max-message-size", "dhcp-max-msg-size", U16),
    also(58, "dhcp-renewal-time", "renewal-time", U32),
    also(59, "dhcp-rebinding-time", "rebinding-time", U32),
    also(60, "vendor-class-identifier", "class-id", Text),
    also(61, "dhcp-client-identifier", "client-id", Binary),
    also(62, "nwip-domain-name", "netware-ip-domain", Text),
    also(63, "nwip-suboptions", "netware-ip-option", Binary),
    also(64, "nisplus-domain-name", "nis-domain-name", Text),
    also(65, "nisplus-servers", "nis-server-addr", Ipv4List),
    also(66, "tftp-server-name", "server-name", Text),
    also(67, "bootfile-name", "boot-file-name", Text),
    also(68, "mobile-ip-home-agent", "home-agent-addrs", Ipv4List),
    of(69, "smtp-server", Ipv4List),
    also(70, "pop-server", "pop3-server", Ipv4List),
    of(71, "nntp-server", Ipv4List),
    of(72, "www-server", Ipv4List),
    of(73, "finger-server", Ipv4List),
    of(74, "irc-server", Ipv4List),
    of(75, "streettalk-server", Ipv4List),
    also(
        76,
        "streettalk-directory-assistance-server",
        "stda-server",
        Ipv4List,
    ),
    of(77, "user-class", Binary),
    also(78, "slp-directory-agent", "directory-agent", Binary),
    also(79, "slp-service-scope", "service-scope", Binary),
    of(80, "rapid-commit", Binary),
    also(81, "fqdn", "client-fqdn", Binary),
    also(82, "dhcp-agent-options", "relay-agent-information", Binary),
    also(83, "isns", "internet-storage-name-service", Binary),
    of(85, "nds-servers", Ipv4List),
    of(86, "nds-tree-name", Text),
    of(87, "nds-context", Text),
    of(88, "bcms-controller-names", DomainList),
    of(89, "bcms-controller-address", Ipv4List),
    also(90, "authenticate", "authentication", Binary),
    of(91, "client-last-transaction-time", U32),
    of(92, "associated-ip", Ipv4List),
    of(93, "client-system", U16_LIST),
    of(94, "client-ndi", Binary),
    of(95, "ldap", Text),
    of(97, "uuid-guid", Binary),
    also(98, "uap-servers", "user-auth", Text),
    also(99, "geoconf-civic", "geoconf_civic", Binary),
    of(100, "pcode", Text),
    of(101, "tcode", Text),
    of(108, "v6-only-preferred", U32),
    also(112, "netinfo-server-address", "netinfo-address", Ipv4List),
    also(113, "netinfo-server-tag", "netinfo-tag", Text),
    also(114, "v4-captive-portal", "dhcp-captive-portal", Text),
    of(116, "auto-config", U8),
    of(117, "name-service-search", U16_LIST),
    of(118, "subnet-selection", Ipv4),
    of(119, "domain-search", DomainList),
    also(120, "sip-servers", "sip-servers-dhcp-option", Binary),
    of(121, "classless-static-route", Routes),
    also(122, "ccc", "cablelabs-client-configuration", Binary),
    of(123, "geoconf", Binary),
    also(124, "vivco-suboptions", "v-i-vendor-class", Binary),
    also(125, "vivso-suboptions", "v-i-vendor-specific", Binary),
    of(136, "pana-agent", Ipv4List),
    of(137, "v4-lost", Domain),
    of(138, "capwap-ac-v4", Ipv4List),
    of(139, "ipv4-address-mos", Binary),
    of(140, "ipv4-fqdn-mos", Binary),
    of(141, "sip-ua-cs-domains", DomainList),
    of(142, "ipv4-address-andsf", Ipv4List),
    of(143, "v4-sztp-redirect", Binary),
    of(144, "geoloc", Binary),
    of(145, "forcerenew-nonce-capable", Binary),
    of(146, "rdnss-selection", Binary),
    of(147, "v4-dots-ri", Domain),
    of(148, "v4-dots-address", Ipv4List),
    of(150, "tftp-server-address", Ipv4List),
    of(151, "status-code", Binary),
    of(152, "base-time", U32),
    of(153, "start-time-of-state", U32),
    of(154, "query-start-time", U32),
    of(155, "query-end-time", U32),
    of(156, "dhcp-state", U8),
    of(157, "data-source", Binary),
    of(158, "v4-pcp-server", Binary),
    of(159, "v4-portparams", Binary),
    also(161, "mud-url", "v4-mud-url", Text),
    of(162, "v4-dnr", Binary),
    of(175, "etherboot", Binary),
    of(176, "ip-telephone", Text),
    of(208, "pxelinux-magic", Binary),
    also(209, "configuration-file", "config-file", Text),
    of(210, "path-prefix", Text),
    of(211, "reboot-time", U32),
    of(212, "option-6rd", Binary),
    of(213, "v4-access-domain", Domain),
    of(220, "subnet-allocation", Binary),
    of(221, "virtual-subnet-selection", Binary),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_ascend_and_names_are_unique() {
        assert!(all().is_sorted_by(|a, b| a.code < b.code));
        let mut seen = HashSet::new();
        for option in all() {
            assert!(seen.insert(option.name), "{} twice", option.name);
            assert!(
                option.alias.is_empty() || seen.insert(option.alias),
                "{} twice",
                option.alias
            );
        }
    }

    #[test]
    fn options_are_found_by_either_name_and_by_code() {
        assert_eq!(by_name("bootfile-name").unwrap().code, 67);
        assert_eq!(by_name("boot-file-name").unwrap().code, 67);
        assert_eq!(by_name(""), None);
        assert_eq!(by_code(121).unwrap().kind, Routes);
        assert_eq!(by_code(84), None);
        assert_eq!(
            (name(6).as_str(), name(224).as_str()),
            ("domain-name-servers", "224")
        );
    }

    #[test]
    fn what_the_server_fills_in_is_managed_and_nothing_else() {
        let managed: Vec<u8> = (0..=255).filter(|code| managed(*code).is_some()).collect();
        let expected = [
            0, 12, 50, 51, 52, 53, 54, 55, 57, 58, 59, 61, 80, 81, 82, 90, 118, 255,
        ];
        assert_eq!(managed, expected);
    }
}
