//! Warnings about addresses that strangers use. Clients can cause as many as they like, so most
//! are only counted.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};

use dhcp_common::wire::bootp;

use crate::clock::{Now, SECOND};
use crate::control::protocol::format_mac;
use crate::engine::{Event, EventKind, Incoming};

/// One line in this time: enough to be seen, and a day of them is not too long to read.
const PAUSE: u64 = 10 * SECOND;

#[derive(Debug, Default)]
pub struct Alerts {
    next: AtomicU64,
    left_out: AtomicU64,
}

impl Alerts {
    /// Warns of what an operator should look at.
    pub fn look(&self, event: &Event, now: Now) {
        let Some(text) = text_of(event) else {
            return;
        };
        match self.admit(now.boot) {
            Some(0) => tracing::warn!("{text}"),
            Some(left_out) => tracing::warn!(left_out, "{text}"),
            None => {}
        }
    }

    /// Warns of a relay that is not allowed: relays often send from another address than giaddr.
    pub fn refuse(&self, incoming: &Incoming<'_>, now: Now) {
        if let Some(left_out) = self.admit(now.boot) {
            let giaddr = incoming.payload.get(bootp::GIADDR..bootp::CHADDR);
            let giaddr = giaddr.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            tracing::warn!(
                giaddr = %Ipv4Addr::from(giaddr.unwrap_or_default()),
                from = %incoming.source,
                left_out,
                "a relay was not heard: server.allowed_relays must have both addresses"
            );
        }
    }

    /// Whether a line may be written, and how many were not since the last one.
    fn admit(&self, now: u64) -> Option<u64> {
        let order = Ordering::Relaxed;
        let next = self.next.load(order);
        let free = now >= next;
        if free
            && self
                .next
                .compare_exchange(next, now + PAUSE, order, order)
                .is_ok()
        {
            return Some(self.left_out.swap(0, order));
        }
        self.left_out.fetch_add(1, order);
        None
    }
}

fn text_of(event: &Event) -> Option<String> {
    let (address, mac) = (event.address, format_mac(&event.mac));
    match event.kind {
        EventKind::Decline => Some(format!(
            "address {address} declined by {mac}: another host uses it"
        )),
        EventKind::Conflict => Some(format!(
            "address {address} not offered to {mac}: another host uses it"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind) -> Event {
        Event {
            kind,
            mac: [2, 0, 0, 0, 0, 1],
            address: [10, 0, 0, 9].into(),
            ifindex: 1,
        }
    }

    #[test]
    fn only_strangers_are_warned_of() {
        let text = "address 10.0.0.9 declined by 02:00:00:00:00:01: another host uses it";
        assert_eq!(text_of(&event(EventKind::Decline)).as_deref(), Some(text));
        assert!(text_of(&event(EventKind::Conflict)).is_some());
        assert_eq!(text_of(&event(EventKind::Release)), None);
    }

    #[test]
    fn one_line_in_ten_seconds_tells_of_the_others() {
        let alerts = Alerts::default();
        let at = |seconds: u64| alerts.admit(seconds * SECOND);
        assert_eq!(
            [0, 1, 9, 10, 11, 30].map(at),
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
