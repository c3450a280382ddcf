//! What other threads tell a worker.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use super::later::Client;
use super::poll::Bell;
use crate::net::Socket;

pub enum Message {
    /// Serve an interface by this socket.
    Serve(Arc<Socket>),
    /// Serve an interface no longer.
    Leave(u32),
    /// The interfaces on which the worker runs the fast path, because the kernel does not.
    FastPathOn(Vec<u32>),
    /// Somebody else has the address that is about to be offered to this client.
    Conflict(Client, Ipv4Addr),
    Stop,
}

pub struct Mailbox {
    messages: Mutex<Vec<Message>>,
    bell: Bell,
}

impl Mailbox {
    /// # Errors
    /// If the process has too many open files.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            messages: Mutex::default(),
            bell: Bell::new()?,
        })
    }

    pub fn put(&self, message: Message) {
        self.messages
            .lock()
            .expect("no panics while held")
            .push(message);
        self.bell.ring();
    }

    /// All messages since the last call.
    pub fn take(&self) -> Vec<Message> {
        self.bell.hear();
        std::mem::take(&mut *self.messages.lock().expect("no panics while held"))
    }

    /// Readable when there are messages.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.bell.fd()
    }
}
