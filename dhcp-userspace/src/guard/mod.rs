//! The guard's keeper: tells the kernel and the workers who is known, who is blocked, and how many
//! strangers may ask ([`dhcp_common::guard`] is what they do about it).
//!
//! *Blocked* is who sends more than anybody needs ([`watch`]: counted by each worker), or asks again
//! and again for what there is not. Known clients never are: of theirs, only what is in excess is
//! dropped, by the worker. *Throttled* are requests of strangers, by ingress, while there are more of
//! them than the workers manage ([`throttle`]: decided once a second by the sweeper). It knows clients
//! by MAC alone: a host that is found by anything else is a stranger to it until it has a lease.

pub mod blocks;
pub mod throttle;
pub mod watch;

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use dhcp_common::Reason;
use dhcp_common::guard::{self, Asker, BLOCKS, Keeper, RATES, Sender};
use dhcp_common::slot::Link;
use dhcp_common::wire::{BOOTP_LEN, SERVER_PORT, mac_bits, option};
use foldhash::quality::RandomState;

use self::blocks::Details;
pub use self::blocks::{Blocked, Cause};
use self::throttle::{Change, Load, Throttle};
use crate::clock::Now;
use crate::config::model::{self, Mac, Rate};
use crate::engine::{Engine, Event, EventKind, Incoming, Known};
use crate::lease::table::Table;
use crate::net::frame::Frame;
use crate::net::link::Framing;
use crate::packet::{Options, suboption};

/// Seconds after which the filter is made anew, so that it forgets who has left: while it is
/// needed, and otherwise.
const TURN_BUSY: u32 = 30;
const TURN: u32 = 300;

/// What the sweeper has seen of the packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub workers: usize,
    /// Packets that the sockets had no room for in the last second.
    pub lost: u64,
    /// Packets that have reached the workers since the start.
    pub received: u64,
}

pub struct Guard {
    table: Arc<Table>,
    settings: ArcSwap<model::Guard>,
    details: Mutex<Details>,
    throttle: Mutex<Throttle>,
    /// Nanoseconds that the workers have worked.
    busy: AtomicU64,
    /// Requests of strangers that have reached the workers.
    strangers: AtomicU64,
    hasher: RandomState,
}

impl Guard {
    /// A guard that knows nobody. What an earlier run has ordered is forgotten.
    #[must_use]
    pub fn new(table: Arc<Table>, settings: &model::Guard) -> Self {
        table.guard().reset();
        let guard = Self {
            table,
            settings: ArcSwap::default(),
            details: Mutex::default(),
            throttle: Mutex::default(),
            busy: AtomicU64::new(0),
            strangers: AtomicU64::new(0),
            hasher: RandomState::default(),
        };
        guard.set(settings);
        guard
    }

    fn set(&self, settings: &model::Guard) {
        let old = self.settings.swap(Arc::new(settings.clone()));
        if old.unknown_rate != settings.unknown_rate || old.enabled != settings.enabled {
            *lock(&self.throttle) = Throttle::default();
            self.keeper().limit(match settings.unknown_rate {
                Rate::PerSecond(rate) if settings.enabled => rate,
                _ => 0,
            });
        }
        if !settings.enabled {
            self.clear(|_| true);
        }
    }

    /// Takes over what the engine knows by now: at the start, and whenever it may have changed
    /// otherwise than by [`Self::heard`].
    pub fn learn(&self, engine: &Engine) {
        let keeper = self.keeper();
        engine.known(&mut |mac, known| match known {
            Known::Client => keeper.know(mac_bits(&mac, 0)),
            Known::Offered => keeper.offer(mac_bits(&mac, 0)),
        });
        let (links, addresses) = engine.places();
        let links: Vec<u64> = links.into_iter().map(Link::pack).collect();
        let addresses: Vec<u32> = addresses.into_iter().map(u32::from).collect();
        keeper.serve(&links, &addresses);
    }

