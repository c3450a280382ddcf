//! A worker: takes what its sockets receive, in batches.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::handler::Handler;
use super::mailbox::{Mailbox, Message};
use super::poll::Poll;
use super::shared::Shared;
use crate::clock::Now;
use crate::net::{Socket, receive};

/// The mailbox's key; the others are interface indices.
const MAILBOX: u64 = u64::MAX;
/// Batches from one socket before the next has its turn.
const TURNS: usize = 4;
/// What a record takes to be on disk, about.
const RECORD: Duration = Duration::from_millis(1);
const MILLISECOND: u64 = 1_000_000;

struct Worker {
    poll: Poll,
    mailbox: Arc<Mailbox>,
    sockets: BTreeMap<u32, Arc<Socket>>,
    batch: receive::Batch,
    handler: Handler,
    stopping: bool,
}

/// Starts worker `number`.
///
/// # Errors
/// If the system has no thread or file descriptor left.
pub fn start(
    number: usize,
    mailbox: Arc<Mailbox>,
    shared: Arc<Shared>,
) -> io::Result<JoinHandle<()>> {
    let poll = Poll::new()?;
    poll.add(mailbox.fd(), MAILBOX)?;
    let run = move || {
        let worker = Worker {
            poll,
            handler: Handler::new(shared, Arc::clone(&mailbox)),
            mailbox,
            sockets: BTreeMap::new(),
            batch: receive::Batch::default(),
            stopping: false,
        };
        worker.run();
    };
    std::thread::Builder::new()
        .name(format!("worker-{number}"))
        .spawn(run)
}

impl Worker {
    fn run(mut self) {
        let mut keys = Vec::new();
        while !self.stopping {
            self.poll.wait(self.timeout(), &mut keys);
            for key in &keys {
                self.serve(*key);
            }
            if self.handler.waits() {
                self.handler.again(Now::read());
            }
            if self.handler.next_due().is_some() {
                self.handler.send_due(Now::read());
            }
            self.handler.flush();
        }
        self.drain();
    }

    /// Milliseconds until something is to be done that no packet brings about; -1: never.
    fn timeout(&self) -> i32 {
        if self.handler.waits() {
            return RECORD.as_millis() as i32;
        }
        let Some(due) = self.handler.next_due() else {
            return -1;
        };
        let left = due.saturating_sub(Now::read().boot);
        i32::try_from(left.div_ceil(MILLISECOND)).unwrap_or(i32::MAX)
    }

    /// Answers what was received before the end, and what waits for a record, which is patient for
    /// a bounded time.
    fn drain(&mut self) {
        for socket in std::mem::take(&mut self.sockets).values() {
            self.receive(socket);
        }
        while self.handler.waits() {
            std::thread::sleep(RECORD);
            self.handler.again(Now::read());
            self.handler.flush();
        }
    }

    fn serve(&mut self, key: u64) {
        if key == MAILBOX {
            self.read_mail();
        } else if let Some(socket) = self.sockets.get(&(key as u32)) {
            self.receive(&Arc::clone(socket));
        }
    }

    fn receive(&mut self, socket: &Arc<Socket>) {
        for _ in 0..TURNS {
            // The interface is gone or down: the sweeper notices, and opens it anew when it is back.
            let Ok(count) = self.batch.receive(socket) else {
                return;
            };
            let now = Now::read();
            for i in 0..count {
                match self.batch.frame(i) {
                    Ok(frame) => self.handler.frame(socket, &frame, now),
                    Err(_) => self.handler.malformed(),
                }
            }
            self.handler.flush();
            if count < receive::SIZE {
                return;
            }
        }
    }

    fn read_mail(&mut self) {
        for message in self.mailbox.take() {
            match message {
                Message::Serve(socket) => self.watch(socket),
                Message::Leave(ifindex) => {
                    self.forget(ifindex);
                }
                Message::FastPathOn(interfaces) => self.handler.run_fast_path_on(interfaces),
                Message::Conflict(client, address) => {
                    self.handler.conflict(&client, address, Now::read());
                }
                Message::Stop => self.stopping = true,
            }
        }
    }

    fn watch(&mut self, socket: Arc<Socket>) {
        self.forget(socket.ifindex);
        match self.poll.add(socket.as_fd(), u64::from(socket.ifindex)) {
            Ok(()) => {
                self.sockets.insert(socket.ifindex, socket);
            }
            Err(error) => tracing::error!(%error, ifindex = socket.ifindex, "cannot watch socket"),
        }
    }

    fn forget(&mut self, ifindex: u32) {
        if let Some(socket) = self.sockets.remove(&ifindex) {
            // Tickets may keep the socket open; it must not wake this thread any more.
            let _ = self.poll.remove(socket.as_fd());
        }
    }
}
