//! What clients were told, and nothing else: who may count on which address, until when.
//!
//! Times are of the simulation, in ns. It knows nothing of the server's insides; the server is asked
//! by [`Ledger::each`] whether it knows what the clients know.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::site::{PLACES, Site};
use crate::clock::SECOND;
use crate::config::model::Mac;

/// What is wrong, and with whose address.
#[derive(Clone, Debug)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) mac: Mac,
    pub(super) address: Ipv4Addr,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, mac: Mac, address: Ipv4Addr) -> Self {
        Self {
            what: what.into(),
            mac,
            address,
        }
    }
}

/// What a client counts on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) mac: Mac,
    /// When the server gave it the address.
    pub(super) since: u64,
    /// When the server decided about the last ACK that its client took.
    pub(super) decided: u64,
    /// By its own clock: from when it asked.
    pub(super) until: u64,
    /// Where it is: by [`PLACES`].
    pub(super) place: usize,
}

/// An ACK that a client took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) address: Ipv4Addr,
    pub(super) mac: Mac,
    pub(super) place: usize,
    pub(super) until: u64,
    /// When the server decided about it.
    pub(super) decided: u64,
    /// Since when the configuration is in force: another one may have had longer leases.
    pub(super) configured: u64,
}

/// What the server has to keep: what it said in all ACKs, whether anybody heard them or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promise {
    pub(super) mac: Mac,
    pub(super) until: u64,
}

/// Leases for good (BOOTP) are as long as this, at least. One that is spoken for by DHCP becomes a
/// lease like any.
const FOR_GOOD: u64 = u32::MAX as u64 / 2 * SECOND;

#[derive(Default)]
pub(super) struct Ledger {
    claims: BTreeMap<Ipv4Addr, Claim>,
    promises: BTreeMap<Ipv4Addr, Promise>,
    /// When the server last heard, in this client's name, that it gives the address back.
    given_up: BTreeMap<(Ipv4Addr, Mac), u64>,
    /// From when until when each client was told that it has an address, whether it heard so or not: a late
    /// copy of what it asked before is answered like any request.
    told: BTreeMap<(Mac, Ipv4Addr), (u64, u64)>,
    pub(super) acks: u64,
}

impl Ledger {
    /// A client takes an ACK.
    pub(super) fn take(&mut self, taken: &Taken) -> Result<(), Wrong> {
        let Taken {
            address,
            mac,
            place,
            until,
            decided,
            configured,
        } = *taken;
        self.acks += 1;
        let given_up = self.given_up.get(&(address, mac));
        if given_up.is_some_and(|at| *at >= decided) {
            // On its way while the address was given back in the client's name.
            self.drop_claim(address, mac);
            return Ok(());
        }
        let before = self.holder(address, decided);
        if let Some(other) = before.filter(|other| other.mac != mac) {
            let what = format!("ACK to a second client; the first one's lease: {other:?}");
            return Err(Wrong::new(what, mac, address));
        }
        if let Some(own) = before.filter(|own| until < own.until && configured < own.decided) {
            let what = format!("ACK until {until}, which shortens {own:?}");
            return Err(Wrong::new(what, mac, address));
        }
        let since = before.map_or(decided, |own| own.since);
        let claim = Claim {
            mac,
            since,
            decided,
            until,
            place,
        };
        self.claims.insert(address, claim);
        Ok(())
    }

    /// An ACK is on its way.
    pub(super) fn tell(
        &mut self,
        mac: Mac,
        address: Ipv4Addr,
        (decided, until): (u64, u64),
    ) -> Result<(), Wrong> {
        let before = self.told.get(&(mac, address));
        let since = before
            .filter(|(_, until)| *until > decided)
            .map_or(decided, |(since, _)| *since);
        self.told.insert((mac, address), (since, until));
        let given_up = self.given_up.get(&(address, mac));
        if given_up.is_some_and(|at| *at >= decided) {
            return Ok(());
        }
        if until >= decided + FOR_GOOD / 2 {
            // Who speaks BOOTP has begun anew, as far as the server can know: what DHCP told it before is over,
            // once DHCP speaks in its name again.
            self.drop_claim(address, mac);
        }
        self.promise(address, Promise { mac, until }, decided)
    }

