//! One packet, from the frame to what becomes of it. Each worker has its own.

use std::collections::VecDeque;
use std::sync::Arc;

use dhcp_common::Reason;
use dhcp_common::fast::Scratch;
use dhcp_common::wire::bootp;

use super::shared::Shared;
use super::ticket;
use crate::clock::Now;
use crate::engine::{Ignored, Incoming, Outcome};
use crate::fastpath::host::HostEnv;
use crate::net::frame::{Frame, parse};
use crate::net::{Socket, send};

/// Packets that wait for a record of their client. More are dropped: the clients ask again.
const MAX_HELD: usize = 1024;
/// How long one waits at most. A disk that takes longer has a client that asks again.
const PATIENCE: u64 = 500_000_000;

pub struct Handler {
    shared: Arc<Shared>,
    out: send::Batch,
    held: VecDeque<Held>,
    scratch: Box<Scratch>,
    /// Interfaces on which the fast path runs here, not in the kernel.
    fast_on: Vec<u32>,
}

/// A packet that waits.
struct Held {
    socket: Arc<Socket>,
    bytes: Vec<u8>,
    since: u64,
}

impl Handler {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            out: send::Batch::default(),
            held: VecDeque::new(),
            scratch: Box::default(),
            fast_on: Vec::new(),
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
        let fast = self.fast_on.contains(&socket.ifindex) && is_renewal(&incoming);
        if fast && self.answered_fast(socket, frame, now) {
            return;
        }
        if !self.done(socket, &incoming, now) {
            self.hold(socket, frame.bytes, now);
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
            let frame = Frame {
                bytes: &held.bytes,
                ifindex: held.socket.ifindex,
                verify_udp: false,
            };
            let done = match parse(&frame) {
                Ok(incoming) => self.done(&held.socket, &incoming, now),
                Err(_) => true,
            };
            if done {
                self.out.recycle(held.bytes);
            } else if held.since + PATIENCE < now.boot {
                self.shared.core.metrics.waited_too_long.inc();
            } else {
                self.held.push_back(held);
            }
        }
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
        if reason == Reason::Hit {
            self.out.push(Arc::clone(socket), reply);
        } else {
            self.out.recycle(reply);
        }
        // Broken: the lease may be extended, but nothing is there to send.
        matches!(reason, Reason::Hit | Reason::Broken)
    }

    /// Hands the packet to the engine; false if it must wait.
    fn done(&mut self, socket: &Arc<Socket>, incoming: &Incoming<'_>, now: Now) -> bool {
        let mut reply = self.out.buffer();
        match self.shared.core.engine.handle(now, incoming, &mut reply) {
            Outcome::Ignore(reason) => {
                self.shared.core.metrics.ignore(reason);
                self.out.recycle(reply);
            }
            Outcome::Busy => {
                self.out.recycle(reply);
                return false;
            }
            Outcome::Reply(event) => {
                self.out.push(Arc::clone(socket), reply);
                self.shared.core.happened(&event, now);
            }
            // Nothing makes the engine wait yet.
            Outcome::Later(later) => {
                self.out.push(Arc::clone(socket), reply);
                self.shared.core.happened(&later.event, now);
            }
            Outcome::Commit(commit) => {
                let reply = (!reply.is_empty()).then(|| (Arc::clone(socket), reply));
                let appended = ticket::append(&self.shared.journal, commit, reply, None);
                if let Err(rejected) = appended {
                    ticket::refuse(&self.shared.core, rejected.ticket, &rejected.error);
                }
            }
        }
        true
    }

    fn hold(&mut self, socket: &Arc<Socket>, bytes: &[u8], now: Now) {
        if self.held.len() == MAX_HELD {
            self.shared.core.metrics.waited_too_long.inc();
            return;
        }
        let mut copy = self.out.buffer();
        copy.extend_from_slice(bytes);
        self.held.push_back(Held {
            socket: Arc::clone(socket),
            bytes: copy,
            since: now.boot,
        });
    }
}

/// Whether it is worth a copy of the frame to let the fast path look at it.
fn is_renewal(incoming: &Incoming<'_>) -> bool {
    let field = |at: usize| incoming.payload.get(at..at + 4);
    field(bootp::CIADDR).is_some_and(|ciaddr| ciaddr != [0; 4])
        && field(bootp::GIADDR) == Some(&[0; 4])
}
