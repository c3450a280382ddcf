//! What the guard does and tells outside of the packets' way.

use std::net::Ipv4Addr;

use dhcp_common::guard::giaddr_of;
use dhcp_common::slot::Link;

use super::core::Core;
use super::shared::Shared;
use crate::clock::{Now, SECOND};
use crate::control::protocol::{Blocked, Changes, GuardList, format_mac, parse_mac};
use crate::guard::Seen;
use crate::guard::throttle::Change;

/// To be called once a second. `lost`: packets that the sockets had no room for.
pub fn tick(shared: &Shared, lost: u64) {
    let (core, now) = (&shared.core, Now::read());
    let seen = Seen {
        workers: shared.workers,
        lost,
        received: core.metrics.received.get(),
    };
    for change in core.guard.tick(&core.engine, &seen, now) {
        tell(core, change, now);
    }
}

fn tell(core: &Core, change: Change, now: Now) {
    match change {
        Change::On { rate, lost } => tracing::warn!(
            rate,
            lost,
            "guard: more requests come than the workers manage; those of unknown clients are \
             limited to {rate} a second by interface and relay"
        ),
        Change::Dropping { ingress, rate } => {
            let place = place(core, ingress);
            tracing::warn!(
                rate,
                "guard: requests of unknown clients are throttled on {place}"
            );
            core.alert("throttle", None, place, now);
        }
        Change::Off { dropped } => {
            tracing::info!(dropped, "guard: unknown clients are throttled no longer");
            core.alert("throttle-end", None, String::new(), now);
        }
    }
}

/// An ingress as people know it: an interface with its VLANs, or a relay.
fn place(core: &Core, ingress: u64) -> String {
    if let Some(giaddr) = giaddr_of(ingress) {
        return format!("relay {}", Ipv4Addr::from_bits(giaddr));
    }
    let Link {
        ifindex,
        outer,
        inner,
    } = Link::unpack(ingress);
    let name = core.name_of(ifindex);
    match (outer, inner) {
        (0, 0) => name,
        (vlan, 0) => format!("{name} VLAN {vlan}"),
        (outer, inner) => format!("{name} VLAN {outer}.{inner}"),
    }
}

/// Who is blocked, and how many strangers may ask.
pub fn list(shared: &Shared) -> GuardList {
    let (core, now) = (&shared.core, Now::read());
    let blocked = |blocked: crate::guard::Blocked| Blocked {
        mac: format_mac(&blocked.mac),
        place: place(core, blocked.ingress),
        cause: blocked.cause.label().to_owned(),
        for_secs: now.boot.saturating_sub(blocked.since) / SECOND,
        left_secs: blocked.until.saturating_sub(now.boot) / SECOND,
    };
    let list = core.guard.blocked(now).into_iter();
    GuardList {
        enabled: core.guard.settings().enabled,
        unknown_rate: core.guard.rate(),
        blocked: list.map(blocked).collect(),
    }
}

/// Ends the blocks of a MAC, or all.
///
/// # Errors
/// If the text is no MAC.
pub fn clear(shared: &Shared, mac: Option<&str>) -> Result<Changes, String> {
    let parse = |text: &str| parse_mac(text).ok_or_else(|| format!("{text:?} is no MAC"));
    let mac = mac.map(parse).transpose()?;
    let count = shared.core.guard.unblock(mac);
    let s = if count == 1 { "" } else { "s" };
    let done = (count > 0).then(|| format!("{count} block{s} ended"));
    Ok(Changes {
        changes: done.into_iter().collect(),
    })
}
