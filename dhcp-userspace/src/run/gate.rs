//! The guard's place in a worker: before the fast path, before the engine, and after it.

use dhcp_common::guard::Asker;
use dhcp_common::wire::{BOOTP_LEN, bootp, mac_bytes};

use super::core::Core;
use crate::clock::Now;
use crate::engine::{Ignored, Incoming, Outcome};

use crate::guard::Cause;
use crate::guard::watch::{Count, Watch};

/// The first option of a DISCOVER, as all clients send it.
const DISCOVER: [u8; 3] = [53, 1, 1];

/// What one worker knows of its clients. Each has its own, as a client's packets all go to one.
#[derive(Default)]
pub struct Gate {
    watch: Watch,
}

/// A request on its way to the engine.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    asker: Asker,
    is_counted: bool,
    /// A question that an address would answer, and that is asked for the first time.
    is_discover: bool,
}

impl Gate {
    /// Whether the guard stops a request before anything is done with it; counts the reason.
    /// `seen`: the kernel has looked at it.
    pub fn turns_away(&self, core: &Core, asker: &Asker, seen: bool, now: Now) -> bool {
        let verdict = core.guard.judge(asker, seen, now);
        verdict.map_err(|reason| core.metrics.fast(reason)).is_err()
    }

    /// Counts a request that is to go to the engine; none if it is one too many.
    pub fn admit(
        &mut self,
        core: &Core,
        asker: Asker,
        incoming: &Incoming<'_>,
        now: Now,
    ) -> Option<Admitted> {
        core.guard.count(&asker);
        let threshold = core.guard.settings().misbehaving_threshold;
        let packet = fingerprint(incoming.payload);
        let count = if asker.foreign {
            Count::Copy
        } else {
            self.watch.count(&asker, packet, threshold, now.boot)
        };
        if count == Count::TooMuch {
            core.metrics.ignore(Ignored::Overload);
            core.block(&asker, incoming, Cause::Misbehaving, now);
            return None;
        }
        let first = incoming.payload.get(BOOTP_LEN..BOOTP_LEN + DISCOVER.len());
        Some(Admitted {
            asker,
            is_counted: count == Count::Fine,
            is_discover: count == Count::Fine && first == Some(&DISCOVER),
        })
    }

    /// What the engine made of it.
    pub fn see(
        &mut self,
        core: &Core,
        admitted: &Admitted,
        incoming: &Incoming<'_>,
        outcome: &Outcome,
        now: Now,
    ) {
        if admitted.is_counted && is_from_elsewhere(outcome) {
            return self.watch.forget(&admitted.asker, now.boot);
        }
        if !admitted.is_discover {
            return;
        }
        match outcome {
            Outcome::Ignore(Ignored::NoAddress | Ignored::Unknown) => {
                if self.watch.in_vain(&admitted.asker, now.boot) {
                    core.block(&admitted.asker, incoming, Cause::Suspicious, now);
                }
            }
            Outcome::Ignore(_) | Outcome::Busy => {}
            _ => self.watch.answered(&admitted.asker, now.boot),
        }
    }
}

impl Core {
    /// Blocks a client that is not known by its MAC or otherwise, and tells who watches.
    fn block(&self, asker: &Asker, incoming: &Incoming<'_>, cause: Cause, now: Now) {
        if self.engine.is_host(incoming.payload) {
            return;
        }
        if self.guard.block(&self.engine, asker, cause, now) {
            let ifindex = (asker.ingress >> 32) as u32;
            self.metrics.blocked.inc();
            self.alert(
                "block",
                Some(mac_bytes(asker.mac)),
                self.name_of(ifindex),
                now,
            );
        }
    }
}

/// Whether the request was refused for where it came from: that says nothing of the client it names,
/// and costs little.
const fn is_from_elsewhere(outcome: &Outcome) -> bool {
    let Outcome::Ignore(reason) = outcome else {
        return false;
    };
    matches!(
        reason,
        Ignored::RelayNotAllowed | Ignored::NoSubnet | Ignored::LocalOff | Ignored::RelayedOff
    )
}

