//! How many requests of strangers each ingress may send on, decided once a second.
//!
//! By itself the throttle is off. It goes on when of the packets of a second more than one in a hundred
//! are lost before the workers get to them, or the workers have had no rest for some seconds: at half
//! of what the workers managed in the best of the last seconds, as clients that are known want to be
//! served too, and the second in which a flood begins tells little. While that is still too much it is
//! halved every second, and then goes up again by eighths, but not soon to where it was too much. So
//! it finds what the machine manages however many ingresses there are, and leaves room for clients
//! that are known. It goes off when for a while nothing was dropped.

use std::collections::{BTreeMap, BTreeSet};

use dhcp_common::guard::{Keeper, Lines};

use crate::clock::SECOND;
use crate::config::model::Rate;

/// Never below, so that a network comes up whatever happens.
const LEAST: u32 = 100;
const MOST: u32 = 10_000_000;
/// Seconds without rest after which the workers are too busy.
const RESTLESS: u32 = 3;
/// Of so many packets, one may be lost.
const LOSS: u64 = 100;
/// Seconds whose best counts.
const LAST: usize = 4;
/// Seconds without a drop after which the throttle goes off.
const QUIET: u32 = 30;
/// Ingresses named in the log before it only counts.
const NAMED: usize = 16;

/// What the throttle is measured by; sums since the start, but for `lost`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub now: u64,
    /// Packets lost in the last second.
    pub lost: u64,
    /// Packets that reached the workers.
    pub received: u64,
    pub workers: usize,
    pub busy: u64,
    pub strangers: u64,
}

/// Something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// More came than the workers manage.
    On { rate: u32, lost: u64 },
    /// Requests from there are being dropped.
    Dropping { ingress: u64, rate: u32 },
    /// None are any more; so many were.
    Off { dropped: u64 },
}

#[derive(Default)]
pub struct Throttle {
    last: Load,
    /// Strangers' requests a second that the workers managed in the last seconds.
    managed: [u64; LAST],
    restless: u32,
    on: Option<On>,
    /// What was dropped by ingress, as of the last second.
    dropped: BTreeMap<u64, u64>,
    since_turn: u32,
}

/// Requests are limited, or (at a fixed rate) dropped just now.
struct On {
    rate: u32,
    /// Where it was too much last.
    ceiling: u32,
    quiet: u32,
    dropped: u64,
    named: BTreeSet<u64>,
}

impl On {
    fn at(rate: u32) -> Self {
        Self {
            rate,
            ceiling: MOST,
            quiet: 0,
            dropped: 0,
            named: BTreeSet::new(),
        }
    }

    fn lower(&mut self) {
        self.ceiling = (self.rate - self.rate / 8).max(LEAST);
        self.rate = (self.rate / 2).max(LEAST);
    }

    fn raise(&mut self) {
        self.ceiling = (self.ceiling + self.ceiling / 64).min(MOST);
        self.rate = (self.rate + self.rate / 8).min(self.ceiling);
    }
}

impl Throttle {
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// Whether so many seconds have passed since it was last true.
    pub fn is_time(&mut self, seconds: u32) -> bool {
        self.since_turn += 1;
        let due = self.since_turn >= seconds;
        if due {
            self.since_turn = 0;
        }
        due
    }

    /// Looks at the last second.
    pub fn step<L: Lines>(
        &mut self,
        rate: Rate,
        load: &Load,
        keeper: &Keeper<'_, L>,
    ) -> Vec<Change> {
        self.managed.rotate_right(1);
        self.managed[0] = self.managed_since(load);
        let too_much = self.is_too_much(load);
        self.last = *load;
        let mut changes = Vec::new();
        match (rate, &mut self.on) {
            (Rate::Off, _) => return changes,
            (Rate::PerSecond(_), _) => {}
            (Rate::Auto, None) if too_much => {
                let best = self.managed.iter().max().map_or(0, |best| best / 2);
                let rate = best.clamp(LEAST.into(), MOST.into()) as u32;
                self.on = Some(On::at(rate));
                let lost = load.lost;
                changes.push(Change::On { rate, lost });
            }
            (Rate::Auto, None) => return changes,
            (Rate::Auto, Some(on)) if too_much => on.lower(),
            (Rate::Auto, Some(on)) => on.raise(),
        }
        let fixed = match rate {
            Rate::PerSecond(rate) => Some(rate),
            _ => None,
        };
        self.look(fixed, keeper, &mut changes);
        if fixed.is_none() {
            keeper.limit(self.on.as_ref().map_or(0, |on| on.rate));
        }
        changes
    }

