//! Ranges of addresses, as pools are made of.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::error::Problem;

/// From the first address to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub first: Ipv4Addr,
    pub last: Ipv4Addr,
}

/// Reads `10.0.0.10-10.0.0.99`, `10.0.0.10` or `10.0.0.64/26`.
pub(super) fn parse(text: &str) -> Result<Range, Problem> {
    let hint = "write 10.0.0.10-10.0.0.99, one address, or a prefix like 10.0.0.64/26";
    let range = read(text)
        .ok_or_else(|| Problem::new(format!("{text:?} is not a range of addresses"), hint))?;
    if range.last < range.first {
        let what = format!("{range} ends before it starts");
        return Err(Problem::new(what, "write the lower address first"));
    }
    Ok(range)
}

fn read(text: &str) -> Option<Range> {
    if text.contains('/') {
        let net: Ipv4Net = text.parse().ok()?;
        return Some(Range {
            first: net.network(),
            last: net.broadcast(),
        });
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(Range {
        first: first.trim().parse().ok()?,
        last: last.trim().parse().ok()?,
    })
}

impl Range {
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    pub(super) fn contains(self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// Both in one, if they have addresses in common.
    pub(super) fn clip(self, other: Self) -> Option<Self> {
        let first = self.first.max(other.first);
        let last = self.last.min(other.last);
        (first <= last).then_some(Self { first, last })
    }

    /// The addresses that hosts of a network can have.
    pub(super) fn hosts(net: Ipv4Net) -> Self {
        let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
        let margin = u32::from(net.prefix_len() < 31);
        Self {
            first: Ipv4Addr::from_bits(first + margin),
            last: Ipv4Addr::from_bits(last - margin),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ways_to_write_a_range() {
        for (text, shown) in [
            ("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"),
            ("10.0.0.1 - 10.0.0.9", "10.0.0.1-10.0.0.9"),
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.64/26", "10.0.0.64-10.0.0.127"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), shown);
        }
        assert!(parse("10.0.0.1-").is_err());
        assert_eq!(
            parse("10.0.2.0-10.0.1.0").unwrap_err().what,
            "10.0.2.0-10.0.1.0 ends before it starts"
        );
    }

    #[test]
    fn hosts_leave_out_network_and_broadcast_where_there_are_such() {
        let hosts = |net: &str| Range::hosts(net.parse().unwrap()).to_string();
        assert_eq!(hosts("10.0.0.0/24"), "10.0.0.1-10.0.0.254");
        assert_eq!(hosts("10.0.0.0/31"), "10.0.0.0-10.0.0.1");
        assert_eq!(hosts("10.0.0.9/32"), "10.0.0.9");
    }
}
