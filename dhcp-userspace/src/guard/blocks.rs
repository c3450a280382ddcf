//! The block list as people see it: the shared memory says who and until when, this why and where.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use dhcp_common::guard::{self, Asker, Keeper, SETS, WAYS};
use dhcp_common::wire::mac_bytes;

use crate::config::model::Mac;
use crate::lease::table::Table;

/// Why a client is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It sent more than anybody needs.
    Misbehaving,
    /// It asked again and again for an address, and there is none for it.
    Suspicious,
}

impl Cause {
    /// The name in tables and events.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Misbehaving => "misbehaving",
            Self::Suspicious => "suspicious",
        }
    }
}

/// A client that is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    pub mac: Mac,
    /// A packed link or a relay, see [`dhcp_common::guard::giaddr_of`].
    pub ingress: u64,
    pub cause: Cause,
    /// Both ns of `CLOCK_BOOTTIME`.
    pub since: u64,
    pub until: u64,
}

/// What is known of each place of the list.
pub struct Details {
    places: Box<[Option<Blocked>]>,
    /// How many of them each MAC has.
    macs: HashMap<Mac, u32>,
    /// Blocks made so far.
    made: u64,
    any: bool,
}

impl Default for Details {
    fn default() -> Self {
        Self {
            places: vec![None; SETS as usize * WAYS].into(),
            macs: HashMap::new(),
            made: 0,
            any: false,
        }
    }
}

impl Details {
    pub fn block(
        &mut self,
        keeper: &Keeper<'_, Table>,
        asker: &Asker,
        cause: Cause,
        until: u64,
        now: u64,
    ) {
        let at = keeper.block(asker, until, now);
        self.forget(at);
        *self.macs.entry(mac_bytes(asker.mac)).or_default() += 1;
        self.places[at] = Some(Blocked {
            mac: mac_bytes(asker.mac),
            ingress: asker.ingress,
            cause,
            since: now,
            until,
        });
        self.made += 1;
        self.any = true;
    }

    /// Those that have not ended, the last to end first.
    pub fn list(&self, keeper: &Keeper<'_, Table>, now: u64) -> Vec<Blocked> {
        if !self.any {
            return Vec::new();
        }
        let mut list: Vec<_> = self.live(keeper, now).map(|(_, blocked)| blocked).collect();
        list.sort_by_key(|blocked| std::cmp::Reverse(blocked.until));
        list
    }

    /// Ends blocks; tells how many.
    pub fn clear(&mut self, keeper: &Keeper<'_, Table>, which: impl Fn(&Blocked) -> bool) -> usize {
        if !self.any {
            return 0;
        }
        let found = self.live(keeper, 0).filter(|(_, blocked)| which(blocked));
        let ended: Vec<usize> = found.map(|(at, _)| at).collect();
        for at in &ended {
            keeper.unblock(*at);
            self.forget(*at);
        }
        ended.len()
    }

    /// Ends all blocks of a MAC, at little cost if there are none.
    pub fn free(&mut self, keeper: &Keeper<'_, Table>, mac: Mac) {
        if self.macs.contains_key(&mac) {
            self.clear(keeper, |blocked| blocked.mac == mac);
        }
    }

    fn forget(&mut self, at: usize) {
        let Some(blocked) = self.places[at].take() else {
            return;
        };
        if let Entry::Occupied(mut places) = self.macs.entry(blocked.mac) {
            *places.get_mut() -= 1;
            if *places.get() == 0 {
                places.remove();
            }
        }
    }

    /// Has nobody look at the list any more once all blocks have ended.
    pub fn tidy(&mut self, keeper: &Keeper<'_, Table>, now: u64) {
        if self.any && self.live(keeper, now).next().is_none() {
            keeper.unblock_all();
            self.any = false;
        }
    }

    #[must_use]
    pub fn made(&self) -> u64 {
        self.made
    }

    fn live<'a>(
        &'a self,
        keeper: &'a Keeper<'_, Table>,
        now: u64,
    ) -> impl Iterator<Item = (usize, Blocked)> + 'a {
        let detail = |entry: guard::Entry| Some((entry.at, self.places[entry.at]?));
        keeper.blocks(now).filter_map(detail)
    }
}
