//! Who gets what: places for transfers, their progress, and counters.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::missing::Missing;
use super::report::{Ended, NotFound, Protocol, Totals, Transfer};
use super::root::OpenError;
use crate::clock::{Now, SECOND};

/// What one client may have of each protocol, so that it cannot take all. Firmware uses one, an
/// installer a few.
pub const MAX_PER_CLIENT: usize = 16;
/// Clients for each place, most of which may wait or, by HTTP, be idle.
const CLIENTS_PER_PLACE: usize = 4;
const MIN_CLIENTS: usize = 256;
/// How long an HTTP request waits for a place: UEFI firmware gives up after 5 seconds.
const QUEUED: Duration = Duration::from_secs(4);

/// What the services share.
#[derive(Default)]
pub struct Books {
    max: AtomicUsize,
    state: Mutex<State>,
    counters: [Counters; Protocol::ALL.len()],
}

#[derive(Default)]
struct State {
    /// Connections of HTTP, and clients of TFTP that have answered.
    clients: [Shares; Protocol::ALL.len()],
    /// The places of each protocol: who waits longest gets the next.
    queues: Option<[Arc<Semaphore>; Protocol::ALL.len()]>,
    next: u64,
    transfers: BTreeMap<u64, Arc<Progress>>,
    missing: Missing,
}

/// What clients have of something that there is not enough of.
#[derive(Default)]
struct Shares {
    of: HashMap<IpAddr, usize>,
    taken: usize,
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
    /// Transfers at once, of each protocol.
    pub fn set_max(&self, max: usize) {
        if self.max.swap(max, Relaxed) != max {
            // Who has a place of the old ones keeps it.
            let queues = Protocol::ALL.map(|_| Arc::new(Semaphore::new(max)));
            self.lock().queues = Some(queues);
        }
    }

    pub fn max(&self) -> usize {
        self.max.load(Relaxed)
    }

    /// Connections of HTTP, and as many clients of TFTP.
    fn max_clients(&self) -> usize {
        let most = self.max().saturating_mul(CLIENTS_PER_PLACE);
        most.max(MIN_CLIENTS)
    }

    /// A client of TFTP that may be somebody else: it is to [`Place::enter`] once it has answered.
    /// `None` if there are too many, which is counted.
    pub fn greet(self: &Arc<Self>, client: SocketAddr) -> Option<Place> {
        let most = self.max_clients();
        let has_room = self.lock().clients[Protocol::Tftp as usize].has_room(client.ip(), most);
        if !has_room {
            self.count(Protocol::Tftp, Ended::Busy);
        }
        has_room.then(|| self.place(Protocol::Tftp, client))
    }

    /// A connection of HTTP; `None` if there are too many, which is counted.
    pub fn connect(self: &Arc<Self>, client: SocketAddr) -> Option<Connection> {
        let most = self.max_clients();
        if !self.lock().clients[Protocol::Http as usize].take(client.ip(), most) {
            self.count(Protocol::Http, Ended::Busy);
            return None;
        }
        let books = Arc::clone(self);
        Some(Connection { books, client })
    }

