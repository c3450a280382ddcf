//! One packet, from the frame to what becomes of it. Each worker has its own.

use std::collections::VecDeque;
use std::sync::Arc;

use dhcp_common::Reason;
use dhcp_common::fast::Scratch;
use dhcp_common::guard::Asker;
use dhcp_common::wire::{SERVER_PORT, bootp};

use super::gate::{Admitted, Gate};
use super::later::{Queue, Waiting};
use super::mailbox::Mailbox;
use super::shared::Shared;
use super::ticket;
use crate::clock::Now;
use crate::engine::{Commit, Ignored, Incoming, Outcome};
use crate::fastpath::host::HostEnv;
use crate::net::Socket;
use crate::net::frame::{Frame, parse};
use crate::net::link::{Framing, LinkAddress};
use crate::net::send::{self, Parcel};

/// Packets that wait for a record of their client. More are dropped: the clients ask again.
const MAX_HELD: usize = 1024;
/// How long one waits at most. A disk that takes longer has a client that asks again.
const PATIENCE: u64 = 2_000_000_000;

pub struct Handler {
    pub(super) shared: Arc<Shared>,
    /// Of the worker that this belongs to.
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) out: send::Batch,
    held: VecDeque<Held>,
    pub(super) later: Queue<Waiting>,
    scratch: Box<Scratch>,
    /// Interfaces on which the fast path runs here, not in the kernel.
    fast_on: Vec<u32>,
    gate: Gate,
}

/// A packet that waits for a record of its client.
struct Held {
    packet: Kept,
    since: u64,
}

/// A packet that is to be handed in again.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    socket: Arc<Socket>,
    bytes: Vec<u8>,
    from: LinkAddress,
    arrived: u64,
    pub(super) conflicts: u8,
}

/// A packet and the way it came.
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) socket: &'a Arc<Socket>,
    pub(super) frame: &'a Frame<'a>,
    pub(super) incoming: &'a Incoming<'a>,
    /// Addresses that it would have been offered if a stranger had not had them.
    pub(super) conflicts: u8,
    /// By the guard; none if it is off, or the packet is handed in again.
    pub(super) admitted: Option<Admitted>,
}

impl Packet<'_> {
    pub(super) fn parcel(&self, reply: Vec<u8>) -> Parcel {
        Parcel {
            socket: Arc::clone(self.socket),
            frame: reply,
            to: self.frame.from,
        }
    }

    pub(super) fn kept(&self, mut buffer: Vec<u8>) -> Kept {
        buffer.extend_from_slice(self.frame.bytes);
        Kept {
            socket: Arc::clone(self.socket),
            bytes: buffer,
            from: self.frame.from,
            arrived: self.frame.arrived,
            conflicts: self.conflicts,
        }
    }
}

impl Kept {
    /// The frame; its checksum was right the first time.
    pub(super) fn frame(&self) -> Frame<'_> {
        Frame {
            bytes: &self.bytes,
            ifindex: self.socket.ifindex,
            verify_udp: false,
            framing: self.socket.framing,
            from: self.from,
            arrived: self.arrived,
        }
    }
}

impl Handler {
    pub fn new(shared: Arc<Shared>, mailbox: Arc<Mailbox>) -> Self {
        Self {
            shared,
            mailbox,
            out: send::Batch::default(),
            held: VecDeque::new(),
            later: Queue::default(),
            scratch: Box::default(),
            fast_on: Vec::new(),
            gate: Gate::default(),
        }
    }

    /// Whether packets wait, so that [`Self::again`] is to be called in a millisecond.
    pub fn waits(&self) -> bool {
        !self.held.is_empty()
    }

    pub fn run_fast_path_on(&mut self, interfaces: Vec<u32>) {
        self.fast_on = interfaces;
    }

    pub fn frame(&mut self, socket: &Arc<Socket>, frame: &Frame<'_>, now: Now) {
        let Ok(incoming) = parse(frame) else {
            return self.malformed();
        };
        if socket.left_to_others.contains(&incoming.link.outer) {
            return;
        }
        self.shared.core.metrics.received.inc();
        let here = self.fast_on.contains(&socket.ifindex) && frame.framing == Framing::Ethernet;
        let asker = self.shared.core.guard.asker(&incoming);
        if asker.is_some_and(|asker| self.is_turned_away(&asker, frame, &incoming, here, now)) {
            return;
        }
        if here && is_direct(&incoming) && self.answered_fast(socket, frame, now) {
            return;
        }
        let admit = |asker| self.gate.admit(&self.shared.core, asker, &incoming, now);
        let admitted = asker.map(admit);
        if let Some(None) = admitted {
            return;
        }
        let packet = Packet {
            socket,
            frame,
            incoming: &incoming,
            conflicts: 0,
            admitted: admitted.flatten(),
        };
        if !self.done(packet, now) {
            let buffer = self.out.buffer();
            self.hold(packet.kept(buffer), now);
        }
    }

    pub fn malformed(&self) {
        self.shared.core.metrics.received.inc();
        self.shared.core.metrics.ignore(Ignored::Malformed);
    }

