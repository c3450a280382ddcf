//! A new configuration, or other interfaces: what the kernel says must be what the engine would
//! say from now on.

use std::net::Ipv4Addr;
use std::sync::Arc;

use dhcp_common::memo;
use dhcp_common::slot::{Lease, Link};
use dhcp_common::wire::TAG_LEN;
use ipnet::Ipv4Net;

use super::Engine;
use super::alike::{Alike, Twins};
use super::api::Interface;
use super::state::{State, SubnetId};
use crate::clock::Now;
use crate::config::Config;
use crate::lease::table::Full;
use crate::packet::{MIN_SIZE, reply_size};

impl Engine {
    /// Replaces the configuration. Leases stay; a client whose lease the new one does not allow
    /// hears so at its next renewal. Answers go on meanwhile, but for a moment.
    ///
    /// # Errors
    /// If the table has no room for the new addresses; nothing has changed then.
    pub fn reload(&self, config: Arc<Config>, now: Now) -> Result<(), Full> {
        let _alone = self.change_alone();
        let fingerprint = config.fingerprint;
        let (new, twins) = self.prepare(config)?;
        let alike = Alike::new(self.exchange(new), twins);
        self.drop_memos(now, |state, address, lease| {
            alike.are(state, address, lease) && self.server_stands(state, address, lease)
        });
        let state = self.read();
        self.drop_boots(now, |address, lease| {
            alike.boot(&state, address, lease) && self.server_stands(&state, address, lease)
        });
        drop(state);
        self.table.meta().fingerprint.store(fingerprint);
        Ok(())
    }

    /// Makes the new state while others answer under the old one.
    fn prepare(&self, config: Arc<Config>) -> Result<(State, Twins), Full> {
        self.write_state().meanwhile.begin();
        let old = self.read();
        let new = State::new(config, old.interfaces.clone(), &self.table);
        let new = new.inspect_err(|_| drop(old.meanwhile.end()))?;
        let twins = Twins::of(&old, &new);
        Ok((new, twins))
    }

    /// Gives the old state back.
    fn exchange(&self, mut new: State) -> State {
        let mut state = self.write_state();
        new.catch_up(state.meanwhile.end(), &self.table);
        let old = std::mem::replace(&mut *state, new);
        self.rekey_clients(&state, &old.networks_not_of_both(&state));
        old
    }

    /// Replaces the interfaces. Give all that the host has, served or not: packets to another
    /// host's address are not answered.
    pub fn set_interfaces(&self, interfaces: Vec<Interface>, now: Now) {
        let _alone = self.change_alone();
        if self.read().interfaces == interfaces {
            return;
        }
        let mut state = self.write_state();
        let before = state.places.clone();
        state.set_interfaces(interfaces, &self.table);
        drop(state);
        self.drop_memos(now, |state, address, lease| {
            self.server_stands(state, address, lease)
        });
        let state = self.read();
        self.drop_boots(now, |address, lease| {
            before.on(lease.link) == state.places.on(lease.link)
                && self.server_stands(&state, address, lease)
        });
    }

    /// After a start: memos of another configuration are worth nothing.
    pub(super) fn drop_stale_memos(&self, now: Now) {
        let (mine, tables) = (self.config().fingerprint, &self.table.meta().fingerprint);
        if tables.load() != mine {
            self.drop_memos(now, |_, _, _| false);
            tables.store(mine);
        }
    }

    /// Whether the engine would answer at all, and with the server address that the memo of the
    /// lease has.
    fn server_stands(&self, state: &State, address: Ipv4Addr, lease: &Lease) -> bool {
        if state.interfaces.is_empty() {
            return true;
        }
        let facts = self.table.template(lease.template).facts();
        let server = Ipv4Addr::from_bits(facts.server);
        let answers = |id| state.serves_directly(id) && state.answers_as(id, lease.link, server);
        !state.is_ours(address)
            && state.carries(reply_size(&facts, &lease.splice))
            && state.subnet_of(address).is_some_and(answers)
    }

    /// Takes the memos of all leases but those to keep. Answers go on: a memo that is made meanwhile is
    /// made under the state that is there now. Only slots that somebody has locked may get one that
    /// was made before. They are looked at again when nobody can complete a change: who then still
    /// has one locked will find the mark.
    fn drop_memos(&self, now: Now, keep: impl Fn(&State, Ipv4Addr, &Lease) -> bool) {
        let mut locked = Vec::new();
        self.walk(|state, address, index| {
            let slot = self.table.slot(index);
            if slot.is_locked() {
                locked.push(index);
                return;
            }
            let lease = slot.lease();
            let goes = lease.memo != memo::NONE && !keep(state, address, &lease);
            if goes && !self.took_memo(index, now) {
                locked.push(index);
            }
        });
        let _nobody_completes = self.write_state();
        for index in locked {
            self.drop_memo(index, now);
        }
    }

    /// The engine answers the next renewal itself.
    pub(super) fn drop_memo(&self, index: u32, now: Now) {
        if !self.took_memo(index, now) {
            self.tainted.add(index);
        }
    }

    /// False if somebody has the slot locked.
    fn took_memo(&self, index: u32, now: Now) -> bool {
        let slot = self.table.slot(index);
        let locked = slot.try_lock();
        if locked {
            slot.close();
            self.reinstate(index, true, now.boot);
        }
        locked
    }
}

impl State {
    /// Whether a reply of this size fits every link: a unicast renewal may come by any.
    pub(super) fn carries(&self, size: u32) -> bool {
        let links = self.interfaces.iter().map(|port| port.mtu);
        let smallest = links.min().unwrap_or(u32::MAX);
        // Double tags take room from the packet.
        size <= u32::from(MIN_SIZE) || size + TAG_LEN as u32 <= smallest
    }

    /// Whether a renewal on this link is answered with this server address.
    fn answers_as(&self, id: SubnetId, link: Link, server: Ipv4Addr) -> bool {
        let subnet = self.subnet(id);
        let routed = link == Link::default();
        // Where a subnet has come or gone, the answer may be another address, or a NAK.
        if routed == self.places.is_local(id) || !routed && !self.places.on(link).contains(&id) {
            return false;
        }
        if let Some(address) = subnet.server_address {
            return address == server;
        }
        if routed {
            return self.is_ours(server);
        }
        if self.places.is_on_several(id) {
            return false;
        }
        let Some(port) = self.interface(link.ifindex) else {
            return false;
        };
        let mut own = port.addresses.iter().map(Ipv4Net::addr);
        let inside = own.clone().find(|address| subnet.prefix.contains(address));
        inside.or_else(|| own.next()) == Some(server)
    }
}
