//! Replies that do not go out at once: because another server may answer first, or because
//! somebody might have the address that is to be offered.

use std::net::Ipv4Addr;

use super::handler::{Handler, Packet, copied};
use super::later::{self, Check, Client, Waiting};
use super::probe::{Begun, Question};
use crate::clock::Now;
use crate::engine::{self, Ignored, Incoming, Outcome, Probe};
use crate::net::frame::parse;
use crate::net::send::Parcel;
use dhcp_common::wire::mac_bits;

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
        let engine::Later {
            event,
            after,
            probe,
        } = later;
        let Some((client, question)) = later::asked(packet.incoming) else {
            return self.out.recycle(reply);
        };
        let (mut answer_at, mut checked) = (now.boot + after.as_nanos() as u64, None);
        if let Some(before) = before {
            if before.question == question {
                answer_at = answer_at.min(before.answer_at);
            }
            checked = before.check;
        }
        let mut waiting = Waiting {
            parcel: packet.parcel(reply),
            event,
            question,
            answer_at,
            check: None,
        };
        if self.later.is_full() || !self.check(packet, &client, &mut waiting, probe, checked, now) {
            self.shared.core.metrics.ignore(Ignored::Overload);
            return self.out.recycle(waiting.parcel.frame);
        }
        self.later.put(client, waiting);
    }
    /// Has the address asked for that is to be offered; false if too many are asked for already.
    fn check(
        &mut self,
        packet: Packet<'_>,
        client: &Client,
        waiting: &mut Waiting,
        probe: Option<Probe>,
        before: Option<Check>,
        now: Now,
    ) -> bool {
        let address = probe.map(|probe| probe.address);
        let running = before.and_then(|check| self.still(check, address));
        let Some(probe) = probe else {
            return true;
        };
        let until = match running {
            Some(check) => check.until,
            None => match self.ask(packet, client, waiting, probe, now) {
                Begun::Full => return false,
                Begun::Needless => return true,
                Begun::Asked(frame) => {
                    if let Some(frame) = frame {
                        self.out.push(packet.parcel(frame));
                    }
                    now.boot + probe.wait.as_nanos() as u64
                }
            },
        };
        waiting.check = Some(Check {
            address: probe.address,
            until,
            request: packet.frame.bytes.to_vec(),
        });
        true
    }

    /// The check that runs, if it is of this address; else it ends.
    fn still(&self, check: Check, address: Option<Ipv4Addr>) -> Option<Check> {
        if address == Some(check.address) {
            return Some(check);
        }
        self.shared.prober.forget(check.address);
        None
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
        let Some(Waiting {
            parcel,
            event,
            check: Some(check),
            ..
        }) = self.later.take(client)
        else {
            return;
        };
        let engine = &self.shared.core.engine;
        if let Some(commit) = engine.conflict(now, address, mac_bits(&event.mac, 0)) {
            self.append(commit, None);
        }
        let Parcel { socket, frame, to } = parcel;
        self.out.recycle(frame);
        let request = copied(&socket, &check.request, to);
        if let Ok(incoming) = parse(&request) {
            self.take(&socket, &request, &incoming, now);
        }
    }
}
