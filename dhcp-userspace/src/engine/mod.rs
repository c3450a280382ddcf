//! The engine: what the server answers, as a function of the packet, the time and the leases.
//!
//! Sans-IO: it knows no socket, clock, file or map. A slot's lock is what makes threads take
//! turns: whoever changes a lease locks its slot ([`held`]), and where the change must be on
//! disk first, the slot stays locked until [`Engine::complete`] or [`Engine::refuse`].
mod alike;
mod allot;
mod api;
mod boot;
mod bootp;
mod boots;
mod clients;
mod commit;
mod conflict;
mod context;
mod declines;
mod discover;
mod doubt;
mod envelope;
mod explain;
mod forcerenew;
mod give_back;
mod grant;
mod held;
mod identity;
mod index;
mod inform;
mod known;
mod leasequery;
mod marks;
mod meanwhile;
mod nak;
mod operate;
mod places;
mod pool;
mod ports;
mod proxy;
mod rapid;
mod relay;
mod reload;
mod request;
mod restore;
mod select;
mod shares;
mod standing;
mod state;
mod sweep;
mod terms;
#[cfg(test)]
mod tests;
mod view;
mod walk;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use api::{
    Change, Commit, Event, EventKind, Ignored, Incoming, Interface, Later, Outcome, Probe,
};
pub use doubt::Doubted;
pub use explain::Explanation;
pub use forcerenew::{Forced, NotForced};
pub use known::Known;
pub use leasequery::bulk;
pub use operate::{Binding, Refused};
pub use restore::Restoring;
pub use sweep::Swept;
pub use view::{LeaseView, PoolView};

use crate::clock::Now;
use crate::config::Config;
use crate::lease::table::{Full, Table};
use crate::lease::templates::Templates;
use crate::packet::{MessageType, Request, pxe};
use clients::Clients;
use commit::Tainted;
use context::Context;
use declines::Declines;
use doubt::Doubt;
use forcerenew::Secret;
use marks::Marks;
use shares::Shares;
use state::State;

pub struct Engine {
    table: Arc<Table>,
    templates: Templates,
    /// Slots that an earlier run was writing when it was killed.
    torn: Vec<u32>,
    state: RwLock<State>,
    /// Held by who replaces the state or a part of it, for as long as that takes.
    changing: Mutex<()>,
    clients: Clients,
    marks: Marks,
    tainted: Tainted,
    declines: Declines,
    doubt: Doubt,
    scans: leasequery::Scans,
    secret: Secret,
    /// When boot memos that nobody can use were last taken away.
    boots_swept: AtomicU64,
    /// Open offers.
    offers: AtomicUsize,
    shares: Shares,
    /// Offers made without an address being held for them.
    not_held: AtomicU64,
    /// Options left out of replies for want of room.
    left_out: AtomicU64,
}

/// Why a packet is not answered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Ignore(Ignored),
    Busy,
}

impl From<Ignored> for Stop {
    fn from(why: Ignored) -> Self {
        Self::Ignore(why)
    }
}

impl Engine {
    /// An engine over a table that is fresh or has the content of an earlier run. The latter
    /// is not trusted before [`Engine::restore`].
    ///
    /// # Errors
    /// If the table has no room for the addresses of the configuration.
    pub fn new(config: Arc<Config>, table: Arc<Table>) -> Result<Self, Full> {
        let templates = Templates::new(&table);
        let torn = restore::adopt(&table, &templates);
        let state = State::new(config, Vec::new(), &table)?;
        Ok(Self {
            marks: Marks::new(table.size().slots()),
            clients: Clients::default(),
            tainted: Tainted::default(),
            declines: Declines::default(),
            doubt: Doubt::default(),
            scans: leasequery::Scans::default(),
            secret: Secret::default(),
            boots_swept: AtomicU64::new(0),
            offers: AtomicUsize::new(0),
            shares: Shares::default(),
            not_held: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            state: RwLock::new(state),
            changing: Mutex::default(),
            templates,
            table,
            torn,
        })
    }

    /// Answers a packet. The reply, if any, is a whole frame in `reply`.
    pub fn handle(&self, now: Now, packet: &Incoming<'_>, reply: &mut Vec<u8>) -> Outcome {
        reply.clear();
        let request = match Request::parse(packet.payload) {
            Ok(request) => request,
            Err(why) => return Outcome::Ignore(why),
        };
        let state = self.read();
        let outcome = Context::new(self, &state, now, packet, &request)
            .map_err(Stop::from)
            .and_then(|context| answer(&context, reply));
        match outcome {
            Ok(outcome) => outcome,
            Err(Stop::Ignore(why)) => Outcome::Ignore(why),
            Err(Stop::Busy) => Outcome::Busy,
        }
    }

    /// Options that did not fit into replies so far.
    #[must_use]
    pub fn options_left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Offers open now.
    #[must_use]
    pub fn open_offers(&self) -> usize {
        self.offers.load(Ordering::Relaxed)
    }

    /// Offers so far for which no address was held.
    #[must_use]
    pub fn offers_not_held(&self) -> u64 {
        self.not_held.load(Ordering::Relaxed)
    }

    /// Reply templates in use.
    #[must_use]
    pub fn templates_in_use(&self) -> usize {
        self.templates.in_use()
    }

    /// Clients remembered.
    #[must_use]
    pub fn known_clients(&self) -> usize {
        self.clients.len()
    }

    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.read().config)
    }

    #[must_use]
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// A panic of another thread leaves nothing half-written here: what is replaced is replaced
    /// whole.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_alone(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(context: &Context<'_>, reply: &mut Vec<u8>) -> Result<Outcome, Stop> {
    context.check_classes()?;
    context.check_identity()?;
    if context.packet.destination_port == pxe::PORT {
        return context.boot_server(reply);
    }
    if context.is_proxied() && !context.request.message_type.is_query() {
        return context.proxy(reply);
    }
    match context.request.message_type {
        MessageType::Bootp => context.bootp(reply),
        MessageType::Discover => context.discover(reply),
        MessageType::Request => context.request(reply),
        MessageType::Inform => context.inform(reply),
        MessageType::Decline => context.decline(),
        MessageType::Release => context.release(),
        MessageType::LeaseQuery => context.lease_query(reply),
        // The rest is what servers say, or TCP.
        _ => Err(Stop::Ignore(Ignored::WrongType)),
    }
}
