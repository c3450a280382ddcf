//! One file to one client.

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::books::Ongoing;
use super::super::read::piece;
use super::super::report::Ended;
use super::options::Terms;
use super::packet::{self, Code, HEADER, Packet};
use super::retry::{self, Retry};
use super::window::{Next, Window};

/// Read at once.
const AHEAD: u64 = 64 << 10;
/// Acknowledgements and errors are shorter.
const RECEIVED: usize = 600;
/// A smaller MTU than was thought, a full queue, a host that does not answer ARP just now.
const LOSSES: [i32; 4] = [
    libc::EMSGSIZE,
    libc::ENOBUFS,
    libc::EHOSTUNREACH,
    libc::ENETUNREACH,
];

pub struct Transfer {
    pub socket: UdpSocket,
    pub source: Source,
    pub terms: Terms,
    /// Empty if no option was agreed on.
    pub oack: Vec<u8>,
    pub ongoing: Ongoing,
    /// Set once the client has answered.
    pub heard: Arc<AtomicBool>,
}

/// Why a transfer ended before the client had all.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("the client ended it: {0}")]
    Client(String),
    #[error("too many clients wait for files; try again later")]
    Busy,
    #[error("the client does not answer")]
    Silence,
    #[error("the client does not listen any more")]
    Gone,
    #[error("the file cannot be read: {0}")]
    Read(io::Error),
    #[error("cannot send: {0}")]
    Network(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Gone,
            _ => Self::Network(error),
        }
    }
}

/// Sends it.
pub async fn run(transfer: Transfer) {
    let Transfer {
        socket,
        source,
        terms,
        oack,
        ongoing,
        heard,
    } = transfer;
    let mut line = Line {
        window: Window::new(source.size / terms.block + 1, terms.window),
        retry: Retry::new(terms.timeout, Instant::now()),
        block: terms.block,
        packet: Vec::new(),
        socket,
        source,
        oack,
        ongoing,
        heard,
    };
    let stop = line.run().await.err();
    line.end(stop).await;
}

struct Line {
    socket: UdpSocket,
    source: Source,
    window: Window,
    retry: Retry,
    block: u64,
    oack: Vec<u8>,
    ongoing: Ongoing,
    heard: Arc<AtomicBool>,
    /// What is sent next.
    packet: Vec<u8>,
}

impl Line {
    async fn run(&mut self) -> Result<(), Stop> {
        let mut next = self.open().await?;
        loop {
            match next {
                Next::Done => return Ok(()),
                Next::Send(blocks) => self.send(blocks).await?,
                Next::Nothing => {}
            }
            next = self.listen().await?;
        }
    }

    /// Where options were asked for, the client must agree first.
    async fn open(&mut self) -> Result<Next, Stop> {
        if self.oack.is_empty() {
            return Ok(self.window.ack(0));
        }
        self.put(&self.oack).await?;
        self.retry.sent(Instant::now());
        Ok(Next::Nothing)
    }

    async fn listen(&mut self) -> Result<Next, Stop> {
        let mut bytes = [0; RECEIVED];
        let received = timeout_at(self.retry.deadline(), self.socket.recv(&mut bytes)).await;
        let Ok(received) = received else {
            return self.silence().await;
        };
        let len = match received {
            Err(error) if is_loss(&error) => return Ok(Next::Nothing),
            received => received?,
        };
        match packet::parse(&bytes[..len]) {
            Some(Packet::Ack(block)) => {
                let next = self.acked(block);
                if next != Next::Done && !self.heard.swap(true, Relaxed) {
                    self.take_place().await?;
                }
                Ok(next)
            }
            Some(Packet::Error(words)) => Err(Stop::Client(super::super::root::shown(words))),
            _ => Ok(Next::Nothing),
        }
    }

    /// The client is who it says. It repeats itself while it waits, unless it goes.
    async fn take_place(&self) -> Result<(), Stop> {
        let place = self.ongoing.place();
        if !place.enter() {
            return Err(Stop::Busy);
        }
        let (mut turn, mut bytes) = (pin!(place.wait()), [0; RECEIVED]);
        loop {
            let received = timeout(retry::GIVE_UP, self.socket.recv(&mut bytes));
            let received = tokio::select! {
                () = &mut turn => return Ok(()),
                received = received => received.map_err(|_| Stop::Silence)?,
            };
            let len = match received {
                Err(error) if is_loss(&error) => continue,
                received => received?,
            };
            if let Some(Packet::Error(words)) = packet::parse(&bytes[..len]) {
                return Err(Stop::Client(super::super::root::shown(words)));
            }
        }
    }