    fn place(self: &Arc<Self>, protocol: Protocol, client: SocketAddr) -> Place {
        Place {
            books: Arc::clone(self),
            protocol,
            client,
            has_entered: AtomicBool::new(false),
            permit: OnceLock::new(),
        }
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
        let state = self.lock();
        state.clients[Protocol::Tftp as usize].taken == 0 && state.transfers.is_empty()
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

impl Shares {
    fn has_room(&self, client: IpAddr, most: usize) -> bool {
        let mine = self.of.get(&client).copied().unwrap_or_default();
        self.taken < most && mine < MAX_PER_CLIENT
    }

    fn take(&mut self, client: IpAddr, most: usize) -> bool {
        let has_room = self.has_room(client, most);
        if has_room {
            *self.of.entry(client).or_default() += 1;
            self.taken += 1;
        }
        has_room
    }

    fn give_back(&mut self, client: IpAddr) {
        self.taken -= 1;
        if let Some(mine) = self.of.get_mut(&client) {
            *mine -= 1;
            if *mine == 0 {
                self.of.remove(&client);
            }
        }
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

/// One of the connections that there are for HTTP.
pub struct Connection {
    books: Arc<Books>,
    client: SocketAddr,
}

impl Connection {
    /// A place for one response. Waits for a while; `None` if there is none then, which is counted.
    pub async fn place(&self) -> Option<Place> {
        let place = self.books.place(Protocol::Http, self.client);
        if timeout(QUEUED, place.wait()).await.is_err() {
            place.ended(Ended::Busy);
            return None;
        }
        Some(place)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let clients = &mut self.books.lock().clients;
        clients[Protocol::Http as usize].give_back(self.client.ip());
    }
}

/// One of the places that there are for transfers, or the way to it; given back on drop.
pub struct Place {
    books: Arc<Books>,
    pub protocol: Protocol,
    pub client: SocketAddr,
    /// It is among the clients of TFTP.
    has_entered: AtomicBool,
    permit: OnceLock<OwnedSemaphorePermit>,
}

impl Place {
    /// The client of TFTP is who it says: false if there are too many by now. To be called once.
    pub fn enter(&self) -> bool {
        let most = self.books.max_clients();
        let clients = &mut self.books.lock().clients[Protocol::Tftp as usize];
        let entered = clients.take(self.client.ip(), most);
        self.has_entered.store(entered, Relaxed);
        entered
    }

    /// Waits for its turn.
    pub async fn wait(&self) {
        let queue = self
            .books
            .lock()
            .queues
            .as_ref()
            .map(|queues| Arc::clone(&queues[self.protocol as usize]));
        if let Some(queue) = queue {
            let permit = queue
                .acquire_owned()
                .await
                .expect("no queue is ever closed");
            let _ = self.permit.set(permit);
        }
    }

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
        if self.has_entered.load(Relaxed) {
            let clients = &mut self.books.lock().clients;
            clients[Protocol::Tftp as usize].give_back(self.client.ip());
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

    pub fn place(&self) -> &Place {
        &self.place
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
    fn clients_are_bounded_in_all_and_each() {
        let books = books(1);
        let mine: Vec<_> = (0..=MAX_PER_CLIENT)
            .map(|_| books.greet(client(1)).unwrap())
            .collect();
        let entered = mine.iter().filter(|place| place.enter());
        assert_eq!(entered.count(), MAX_PER_CLIENT);
        assert!(books.greet(client(1)).is_none());
        let late = books.greet(client(250)).unwrap();
        let others: Vec<_> = (MAX_PER_CLIENT..MIN_CLIENTS)
            .map(|i| books.greet(client(2 + (i % 200) as u8)).unwrap())
            .collect();
        assert!(others.iter().all(Place::enter) && !late.enter());
        assert!(books.greet(client(250)).is_none());
        drop((mine, others));
        assert!(books.greet(client(250)).unwrap().enter());
        assert_eq!(books.totals()[0].busy, 2);
        assert!(books.lock().clients[0].of.is_empty());
    }

    /// Who waits longest is next, and who left is not waited for.
    #[tokio::test]
    async fn places_are_given_in_order() {
        let books = books(1);
        let [first, second, third] = [1, 2, 3].map(|last| books.greet(client(last)).unwrap());
        first.wait().await;
        let (mut left, mut waits) = (Box::pin(second.wait()), Box::pin(third.wait()));
        assert!(timeout(Duration::ZERO, &mut left).await.is_err());
        assert!(timeout(Duration::ZERO, &mut waits).await.is_err());
        drop(left);
        drop(first);
        waits.await;
    }

    #[test]
    fn connections_are_bounded_in_all_and_for_each_client() {
        let books = books(1);
        let mine: Vec<_> = (0..=MAX_PER_CLIENT)
            .filter_map(|_| books.connect(client(1)))
            .collect();
        assert_eq!(mine.len(), MAX_PER_CLIENT);
        let others: Vec<_> = (0..MIN_CLIENTS)
            .filter_map(|i| books.connect(client(2 + (i % 200) as u8)))
            .collect();
        assert_eq!(mine.len() + others.len(), MIN_CLIENTS);
        drop((mine, others));
        assert!(books.connect(client(1)).is_some());
        assert_eq!(books.totals()[1].busy, 1 + MAX_PER_CLIENT as u64);
    }

    #[test]
    fn progress_and_ends() {
        let books = books(9);
        let place = Arc::new(books.greet(client(1)).unwrap());
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
