//! The TFTP service: RFC 1350 with the options of RFC 2347 to 2349 and 7440, read only.
//!
//! Whoever asks may have made up its address, so a client takes a place only once it has answered.
//! Until then it counts among a few others, the oldest of which makes room for the newest. Who has
//! answered waits for its turn, as it cannot ask anew: it now speaks with the transfer's port only.
//!
//! `netascii` is served as `octet`. Broadcast requests are ignored. A request that comes when too
//! many wait gets no answer: the client asks again, where an error would end its boot.

pub mod options;
pub mod packet;
mod retry;
pub mod socket;
mod transfer;
mod unheard;
mod window;

#[cfg(test)]
pub use unheard::MIN as MIN_UNHEARD;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use self::packet::{Code, Packet, Read};
use self::socket::Asked;
use self::transfer::{Source, Transfer};
use self::unheard::Unheard;
use super::books::Place;
use super::read::on_disk;
use super::root::{self, OpenError};
use super::shared::Shared;

/// RFC 2347 sets 512; longer names than that are nobody's.
const LONGEST_REQUEST: usize = 1500;
/// Conversations remembered before those that are over are forgotten.
const MANY: usize = 256;
/// For each so many places, there may be one more client that was not heard yet.
const UNHEARD: usize = 4;

/// Answers requests for ever.
pub async fn serve(listener: UdpSocket, shared: Arc<Shared>) {
    let mut bytes = [0; LONGEST_REQUEST];
    let mut conversations = Conversations::default();
    loop {
        match receive(&listener, &mut bytes).await {
            Ok(asked) if asked.is_broadcast => {}
            Ok(asked) => conversations.request(&shared, asked, &bytes[..asked.len]),
            Err(error) => {
                tracing::warn!(%error, "TFTP");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn receive(listener: &UdpSocket, bytes: &mut [u8]) -> io::Result<Asked> {
    let receive = || socket::receive(listener.as_raw_fd(), bytes);
    listener.async_io(Interest::READABLE, receive).await
}

/// What each client asked for last, so that a request which comes twice is answered once.
#[derive(Default)]
struct Conversations {
    last: HashMap<SocketAddrV4, Conversation>,
    /// How many there may be before those that are over are looked for.
    limit: usize,
    unheard: Unheard,
}

struct Conversation {
    request: Vec<u8>,
    task: AbortHandle,
    /// The client has answered: the same request again would be a new one.
    heard: Arc<AtomicBool>,
}

impl Conversations {
    fn request(&mut self, shared: &Arc<Shared>, asked: Asked, bytes: &[u8]) {
        match packet::parse(bytes) {
            Some(Packet::Read(_)) => self.read(shared, asked, bytes),
            Some(Packet::Unserved) => unserved(asked),
            _ => {}
        }
    }

    fn read(&mut self, shared: &Arc<Shared>, asked: Asked, bytes: &[u8]) {
        if let Some(last) = self.last.get(&asked.client) {
            let same = last.request == bytes && !last.heard.load(Relaxed);
            if same && !last.task.is_finished() {
                return;
            }
            // The client began anew.
            last.task.abort();
        }
        let Some(place) = shared.books.greet(asked.client.into()) else {
            return;
        };
        self.unheard.make_room(shared.books.max() / UNHEARD);
        self.forget();
        let (request, heard) = (bytes.to_vec(), Arc::new(AtomicBool::new(false)));
        let job = Job {
            shared: Arc::clone(shared),
            place: Arc::new(place),
            asked,
            request: request.clone(),
            heard: Arc::clone(&heard),
        };
        // Handles to it may be kept for long: what they hold on to is to be small.
        let task = tokio::spawn(Box::pin(job.run())).abort_handle();
        self.unheard.add(task.clone(), Arc::clone(&heard));
        let conversation = Conversation {
            request,
            task,
            heard,
        };
        self.last.insert(asked.client, conversation);
    }

    fn forget(&mut self) {
        if self.last.len() >= self.limit.max(MANY) {
            self.last.retain(|_, one| !one.task.is_finished());
            self.limit = self.last.len() * 2;
        }
    }
}

fn unserved(asked: Asked) {
    let words = "files can be read only, in octet or netascii mode";
    let words = packet::error(Code::IllegalOperation, words);
    let sent = socket::to_client(asked.server, asked.client).and_then(|to| to.send(&words));
    if let Err(error) = sent {
        tracing::debug!(client = %asked.client, %error, "no answer");
    }
}

/// A request on its way to a transfer.
struct Job {
    shared: Arc<Shared>,
    place: Arc<Place>,
    asked: Asked,
    request: Vec<u8>,
    heard: Arc<AtomicBool>,
}

impl Job {
    async fn run(self) {
        let client = self.asked.client;
        if let Err(error) = self.answer().await {
            tracing::debug!(%client, %error, "no answer");
        }
    }

    async fn answer(self) -> io::Result<()> {
        let Some(Packet::Read(read)) = packet::parse(&self.request) else {
            return Ok(());
        };
        let socket = UdpSocket::from_std(socket::to_client(self.asked.server, self.asked.client)?)?;
        let (name, root) = (read.file.to_vec(), self.shared.root());
        let opened = on_disk(move || root::open(&root, &name)).await?;
        match opened {
            Ok(opened) => self.transfer(&read, socket, opened).await,
            Err(why) => {
                self.place.refused(&root::shown(read.file), &why);
                socket.send(&complaint(&why)).await?;
            }
        }
        Ok(())
    }

    async fn transfer(&self, read: &Read<'_>, socket: UdpSocket, opened: root::Opened) {
        let (terms, agreed) = options::agree(read, opened.size);
        let oack = match agreed.is_empty() {
            true => Vec::new(),
            false => packet::oack(&agreed),
        };
        let transfer = Transfer {
            socket,
            source: Source::new(opened.file, opened.size),
            terms,
            oack,
            ongoing: self.place.begin(root::shown(read.file), opened.size),
            heard: Arc::clone(&self.heard),
        };
        transfer::run(transfer).await;
    }
}

fn complaint(why: &OpenError) -> Vec<u8> {
    let code = match why {
        OpenError::NotFound => Code::NotFound,
        OpenError::Outside | OpenError::NotAFile | OpenError::Forbidden | OpenError::NotPublic => {
            Code::AccessViolation
        }
        OpenError::Io(_) => Code::NotDefined,
    };
    packet::error(code, &why.to_string())
}
