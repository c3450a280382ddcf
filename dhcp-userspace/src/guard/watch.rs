//! What each client sends, counted by the worker that its packets go to: one more for each packet,
//! one less for each second. Bounded: a table of sets of four, in which who has sent least makes
//! room.
//!
//! The threshold of 10 is far from what a sound client does. The most that one MAC sends within a
//! moment is a netboot in which nothing takes any time: firmware, iPXE and OS each with DISCOVER and
//! REQUEST, and one of them asking a boot server too, so eight; and each of them really takes
//! seconds, which count down. Who hears nothing asks again after one, two or four seconds at the
//! earliest (RFC 2131 section 4.1), so no retry adds to what came before. Relays that each send on a
//! copy are different places, and what comes twice by the same place within a moment is one packet.

use std::hash::BuildHasher;

use dhcp_common::guard::Asker;
use foldhash::quality::RandomState;

use crate::clock::SECOND;

const SETS: usize = 1 << 13;
const WAYS: usize = 4;
/// Copies of a packet come this close together; a client's own retries do not.
const COPY: u64 = SECOND / 5;
/// How often a client may ask in vain.
const IN_VAIN: u8 = 3;

#[derive(Clone, Copy, Default)]
struct Client {
    /// MAC, place and sender.
    key: u64,
    /// When its count is down to nothing.
    due: u64,
    /// Its last packet, and when that was counted.
    packet: u64,
    at: u64,
    /// Questions in a row that could not be answered.
    in_vain: u8,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// One that has just been counted.
    Copy,
    Fine,
    /// Beyond the threshold.
    TooMuch,
}

pub struct Watch {
    clients: Box<[Client]>,
    hasher: RandomState,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            clients: vec![Client::default(); SETS * WAYS].into(),
            hasher: RandomState::default(),
        }
    }
}

impl Watch {
    /// Counts a packet. `packet` is the same for copies of one. What is too much is not counted, so
    /// that one a second goes through.
    pub fn count(&mut self, asker: &Asker, packet: u64, threshold: u32, now: u64) -> Count {
        let client = self.client(asker, now);
        if client.packet == packet && now < client.at + COPY {
            return Count::Copy;
        }
        if client.due > now + u64::from(threshold) * SECOND {
            return Count::TooMuch;
        }
        client.due = client.due.max(now) + SECOND;
        (client.packet, client.at) = (packet, now);
        Count::Fine
    }

    /// Takes back what was counted last.
    pub fn forget(&mut self, asker: &Asker, now: u64) {
        let client = self.client(asker, now);
        client.due = client.due.saturating_sub(SECOND);
    }

    /// The client's question could not be answered; tells whether that is more than a few in a
    /// row.
    pub fn in_vain(&mut self, asker: &Asker, now: u64) -> bool {
        let client = self.client(asker, now);
        client.in_vain = client.in_vain.saturating_add(1);
        client.in_vain > IN_VAIN
    }

    /// The client was answered.
    pub fn answered(&mut self, asker: &Asker, now: u64) {
        self.client(asker, now).in_vain = 0;
    }

    /// The client's place, made if need be.
    fn client(&mut self, asker: &Asker, now: u64) -> &mut Client {
        let key = self
            .hasher
            .hash_one((asker.mac, asker.ingress, asker.source));
        let set = key as usize % SETS * WAYS;
        let set = &mut self.clients[set..set + WAYS];
        let at = set.iter().position(|client| client.key == key);
        let at = at.unwrap_or_else(|| {
            let at = (0..WAYS)
                .min_by_key(|at| (set[*at].due, set[*at].at))
                .unwrap_or(0);
            set[at] = Client {
                key,
                due: now,
                ..Client::default()
            };
            at
        });
        &mut set[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcp_common::guard::Class;

    const NOW: u64 = 1_000 * SECOND;

    fn asker(mac: u64) -> Asker {
        Asker {
            mac,
            ingress: 3 << 32,
            source: mac,
            class: Class::First,
            foreign: false,
            selects: false,
        }
    }

    /// Sends packets at these seconds; tells what became of them.
    fn send(watch: &mut Watch, mac: u64, times: &[f64]) -> Vec<Count> {
        let at = |time: f64| NOW + (time * SECOND as f64) as u64;
        let packets = times.iter().enumerate();
        packets
            .map(|(i, time)| watch.count(&asker(mac), i as u64 + 1, 10, at(*time)))
            .collect()
    }

    #[test]
    fn more_than_ten_at_once_are_too_much_and_one_a_second_is_not() {
        let mut watch = Watch::default();
        let counts = send(&mut watch, 1, &[0.0; 20]);
        let fine = counts.iter().filter(|count| **count == Count::Fine).count();
        assert_eq!((fine, counts[19]), (11, Count::TooMuch));
        let steady: Vec<f64> = (0..100).map(f64::from).collect();
        assert!(
            send(&mut watch, 2, &steady)
                .iter()
                .all(|count| *count == Count::Fine)
        );
        let fast: Vec<f64> = (0..100).map(|i| f64::from(i) / 2.0).collect();
        assert!(send(&mut watch, 3, &fast).contains(&Count::TooMuch));
    }

    #[test]
    fn what_real_clients_send_is_fine() {
        let netboot = [0.0, 0.1, 0.2, 1.5, 1.6, 2.0, 9.0, 9.1, 9.5, 9.6, 12.0, 12.1];
        // edk2 and PXE ROMs, iPXE, systemd-networkd and dhcpcd that hear nothing.
        let silence = [0.0, 4.0, 8.0, 16.0, 32.0, 33.0, 35.0, 39.0, 47.0];
        let eager = [0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 9.0, 10.0, 12.0];
        // A client that starts up three times in three seconds.
        let restarted = [0.0, 0.01, 0.02, 1.0, 1.01, 1.02, 2.0, 2.01, 2.02];
        for times in [&netboot[..], &silence, &eager, &restarted] {
            let counts = send(&mut Watch::default(), 1, times);
            assert!(
                counts.iter().all(|count| *count == Count::Fine),
                "{times:?}"
            );
        }
    }

    #[test]
    fn copies_are_one_packet_and_a_stuck_client_is_not() {
        let mut watch = Watch::default();
        for packet in 1..=8 {
            let now = NOW + packet * 1000;
            assert_eq!(watch.count(&asker(1), packet, 10, now), Count::Fine);
            for copy in 1..3 {
                assert_eq!(watch.count(&asker(1), packet, 10, now + copy), Count::Copy);
            }
        }
        let stuck = (0..3000).map(|i| watch.count(&asker(2), 7, 10, NOW + i * SECOND / 1000));
        assert!(stuck.into_iter().any(|count| count == Count::TooMuch));
    }

    #[test]
    fn asking_in_vain_is_forgiven_once_answered() {
        let mut watch = Watch::default();
        let mut ask = |times: usize| (0..times).filter(|_| watch.in_vain(&asker(1), NOW)).count();
        assert_eq!((ask(3), ask(2)), (0, 2));
        watch.answered(&asker(1), NOW);
        assert!(!watch.in_vain(&asker(1), NOW));
    }

    #[test]
    fn a_flood_of_others_does_not_hide_who_sends_most() {
        let mut watch = Watch::default();
        send(&mut watch, 1, &[0.0; 12]);
        for mac in 2..400_000 {
            watch.count(&asker(mac), 1, 10, NOW);
        }
        assert_eq!(watch.count(&asker(1), 99, 10, NOW), Count::TooMuch);
    }
}
