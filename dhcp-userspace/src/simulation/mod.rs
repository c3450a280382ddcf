//! The server's whole core under a simulated clock, network and disk.
//!
//! Engine, journal and the kernel's part are the real ones; sockets, threads and clocks are not. One
//! thread lets clients of many kinds live for weeks in seconds, while packets are lost, copied and
//! late, the daemon is killed, the power fails, disks are full or fail, and configurations come and
//! go. A ledger that sees only what clients receive judges it (see `ledger.rs`), and so do checks of
//! the engine's books, of the disk after a power cut that is only thought of, and of the kernel's
//! answers against the engine's. One seed gives one run: see `same.rs`.
mod client;
mod daemon;
mod dice;
mod digest;
mod hostile;
mod ledger;
mod nature;
mod packet;
mod plan;
mod same;
mod server;
mod site;
mod trail;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use xdhcpd_tests::Campaign;

use crate::clock::{Now, SECOND};
use dice::Dice;
use plan::Plan;
use world::World;

const HOUR: u64 = 3600 * SECOND;

/// Seeds that found something once, which every run begins with.
const FOUND: [u64; 1] = [3];

/// What the runs did.
#[derive(Default)]
struct Sum {
    time: u64,
    packets: u64,
    acks: u64,
    hits: u64,
    compared: u64,
    looks: u64,
    fates: BTreeMap<&'static str, u64>,
}

impl Sum {
    fn run(&mut self, seed: u64, extent: Extent) {
        let (plan, mut world) = extent.world(seed);
        if let Err(wrong) = extent.run(&mut world) {
            panic!("XDHCPD_SEED={seed} with {extent:?} and {plan:?} finds, {wrong}");
        }
        let fingerprint = world.fingerprint();
        println!("seed {seed}: {} ({fingerprint:016x})", world.describe());
        self.time += extent.hours * HOUR;
        self.acks += world.ledger.acks;
        self.looks += world.looks;
        self.packets += world.server.counts.packets;
        self.hits += world.server.counts.hits;
        self.compared += world.server.counts.compared;
        for (fate, times) in world.fates {
            *self.fates.entry(fate).or_default() += times;
        }
    }

    fn tell(&self, campaign: &Campaign) {
        let fates: Vec<_> = self
            .fates
            .iter()
            .map(|(fate, times)| format!("{times} {fate}"))
            .collect();
        let fault = "simulation: loss, copies, delays, hostile clients, ".to_owned() + FATES;
        let checked = format!(
            "{} ACKs of {} packets ({} renewals by the kernel's code, {} of them held against the \
             engine), the disk at {} moments; {}",
            self.acks,
            self.packets,
            self.hits,
            self.compared,
            self.looks,
            fates.join(", "),
        );
        let days = format!("{} simulated days", self.time / HOUR / 24);
        campaign.tell(&fault, days, &checked, 0, "not measured");
    }
}

const FATES: &str = "kills, power cuts, reloads, full and failing disks";

/// How much is simulated with a seed.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// Clients, at most.
    clients: usize,
    hours: u64,
    /// Whether the server never dies, and what it keeps is held against growth.
    flat: bool,
}

impl Extent {
    fn world(self, seed: u64) -> (Plan, World) {
        let plan = Plan::any(&mut Dice::new(seed), self.clients);
        let plan = if self.flat { plan.alive() } else { plan };
        let world = World::new(plan.clone(), seed);
        (plan, world)
    }

    fn run(self, world: &mut World) -> Result<(), String> {
        world.run(self.hours * HOUR)?;
        if self.flat {
            world.expect_flat()
        } else {
            Ok(())
        }
    }
}

/// What every run begins with.
const SHORT: Extent = Extent {
    clients: 40,
    hours: 14,
    flat: false,
};

/// The same, of a server that lives for days.
const DAYS: Extent = Extent {
    clients: 24,
    hours: 24,
    flat: true,
};

/// The long form has all of these for each seed: a server that lives for weeks, few clients that meet
/// each other often, and many.
const LONG: [Extent; 3] = [
    Extent {
        clients: 60,
        hours: 4 * 7 * 24,
        flat: true,
    },
    Extent {
        clients: 80,
        hours: 7 * 24,
        flat: false,
    },
    Extent {
        clients: 3000,
        hours: 2 * 24,
        flat: false,
    },
];

#[test]
fn nobody_loses_what_was_promised() {
    let campaign = Campaign::from_env();
    let mut sum = Sum::default();
    for seed in FOUND.into_iter().chain(campaign.seed..campaign.seed + 2) {
        sum.run(seed, SHORT);
    }
    sum.run(campaign.seed, DAYS);
    if campaign.is_long() {
        let end = Now::read().boot + campaign.time(Duration::ZERO).as_nanos() as u64;
        let runs = (campaign.seed..).flat_map(|seed| LONG.map(|extent| (seed, extent)));
        for (seed, extent) in runs {
            if Now::read().boot >= end {
                break;
            }
            sum.run(seed, extent);
        }
    }
    sum.tell(&campaign);
}
