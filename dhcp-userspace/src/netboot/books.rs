//! Who gets what: places for transfers, their progress, and counters.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::missing::Missing;
use super::report::{Ended, NotFound, Protocol, Totals, Transfer};
use super::root::OpenError;
use crate::clock::{Now, SECOND};

/// Places of one client, so that it cannot take all. Firmware uses one, an installer a few.
pub const MAX_PER_CLIENT: usize = 16;

/// What the services share.
#[derive(Default)]
pub struct Books {
    max: AtomicUsize,
    state: Mutex<State>,
    counters: [Counters; Protocol::ALL.len()],
}

#[derive(Default)]
struct State {
    places: HashMap<IpAddr, usize>,
    taken: usize,
    next: u64,
    transfers: BTreeMap<u64, Arc<Progress>>,
    missing: Missing,
}

#[derive(Default)]
struct Counters {
    ended: [AtomicU64; Ended::ALL.len()],
    bytes: AtomicU64,
    resent: AtomicU64,
}

struct Progress {
    protocol: Protocol,
    client: SocketAddr,
    file: String,
    of: u64,
    bytes: AtomicU64,
    since: u64,
}

impl Books {
    pub fn set_max(&self, max: usize) {
        self.max.store(max, Relaxed);
    }

    /// A place for a client, given back on drop; `None` if there is none, which is counted.
    pub fn admit(self: &Arc<Self>, protocol: Protocol, client: SocketAddr) -> Option<Place> {
        let mut state = self.lock();
        let full = state.taken >= self.max.load(Relaxed);
        let mine = state.places.get(&client.ip()).copied().unwrap_or_default();
        if full || mine >= MAX_PER_CLIENT {
            drop(state);
            self.count(protocol, Ended::Busy);
            return None;
        }
        state.places.insert(client.ip(), mine + 1);
        state.taken += 1;
        drop(state);
        let books = Arc::clone(self);
        Some(Place {
            books,
            protocol,
            client,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panics while held")
    }

    fn of(&self, protocol: Protocol) -> &Counters {
        &self.counters[protocol as usize]
    }

    fn count(&self, protocol: Protocol, ended: Ended) {
        self.of(protocol).ended[ended as usize].fetch_add(1, Relaxed);
    }

    /// Oldest first.
    pub fn transfers(&self, now: Now) -> Vec<Transfer> {
        let state = self.lock();
        state
            .transfers
            .values()
            .map(|one| one.report(now))
            .collect()
    }

    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.lock().taken == 0
    }

    pub fn totals(&self) -> Vec<Totals> {
        Protocol::ALL
            .map(|protocol| self.of(protocol).report(protocol))
            .into()
    }

    pub fn not_found(&self) -> Vec<NotFound> {
        self.lock().missing.list()
    }
}

impl Counters {
    fn report(&self, protocol: Protocol) -> Totals {
        let ended = |ended: Ended| self.ended[ended as usize].load(Relaxed);
        Totals {
            protocol,
            complete: ended(Ended::Complete),
            asked: ended(Ended::Asked),
            aborted: ended(Ended::Aborted),
            not_found: ended(Ended::NotFound),
            denied: ended(Ended::Denied),
            busy: ended(Ended::Busy),
            bytes: self.bytes.load(Relaxed),
            resent: self.resent.load(Relaxed),
        }
    }
}

impl Progress {
    fn report(&self, now: Now) -> Transfer {
        let nanos = now.boot.saturating_sub(self.since).max(1);
        let bytes = self.bytes.load(Relaxed);
        let rate = u128::from(bytes) * u128::from(SECOND) / u128::from(nanos);
        Transfer {
            protocol: self.protocol,
            client: self.client,
            file: self.file.clone(),
            bytes,
            of: self.of,
            millis: nanos / 1_000_000,
            bytes_per_second: u64::try_from(rate).unwrap_or(u64::MAX),
        }
    }
}

/// One of the places that there are for transfers.
pub struct Place {
    books: Arc<Books>,
    pub protocol: Protocol,
    pub client: SocketAddr,
}

impl Place {
    /// A request ended without a transfer.
    pub fn ended(&self, ended: Ended) {
        self.books.count(self.protocol, ended);
    }

