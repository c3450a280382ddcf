//! Opens and closes interfaces as they come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mailbox::{Mailbox, Message};
use crate::config::Config;
use crate::control::Metrics;
use crate::net::socket::Prepared;
use crate::net::{NetError, Nic, Socket, interface, select, socket};

impl Port {
    fn is_bound(&self) -> bool {
        self.sockets.iter().all(|socket| socket.is_bound())
    }
}

/// The interfaces that are served.
pub struct Ports {
    workers: Vec<Arc<Mailbox>>,
    /// All that the machine has, as seen last.
    all: Vec<Nic>,
    open: BTreeMap<u32, Port>,
    /// Where the workers run the fast path.
    fast_here: Vec<u32>,
    /// What could not be opened, so that it is said once, not every second.
    refused: BTreeMap<u32, String>,
    prepared: Prepared,
}

struct Port {
    nic: Nic,
    left_to_others: Vec<u16>,
    sockets: Vec<Arc<Socket>>,
}

impl Ports {
    #[must_use]
    pub fn new(workers: Vec<Arc<Mailbox>>, prepared: Prepared) -> Self {
        Self {
            workers,
            all: Vec::new(),
            open: BTreeMap::new(),
            fast_here: Vec::new(),
            refused: BTreeMap::new(),
            prepared,
        }
    }

    /// Looks at the machine's interfaces; opens and closes what has changed. Tells whether
    /// anything has.
    ///
    /// # Errors
    /// If the interfaces cannot be listed.
    pub fn refresh(&mut self, config: &Config) -> Result<bool, NetError> {
        let all = interface::list()?;
        let wanted = select::available(config, &all);
        let before = self.served();
        self.close_all_but(&wanted, &all);
        for nic in &wanted {
            self.keep(nic, &select::left_to_others(nic, &wanted));
        }
        let served = self.served();
        if served.is_empty() && !before.is_empty() {
            tracing::warn!("no interface is served any more: waiting for one");
        }
        let changed = all != self.all || before != served;
        self.all = all;
        Ok(changed)
    }

    /// All interfaces that the machine has.
    #[must_use]
    pub fn all(&self) -> &[Nic] {
        &self.all
    }

    /// The interfaces that are served.
    #[must_use]
    pub fn served(&self) -> Vec<Nic> {
        self.open.values().map(|port| port.nic.clone()).collect()
    }

    /// A socket to send on an interface that is served.
    #[must_use]
    pub fn socket(&self, ifindex: u32) -> Option<Arc<Socket>> {
        self.open.get(&ifindex)?.sockets.first().cloned()
    }

    /// Adds what the kernel counted since the last call; tells how many packets were lost.
    pub fn count(&self, metrics: &Metrics) -> u64 {
        let sockets = self.open.values().flat_map(|port| &port.sockets);
        let drops = sockets.filter_map(|socket| socket.statistics().ok());
        let drops = drops.map(|statistics| statistics.drops).sum();
        metrics.dropped.inc_by(drops);
        drops
    }

    /// Has the workers run the fast path on these interfaces.
    pub fn run_fast_path_on(&mut self, interfaces: Vec<u32>) {
        if self.fast_here != interfaces {
            self.tell(|| Message::FastPathOn(interfaces.clone()));
            self.fast_here = interfaces;
        }
    }

    fn tell(&self, message: impl Fn() -> Message) {
        for worker in &self.workers {
            worker.put(message());
        }
    }

    fn close_all_but(&mut self, wanted: &[Nic], all: &[Nic]) {
        let gone: Vec<_> = self
            .open
            .keys()
            .filter(|index| !has(wanted, **index))
            .copied()
            .collect();
        for index in gone {
            let why = why_closed(all.iter().find(|nic| nic.index() == index));
            if let Some(port) = self.close(index) {
                tracing::warn!(interface = port.nic.name(), why, "interface closed");
            }
        }
        self.refused.retain(|index, _| has(wanted, *index));
    }

    fn close(&mut self, index: u32) -> Option<Port> {
        let port = self.open.remove(&index)?;
        self.tell(|| Message::Leave(index));
        Some(port)
    }

    /// Opens an interface, or takes over what changed of one that is open.
    fn keep(&mut self, nic: &Nic, left_to_others: &[u16]) {
        if let Some(port) = self.open.get_mut(&nic.index()) {
            if port.left_to_others == left_to_others && port.is_bound() {
                port.nic = nic.clone();
                return;
            }
            self.close(nic.index());
        }
        let workers = self.workers.len();
        match socket::open_prepared(nic, left_to_others, workers, &mut self.prepared) {
            Ok(sockets) => self.opened(nic, left_to_others, sockets),
            Err(error) => self.refuse(nic, &error),
        }
    }

    fn opened(&mut self, nic: &Nic, left_to_others: &[u16], sockets: Vec<Socket>) {
        let sockets: Vec<_> = sockets.into_iter().map(Arc::new).collect();
        for (worker, socket) in self.workers.iter().zip(&sockets) {
            worker.put(Message::Serve(Arc::clone(socket)));
        }
        self.refused.remove(&nic.index());
        tracing::info!(interface = nic.name(), "interface opened");
        let (nic, left_to_others) = (nic.clone(), left_to_others.to_vec());
        self.open.insert(
            nic.index(),
            Port {
                nic,
                left_to_others,
                sockets,
            },
        );
    }

    fn refuse(&mut self, nic: &Nic, error: &NetError) {
        let error = error.to_string();
        if self.refused.get(&nic.index()) != Some(&error) {
            tracing::error!("{error}");
            self.refused.insert(nic.index(), error);
        }
    }
}

fn has(nics: &[Nic], index: u32) -> bool {
    nics.iter().any(|nic| nic.index() == index)
}

/// Why an interface is served no longer.
fn why_closed(now: Option<&Nic>) -> &'static str {
    match now {
        None => "it is gone",
        Some(nic) if !nic.up => "it is down",
        Some(nic) if nic.interface.addresses.is_empty() => "it has no IPv4 address any more",
        Some(_) => "the configuration and its addresses give it no subnet any more",
    }
}
