//! Who is answered without the engine: by the loaded program, and by the same source on the host.

use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};
use dhcp_common::Reason;
use dhcp_common::fast::Scratch;
use dhcp_userspace::clock::{Now, SECOND};
use dhcp_userspace::fastpath::host::HostEnv;

use super::change::Changer;
use super::site::{self, ADDRESSES, CLIENTS, IFINDEX, address};
use crate::Race;
use crate::common::frame;
use crate::common::random::Random;

const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
/// Lookups between two looks at whether it is over.
const BATCH: u64 = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    Kernel,
    Host,
}

pub struct Looker<'a> {
    race: &'a Race,
    by: By,
    random: Random,
    /// Renewals of all clients, of address 0.
    renewals: Vec<Vec<u8>>,
    scratch: Box<Scratch>,
    daemon: Changer<'a>,
}

impl<'a> Looker<'a> {
    pub fn new(by: By, random: Random, daemon: Changer<'a>) -> Self {
        let renewals = (0..CLIENTS).map(|client| site::renewing(client, address(0)));
        Self {
            race: daemon.race,
            by,
            random,
            renewals: renewals.collect(),
            scratch: Box::default(),
            daemon,
        }
    }

    pub fn run(mut self) -> Result<()> {
        while !self.race.over() {
            let mut looked = 0;
            for _ in 0..BATCH {
                looked += u64::from(self.look()?);
            }
            self.race.looked_at(looked);
            if looked == 0 {
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    /// A renewal of who holds an address, or held it, or never did; false if the address is left
    /// alone for now.
    fn look(&mut self) -> Result<bool> {
        let now = Now::read();
        let number = self.random.below(ADDRESSES);
        if is_quiet(number, now.boot) {
            return Ok(false);
        }
        let holder = self.race.ledger.holder(number);
        let stranger = self.random.one_in(8);
        let client = holder.filter(|_| !stranger);
        let client = client.unwrap_or_else(|| self.random.below(CLIENTS));
        let mut sent = self.renewals[client].clone();
        frame::set_addresses(&mut sent, address(number).to_bits());

        let race = self.race;
        let (epoch, done) = (
            race.ledger.epoch(number),
            race.site.done.load(Ordering::SeqCst),
        );
        let now = Now::read();
        let Some(reply) = self.answer(&sent, now)? else {
            return self.pass(&sent, number, client).map(|()| true);
        };
        let lease = race.site.check(done, client, number, &reply)?;
        let granted = race.ledger.granted(number, client, epoch, now.boot + lease);
        let judged = granted.with_context(|| format!("at {}", now.boot))?;
        race.answered[self.by as usize].fetch_add(judged.into(), Ordering::Relaxed);
        Ok(true)
    }

    /// The engine hears some of what is passed up.
    fn pass(&mut self, sent: &[u8], number: usize, client: usize) -> Result<()> {
        let his = self.race.ledger.holder(number) == Some(client);
        if his && self.random.one_in(32) {
            return self.daemon.send(sent, number, client);
        }
        Ok(())
    }

    /// The reply, if there is one; a frame that is not answered comes back as it was.
    fn answer(&mut self, sent: &[u8], now: Now) -> Result<Option<Vec<u8>>> {
        let site = &self.race.site;
        let (hit, frame) = if self.by == By::Kernel {
            let (action, frame) = site.fast_path.test_run(sent, IFINDEX)?;
            ensure!([XDP_PASS, XDP_TX].contains(&action), "action {action}");
            (action == XDP_TX, frame)
        } else {
            let mut frame = sent.to_vec();
            let mut env = HostEnv {
                table: &site.table,
                frame: &mut frame,
                ifindex: IFINDEX,
                now: now.boot,
            };
            (env.answer(&mut self.scratch) == Reason::Hit, frame)
        };
        ensure!(hit || frame == sent, "not answered, but changed");
        Ok(hit.then_some(frame))
    }
}

/// Every address is left alone for as long as a lease is, now and then, so that some lapse.
pub fn is_quiet(number: usize, now: u64) -> bool {
    (now / (2 * SECOND) + number as u64).is_multiple_of(4)
}