    /// The same after a reload: blocks end that the new configuration may have made pointless.
    pub fn reload(&self, settings: &model::Guard, engine: &Engine) {
        self.learn(engine);
        self.set(settings);
        self.clear(|blocked| blocked.cause == Cause::Suspicious || engine.is_known(blocked.mac));
    }

    /// To be told of everything that happens to clients, before they hear of it.
    pub fn heard(&self, event: &Event) {
        let mac = mac_bits(&event.mac, 0);
        match event.kind {
            EventKind::Offer => self.keeper().offer(mac),
            EventKind::Bind => {
                self.keeper().know(mac);
                lock(&self.details).free(&self.keeper(), event.mac);
            }
            EventKind::Renew => self.keeper().know(mac),
            _ => {}
        }
    }

    /// Who asks; none if the guard is off, or the message is no request.
    #[must_use]
    pub fn asker(&self, incoming: &Incoming<'_>) -> Option<Asker> {
        if !self.settings.load().enabled {
            return None;
        }
        let (message, options) = incoming.payload.split_first_chunk::<BOOTP_LEN>()?;
        let options = options
            .first_chunk()
            .map(|first| u64::from_ne_bytes(*first));
        let sender = Sender {
            link: incoming.link.pack(),
            mac: incoming
                .l2
                .first_chunk::<12>()
                .map_or(0, |l2| mac_bits(l2, 6)),
            ip: incoming.source.to_bits(),
        };
        let mut asker = Asker::of(message, sender, options);
        if let Some(circuit) = circuit_of(&asker, incoming) {
            asker.source = CIRCUIT | self.hasher.hash_one((asker.source, circuit));
        }
        let judged = guard::is_request(message) && !(asker.foreign && is_infiniband(incoming));
        judged.then_some(asker)
    }

    /// Whether the kernel judges such frames where its program runs. The others' senders must not
    /// get around the guard by sending them.
    #[must_use]
    pub fn is_seen_by_kernel(&self, frame: &Frame<'_>, incoming: &Incoming<'_>) -> bool {
        if frame.framing != Framing::Ethernet || incoming.destination_port != SERVER_PORT {
            return false;
        }
        let to_group = frame.bytes[0] & 1 != 0 && !frame.bytes.starts_with(&[0xff; 6]);
        let has_ip_options = frame.bytes.get(incoming.l2.len()) != Some(&0x45);
        let (link, to) = (incoming.link.pack(), incoming.destination.to_bits());
        let orders = &self.table.meta().guard;
        !to_group && !has_ip_options && guard::is_served(&*self.table, orders, link, to)
    }

    /// Whether there is anything to judge by.
    #[must_use]
    pub fn is_on_duty(&self) -> bool {
        self.table.meta().guard.duty.load() & (BLOCKS | RATES) != 0
    }

    /// What [`guard::judge`] says, with consequences. `seen`: the kernel has looked at it, but for
    /// circuits, which it does not know.
    ///
    /// # Errors
    /// Why the request is to be dropped.
    pub fn judge(&self, asker: &Asker, seen: bool, now: Now) -> Result<(), Reason> {
        let orders = &self.table.meta().guard;
        if seen {
            let blocked = asker.source & CIRCUIT != 0
                && guard::is_blocked(&*self.table, orders, asker, now.boot);
            return if blocked {
                Err(Reason::Blocked)
            } else {
                Ok(())
            };
        }
        guard::judge(&*self.table, orders, asker, now.boot, true)
    }