    /// The file cannot be had: counted, and told of where somebody may look for it.
    pub fn refused(&self, file: &str, why: &OpenError) {
        let (protocol, client) = (self.protocol.label(), self.client.ip());
        let is_missing = matches!(why, OpenError::NotFound);
        self.ended(if is_missing {
            Ended::NotFound
        } else {
            Ended::Denied
        });
        let mut state = self.books.lock();
        if is_missing {
            state.missing.count(client, file);
        }
        let is_news = state.missing.is_news(client, file, Now::read().boot);
        drop(state);
        if is_news {
            tracing::info!(protocol, %client, file, "{why}");
        }
    }

    /// A transfer of so many bytes begins. It is aborted unless [`Ongoing::end`] says otherwise.
    pub fn begin(self: &Arc<Self>, file: String, of: u64) -> Ongoing {
        let progress = Arc::new(Progress {
            protocol: self.protocol,
            client: self.client,
            file,
            of,
            bytes: AtomicU64::new(0),
            since: Now::read().boot,
        });
        let mut state = self.books.lock();
        let id = state.next;
        state.next += 1;
        state.transfers.insert(id, Arc::clone(&progress));
        Ongoing {
            place: Arc::clone(self),
            id,
            progress,
            ended: Ended::Aborted,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.books.lock();
        state.taken -= 1;
        if let Some(places) = state.places.get_mut(&self.client.ip()) {
            *places -= 1;
            if *places == 0 {
                state.places.remove(&self.client.ip());
            }
        }
    }
}

/// A transfer that is under way until this is dropped.
pub struct Ongoing {
    place: Arc<Place>,
    id: u64,
    progress: Arc<Progress>,
    ended: Ended,
}

impl Ongoing {
    /// The client has so many bytes by now.
    pub fn has(&self, bytes: u64) {
        let before = self.progress.bytes.swap(bytes, Relaxed);
        let counters = self.place.books.of(self.place.protocol);
        counters
            .bytes
            .fetch_add(bytes.saturating_sub(before), Relaxed);
    }

    pub fn resent(&self, blocks: u64) {
        let counters = self.place.books.of(self.place.protocol);
        counters.resent.fetch_add(blocks, Relaxed);
    }

    pub fn end(mut self, ended: Ended) {
        self.ended = ended;
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        let Progress {
            protocol,
            client,
            file,
            of,
            bytes,
            ..
        } = &*self.progress;
        let (bytes, how) = (bytes.load(Relaxed), self.ended.label());
        tracing::debug!(protocol = protocol.label(), %client, file, bytes, of, "{how}");
        self.place.ended(self.ended);
        self.place.books.lock().transfers.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 2070).into()
    }

    fn books(max: usize) -> Arc<Books> {
        let books = Arc::new(Books::default());
        books.set_max(max);
        books
    }

    #[test]
    fn places_are_bounded_in_all_and_for_each_client() {
        let books = books(MAX_PER_CLIENT + 1);
        let mine: Vec<_> = (0..MAX_PER_CLIENT)
            .map(|_| books.admit(Protocol::Tftp, client(1)).unwrap())
            .collect();
        assert!(books.admit(Protocol::Http, client(1)).is_none());
        let other = books.admit(Protocol::Tftp, client(2)).unwrap();
        assert!(books.admit(Protocol::Tftp, client(3)).is_none());
        drop(other);
        drop(mine);
        assert!(books.admit(Protocol::Tftp, client(3)).is_some());
        let totals = books.totals();
        assert_eq!((totals[0].busy, totals[1].busy), (1, 1));
        assert!(books.lock().places.is_empty());
    }

    #[test]
    fn progress_and_ends() {
        let books = books(9);
        let place = Arc::new(books.admit(Protocol::Tftp, client(1)).unwrap());
        let (one, two) = (place.begin("a".into(), 1000), place.begin("b".into(), 10));
        one.has(200);
        one.has(500);
        let mut now = Now::read();
        now.boot += SECOND;
        let list = books.transfers(now);
        assert_eq!(
            (list[0].file.as_str(), list[0].bytes, list[0].of),
            ("a", 500, 1000)
        );
        assert!((400..=500).contains(&list[0].bytes_per_second), "{list:?}");
        one.end(Ended::Complete);
        drop(two);
        place.refused("c", &OpenError::NotFound);
        place.refused("d", &OpenError::Outside);
        assert!(books.transfers(now).is_empty());
        let totals = &books.totals()[0];
        let counts = Ended::ALL.map(|ended| totals.count(ended));
        assert_eq!((counts, totals.bytes), ([1, 0, 1, 1, 1, 0], 500));
        assert_eq!(books.not_found()[0].file, "c");
    }
}