/// The same for copies of a packet: xid, secs and message type, wherever relays change the rest.
fn fingerprint(payload: &[u8]) -> u64 {
    let xid = payload.get(bootp::XID..bootp::XID + 4);
    let secs = payload.get(bootp::SECS..bootp::SECS + 2);
    let kind = payload.get(BOOTP_LEN + 2).copied().unwrap_or(0);
    let bytes = xid.into_iter().chain(secs).flatten().copied().chain([kind]);
    bytes.fold(1, |all, byte| all << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use dhcp_common::Reason;
    use dhcp_common::guard::{Class, relay};
    use dhcp_common::slot::Link;

    use super::*;
    use crate::clock::SECOND;
    use crate::config::Config;
    use crate::config::model::{Identifier, Pool, Rate, Reservation, Subnet};
    use crate::control::protocol::Happened;
    use crate::engine::Engine;
    use crate::lease::table::{Size, Table};

    const HOST: u8 = 1;
    const STRANGER: u8 = 2;
    const LINK: Link = Link {
        ifindex: 3,
        outer: 0,
        inner: 0,
    };

    struct Lab {
        core: Core,
        gate: Gate,
        now: Now,
    }

    impl Lab {
        fn new() -> Self {
            let mut subnet = Subnet::new("10.0.0.0/24".parse().unwrap());
            let address = Ipv4Addr::new(10, 0, 0, 10);
            subnet.pools = vec![Pool::open((address, address))];
            let host = Identifier::Mac([2, 0, 0, 0, 0, HOST]);
            subnet.hosts.insert(Reservation::new(host, None));
            let config = Config {
                subnets: vec![subnet],
                ..Config::default()
            };
            let table = Table::anonymous(Size::for_addresses(4, 4)).unwrap();
            let engine = Engine::new(Arc::new(config), Arc::new(table)).unwrap();
            let boot = 1_000 * SECOND;
            let core = Core::new(engine);
            core.engine.table().guard().hold(u64::MAX);
            Self {
                core,
                gate: Gate::default(),
                now: Now { boot, unix: 0 },
            }
        }

        /// A message as the worker sees it; tells whether it went on to the engine.
        fn send(&mut self, client: u8, kind: u8, xid: u8) -> Option<Admitted> {
            let payload = payload(client, kind, xid);
            self.send_as(&incoming(&payload))
        }

        fn send_as(&mut self, incoming: &Incoming<'_>) -> Option<Admitted> {
            let asker = self.core.guard.asker(incoming).unwrap();
            if self.gate.turns_away(&self.core, &asker, false, self.now) {
                return None;
            }
            self.gate.admit(&self.core, asker, incoming, self.now)
        }

        /// A DISCOVER for which there is nothing.
        fn ask_in_vain(&mut self, xid: u8) -> bool {
            let admitted = self.send(STRANGER, 1, xid);
            if let Some(admitted) = &admitted {
                let outcome = Outcome::Ignore(Ignored::NoAddress);
                self.see(admitted, &outcome);
            }
            admitted.is_some()
        }

        fn see(&mut self, admitted: &Admitted, outcome: &Outcome) {
            let payload = payload(STRANGER, 1, 0);
            self.gate
                .see(&self.core, admitted, &incoming(&payload), outcome, self.now);
        }

        fn blocked(&self) -> usize {
            self.core.guard.blocked(self.now).len()
        }

        fn fast(&self, reason: Reason) -> u64 {
            self.core.metrics.fast_here()[reason as usize]
        }
    }

    fn incoming(payload: &[u8]) -> Incoming<'_> {
        Incoming {
            link: LINK,
            l2: &[0; 14],
            source: Ipv4Addr::UNSPECIFIED,
            source_port: 68,
            destination: Ipv4Addr::BROADCAST,
            destination_port: 67,
            payload,
            arrived: 0,
        }
    }

    fn payload(client: u8, kind: u8, xid: u8) -> Vec<u8> {
        let mut payload = vec![0; 300];
        payload[..3].copy_from_slice(&[1, 1, 6]);
        payload[7] = xid;
        payload[28..34].copy_from_slice(&[2, 0, 0, 0, 0, client]);
        payload[236..240].copy_from_slice(&[99, 130, 83, 99]);
        payload[240..244].copy_from_slice(&[53, 1, kind, 255]);
        payload
    }

    #[test]
    fn a_misbehaving_stranger_is_blocked_and_whoever_watches_hears_of_it() {
        let mut lab = Lab::new();
        let mut events = lab.core.events.subscribe();
        let heard = (0..20).filter(|xid| lab.send(STRANGER, 3, *xid).is_some());
        assert_eq!(heard.count(), 11);
        assert_eq!(lab.blocked(), 1);
        // One too many, and what came after it was blocked.
        assert_eq!(lab.core.metrics.by_reason()["overload"], 1);
        assert_eq!(lab.fast(Reason::Blocked), 8);
        let Happened { kind, mac, .. } = events.try_recv().unwrap();
        assert_eq!((&*kind, &*mac), ("block", "02:00:00:00:00:02"));
        assert!(lab.send(HOST, 3, 1).is_some(), "not muted by the other");
        lab.now.boot += 151 * SECOND;
        assert!(lab.send(STRANGER, 3, 77).is_some());
    }

    #[test]
    fn of_a_known_client_only_the_excess_is_dropped() {
        let mut lab = Lab::new();
        let heard = (0..20).filter(|xid| lab.send(HOST, 3, *xid).is_some());
        assert_eq!((heard.count(), lab.blocked()), (11, 0));
        for second in 0..10 {
            lab.now.boot += SECOND;
            assert!(lab.send(HOST, 3, 100 + second).is_some());
            assert!(lab.send(HOST, 3, 200 + second).is_none());
        }
    }

    #[test]
    fn who_asks_in_vain_is_blocked_until_there_are_addresses() {
        let mut lab = Lab::new();
        for xid in 0..3 {
            // The second time by the same way: no new question.
            assert!(lab.ask_in_vain(xid) && lab.ask_in_vain(xid));
            lab.now.boot += 4 * SECOND;
        }
        assert!(lab.ask_in_vain(3));
        assert_eq!(lab.blocked(), 1);
        assert!(!lab.ask_in_vain(5));
        lab.core.guard.pardon();
        assert!(lab.ask_in_vain(6));
    }

    #[test]
    fn an_init_reboot_that_is_none_of_ours_does_no_harm() {
        let mut lab = Lab::new();
        for xid in 0..9 {
            let admitted = lab.send(STRANGER, 3, xid).unwrap();
            let outcome = Outcome::Ignore(Ignored::Unknown);
            lab.see(&admitted, &outcome);
            lab.now.boot += 2 * SECOND;
        }
        assert_eq!(lab.blocked(), 0);
    }

    #[test]
    fn a_known_client_that_asks_in_vain_is_heard() {
        let mut lab = Lab::new();
        for xid in 0..9 {
            let admitted = lab.send(HOST, 1, xid).unwrap();
            let outcome = Outcome::Ignore(Ignored::NoAddress);
            lab.see(&admitted, &outcome);
            lab.now.boot += 2 * SECOND;
        }
        assert_eq!(lab.blocked(), 0);
    }

    /// A request of the stranger behind a relay, sent from this address.
    fn relayed(circuit: Option<u8>, xid: u8) -> Vec<u8> {
        let mut payload = payload(STRANGER, 1, xid);
        payload[24..28].copy_from_slice(&[10, 1, 0, 1]);
        if let Some(circuit) = circuit {
            payload[243..250].copy_from_slice(&[82, 3, 1, 1, circuit, 255, 0]);
        }
        payload
    }

    #[test]
    fn whoever_forges_another_has_only_itself_blocked() {
        let mut lab = Lab::new();
        let mine = [2, 0, 0, 0, 0, STRANGER];
        let other = [2, 0, 0, 0, 0, 99];
        let l2 = |mac: [u8; 6]| [&[0xff; 6][..], &mac, &[8, 0]].concat();
        let mut send = |mac, source: [u8; 4], payload: &[u8]| {
            let incoming = Incoming {
                l2: &l2(mac),
                source: source.into(),
                ..incoming(payload)
            };
            lab.send_as(&incoming).is_some()
        };
        let mut flood = |mac, source, payload: &dyn Fn(u8) -> Vec<u8>| {
            (0..20)
                .filter(|xid| send(mac, source, &payload(*xid)))
                .count()
                < 20
        };
        // On a link, under another's chaddr, known or not.
        for client in [STRANGER, HOST] {
            assert!(flood(other, [0; 4], &|xid| payload(client, 3, xid)));
        }
        // From anywhere, with the relay's giaddr, and by the relay, from another port.
        assert!(flood(other, [203, 0, 113, 66], &|xid| relayed(None, xid)));
        assert!(flood(other, [10, 1, 0, 1], &|xid| relayed(Some(7), xid)));
        assert!(send(mine, [0; 4], &payload(STRANGER, 3, 99)));
        assert!(send(mine, [0; 4], &payload(HOST, 3, 99)));
        assert!(send(mine, [10, 1, 0, 1], &relayed(None, 99)));
        assert!(send(mine, [10, 1, 0, 1], &relayed(Some(8), 99)));
    }

    #[test]
    fn blocks_of_a_circuit_are_the_daemons_alone() {
        let mut lab = Lab::new();
        for (circuit, by_daemon) in [(None, false), (Some(7), true)] {
            let mut asker = None;
            for xid in 0..20 {
                let payload = relayed(circuit, xid);
                asker = lab.core.guard.asker(&incoming(&payload));
                lab.send_as(&incoming(&payload));
            }
            let asker = asker.unwrap();
            assert_eq!(asker.class, Class::First);
            let away = |seen| lab.gate.turns_away(&lab.core, &asker, seen, lab.now);
            assert_eq!([away(false), away(true)], [true, by_daemon]);
        }
    }

    #[test]
    fn what_is_refused_for_where_it_comes_from_is_not_counted() {
        let mut lab = Lab::new();
        let reasons = [
            Ignored::RelayNotAllowed,
            Ignored::NoSubnet,
            Ignored::LocalOff,
            Ignored::RelayedOff,
        ];
        for xid in 0..40 {
            let admitted = lab.send(STRANGER, 3, xid).unwrap();
            let outcome = Outcome::Ignore(reasons[usize::from(xid) % 4]);
            lab.see(&admitted, &outcome);
        }
        assert_eq!(lab.blocked(), 0);
    }

    #[test]
    fn a_host_that_is_found_otherwise_is_not_blocked() {
        let mut lab = Lab::new();
        let mut config = (*lab.core.engine.config()).clone();
        let id = Identifier::ClientId(vec![0, 1, 2].into());
        config.hosts.insert(Reservation::new(id, None));
        lab.core.engine.reload(Arc::new(config), lab.now).unwrap();
        for xid in 0..20 {
            let mut payload = payload(STRANGER, 3, xid);
            payload[243..249].copy_from_slice(&[61, 3, 0, 1, 2, 255]);
            lab.send_as(&incoming(&payload));
        }
        assert_eq!(lab.blocked(), 0);
    }

    #[test]
    fn no_field_is_a_way_round_the_throttle() {
        type Trick = fn(&mut Vec<u8>, u32);
        const TRICKS: [(&str, Trick); 4] = [
            ("none", |_, _| {}),
            ("ciaddr", |p, _| p[12..16].copy_from_slice(&[10, 0, 0, 77])),
            ("giaddr", |p, n| p[24..28].copy_from_slice(&n.to_be_bytes())),
            ("htype", |p, _| p[1..3].copy_from_slice(&[32, 0])),
        ];
        for (name, trick) in TRICKS {
            let mut lab = Lab::new();
            let mut guard = lab.core.guard.settings().as_ref().clone();
            guard.unknown_rate = Rate::PerSecond(100);
            lab.core.guard.reload(&guard, &lab.core.engine);
            let passes = |number: &u32| {
                let mut payload = payload(STRANGER, 1, 0);
                let mac = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
                payload[29..33].copy_from_slice(&mac);
                trick(&mut payload, number + 0x0b00_0000);
                lab.send_as(&incoming(&payload)).is_some()
            };
            let passed = (0..20_000).filter(passes).count();
            let most = if name == "giaddr" { 8 * 100 + 1 } else { 101 };
            // The filter may take a stranger for known.
            assert!((most..most + 5).contains(&passed), "{name}: {passed}");
        }
    }

    #[test]
    fn copies_have_one_fingerprint_whatever_relays_write() {
        let mut copy = payload(7, 1, 9);
        let mine = fingerprint(&copy);
        // hops, flags, giaddr.
        (copy[3], copy[10]) = (2, 0x80);
        copy[24..28].copy_from_slice(&[10, 0, 0, 9]);
        assert_eq!(fingerprint(&copy), mine);
        for (at, what) in [(7, "xid"), (9, "secs"), (242, "kind")] {
            let mut other = copy.clone();
            other[at] ^= 2;
            assert_ne!(fingerprint(&other), mine, "{what}");
        }
        assert_ne!(relay(0x0a00_0009), LINK.pack());
    }
}
