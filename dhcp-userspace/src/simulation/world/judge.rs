//! Whether all is well: what the server and its disk know, against what clients were told.

use std::net::Ipv4Addr;

use super::super::client::{Client, State};
use super::super::ledger::Wrong;
use super::super::nature::Kind as NatureKind;
use super::super::plan::Plan;
use super::super::site::PLACES;
use super::{Event, World, nobody};
use crate::journal::Kind;

impl World {
    /// What the daemon does now and then, and whether its books are right.
    pub(super) fn look_after_a_while(&mut self) -> Result<(), Wrong> {
        let next = self.plan.upkeep;
        self.after(next, Event::Looks);
        let now = self.server.now();
        let Some(daemon) = &self.server.daemon else {
            return Ok(());
        };
        if let Some(damage) = daemon.keep_up(now) {
            return Err(nobody(format!("found by a compaction: {damage}")));
        }
        self.server.storage.forget_removed();
        if daemon.is_idle() {
            daemon.engine.audit().map_err(nobody)?;
        }
        self.measure();
        self.ask_the_server()
    }

    /// The server knows every lease that it told anybody of.
    pub(super) fn ask_the_server(&mut self) -> Result<(), Wrong> {
        let server = &self.server;
        let Some(daemon) = &server.daemon else {
            return Ok(());
        };
        for (address, promise) in self.ledger.each(server.time) {
            let known = daemon.engine.lease_at(address);
            let is_kept = known.as_ref().is_some_and(|lease| {
                lease.kind == dhcp_common::slot::Kind::Bound
                    && lease.mac == promise.mac
                    && server.at(lease.expires) >= promise.until
            });
            if !is_kept {
                let what = format!("the server has forgotten {promise:?}: {known:?}");
                return Err(Wrong::new(what, promise.mac, address));
            }
        }
        Ok(())
    }

    /// If the power failed right now, all that clients were told would be found on disk.
    pub(super) fn look(&mut self) -> Result<(), Wrong> {
        self.looks += 1;
        let found = self.server.after_power_cut(self.dice.seed())?;
        for (address, promise) in self.ledger.each(self.server.time) {
            let known = found.get(&address);
            let is_kept = known.is_some_and(|(kind, mac, until)| {
                *kind == Kind::Bound && *mac == promise.mac && *until >= promise.until
            });
            if !is_kept {
                let what = format!("a power cut would lose {promise:?}: {known:?}");
                return Err(Wrong::new(what, promise.mac, address));
            }
        }
        Ok(())
    }

    /// For a while nothing goes wrong and nobody comes or goes; then all must be well.
    pub(super) fn hush(&mut self, quiet: bool) -> Result<(), Wrong> {
        let Plan { loud, calm, .. } = self.plan;
        self.after(if quiet { calm } else { loud }, Event::Quiet(!quiet));
        if quiet {
            self.quiet_since = Some(self.server.time);
            self.server.storage.set_full(false);
            self.server.storage.fail_at(usize::MAX);
            self.after(0, Event::Starts(self.life));
            return Ok(());
        }
        let since = self.quiet_since.take().unwrap_or_default();
        let Some(daemon) = &self.server.daemon else {
            return Ok(());
        };
        let pools = daemon.engine.pools();
        // Beside addresses on which somebody is who never asked.
        let has_room = |place: usize| {
            let is_here = |address| PLACES[place].has(address);
            let here = pools.iter().filter(|pool| is_here(pool.subnet.network()));
            let squatters = self.server.squatters.iter();
            let taken = squatters.filter(|address| is_here(**address)).count() as u64;
            here.map(|pool| pool.free).sum::<u64>() > taken
        };
        for client in &self.clients {
            let excused = client.nature.kind != NatureKind::Dhcp || client.declined > since;
            if self.waits(client) && !excused && client.on_since < since && has_room(client.place) {
                let (state, nature) = (client.state, client.nature);
                let what =
                    format!("no address in all of a quiet time: {state:?} {nature:?} {pools:?}");
                let address = client.address().unwrap_or(Ipv4Addr::UNSPECIFIED);
                return Err(Wrong::new(what, client.mac, address));
            }
        }
        Ok(())
    }

    /// Whether the client wants an address, or one that it rightly has for longer.
    fn waits(&self, client: &Client) -> bool {
        match (client.state, client.address()) {
            (State::Off | State::Elsewhere | State::Bound | State::Renewing, _) => false,
            (State::Rebinding, Some(address)) => {
                let holder = self.ledger.holder(address, self.server.time);
                let place = &PLACES[client.place];
                holder.is_some_and(|claim| claim.mac == client.mac)
                    && self.server.site.allows(place, client.mac, address)
            }
            _ => true,
        }
    }
}