    fn acked(&mut self, block: u16) -> Next {
        let next = self.window.ack(block);
        if next != Next::Nothing {
            self.retry.heard(Instant::now());
            self.ongoing
                .has(self.source.size.min(self.window.acked() * self.block));
        }
        next
    }

    async fn silence(&mut self) -> Result<Next, Stop> {
        if !self.retry.again(Instant::now()) {
            return Err(Stop::Silence);
        }
        if self.window.is_closed() {
            self.put(&self.oack).await?;
            return Ok(Next::Nothing);
        }
        let blocks = self.window.timeout();
        self.blocks(blocks).await?;
        Ok(Next::Nothing)
    }

    async fn send(&mut self, blocks: RangeInclusive<u64>) -> Result<(), Stop> {
        self.blocks(blocks).await?;
        self.retry.sent(Instant::now());
        Ok(())
    }

    async fn blocks(&mut self, blocks: RangeInclusive<u64>) -> Result<(), Stop> {
        self.ongoing.resent(self.window.take_resent());
        let start = (blocks.start() - 1) * self.block;
        let end = self.source.size.min(blocks.end() * self.block);
        let bytes = self
            .source
            .bytes(start, end - start)
            .await
            .map_err(Stop::Read)?;
        // A file whose last block is full ends with an empty one.
        let mut parts = bytes.chunks(self.block as usize);
        for block in blocks {
            packet::data(&mut self.packet, block, parts.next().unwrap_or_default());
            debug_assert!(self.packet.len() <= HEADER + self.block as usize);
            self.put(&self.packet).await?;
        }
        Ok(())
    }

    /// What cannot be sent now counts as lost on its way: it is sent again.
    async fn put(&self, packet: &[u8]) -> io::Result<()> {
        match self.socket.send(packet).await {
            Err(error) if !is_loss(&error) => Err(error),
            _ => Ok(()),
        }
    }

    async fn end(self, stop: Option<Stop>) {
        let Some(stop) = stop else {
            return self.ongoing.end(Ended::Complete);
        };
        tracing::debug!("{stop}");
        let ended = match stop {
            Stop::Busy => Ended::Busy,
            // PXE firmware asks for the size this way, and then in earnest.
            Stop::Client(_) | Stop::Gone if self.window.is_closed() => Ended::Asked,
            // It has closed the port once it had all, and its last word was lost.
            Stop::Gone if self.window.is_all_sent() => Ended::Complete,
            _ => Ended::Aborted,
        };
        if ended == Ended::Complete {
            self.ongoing.has(self.source.size);
        }
        let words = match stop {
            Stop::Read(_) => Some("the file cannot be read to its end"),
            // The client would repeat itself to this port until it gives up.
            Stop::Busy => Some("too many clients wait for files; try again later"),
            _ => None,
        };
        if let Some(words) = words {
            let _ = self
                .socket
                .send(&packet::error(Code::NotDefined, words))
                .await;
        }
        self.ongoing.end(ended);
    }
}

/// Whether a packet went missing on this machine or on the path, which may pass.
fn is_loss(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code.is_some_and(|code| LOSSES.contains(&code))
}

/// A file, and what was read of it last.
pub struct Source {
    file: Arc<File>,
    pub size: u64,
    at: u64,
    read: Bytes,
}

impl Source {
    #[must_use]
    pub const fn new(file: Arc<File>, size: u64) -> Self {
        Self {
            file,
            size,
            at: 0,
            read: Bytes::new(),
        }
    }

    async fn bytes(&mut self, at: u64, len: u64) -> io::Result<Bytes> {
        if at < self.at || at + len > self.at + self.read.len() as u64 {
            let len = len.max(AHEAD).min(self.size - at);
            self.read = piece(&self.file, at, len as usize).await?;
            self.at = at;
        }
        let from = (at - self.at) as usize;
        Ok(self.read.slice(from..from + len as usize))
    }
}