    fn promise(&mut self, address: Ipv4Addr, new: Promise, decided: u64) -> Result<(), Wrong> {
        let before = self.promises.get(&address);
        let before = before.filter(|before| before.until > decided);
        if let Some(other) = before.filter(|before| before.mac != new.mac) {
            let what = format!("ACK to a second client; the first one was told: {other:?}");
            return Err(Wrong::new(what, new.mac, address));
        }
        let binding = before.filter(|before| before.until < decided + FOR_GOOD / 2);
        let until = binding.map_or(new.until, |before| before.until.max(new.until));
        self.promises.insert(address, Promise { until, ..new });
        Ok(())
    }

    /// Whether the server had reason to think that the client has this address.
    pub(super) fn was_told(&self, mac: Mac, address: Ipv4Addr, decided: u64) -> bool {
        let told = self.told.get(&(mac, address));
        told.is_some_and(|(since, until)| *since < decided && *until > decided)
    }

    /// Who may count on an address.
    pub(super) fn holder(&self, address: Ipv4Addr, now: u64) -> Option<Claim> {
        let claim = self.claims.get(&address);
        claim.filter(|claim| claim.until > now).copied()
    }

    /// The client stops using the address.
    pub(super) fn drop_claim(&mut self, address: Ipv4Addr, mac: Mac) {
        if self
            .claims
            .get(&address)
            .is_some_and(|claim| claim.mac == mac)
        {
            self.claims.remove(&address);
        }
    }

    /// The server hears a RELEASE or DECLINE, whoever sent it: protocol lets anybody do so, and a
    /// copy may come late.
    pub(super) fn give_up(&mut self, address: Ipv4Addr, mac: Mac, now: u64) {
        self.drop_claim(address, mac);
        if self.promises.get(&address).is_some_and(|to| to.mac == mac) {
            self.promises.remove(&address);
        }
        self.given_up.insert((address, mac), now);
    }

    /// DHCP speaks in the name of who has the address for good: its lease has an end from now on.
    pub(super) fn speak_for(&mut self, address: Ipv4Addr, mac: Mac, now: u64) {
        let is_for_good = |of: Mac, until: u64| of == mac && until >= now + FOR_GOOD / 2;
        if self
            .holder(address, now)
            .is_some_and(|claim| is_for_good(claim.mac, claim.until))
        {
            self.drop_claim(address, mac);
        }
        let promise = self.promises.get(&address);
        if promise.is_some_and(|promise| is_for_good(promise.mac, promise.until)) {
            self.promises.remove(&address);
        }
    }

    /// The server says NAK to a client that sent this itself.
    pub(super) fn refuse(
        &self,
        site: &Site,
        (mac, place): (Mac, usize),
        address: Ipv4Addr,
        now: u64,
    ) -> Result<(), Wrong> {
        match self.holder(address, now) {
            Some(claim)
                if claim.mac == mac
                    && claim.place == place
                    && site.allows(&PLACES[place], mac, address) =>
            {
                let what = format!("NAK to the holder of a lease that goes on: {claim:?}");
                Err(Wrong::new(what, mac, address))
            }
            _ => Ok(()),
        }
    }

