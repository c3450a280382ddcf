//! What each client was told of each address, and what the server had promised on disk by then: kept
//! beside the server, from what comes out of it alone.
//!
//! Each address has a history of states. It is written by who makes the server change something: before
//! a lease can be seen, and after it cannot be seen any more. So a run of the fast path that began and
//! ended under the same state ran under it; one that met several was right if any of them allows it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail, ensure};

/// States kept of an address: more than change while one frame is answered.
const KEPT: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody's.
    Free,
    /// Locked by a change that is on its way to disk.
    Closed,
    /// Ended at this time.
    Ended(u64),
    Open(Open),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    pub client: usize,
    /// Until when the lease is on disk.
    pub promise: u64,
    /// When it was made.
    pub since: u64,
    id: u64,
}

struct Book {
    states: VecDeque<State>,
    /// How many states came before the first one kept.
    forgotten: u64,
    holder: Option<usize>,
    /// What the holder was told.
    told: u64,
}

pub struct Ledger {
    books: Vec<Mutex<Book>>,
    ids: AtomicU64,
}

impl Book {
    fn last(&self) -> State {
        *self.states.back().expect("never empty")
    }

    fn epoch(&self) -> u64 {
        self.forgotten + self.states.len() as u64 - 1
    }

    fn push(&mut self, state: State) {
        self.states.push_back(state);
        if self.states.len() > KEPT {
            self.states.pop_front();
            self.forgotten += 1;
        }
    }

    /// The first state, from that one on, that explains a grant `until` then to this client.
    fn explains(&self, first: usize, client: usize, until: u64) -> Option<usize> {
        let allows = |(at, state): &(usize, &State)| match state {
            State::Open(open) => {
                let mine = open.client == client && open.promise >= until;
                mine && self.keeps(*at, client, until)
            }
            _ => false,
        };
        let mut states = self.states.iter().enumerate().skip(first);
        states.find(allows).map(|(at, _)| at)
    }

    /// Whether what follows a state leaves a grant under it standing.
    fn keeps(&self, at: usize, client: usize, until: u64) -> bool {
        let mut later = self.states.iter().skip(at + 1);
        let next = later.find(|state| **state != State::Closed);
        match next {
            Some(State::Ended(end)) => until <= *end,
            Some(State::Open(open)) => open.client == client || until <= open.since,
            _ => true,
        }
    }
}

impl Ledger {
    pub fn new(addresses: usize) -> Self {
        let book = || {
            Mutex::new(Book {
                states: VecDeque::from([State::Free]),
                forgotten: 0,
                holder: None,
                told: 0,
            })
        };
        Self {
            books: std::iter::repeat_with(book).take(addresses).collect(),
            ids: AtomicU64::new(1),
        }
    }

    fn book(&self, address: usize) -> MutexGuard<'_, Book> {
        let book = self.books[address].lock();
        book.unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the history of an address stands.
    pub fn epoch(&self, address: usize) -> u64 {
        self.book(address).epoch()
    }

    pub fn holder(&self, address: usize) -> Option<usize> {
        self.book(address).holder
    }

    pub fn told(&self, address: usize) -> Option<(usize, u64)> {
        let book = self.book(address);
        Some((book.holder?, book.told))
    }

    /// The lease that the sweeper moves the promise of; the slot is locked.
    pub fn open(&self, address: usize, client: usize) -> Result<Open> {
        match self.book(address).last() {
            State::Open(open) if open.client == client => Ok(open),
            other => bail!("a promise for client {client}, but the ledger has {other:?}"),
        }
    }

    /// A change of the address is on its way to disk; gives the state that it interrupts.
    pub fn closed(&self, address: usize) -> State {
        let mut book = self.book(address);
        let before = book.last();
        book.push(State::Closed);
        before
    }

    /// The change was refused; to be told before the engine is.
    pub fn restored(&self, address: usize, before: State) {
        self.book(address).push(before);
    }

    /// Somebody is about to get the address, at a moment before `now`.
    pub fn is_given(&self, address: usize, client: usize, now: u64) -> Result<()> {
        let book = self.book(address);
        match book.holder {
            Some(other) if other != client && book.told > now => bail!(
                "address {address} is given to client {client}, but client {other} holds it for {} ns \
                 more",
                book.told - now
            ),
            _ => Ok(()),
        }
    }