    /// Tries the packets that wait once more.
    pub fn again(&mut self, now: Now) {
        for _ in 0..self.held.len() {
            let Some(held) = self.held.pop_front() else {
                return;
            };
            if self.done_again(&held.packet, now) {
                self.out.recycle(held.packet.bytes);
            } else if held.since + PATIENCE < now.boot {
                self.shared.core.metrics.waited_too_long.inc();
            } else {
                self.held.push_back(held);
            }
        }
    }

    /// Tells the guard how busy this worker is.
    pub fn worked_since(&self, woken: Now) {
        let took = Now::read().boot.saturating_sub(woken.boot);
        self.shared.core.guard.worked(took);
    }

    /// Whether the guard stops it, if the kernel has not done so already. `here`: the fast path runs
    /// in this worker.
    fn is_turned_away(
        &self,
        asker: &Asker,
        frame: &Frame<'_>,
        incoming: &Incoming<'_>,
        here: bool,
        now: Now,
    ) -> bool {
        let core = &self.shared.core;
        if !core.guard.is_on_duty() {
            return false;
        }
        let seen = !here && core.guard.is_seen_by_kernel(frame, incoming);
        self.gate.turns_away(core, asker, seen, now)
    }

    /// Has a packet answered that was received before, as soon as that is possible.
    pub(super) fn take_again(&mut self, packet: Kept, now: Now) {
        if self.done_again(&packet, now) {
            self.out.recycle(packet.bytes);
        } else {
            self.hold(packet, now);
        }
    }

    fn done_again(&mut self, kept: &Kept, now: Now) -> bool {
        let frame = kept.frame();
        let Ok(incoming) = parse(&frame) else {
            return true;
        };
        let packet = Packet {
            socket: &kept.socket,
            frame: &frame,
            incoming: &incoming,
            conflicts: kept.conflicts,
            admitted: None,
        };
        self.done(packet, now)
    }

    /// Sends the replies so far.
    pub fn flush(&mut self) {
        ticket::flush(&self.shared.core, &mut self.out);
    }

    /// What the kernel would do with the frame, done here.
    fn answered_fast(&mut self, socket: &Arc<Socket>, frame: &Frame<'_>, now: Now) -> bool {
        let mut reply = self.out.buffer();
        reply.extend_from_slice(frame.bytes);
        let mut env = HostEnv {
            table: self.shared.core.engine.table(),
            frame: &mut reply,
            ifindex: socket.ifindex,
            now: now.boot,
        };
        let reason = env.answer(&mut self.scratch);
        self.shared.core.metrics.fast(reason);
        if reason.is_answer() {
            self.out.push(Parcel {
                socket: Arc::clone(socket),
                frame: reply,
                to: LinkAddress::default(),
            });
        } else {
            self.out.recycle(reply);
        }
        // Broken: the lease may be extended, but nothing is there to send.
        reason.is_answer() || reason == Reason::Broken || reason.is_drop()
    }

    /// Hands the packet to the engine; false if it must wait.
    fn done(&mut self, packet: Packet<'_>, now: Now) -> bool {
        let mut reply = self.out.buffer();
        let engine = &self.shared.core.engine;
        let outcome = engine.handle(now, packet.incoming, &mut reply);
        if let Some(admitted) = &packet.admitted {
            self.gate
                .see(&self.shared.core, admitted, packet.incoming, &outcome, now);
        }
        let before = self.outlived(packet.incoming, &outcome);
        match outcome {
            Outcome::Ignore(reason) => {
                self.shared.core.ignored(reason, packet.incoming, now);
                self.out.recycle(reply);
            }
            Outcome::Busy => {
                self.out.recycle(reply);
                return false;
            }
            Outcome::Reply(event) => {
                self.out.push(packet.parcel(reply));
                self.shared.core.happened(&event, now);
            }
            Outcome::Later(later) => self.wait(packet, reply, later, before, now),
            Outcome::Commit(commit) => {
                let reply = (!reply.is_empty()).then(|| packet.parcel(reply));
                self.append(commit, reply);
            }
        }
        true
    }

    pub(super) fn append(&self, commit: Commit, reply: Option<Parcel>) {
        let appended = ticket::append(&self.shared.journal, commit, reply, None);
        if let Err(rejected) = appended {
            ticket::refuse(&self.shared.core, rejected.ticket, &rejected.error);
        }
    }

    fn hold(&mut self, packet: Kept, now: Now) {
        if self.held.len() == MAX_HELD {
            self.shared.core.metrics.waited_too_long.inc();
            return;
        }
        let since = now.boot;
        self.held.push_back(Held { packet, since });
    }
}

/// Whether it is worth a copy of the frame to let the fast path look at it.
fn is_direct(incoming: &Incoming<'_>) -> bool {
    let giaddr = incoming.payload.get(bootp::GIADDR..bootp::GIADDR + 4);
    incoming.destination_port == SERVER_PORT && giaddr == Some(&[0; 4])
}
