//! The guard's place in a worker: before the fast path, before the engine, and after it.

use dhcp_common::guard::Asker;
use dhcp_common::wire::{BOOTP_LEN, bootp, mac_bytes};

use super::core::Core;
use crate::clock::Now;
use crate::engine::{Ignored, Incoming};
use crate::guard::Cause;
use crate::guard::watch::{Count, Watch};

/// The first option of a DISCOVER, as all clients send it.
const DISCOVER: [u8; 3] = [53, 1, 1];

/// What one worker knows of its clients. Each has its own, as a client's packets all go to one.
#[derive(Default)]
pub struct Gate {
    watch: Watch,
}

/// A request on its way to the engine.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    asker: Asker,
    /// A question that an address would answer, and that is asked for the first time.
    is_discover: bool,
}

impl Gate {
    /// Whether the guard stops a request before anything is done with it; counts the reason.
    pub fn turns_away(&self, core: &Core, asker: &Asker, now: Now) -> bool {
        let verdict = core.guard.judge(asker, now);
        verdict.map_err(|reason| core.metrics.fast(reason)).is_err()
    }

    /// Counts a request that is to go to the engine; none if it is one too many.
    pub fn admit(
        &mut self,
        core: &Core,
        asker: Asker,
        incoming: &Incoming<'_>,
        now: Now,
    ) -> Option<Admitted> {
        core.guard.count(&asker);
        let threshold = core.guard.settings().misbehaving_threshold;
        let packet = fingerprint(incoming.payload);
        let count = self.watch.count(&asker, packet, threshold, now.boot);
        if count == Count::TooMuch {
            core.metrics.ignore(Ignored::Overload);
            core.block(&asker, Cause::Misbehaving, now);
            return None;
        }
        let first = incoming.payload.get(BOOTP_LEN..BOOTP_LEN + DISCOVER.len());
        Some(Admitted {
            asker,
            is_discover: count == Count::Fine && first == Some(&DISCOVER),
        })
    }

    /// The engine had no answer.
    pub fn unanswered(&mut self, core: &Core, admitted: &Admitted, why: Ignored, now: Now) {
        let in_vain = matches!(why, Ignored::NoAddress | Ignored::Unknown);
        if in_vain && admitted.is_discover && self.watch.in_vain(&admitted.asker, now.boot) {
            core.block(&admitted.asker, Cause::Suspicious, now);
        }
    }

    pub fn answered(&mut self, admitted: &Admitted, now: Now) {
        if admitted.is_discover {
            self.watch.answered(&admitted.asker, now.boot);
        }
    }
}

impl Core {
    /// Blocks a client that is not known, and tells who watches.
    fn block(&self, asker: &Asker, cause: Cause, now: Now) {
        if self.guard.block(&self.engine, asker, cause, now) {
            let ifindex = (asker.ingress >> 32) as u32;
            self.metrics.blocked.inc();
            self.alert(
                "block",
                Some(mac_bytes(asker.mac)),
                self.name_of(ifindex),
                now,
            );
        }
    }
}

/// The same for copies of a packet: xid, secs and message type, wherever relays change the rest.
fn fingerprint(payload: &[u8]) -> u64 {
    let xid = payload.get(bootp::XID..bootp::XID + 4);
    let secs = payload.get(bootp::SECS..bootp::SECS + 2);
    let kind = payload.get(BOOTP_LEN + 2).copied().unwrap_or(0);
    let bytes = xid.into_iter().chain(secs).flatten().copied().chain([kind]);
    bytes.fold(1, |all, byte| all << 8 | u64::from(byte))
}
