//! What the server knows, held against its disk.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use dhcp_common::slot;

use super::super::ledger::Wrong;
use super::super::packet::Sent;
use super::super::wire::Told;
use super::{EPOCH, SETTINGS, Server, nobody};
use crate::clock::{Now, SECOND};
use crate::config::model::Mac;
use crate::engine::LeaseView;
use crate::journal::{Kind, Log, What};

impl Server {
    /// All that it knows, and what of it is on disk.
    pub(in super::super) fn describe(&self) -> String {
        let Self {
            boots,
            durable,
            counts,
            ..
        } = self;
        let leases = self.daemon.as_ref().map(|daemon| daemon.engine.leases());
        let files = self.storage.sizes();
        format!("{boots} {durable:?} {counts:?} {files:?} {leases:?}")
    }

    /// Nothing is lost of how far ahead leases are promised on disk: clients may have been told so.
    pub(super) fn expect_restored(&self) -> Result<(), Wrong> {
        let daemon = self.daemon.as_ref().expect("it has just started");
        for (address, (kind, mac, until)) in &self.durable {
            let known = daemon.engine.lease_at(*address);
            let his = |lease: &LeaseView| lease.kind == slot::Kind::Bound && lease.mac == *mac;
            let is_less = |lease: &LeaseView| self.at(lease.reserved_until) < *until;
            let known = known.filter(|lease| *kind == Kind::Bound && his(lease));
            if let Some(less) = known.filter(is_less) {
                let what = format!("restored until less than {until}: {less:?}");
                return Err(Wrong::new(what, *mac, *address));
            }
        }
        Ok(())
    }

    /// What would be found if the power failed right now: until when each address is taken.
    pub(in super::super) fn after_power_cut(
        &self,
        seed: u64,
    ) -> Result<BTreeMap<Ipv4Addr, (Kind, Mac, u64)>, Wrong> {
        let now = Now {
            boot: 1000 * SECOND,
            unix: EPOCH + self.time,
        };
        let boot_id = [0xff; 16];
        let storage = self.storage.after_power_cut(seed);
        let opened = Log::open(Arc::new(storage), SETTINGS, now, boot_id);
        let (_, replayed) = opened.map_err(|error| nobody(format!("power cut: {error}")))?;
        // What no sync has written goes to the disk in any order, or not at all, and nobody was told of it.
        let is_told = |what| what != What::LastBatch || self.storage.unsynced() == 0;
        if let Some(damage) = replayed.damage.iter().find(|damage| is_told(damage.what)) {
            return Err(nobody(format!(
                "a power cut would damage the journal: {damage}"
            )));
        }
        let since = self.time - 1000 * SECOND;
        let records = replayed.records.into_iter();
        Ok(records
            .map(|r| {
                (
                    r.address,
                    (r.kind, r.mac, since.saturating_add(r.reserved_until)),
                )
            })
            .collect())
    }

    /// Nothing is granted that the disk does not know.
    pub(super) fn promised(&self, sent: &Sent) -> Result<(), Wrong> {
        let told = Told::read(&sent.bytes);
        let Some(secs) = told.grants() else {
            return Ok(());
        };
        let until = sent.decided + secs * SECOND;
        match self.durable.get(&told.address) {
            Some((Kind::Bound, mac, reserved)) if *mac == told.mac && *reserved >= until => Ok(()),
            known => {
                let what = format!("ACK until {until}, and the disk knows {known:?}");
                Err(Wrong::new(what, told.mac, told.address))
            }
        }
    }
}
