//! A new configuration, or other interfaces: what the kernel says must be what the engine would
//! say from now on.

use std::net::Ipv4Addr;
use std::sync::Arc;

use dhcp_common::memo;
use dhcp_common::slot::{Lease, Link};
use dhcp_common::wire::TAG_LEN;
use ipnet::Ipv4Net;

use super::Engine;
use super::alike::Alike;
use super::api::Interface;
use super::state::{State, SubnetId};
use crate::clock::Now;
use crate::config::Config;
use crate::lease::table::Full;
use crate::packet::{MIN_SIZE, reply_size};

impl Engine {
    /// Replaces the configuration. Leases stay; a client whose lease the new one does not allow
    /// hears so at its next renewal.
    ///
    /// # Errors
    /// If the table has no room for the new addresses; nothing has changed then.
    pub fn reload(&self, config: Arc<Config>, now: Now) -> Result<(), Full> {
        let mut state = self.write_state();
        let new = State::new(config, state.interfaces.clone(), &self.table)?;
        let old = std::mem::replace(&mut *state, new);
        if !old.has_the_networks_of(&state) {
            self.rekey_clients(&state);
        }
        let alike = Alike::new(&old, &state);
        self.drop_memos(now, |address, lease| {
            alike.are(address, lease) && self.server_stands(&state, address, lease)
        });
        self.table
            .meta()
            .fingerprint
            .store(state.config.fingerprint);
        Ok(())
    }

    /// Replaces the interfaces. Give all that the host has, served or not: packets to another
    /// host's address are not answered.
    pub fn set_interfaces(&self, interfaces: Vec<Interface>, now: Now) {
        let mut state = self.write_state();
        if state.interfaces != interfaces {
            state.set_interfaces(interfaces, &self.table);
            self.drop_memos(now, |address, lease| {
                self.server_stands(&state, address, lease)
            });
        }
    }

    /// After a start: memos of another configuration are worth nothing.
    pub(super) fn drop_stale_memos(&self, state: &State, now: Now) {
        let fingerprint = &self.table.meta().fingerprint;
        if fingerprint.load() != state.config.fingerprint {
            self.drop_memos(now, |_, _| false);
            fingerprint.store(state.config.fingerprint);
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

    /// Takes the memos of all leases but those to keep. The caller has the state to itself.
    fn drop_memos(&self, now: Now, keep: impl Fn(Ipv4Addr, &Lease) -> bool) {
        for (address, index) in self.table.addresses() {
            let slot = self.table.slot(index);
            if !slot.is_locked() {
                let lease = slot.lease();
                if lease.memo == memo::NONE || keep(address, &lease) {
                    continue;
                }
            }
            self.drop_memo(index, now);
        }
    }

    /// The engine answers the next renewal itself.
    pub(super) fn drop_memo(&self, index: u32, now: Now) {
        let slot = self.table.slot(index);
        if !slot.try_lock() {
            self.tainted.add(index);
            return;
        }
        slot.close();
        self.reinstate(index, true, now.boot);
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
