//! The sockets that hear answers, opened when they are first needed, and who listens to them.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::arp::Reply;
use super::echo::Echo;
use crate::net::{Socket, receive, socket};
use crate::run::poll::{Bell, Poll};

const BELL: u64 = u64::MAX;
const ECHO: u64 = u64::MAX - 1;

/// What somebody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Arp(Reply),
    Echo(Ipv4Addr),
}

pub struct Ear {
    poll: Poll,
    bell: Bell,
    stopped: AtomicBool,
    /// By interface, and whether frames with tags are heard too.
    arp: Mutex<BTreeMap<(u32, bool), Arc<Socket>>>,
    echo: OnceLock<Echo>,
}

impl Ear {
    /// # Errors
    /// If the process has too many open files.
    pub fn new() -> io::Result<Self> {
        let (poll, bell) = (Poll::new()?, Bell::new()?);
        poll.add(bell.fd(), BELL)?;
        Ok(Self {
            poll,
            bell,
            stopped: AtomicBool::new(false),
            arp: Mutex::default(),
            echo: OnceLock::new(),
        })
    }

    /// Hears ARP replies on an interface from now on. Only where VLANs are in use, the kernel has
    /// to show this every frame of the interface.
    ///
    /// # Errors
    /// If the interface is gone, or the system refuses a socket.
    pub fn listen_to(&self, ifindex: u32, tagged: bool) -> io::Result<()> {
        let mut sockets = self.arp.lock().expect("no panics while held");
        if sockets.contains_key(&(ifindex, tagged)) {
            return Ok(());
        }
        let socket = socket::open_for_arp(ifindex, tagged)?;
        self.poll.add(socket.as_fd(), key(ifindex, tagged))?;
        sockets.insert((ifindex, tagged), Arc::new(socket));
        Ok(())
    }

    /// The socket for echo requests, whose answers are heard from now on.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn echo(&self) -> io::Result<&Echo> {
        if let Some(echo) = self.echo.get() {
            return Ok(echo);
        }
        let echo = Echo::open()?;
        let echo = self.echo.get_or_init(|| echo);
        match self.poll.add(echo.as_fd(), ECHO) {
            Err(error) if error.raw_os_error() != Some(libc::EEXIST) => Err(error),
            _ => Ok(echo),
        }
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.bell.ring();
    }

    /// Tells `tell` what is heard, until [`Self::stop`].
    pub fn run(&self, mut tell: impl FnMut(Heard)) {
        let mut batch = receive::Batch::default();
        let mut keys = Vec::new();
        while !self.stopped.load(Ordering::Relaxed) {
            self.poll.wait(-1, &mut keys);
            for at in &keys {
                match *at {
                    BELL => self.bell.hear(),
                    ECHO => self.hear_echoes(&mut tell),
                    at => self.hear_arp(at, &mut batch, &mut tell),
                }
            }
        }
    }

    fn hear_echoes(&self, tell: &mut impl FnMut(Heard)) {
        while let Some(from) = self.echo.get().and_then(Echo::heard) {
            tell(Heard::Echo(from));
        }
    }

    fn hear_arp(&self, at: u64, batch: &mut receive::Batch, tell: &mut impl FnMut(Heard)) {
        let place = ((at >> 1) as u32, at & 1 == 1);
        let mut sockets = self.arp.lock().expect("no panics while held");
        let Some(socket) = sockets.get(&place).map(Arc::clone) else {
            return;
        };
        let Ok(count) = batch.receive(&socket) else {
            // Down or gone: if it comes back, the next question opens it anew.
            let _ = self.poll.remove(socket.as_fd());
            sockets.remove(&place);
            return;
        };
        drop(sockets);
        for i in 0..count {
            if let Some(reply) = batch.frame(i).ok().and_then(|frame| Reply::parse(&frame)) {
                tell(Heard::Arp(reply));
            }
        }
    }
}

fn key(ifindex: u32, tagged: bool) -> u64 {
    u64::from(ifindex) << 1 | u64::from(tagged)
}