    fn managed_since(&self, load: &Load) -> u64 {
        let count = load.strangers.saturating_sub(self.last.strangers);
        let elapsed = load.now.saturating_sub(self.last.now).max(1);
        let rate = u128::from(count) * u128::from(SECOND) / u128::from(elapsed);
        rate as u64
    }

    fn is_too_much(&mut self, load: &Load) -> bool {
        let elapsed = load.now.saturating_sub(self.last.now);
        let busy = load.busy.saturating_sub(self.last.busy);
        // Nine tenths of all workers' time.
        let restless = elapsed < 10 * SECOND && busy > elapsed / 10 * 9 * load.workers as u64;
        self.restless = if restless { self.restless + 1 } else { 0 };
        let received = load.received.saturating_sub(self.last.received);
        let is_lossy = load.lost * LOSS > received + load.lost;
        is_lossy || self.restless >= RESTLESS
    }

    /// Sees where requests were dropped.
    fn look<L: Lines>(
        &mut self,
        fixed: Option<u32>,
        keeper: &Keeper<'_, L>,
        changes: &mut Vec<Change>,
    ) {
        let dropped: BTreeMap<u64, u64> = keeper.dropped().collect();
        let before = std::mem::replace(&mut self.dropped, dropped);
        let more = self.dropped.iter().map(|(ingress, count)| {
            let was = before.get(ingress).copied().unwrap_or(0);
            (*ingress, count.saturating_sub(was))
        });
        let more: Vec<_> = more.filter(|(_, more)| *more > 0).collect();
        if more.is_empty() {
            return self.rest(changes);
        }
        let on = self.on.get_or_insert_with(|| On::at(fixed.unwrap_or(0)));
        on.quiet = 0;
        for (ingress, count) in more {
            on.dropped += count;
            if on.named.len() < NAMED && on.named.insert(ingress) {
                let rate = on.rate;
                changes.push(Change::Dropping { ingress, rate });
            }
        }
    }

