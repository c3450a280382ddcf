//! What is measured, of whom, in which order.

use std::time::Duration;

use xdhcpd_tests::process;

use crate::measure::Extent;
use crate::sample::Work;
use crate::server::{Plan, Server};

/// By how many milliseconds each sync takes longer on a slow disk.
const SLOW_DISK: u32 = 20;
/// "A million": a power of two, as the generator in the kernel wants it.
pub const MILLION: u32 = 1 << 20;
const THOUSAND: u32 = 1 << 10;

/// How thorough it is.
pub struct Form {
    pub rounds: u32,
    pub extent: Extent,
    /// No session begins after this time.
    pub budget: Duration,
    quick: bool,
    bound: &'static [u32],
    storms: &'static [u32],
}

impl Form {
    pub fn full() -> Self {
        Self {
            rounds: 5,
            extent: Extent {
                time: Duration::from_secs(5),
                storm: Duration::from_secs(90),
                steady: 2_000,
                check: true,
            },
            budget: Duration::MAX,
            quick: false,
            bound: &[1_000, 100_000, MILLION],
            storms: &[10_000, 100_000],
        }
    }

    pub fn is_quick(&self) -> bool {
        self.quick
    }

    /// That renew, at most.
    pub fn most_clients(&self) -> u32 {
        self.bound.iter().copied().max().unwrap_or(0)
    }

    /// Within three minutes.
    pub fn quick() -> Self {
        Self {
            rounds: 1,
            extent: Extent {
                time: Duration::from_secs(1),
                storm: Duration::from_secs(15),
                steady: 2_000,
                check: false,
            },
            budget: Duration::from_secs(140),
            quick: true,
            bound: &[10_000],
            storms: &[10_000],
        }
    }
}

/// Works that the same start of a server serves, one after the other.
#[derive(Clone, Debug)]
pub struct Session {
    pub works: Vec<Work>,
    /// Clients with a lease, or nodes that boot.
    pub clients: u32,
    pub servers: Vec<Server>,
}

/// In the order of each round.
pub fn sessions(form: &Form) -> Vec<Session> {
    use Server::{Dhcpd, Dnsmasq, KeaMulti, KeaSingle, Limit, Xdhcpd};
    let session = |works: &[Work], clients, servers: &[Server]| Session {
        works: works.to_vec(),
        clients,
        servers: servers.to_vec(),
    };
    let peers = [Xdhcpd, KeaMulti, KeaSingle, Dhcpd, Dnsmasq];
    let mut sessions = vec![session(
        &[Work::Start, Work::Kernel],
        MILLION,
        &[Xdhcpd, Limit],
    )];
    if form.bound.contains(&MILLION) {
        sessions.push(session(&[Work::Kernel], THOUSAND, &[Xdhcpd, Limit]));
    }
    let mut fewer = 0;
    for bound in form.bound {
        let works = &[Work::Renew, Work::Loop, Work::Steady, Work::Alone];
        // Who holds no more than it had before is not measured with that again.
        let able = Server::ALL.into_iter();
        let able: Vec<_> = able.filter(|server| server.capacity() > fewer).collect();
        sessions.push(session(works, *bound, &able));
        fewer = *bound;
    }
    sessions.push(session(&[Work::Bind], 0, &peers));
    for nodes in form.storms {
        if form.quick {
            // The others take minutes, and Kea half a one.
            sessions.push(session(&[Work::Storm, Work::Reboot], *nodes, &[Xdhcpd]));
            sessions.push(session(&[Work::Storm], *nodes, &[KeaMulti, KeaSingle]));
        } else {
            sessions.push(session(&[Work::Storm, Work::Reboot], *nodes, &peers));
        }
    }
    let middle = form.bound[form.bound.len() / 2];
    sessions.push(session(&[Work::Mixed], middle, &peers));
    sessions.push(session(&[Work::SlowBind], 0, &peers));
    if form.extent.check && process::find("perfdhcp").is_ok() {
        sessions.push(session(&[Work::Check], 0, &[Xdhcpd, KeaSingle]));
    }
    sessions
}

impl Session {
    /// What this server is given to serve: no more than it can hold.
    pub fn plan(&self, server: Server) -> Plan {
        let held = self.clients.min(server.capacity());
        let (bound, fresh) = match self.works[0] {
            Work::Bind | Work::SlowBind | Work::Check => (0, server.pool()),
            // Everybody is to be served, by all of them.
            Work::Storm | Work::Reboot => (0, self.clients * 2),
            Work::Mixed => (held, server.pool()),
            _ => (held, 2),
        };
        let slow = self.works.contains(&Work::SlowBind);
        Plan {
            bound,
            fresh,
            slow_disk: if slow { SLOW_DISK } else { 0 },
        }
    }

    /// How many clients that is for this server, for the tables.
    pub fn clients_of(&self, server: Server) -> u32 {
        match self.works[0] {
            Work::Storm | Work::Reboot => self.clients,
            _ => self.plan(server).bound,
        }
    }

    /// The servers in the order of a round: each comes first in its turn.
    pub fn order(&self, round: u32) -> Vec<Server> {
        let mut servers = self.servers.clone();
        let turn = round as usize % servers.len().max(1);
        servers.rotate_left(turn);
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_alternate() {
        let sessions = sessions(&Form::full());
        let session = sessions.iter().find(|one| one.works.contains(&Work::Renew));
        let session = session.expect("renewals are measured");
        let firsts: Vec<_> = (0..6).map(|round| session.order(round)[0]).collect();
        assert_eq!(firsts, Server::ALL);
    }

    #[test]
    fn nothing_is_measured_twice_in_a_round() {
        let mut seen = std::collections::BTreeSet::new();
        for session in sessions(&Form::full()) {
            for server in &session.servers {
                for work in &session.works {
                    assert!(
                        seen.insert((*work, session.clients_of(*server), *server)),
                        "{work:?} {server:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn nobody_gets_more_than_it_holds_except_in_a_storm() {
        for session in sessions(&Form::full()) {
            for server in &session.servers {
                let plan = session.plan(*server);
                assert!(plan.bound <= server.capacity());
                if session.works[0] == Work::Storm {
                    assert_eq!(plan.fresh_clients(), session.clients);
                }
            }
        }
    }
}
