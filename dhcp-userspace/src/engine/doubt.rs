//! After damage to the journal: somebody may hold an address that looks free.
//!
//! What the table had in memory is not lost, and is written once more. But where the table is gone
//! too, a lost record is a client of which nobody knows, or one that an older record shows with
//! less time than it was told. For as long as any promise may run that was made before, the
//! engine therefore
//!
//! - offers no address before it has asked the network for it, also where no `conflict_check` is
//!   configured: if somebody answers, the address goes into quarantine;
//! - gives no address without an OFFER before, by BOOTP or to a client after a restart, unless the
//!   client has it now by what is known: that it had it once may be all that is left of what was
//!   written. Nor does it refuse one after a restart: silence makes it ask with a DISCOVER;
//! - believes who asks for more time if the address looks free and may be its, or is only offered
//!   to another client, whose offer is over then, or is in quarantine, where it must have been the
//!   one who answered: that is how lost leases come back.
//!
//! Addresses that look free are not withheld altogether: one damaged record would then stop a
//! network for days. Who is silent when asked, and does not renew, is the one that can lose.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dhcp_common::slot::Kind;

use super::bootp::lasts_for_good;
use super::context::Context;
use super::grant::{nanos, promise};
use super::held::Held;
use super::state::{State, SubnetId};
use super::{Engine, Stop};
use crate::clock::Now;
use crate::config::Config;
use crate::config::model::{Bootp, ConflictCheck, Level, Subnet};

/// Where the configuration has none.
const CHECK: ConflictCheck = ConflictCheck {
    wait: Duration::from_millis(500),
    reservations: false,
};

/// For how long a lease for good counts. Whoever got one never asks for more time, so nothing but the
/// probe of each offer finds it: by then most machines were on at some time when somebody was offered
/// an address.
const FOR_GOOD_COUNTS: Duration = Duration::from_secs(30 * 86400);

/// What a server does not know, and for how long that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubted {
    pub lasts: Duration,
    /// Leases for good may be among what is lost: they outlast this.
    pub for_good: bool,
}

/// Until when the journal may have lost leases, ns of `CLOCK_BOOTTIME`.
#[derive(Debug, Default)]
pub(super) struct Doubt(AtomicU64);

impl Engine {
    /// The journal has lost records that were written before now; tells for how long they count.
    pub fn doubt(&self, now: Now) -> Doubted {
        let state = self.read();
        let config = &state.config;
        let promised = promise(now.boot, longest_lease(config), config.fast_path.reserve);
        let ends = self.promises(&state).chain([promised]);
        let (for_good, ends): (Vec<_>, Vec<_>) = ends.partition(|end| *end > lasts_for_good(now));
        let for_good = !for_good.is_empty() || gives_for_good(config);
        let least = if for_good {
            FOR_GOOD_COUNTS
        } else {
            Duration::ZERO
        };
        let until = now.boot.saturating_add(nanos(least));
        let until = ends.into_iter().fold(until, u64::max);
        self.doubt.0.store(until, Ordering::Relaxed);
        let lasts = Duration::from_nanos(until - now.boot);
        Doubted { lasts, for_good }
    }

    /// Whether any of the lost leases may still run.
    pub fn is_in_doubt(&self, now: Now) -> bool {
        now.boot < self.doubt.0.load(Ordering::Relaxed)
    }

    /// Of the leases that are known: those that are lost were hardly promised for longer.
    fn promises(&self, state: &State) -> impl Iterator<Item = u64> {
        let in_pools = |address: &Ipv4Addr| state.subnet_of(*address).is_some();
        let slots = self.table.addresses();
        let slots = slots.filter(move |(address, _)| in_pools(address));
        slots.map(|(_, index)| self.table.slot(index).lease().reserved_until)
    }
}

fn gives_for_good(config: &Config) -> bool {
    let gives = |subnet: &Subnet| subnet.policy.bootp == Bootp::Dynamic;
    config.subnets.iter().any(gives)
}

fn longest_lease(config: &Config) -> Duration {
    let of = |level: &Level| level.times.map(|times| times.lease);
    let classes = config.classes.iter().filter_map(|class| of(&class.level));
    let subnets = config.subnets.iter();
    let own = subnets.clone().map(|subnet| subnet.lease_bounds.1);
    let plain = subnets.clone().map(|subnet| subnet.times.lease);
    let pools = subnets.clone().flat_map(|subnet| &subnet.pools);
    let pools = pools.filter_map(|pool| of(&pool.level));
    let hosts = subnets.flat_map(|subnet| &subnet.hosts);
    let hosts = hosts.filter_map(|host| of(&host.level));
    let all = own.chain(plain).chain(pools).chain(hosts).chain(classes);
    all.max().unwrap_or_default()
}

impl<'a> Context<'a> {
    /// Whether an address that looks free may be somebody's.
    pub(super) fn doubts(&self) -> bool {
        self.engine.is_in_doubt(self.now)
    }

    /// The address of a client that asks for more time, if nobody else has been given it: the
    /// client has answered for it by now, or will, to the probe that an OFFER waits for.
    pub(super) fn found_in_use(
        &self,
        id: SubnetId,
        address: Ipv4Addr,
    ) -> Result<Option<Held<'a>>, Stop> {
        if !self.doubts() || !self.may_have(id, address) {
            return Ok(None);
        }
        let held = Held::lock(self.engine, self.state, address)?;
        Ok(held.filter(|held| matches!(held.kind, Kind::Declined | Kind::Offered)))
    }

    /// Whether the address, which is no other client's, may be had without asking the network.
    pub(super) fn is_surely_his(&self, id: SubnetId, held: &Held<'_>) -> bool {
        let bound = held.kind == Kind::Bound && held.is_of(self.chaddr);
        !self.doubts() || bound || self.reserved(id) == Some(held.address)
    }

    /// Whether the client may have a lease of this address that is lost: nobody else is known to.
    pub(super) fn may_have_lost(&self, id: SubnetId, address: Ipv4Addr) -> bool {
        let index = self.engine.table.index(address);
        let is_bound = |index| self.engine.table.slot(index).kind() == Kind::Bound;
        self.doubts() && self.may_have(id, address) && !index.is_some_and(is_bound)
    }

    pub(super) fn conflict_check(&self, id: SubnetId) -> Option<ConflictCheck> {
        let check = self.subnet(id).policy.conflict_check;
        check.or_else(|| self.doubts().then_some(CHECK))
    }
}
