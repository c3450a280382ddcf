//! Replies that do not go out at once: because another server may answer first, or because
//! somebody might have the address that is to be offered.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::handler::{Handler, Packet};
use super::later::{self, Check, Client, Waiting};
use super::probe::{Begun, Question};
use crate::clock::Now;
use crate::engine::{self, Ignored, Incoming, Outcome, Probe};
use dhcp_common::wire::mac_bits;

/// Addresses that one message may find taken. A router that answers for every address (proxy ARP)
/// must not have the whole pool put aside at once.
const MOST_CONFLICTS: u8 = 8;

impl Handler {
    /// When the next reply that waits is due.
    pub fn next_due(&self) -> Option<u64> {
        self.later.next()
    }

    /// Sends what is due.
    pub fn send_due(&mut self, now: Now) {
        while let Some(waiting) = self.later.take_due(now.boot) {
            if let Some(check) = waiting.check {
                self.shared.prober.is_free(check.address, now.boot);
            }
            self.out.push(waiting.parcel);
            self.shared.core.happened(&waiting.event, now);
            if self.out.is_full() {
                self.flush();
            }
        }
    }

    /// Takes the reply of this client that waits, if its new message makes that pointless.
    pub(super) fn outlived(
        &mut self,
        incoming: &Incoming<'_>,
        outcome: &Outcome,
    ) -> Option<Waiting> {
        if self.later.is_empty() || !later::outlives(outcome) {
            return None;
        }
        let (client, _) = later::asked(incoming)?;
        let waiting = self.later.take(&client)?;
        if let (Some(check), false) = (&waiting.check, matches!(outcome, Outcome::Later(_))) {
            self.shared.prober.forget(check.address);
        }
        Some(waiting)
    }

    /// Keeps a reply until it is due. What the client asks again is not put off by that, and an
    /// address that is being asked for is not asked for again.
    pub(super) fn wait(
        &mut self,
        packet: Packet<'_>,
        reply: Vec<u8>,
        later: engine::Later,
        before: Option<Waiting>,
        now: Now,
    ) {
        let Some((client, question)) = later::asked(packet.incoming) else {
            return self.out.recycle(reply);
        };
        let (earlier, check) = match before {
            Some(before) if before.question == question => (before.due, before.check),
            Some(before) => (u64::MAX, before.check),
            None => (u64::MAX, None),
        };
        let mut waiting = Waiting {
            parcel: packet.parcel(reply),
            event: later.event,
            question,
            due: 0,
            check: check.and_then(|check| self.still(check, later.probe)),
        };
        let engine = &self.shared.core.engine;
        let (mac, payload) = (waiting.event.mac, packet.incoming.payload);
        let is_known = || engine.is_known(mac) || engine.is_host(payload);
        if !self.later.has_room(is_known) {
            self.shared.core.metrics.ignore(Ignored::Overload);
            return self.out.recycle(waiting.parcel.frame);
        }
        self.check(packet, &client, &mut waiting, (later.probe, now));
        // No reply goes before its check has ended.
        let from = waiting.check.as_ref().map_or(now.boot, |check| check.until);
        let due = from.saturating_add(nanos(later.after)).min(earlier);
        waiting.due = due.max(from);
        self.later.put(client, waiting.due, waiting);
    }

    /// The check that runs, if it is of this address; else it ends.
    fn still(&self, check: Check, probe: Option<Probe>) -> Option<Check> {
        if probe.is_some_and(|probe| probe.address == check.address) {
            return Some(check);
        }
        self.shared.prober.forget(check.address);
        None
    }

    /// Has the address asked for that is to be offered, unless that is done already, or too
    /// many are asked for: a rare conflict is better than a network without offers.
    fn check(
        &mut self,
        packet: Packet<'_>,
        client: &Client,
        waiting: &mut Waiting,
        (probe, now): (Option<Probe>, Now),
    ) {
        let Some(probe) = probe else {
            return;
        };
        let request = packet.kept(self.out.buffer());
        if let Some(check) = &mut waiting.check {
            check.request = request;
            return;
        }
        match self.ask(packet, client, waiting, probe, now) {
            Begun::Full => {
                self.shared.core.metrics.unchecked.inc();
                return;
            }
            Begun::Needless => return,
            Begun::Asked(None) => {}
            Begun::Asked(Some(frame)) => self.out.push(packet.parcel(frame)),
        }
        waiting.check = Some(Check {
            address: probe.address,
            until: now.boot.saturating_add(nanos(probe.wait)),
            request,
        });
    }

    fn ask(
        &self,
        packet: Packet<'_>,
        client: &Client,
        waiting: &Waiting,
        probe: Probe,
        now: Now,
    ) -> Begun {
        let question = Question {
            probe,
            l2: &waiting.parcel.frame[..packet.incoming.l2.len()],
            link: packet.incoming.link,
            client: client.clone(),
            mac: waiting.event.mac,
            mailbox: &self.mailbox,
        };
        self.shared.prober.ask(&question, now.boot)
    }

    /// Somebody has the address: nobody is offered it for a while, and the client gets another.
    pub fn conflict(&mut self, client: &Client, address: Ipv4Addr, now: Now) {
        if !self
            .later
            .get(client)
            .is_some_and(|reply| reply.offers(address))
        {
            return;
        }
        let taken = self.later.take(client);
        let Some(Waiting {
            parcel,
            event,
            check: Some(check),
            ..
        }) = taken
        else {
            return;
        };
        let engine = &self.shared.core.engine;
        if let Some(commit) = engine.conflict(now, address, mac_bits(&event.mac, 0)) {
            self.append(commit, None);
        }
        self.out.recycle(parcel.frame);
        let mut request = check.request;
        request.conflicts += 1;
        if request.conflicts < MOST_CONFLICTS {
            self.take_again(request, now);
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
