//! What would be made of a packet, for operators.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::Engine;
use super::api::{Ignored, Incoming};
use super::context::Context;
use super::state::SubnetId;
use super::terms::Terms;
use crate::clock::Now;
use crate::packet::Request;

/// What a client is in one of the subnets that it may be in, and what it would get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub subnet: Ipv4Net,
    /// The shared network.
    pub network: Option<String>,
    /// What the client is known by, if a reservation has it.
    pub host: Option<String>,
    pub classes: Vec<String>,
    /// Ready-made classes, also those that nothing is configured for.
    pub ready_made: Vec<&'static str>,
    /// Why it is not served here.
    pub refused: Option<Ignored>,
    /// The address that it has or had here, or that is reserved for it.
    pub address: Option<Ipv4Addr>,
    /// The first and the last address of that one's pool.
    pub pool: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Where it would get one otherwise: first and last address of a pool, and how many are free, in
    /// the order in which they are asked.
    pub free: Vec<(Ipv4Addr, Ipv4Addr, u64)>,
    pub lease_time: Duration,
    pub next_server: Option<Ipv4Addr>,
    pub boot_file: String,
}

impl Engine {
    /// Changes nothing. Subnets stand in the order in which they are tried.
    ///
    /// # Errors
    /// Why the packet would not be answered, wherever its client is.
    pub fn explain(&self, now: Now, packet: &Incoming<'_>) -> Result<Vec<Explanation>, Ignored> {
        let request = Request::parse(packet.payload)?;
        let state = self.read();
        let context = Context::new(self, &state, now, packet, &request)?;
        let places = context.meant().iter();
        Ok(places.filter_map(|id| context.explain(*id)).collect())
    }
}

impl Context<'_> {
    fn explain(&self, id: SubnetId) -> Option<Explanation> {
        let config = &self.state.config;
        let standing = self.standing(id);
        let leased = || self.engine.clients.address(&self.key(id));
        let address = self.reserved(id).or_else(leased);
        let terms: Terms<'_> = match address {
            Some(address) => self.terms_at(id, address).ok()?,
            None => self.terms(id).ok()?,
        };
        let classes = self.state.classes();
        let members = classes.filter(|(class, _)| standing.members.contains(*class));
        let pool = address.and_then(|address| self.state.pool_of(id, address));
        let network = self.subnet(id).network;
        Some(Explanation {
            subnet: self.subnet(id).prefix,
            network: network.and_then(|at| config.networks.get(at).cloned()),
            host: standing.host.map(|host| host.identifier.to_string()),
            classes: members.map(|(_, class)| class.name.clone()).collect(),
            ready_made: self.ready_made(id).collect(),
            refused: standing.refused,
            address,
            pool: pool.map(|pool| (pool.first, pool.last)),
            free: match address {
                Some(_) => Vec::new(),
                None => self.free(id),
            },
            lease_time: terms.times.lease,
            next_server: terms.next_server,
            boot_file: terms.boot.file.clone(),
        })
    }

    fn free(&self, id: SubnetId) -> Vec<(Ipv4Addr, Ipv4Addr, u64)> {
        let pools = &self.subnet(id).pools;
        let all = self.free_pools(id).into_iter();
        all.map(|(at, free)| (pools[at].first, pools[at].last, free))
            .collect()
    }
}