    /// Counts what the throttle is measured by.
    pub fn count(&self, asker: &Asker) {
        let orders = &self.table.meta().guard;
        if !guard::may_be_known(&*self.table, orders, asker) {
            self.strangers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A worker has worked for so many nanoseconds.
    pub fn worked(&self, nanoseconds: u64) {
        self.busy.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    #[must_use]
    pub fn settings(&self) -> Arc<model::Guard> {
        self.settings.load_full()
    }

    /// Blocks a client where it asks from, unless its MAC is a known one's; tells whether it did.
    pub fn block(&self, engine: &Engine, asker: &Asker, cause: Cause, now: Now) -> bool {
        let mac = dhcp_common::wire::mac_bytes(asker.mac);
        if engine.is_known(mac) {
            return false;
        }
        let settings = self.settings.load();
        let hold = match cause {
            Cause::Misbehaving => settings.misbehaving_hold,
            Cause::Suspicious => settings.suspicious_hold,
        };
        let until = now.boot.saturating_add(hold.as_nanos() as u64);
        lock(&self.details).block(&self.keeper(), asker, cause, until, now.boot);
        true
    }

    /// Takes all orders back, as the daemon ends; to be called when nobody calls [`Self::tick`] any
    /// more.
    pub fn stop(&self) {
        self.keeper().hold(0);
    }

    /// Who is blocked.
    #[must_use]
    pub fn blocked(&self, now: Now) -> Vec<Blocked> {
        lock(&self.details).list(&self.keeper(), now.boot)
    }

    /// Ends the blocks of a MAC, or all; tells how many.
    pub fn unblock(&self, mac: Option<Mac>) -> usize {
        self.clear(|blocked| mac.is_none_or(|mac| blocked.mac == mac))
    }

    /// Ends the blocks of those who asked in vain: there are addresses again.
    pub fn pardon(&self) {
        self.clear(|blocked| blocked.cause == Cause::Suspicious);
    }

    fn clear(&self, which: impl Fn(&Blocked) -> bool) -> usize {
        lock(&self.details).clear(&self.keeper(), which)
    }

    /// Strangers' requests a second that each ingress is allowed; 0: as many as come.
    #[must_use]
    pub fn rate(&self) -> u32 {
        let interval = self.table.meta().guard.interval.load();
        1_000_000_000u64.checked_div(interval).unwrap_or(0) as u32
    }

    /// What is due once a second: rates, lists, filters.
    pub fn tick(&self, engine: &Engine, seen: &Seen, now: Now) -> Vec<Change> {
        let Seen {
            workers,
            lost,
            received,
        } = *seen;
        self.keeper().hold(now.boot.saturating_add(guard::HOLDS));
        lock(&self.details).tidy(&self.keeper(), now.boot);
        let load = Load {
            now: now.boot,
            lost,
            received,
            workers,
            busy: self.busy.load(Ordering::Relaxed),
            strangers: self.strangers.load(Ordering::Relaxed),
        };
        let settings = self.settings.load();
        if !settings.enabled {
            return Vec::new();
        }
        let mut throttle = lock(&self.throttle);
        let changes = throttle.step(settings.unknown_rate, &load, &self.keeper());
        let period = if throttle.is_on() { TURN_BUSY } else { TURN };
        if throttle.is_time(period) {
            self.keeper().turn();
            drop(throttle);
            self.learn(engine);
        }
        changes
    }

    fn keeper(&self) -> Keeper<'_, Table> {
        self.table.guard()
    }
}

/// The circuit that a relay names (82.1): behind one relay, who asks in another's name does so from
/// elsewhere.
fn circuit_of<'a>(asker: &Asker, incoming: &Incoming<'a>) -> Option<&'a [u8]> {
    guard::giaddr_of(asker.ingress)?;
    let mut fields = Options::new(incoming.payload.get(BOOTP_LEN..)?).map_while(Result::ok);
    let agent = fields.find(|field| field.code == option::RELAY_AGENT)?;
    suboption(agent.value, CIRCUIT_ID)
}

/// Sub-option 1 (RFC 3046 section 2.0).
const CIRCUIT_ID: u8 = 1;
/// Set in the source of a request whose circuit is part of it.
const CIRCUIT: u64 = 1 << 63;

/// Whether clients of this link have no MAC in chaddr.
fn is_infiniband(incoming: &Incoming<'_>) -> bool {
    incoming.l2.len() < ETHERNET_LEN
}

/// A link header without tags.
const ETHERNET_LEN: usize = 14;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