    /// What the server must know at this time; what is older is forgotten.
    pub(super) fn each(&mut self, now: u64) -> impl Iterator<Item = (Ipv4Addr, Promise)> + '_ {
        self.claims.retain(|_, claim| claim.until > now);
        self.promises.retain(|_, promise| promise.until > now);
        self.told.retain(|_, (_, until)| *until > now);
        // A message is not on its way for longer than a lease.
        self.given_up.retain(|_, at| *at + 3600 * SECOND > now);
        let claims = self.claims.iter();
        let claims = claims.map(|(address, Claim { mac, until, .. })| {
            let (mac, until) = (*mac, *until);
            (*address, Promise { mac, until })
        });
        let promises = self.promises.iter().map(|(address, to)| (*address, *to));
        claims.chain(promises)
    }

    /// What is written in it.
    pub(super) fn describe(&self) -> String {
        let Self {
            claims,
            promises,
            given_up,
            told,
            acks,
        } = self;
        format!("{acks} {claims:?} {promises:?} {given_up:?} {told:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 64);
    const ONE: Mac = [1; 6];
    const TWO: Mac = [2; 6];

    fn ack(mac: Mac, decided: u64) -> Taken {
        Taken {
            address: ADDRESS,
            mac,
            place: 0,
            until: decided + 100,
            decided,
            configured: 0,
        }
    }

    #[test]
    fn an_address_is_one_clients_until_it_lapses_or_is_given_back() {
        let mut ledger = Ledger::default();
        ledger.take(&ack(ONE, 10)).unwrap();
        ledger.take(&ack(ONE, 50)).unwrap();
        assert!(ledger.take(&ack(TWO, 149)).is_err());
        ledger.take(&ack(TWO, 150)).unwrap();
        ledger.give_up(ADDRESS, TWO, 160);
        ledger.take(&ack(ONE, 161)).unwrap();
        assert_eq!(ledger.each(200).count(), 1);
        assert_eq!(ledger.each(261).count(), 0);
    }

    #[test]
    fn an_ack_from_before_a_release_is_none() {
        let mut ledger = Ledger::default();
        ledger.give_up(ADDRESS, ONE, 20);
        ledger.take(&ack(ONE, 10)).unwrap();
        assert!(ledger.holder(ADDRESS, 30).is_none());
        ledger.take(&ack(TWO, 30)).unwrap();
        ledger.take(&ack(ONE, 15)).unwrap();
        assert_eq!(ledger.holder(ADDRESS, 40).unwrap().mac, TWO);
    }

    #[test]
    fn a_holder_hears_no_only_if_the_operator_says_so() {
        let site = Site::new(&mut Dice::new(1), 100);
        let mut ledger = Ledger::default();
        ledger.take(&ack(ONE, 10)).unwrap();
        let refuse = |who, now| ledger.refuse(&site, who, ADDRESS, now).is_err();
        assert!(refuse((ONE, 0), 109));
        assert!(!refuse((ONE, 0), 110), "lapsed");
        assert!(!refuse((ONE, 1), 50), "on another link");
        assert!(!refuse((TWO, 0), 50), "another client");
    }

    #[test]
    fn who_asks_for_more_time_has_no_less_unless_the_operator_says_so() {
        let shorter = |configured| Taken {
            until: 109,
            configured,
            ..ack(ONE, 50)
        };
        for (configured, is_wrong) in [(0, true), (9, true), (10, false), (40, false)] {
            let mut ledger = Ledger::default();
            ledger.take(&ack(ONE, 10)).unwrap();
            let told = ledger.take(&shorter(configured));
            assert_eq!(told.is_err(), is_wrong, "configured at {configured}");
        }
    }

    #[test]
    fn the_server_keeps_all_it_said() {
        let mut ledger = Ledger::default();
        let mut tell = |mac, decided, until| ledger.tell(mac, ADDRESS, (decided, until));
        tell(ONE, 10, 200).unwrap();
        tell(ONE, 20, 150).unwrap();
        assert!(
            tell(TWO, 199, 300).is_err(),
            "nobody may have heard the second ACK"
        );
        assert_eq!(ledger.each(30).next().unwrap().1.until, 200);
        ledger.give_up(ADDRESS, ONE, 40);
        assert_eq!(ledger.each(40).count(), 0);
        ledger.tell(ONE, ADDRESS, (39, 200)).unwrap();
        assert_eq!(ledger.each(40).count(), 0, "from before the RELEASE");
        ledger.tell(TWO, ADDRESS, (41, 300)).unwrap();
    }
}
