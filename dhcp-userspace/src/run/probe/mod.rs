//! Whether an address is free before it is offered: asks, and listens for a stranger's answer.
//!
//! Nobody waits for an answer: the offer waits in its worker ([`super::later`]), which hears of a
//! stranger by its mailbox. A thread listens; it is started with the first question.

mod arp;
mod ear;
mod echo;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use dhcp_common::slot::Link;
use foldhash::fast::RandomState;

use self::ear::{Ear, Heard};
use super::later::Client;
use super::mailbox::{Mailbox, Message};
use crate::clock::SECOND;
use crate::config::model::Mac;
use crate::engine::Probe;

/// Questions that are open at once: each makes every host of a link look up.
const MOST: usize = 4096;
/// How long an address that nobody had counts as free.
const FRESH: u64 = 60 * SECOND;
/// Addresses that are known to be free.
const MOST_FREE: usize = 65_536;

/// A question, and who wants to know.
pub struct Question<'a> {
    pub probe: Probe,
    /// The link header of the reply that waits.
    pub l2: &'a [u8],
    pub link: Link,
    pub client: Client,
    /// The client's own: its answer does not count.
    pub mac: Mac,
    pub mailbox: &'a Arc<Mailbox>,
}

/// What becomes of a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun {
    /// The address is known to be free, or nobody can be asked.
    Needless,
    /// Whoever has the address is asked, and the frame, if any, is to be sent.
    Asked(Option<Vec<u8>>),
    /// Too many questions are open.
    Full,
}

/// A question that is open.
struct Open {
    /// Where the answer must come from; `None`: anywhere.
    link: Option<Link>,
    client: Client,
    mac: Mac,
    mailbox: Arc<Mailbox>,
}

#[derive(Default)]
struct Questions {
    open: HashMap<Ipv4Addr, Open, RandomState>,
    /// Until when an address counts as free.
    free: HashMap<Ipv4Addr, u64, RandomState>,
    /// When those that count no longer may be looked for again, which takes long.
    purge: u64,
}

#[derive(Default)]
pub struct Prober {
    questions: Arc<Mutex<Questions>>,
    thread: Mutex<Option<(Arc<Ear>, JoinHandle<()>)>>,
    complained: AtomicBool,
}

impl Prober {
    /// Asks for an address, unless it is known to be free.
    pub fn ask(&self, question: &Question<'_>, now: u64) -> Begun {
        let by_arp = question.probe.on_link && !question.l2.is_empty();
        let address = question.probe.address;
        {
            let mut questions = lock(&self.questions);
            if questions.is_free(address, now) {
                return Begun::Needless;
            }
            if questions.open.len() >= MOST {
                return Begun::Full;
            }
            questions.open.insert(address, question.open(by_arp));
        }
        match self.put(question, by_arp) {
            Ok(frame) => Begun::Asked(frame),
            Err(error) => {
                self.forget(address);
                self.complain(address, &error);
                Begun::Needless
            }
        }
    }

    /// Once: clients may come by the thousand.
    fn complain(&self, address: Ipv4Addr, error: &io::Error) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %address, %error,
                "addresses are offered without a conflict check, because nobody can be asked; \
                 this is said once"
            );
        }
    }

    /// Opens the ears first: an answer may come at once.
    fn put(&self, question: &Question<'_>, by_arp: bool) -> io::Result<Option<Vec<u8>>> {
        let Probe {
            address, server, ..
        } = question.probe;
        let ear = self.ear()?;
        if by_arp {
            ear.listen_to(question.link.ifindex, question.link.outer != 0)?;
            return Ok(Some(arp::request(question.l2, server, address)));
        }
        ear.echo()?.ask(address)?;
        Ok(None)
    }

    /// Nobody has answered in time.
    pub fn is_free(&self, address: Ipv4Addr, now: u64) {
        let mut questions = lock(&self.questions);
        questions.open.remove(&address);
        if questions.free.len() >= MOST_FREE && now >= questions.purge {
            questions.free.retain(|_, until| *until > now);
            questions.purge = now + SECOND;
        }
        if questions.free.len() < MOST_FREE {
            questions.free.insert(address, now + FRESH);
        }
    }

    /// Nobody wants to know any more.
    pub fn forget(&self, address: Ipv4Addr) {
        lock(&self.questions).open.remove(&address);
    }

    /// Ends the thread, if there is one.
    pub fn stop(&self) {
        if let Some((ear, thread)) = lock(&self.thread).take() {
            ear.stop();
            let _ = thread.join();
        }
    }

    fn ear(&self) -> io::Result<Arc<Ear>> {
        let mut thread = lock(&self.thread);
        if let Some((ear, _)) = &*thread {
            return Ok(Arc::clone(ear));
        }
        let ear = Arc::new(Ear::new()?);
        let (here, questions) = (Arc::clone(&ear), Arc::clone(&self.questions));
        let run = move || here.run(|heard| lock(&questions).hear(heard));
        let started = std::thread::Builder::new()
            .name("prober".to_owned())
            .spawn(run)?;
        *thread = Some((Arc::clone(&ear), started));
        Ok(ear)
    }
}

impl Question<'_> {
    fn open(&self, by_arp: bool) -> Open {
        Open {
            link: by_arp.then_some(self.link),
            client: self.client.clone(),
            mac: self.mac,
            mailbox: Arc::clone(self.mailbox),
        }
    }
}

impl Questions {
    fn is_free(&self, address: Ipv4Addr, now: u64) -> bool {
        self.free.get(&address).is_some_and(|until| *until > now)
    }

    /// Tells the worker of the client whose address it would have been.
    fn hear(&mut self, heard: Heard) {
        let address = match heard {
            Heard::Arp(reply) => reply.address,
            Heard::Echo(from) => from,
        };
        if !self
            .open
            .get(&address)
            .is_some_and(|open| open.minds(heard))
        {
            return;
        }
        if let Some(open) = self.open.remove(&address) {
            let conflict = Message::Conflict(open.client, address);
            open.mailbox.put(conflict);
        }
    }
}

impl Open {
    /// Whether this comes from the place that was asked, and not from the client itself.
    fn minds(&self, heard: Heard) -> bool {
        match heard {
            Heard::Arp(reply) => self.link == Some(reply.link) && reply.mac != self.mac,
            Heard::Echo(_) => self.link.is_none(),
        }
    }
}

/// What is held is right at every moment, whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