    /// The lease is on disk; to be told before the engine makes it visible.
    pub fn opened(&self, address: usize, client: usize, promise: u64, since: u64) {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let mut book = self.book(address);
        if book.holder != Some(client) {
            (book.holder, book.told) = (Some(client), 0);
        }
        book.push(State::Open(Open {
            client,
            promise,
            since,
            id,
        }));
    }

    /// The promise is on disk; to be told before the engine moves it.
    pub fn promised(&self, address: usize, lease: Open, promise: u64) {
        let mut book = self.book(address);
        if let State::Open(now) = book.last()
            && now.id == lease.id
        {
            book.push(State::Open(Open { promise, ..now }));
        }
    }

    /// The client gave the address back, or it was taken; to be told before the engine shows it.
    pub fn freed(&self, address: usize) {
        let mut book = self.book(address);
        (book.holder, book.told) = (None, 0);
        book.push(State::Free);
    }

    /// The sweeper, by its clock `at`, has ended the client's lease.
    pub fn ended(&self, address: usize, client: usize, at: u64) -> Result<()> {
        let mut book = self.book(address);
        let newer = match book.last() {
            State::Open(open) => open.client != client || open.since > at,
            _ => false,
        };
        if book.holder != Some(client) || newer {
            return Ok(());
        }
        ensure!(
            book.told <= at,
            "the lease of client {client} on address {address} was ended {} ns too early",
            book.told - at
        );
        (book.holder, book.told) = (None, 0);
        book.push(State::Ended(at));
        Ok(())
    }

    /// The client was told, by the engine, after all had been on disk.
    pub fn heard(&self, address: usize, client: usize, until: u64) {
        let mut book = self.book(address);
        if book.holder == Some(client) {
            book.told = book.told.max(until);
        }
    }

    /// The client was told without a record: there must be one that reaches. False: so much has changed
    /// since then that it cannot be told.
    pub fn granted(&self, address: usize, client: usize, from: u64, until: u64) -> Result<bool> {
        let mut book = self.book(address);
        let Some(first) = from.checked_sub(book.forgotten) else {
            return Ok(false);
        };
        let first = first as usize;
        let Some(at) = book.explains(first, client, until) else {
            let history: Vec<_> = book.states.iter().skip(first).collect();
            bail!(
                "client {client} was told {until} of address {address}; what was so meanwhile: \
                 {history:?}"
            );
        };
        let over = |state: &State| matches!(state, State::Free | State::Ended(_));
        let same = !book.states.iter().skip(at).any(over);
        if same && book.holder == Some(client) {
            book.told = book.told.max(until);
        }
        Ok(true)
    }
}

#[test]
fn what_the_ledger_finds() -> Result<()> {
    let ledger = Ledger::new(1);
    let start = ledger.epoch(0);
    ensure!(ledger.granted(0, 1, start, 5).is_err(), "nobody's");
    ledger.closed(0);
    ledger.opened(0, 1, 10, 0);
    ledger.granted(0, 1, start, 10)?;
    ensure!(
        ledger.granted(0, 1, start, 11).is_err(),
        "beyond the promise"
    );
    ensure!(ledger.granted(0, 2, start, 10).is_err(), "another's");
    ensure!(ledger.is_given(0, 2, 9).is_err(), "held by two");
    ensure!(ledger.ended(0, 1, 9).is_err(), "ended too early");
    let before = ledger.closed(0);
    let closed = ledger.epoch(0);
    ensure!(ledger.granted(0, 1, closed, 9).is_err(), "after the close");
    ledger.granted(0, 1, closed - 1, 9)?;
    ledger.restored(0, before);
    let open = ledger.epoch(0);
    ledger.ended(0, 1, 10)?;
    ledger.granted(0, 1, open, 10)?;
    ensure!(ledger.granted(0, 1, open, 11).is_err(), "a lost extension");
    ledger.closed(0);
    ledger.opened(0, 2, 30, 12);
    ensure!(ledger.granted(0, 1, open, 13).is_err(), "held by two");
    Ok(())
}