    fn rest(&mut self, changes: &mut Vec<Change>) {
        let Some(on) = &mut self.on else { return };
        on.quiet += 1;
        if on.quiet >= QUIET {
            let dropped = on.dropped;
            self.on = None;
            changes.push(Change::Off { dropped });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::table::{Size, Table};
    use dhcp_common::guard::{Asker, Class, judge};

    struct Lab {
        table: Table,
        throttle: Throttle,
        load: Load,
    }

    impl Lab {
        fn new() -> Self {
            let load = Load {
                now: 1000 * SECOND,
                workers: 2,
                ..Load::default()
            };
            let table = Table::anonymous(Size::for_addresses(1, 1)).unwrap();
            table.guard().hold(u64::MAX);
            Self {
                table,
                throttle: Throttle::default(),
                load,
            }
        }

        /// A second in which so many packets were lost and strangers served.
        fn second(&mut self, lost: u64, strangers: u64, rate: Rate) -> Vec<Change> {
            self.load.now += SECOND;
            self.load.lost = lost;
            self.load.strangers += strangers;
            self.load.received += strangers;
            self.throttle.step(rate, &self.load, &self.table.guard())
        }

        fn rate(&self) -> u64 {
            let interval = self.table.meta().guard.interval.load();
            SECOND.checked_div(interval).unwrap_or(0)
        }

        fn flood(&self, requests: u64) {
            for mac in 0..requests {
                let asker = Asker {
                    mac,
                    ingress: 7,
                    source: 1,
                    class: Class::First,
                    foreign: false,
                    selects: false,
                };
                let orders = &self.table.meta().guard;
                let _ = judge(&self.table, orders, &asker, self.load.now, true);
            }
        }
    }

    #[test]
    fn on_when_packets_are_lost_and_off_after_a_quiet_time() {
        let mut lab = Lab::new();
        assert_eq!(lab.second(0, 5000, Rate::Auto), []);
        assert_eq!(lab.rate(), 0);
        assert_eq!(lab.second(80, 8000, Rate::Auto), [], "one in a hundred");
        let on = Change::On {
            rate: 4000,
            lost: 3000,
        };
        // The flood began late in this second, which says little of what they manage.
        assert_eq!(lab.second(3000, 900, Rate::Auto), [on]);
        assert_eq!(lab.rate(), 4000);
        lab.flood(20_000);
        let ingress = 7;
        let dropping = Change::Dropping {
            ingress,
            rate: 4500,
        };
        assert_eq!(lab.second(0, 8000, Rate::Auto), [dropping]);
        lab.flood(20_000);
        assert_eq!(lab.second(0, 8000, Rate::Auto), [], "said once");
        let quiet: Vec<_> = (0..40)
            .flat_map(|_| lab.second(0, 10, Rate::Auto))
            .collect();
        assert!(
            matches!(quiet[..], [Change::Off { dropped: 20_000.. }]),
            "{quiet:?}"
        );
        assert_eq!(lab.rate(), 0);
    }

    #[test]
    fn it_goes_down_while_it_is_too_much_and_finds_its_place() {
        let mut lab = Lab::new();
        lab.second(1000, 10_000, Rate::Auto);
        let mut rates = Vec::new();
        for _ in 0..60 {
            lab.flood(100_000);
            // What the machine can do: 2000.
            let lost = 1000 * u64::from(lab.rate() > 2000);
            lab.second(lost, 2000, Rate::Auto);
            rates.push(lab.rate());
        }
        let settled = &rates[20..];
        assert!(
            settled.iter().all(|rate| (800..2600).contains(rate)),
            "{rates:?}"
        );
        let too_much = settled.iter().filter(|rate| **rate > 2000).count();
        assert!(too_much < 12, "{too_much} of 40 seconds: {rates:?}");
        for _ in 0..60 {
            lab.flood(100_000);
            lab.second(1, 0, Rate::Auto);
        }
        assert_eq!(lab.rate(), u64::from(LEAST));
    }

    #[test]
    fn workers_without_rest_turn_it_on_too() {
        let mut lab = Lab::new();
        let mut busy = |per_worker: u64| {
            lab.load.busy += 2 * per_worker;
            lab.second(0, 3000, Rate::Auto)
        };
        assert_eq!(busy(SECOND), []);
        assert_eq!([busy(SECOND), busy(SECOND / 2)], [[], []]);
        assert_eq!([busy(SECOND), busy(SECOND)], [[], []]);
        let on = Change::On {
            rate: 1500,
            lost: 0,
        };
        assert_eq!(busy(SECOND), [on]);
    }

    #[test]
    fn a_fixed_rate_is_told_of_when_it_bites() {
        let mut lab = Lab::new();
        lab.table.guard().limit(50);
        assert_eq!(lab.second(9, 0, Rate::PerSecond(50)), []);
        lab.flood(200);
        let dropping = Change::Dropping {
            ingress: 7,
            rate: 50,
        };
        assert_eq!(lab.second(0, 0, Rate::PerSecond(50)), [dropping]);
        let quiet = (0..QUIET).flat_map(|_| lab.second(0, 0, Rate::PerSecond(50)));
        assert_eq!(quiet.last(), Some(Change::Off { dropped: 149 }));
        assert_eq!(lab.rate(), 50, "the rate stays");
        assert_eq!(lab.second(9, 9, Rate::Off), []);
    }
}
