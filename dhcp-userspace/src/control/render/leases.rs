//! Leases and what happens to them, one a line. Columns have fixed widths, so that a million
//! leases can be written as they come.

use std::net::Ipv4Addr;

use super::super::protocol::{Happened, Lease, Lost, parse_mac};
use super::{duration, utc};
use crate::packet::infiniband::is_pseudo;

/// The line above [`lease_row`]s.
#[must_use]
pub fn lease_header() -> String {
    columns([
        "ADDRESS",
        "MAC",
        "STATE",
        "EXPIRES IN",
        "INTERFACE",
        "HOSTNAME",
    ])
}

/// A lease in a list.
#[must_use]
pub fn lease_row(lease: &Lease, now: u64) -> String {
    let address = lease.address.to_string();
    let (left, link) = (left(lease.expires, now), link(lease));
    columns([
        &address,
        &lease.mac,
        &lease.state,
        &left,
        &link,
        &lease.hostname,
    ])
}

fn columns([address, mac, state, left, link, hostname]: [&str; 6]) -> String {
    let line = format!("{address:<15}  {mac:<17}  {state:<8}  {left:<10}  {link:<15}  {hostname}");
    line.trim_end().to_owned()
}

/// Everything about a lease.
#[must_use]
pub fn lease(lease: &Lease, now: u64) -> String {
    let or_none = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    let at = |secs| match secs {
        0 => "-".to_owned(),
        _ => format!("{} UTC ({})", utc(secs), from_now(secs, now)),
    };
    let rows = [
        ("address", lease.address.to_string()),
        ("mac", mac(&lease.mac)),
        ("state", lease.state.clone()),
        ("expires", at(lease.expires)),
        ("promised until", at(lease.reserved_until)),
        ("since", lease.since.map_or_else(|| "-".to_owned(), at)),
        ("kernel renewals", lease.kernel_renewals.to_string()),
        ("interface", or_none(&link(lease))),
        ("hostname", or_none(&lease.hostname)),
        ("client id", or_none(&lease.client_id)),
        ("relay agent", or_none(&lease.relay_agent)),
    ];
    rows.iter()
        .map(|(name, value)| format!("{name:<16} {value}\n"))
        .collect()
}

/// No host has a MAC with the group bit.
fn mac(mac: &str) -> String {
    let is_pseudo = parse_mac(mac).is_some_and(|mac| is_pseudo(&mac));
    let note = if is_pseudo {
        " (stands for the client id)"
    } else {
        ""
    };
    format!("{mac}{note}")
}

fn left(expires: u64, now: u64) -> String {
    if expires > now {
        duration(expires - now)
    } else {
        "-".to_owned()
    }
}

fn from_now(secs: u64, now: u64) -> String {
    if secs > now {
        format!("in {}", duration(secs - now))
    } else {
        format!("{} ago", duration(now - secs))
    }
}

fn link(lease: &Lease) -> String {
    match lease.vlan {
        [0, _] => lease.interface.clone(),
        [outer, 0] => format!("{}.{outer}", lease.interface),
        [outer, inner] => format!("{}.{outer}.{inner}", lease.interface),
    }
}

/// An event as a line.
#[must_use]
pub fn happened(event: &Happened) -> String {
    let Happened {
        time,
        kind,
        mac,
        address,
        interface,
    } = event;
    let time = utc(*time);
    let address = match *address {
        Ipv4Addr::UNSPECIFIED => "-".to_owned(),
        address => address.to_string(),
    };
    format!("{time}  {kind:<12}  {address:<15}  {mac}  {interface}")
}

#[must_use]
pub fn lost(lost: Lost) -> String {
    format!("({} events lost: this reader is too slow)", lost.lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn bound() -> Lease {
        Lease {
            address: [10, 0, 0, 17].into(),
            mac: "52:54:00:00:00:11".into(),
            state: "bound".into(),
            expires: NOW + 3000,
            reserved_until: NOW + 7200,
            since: Some(NOW - 90_000),
            kernel_renewals: 4,
            interface: "eth0".into(),
            vlan: [100, 0],
            hostname: "node17".into(),
            client_id: String::new(),
            relay_agent: String::new(),
        }
    }

    #[test]
    fn a_list() {
        let expired = Lease {
            state: "expired".into(),
            expires: NOW - 1,
            vlan: [0, 0],
            hostname: String::new(),
            ..bound()
        };
        let lines = [
            lease_header(),
            lease_row(&bound(), NOW),
            lease_row(&expired, NOW),
        ];
        let want = [
            "ADDRESS          MAC                STATE     EXPIRES IN  INTERFACE        HOSTNAME",
            "10.0.0.17        52:54:00:00:00:11  bound     50m 0s      eth0.100         node17",
            "10.0.0.17        52:54:00:00:00:11  expired   -           eth0",
        ];
        assert_eq!(lines, want);
    }

    #[test]
    fn one() {
        let want = "\
address          10.0.0.17
mac              52:54:00:00:00:11
state            bound
expires          2027-01-15 08:50:00 UTC (in 50m 0s)
promised until   2027-01-15 10:00:00 UTC (in 2h 0m)
since            2027-01-14 07:00:00 UTC (1d 1h ago)
kernel renewals  4
interface        eth0.100
hostname         node17
client id        -
relay agent      -
";
        assert_eq!(lease(&bound(), NOW), want);
        let infiniband = Lease {
            mac: "0d:c1:75:b9:c0:f1".into(),
            ..bound()
        };
        let text = lease(&infiniband, NOW);
        assert!(text.contains("f1 (stands for the client id)\n"), "{text}");
    }

    #[test]
    fn a_time_that_is_none_is_no_date() {
        let released = Lease {
            expires: 0,
            reserved_until: 0,
            ..bound()
        };
        let text = lease(&released, NOW);
        assert!(
            text.contains("expires          -\npromised until   -\n"),
            "{text}"
        );
    }

    #[test]
    fn an_event() {
        let event = Happened {
            time: NOW,
            kind: "kernel-renew".into(),
            mac: "52:54:00:00:00:11".into(),
            address: [10, 0, 0, 17].into(),
            interface: "eth0".into(),
        };
        let want = "2027-01-15 08:00:00  kernel-renew  10.0.0.17        52:54:00:00:00:11  eth0";
        assert_eq!(happened(&event), want);
        assert_eq!(
            lost(Lost { lost: 3 }),
            "(3 events lost: this reader is too slow)"
        );
    }
}
