//! The kinds of clients that there are.

use super::dice::Dice;
use crate::clock::SECOND;
use crate::config::model::Mac;

/// What the client is, while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Dhcp,
    /// Asks once for an address that is its own for good.
    Bootp,
    /// Has an address from elsewhere, and asks for options.
    Inform,
}

/// How it asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// 4, 8, 16, 32, 64 s, give or take one (RFC 2131 section 4.1).
    Doubling,
    /// Three times in quick succession, then a pause (udhcpc).
    Bursts,
    /// Firmware: 4, 8, 16, 32, then it starts over.
    Firmware,
}

#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "habits, each by itself")]
pub(super) struct Nature {
    pub(super) kind: Kind,
    pub(super) retry: Retry,
    /// Asks for the address that it had (INIT-REBOOT).
    pub(super) remembers: bool,
    /// Gives its address back when it goes.
    pub(super) releases: bool,
    /// Looks whether somebody has the address (ARP).
    pub(super) probes: bool,
    /// Goes from link to link.
    pub(super) roams: bool,
    /// Takes other servers' offers now and then.
    pub(super) tempted: bool,
    /// Is happy with an ACK at once (RFC 4039).
    pub(super) rapid: bool,
    /// Firmware, iPXE, and then the operating system.
    pub(super) netboots: bool,
    /// How long it is on and off, on average.
    pub(super) on: u64,
    pub(super) off: u64,
}

const HOUR: u64 = 3600 * SECOND;

const CAREFUL: Nature = Nature {
    kind: Kind::Dhcp,
    retry: Retry::Doubling,
    remembers: true,
    releases: false,
    probes: true,
    roams: false,
    tempted: false,
    rapid: false,
    netboots: false,
    on: 20 * HOUR,
    off: HOUR / 2,
};

const UDHCPC: Nature = Nature {
    retry: Retry::Bursts,
    remembers: false,
    releases: true,
    probes: false,
    on: 6 * HOUR,
    ..CAREFUL
};

const NETBOOT: Nature = Nature {
    retry: Retry::Firmware,
    remembers: false,
    probes: false,
    netboots: true,
    on: 8 * HOUR,
    off: HOUR / 60,
    ..CAREFUL
};

const ROAMER: Nature = Nature {
    roams: true,
    on: 2 * HOUR,
    off: HOUR / 30,
    ..CAREFUL
};

const VANISHER: Nature = Nature {
    probes: false,
    on: 2 * HOUR,
    off: 5 * HOUR,
    ..CAREFUL
};

const TEMPTED: Nature = Nature {
    tempted: true,
    on: 3 * HOUR,
    ..CAREFUL
};

const RAPID: Nature = Nature {
    rapid: true,
    releases: true,
    on: 4 * HOUR,
    ..CAREFUL
};

const BOOTP: Nature = Nature {
    kind: Kind::Bootp,
    on: 5 * HOUR,
    ..CAREFUL
};

const INFORM: Nature = Nature {
    kind: Kind::Inform,
    on: 3 * HOUR,
    ..CAREFUL
};

const USUAL: [Nature; 8] = [
    CAREFUL, CAREFUL, UDHCPC, NETBOOT, NETBOOT, VANISHER, TEMPTED, RAPID,
];

impl Nature {
    pub(super) fn any(dice: &mut Dice, place: usize) -> Self {
        match dice.range(0, 99) {
            0..6 => ROAMER,
            6..9 => INFORM,
            9..11 if place == 2 => BOOTP,
            _ => dice.pick(&USUAL),
        }
    }
}

impl Retry {
    /// How long until the next try, ns.
    pub(super) fn wait(self, tries: u32, dice: &mut Dice) -> u64 {
        let jitter = dice.range(0, 2 * SECOND);
        match self {
            Self::Doubling => ((4 << tries.min(4)) - 1) * SECOND + jitter,
            Self::Bursts if tries % 3 == 2 => 20 * SECOND + jitter,
            Self::Bursts => 3 * SECOND,
            Self::Firmware => (4 << (tries % 4)) * SECOND,
        }
    }
}

/// What a client says of itself: its stage if it boots from the network.
pub(super) fn persona(nature: &Nature, mac: Mac, stage: usize) -> Vec<(u8, Vec<u8>)> {
    let by_mac = [&[1], &mac[..]].concat();
    let name = format!("host-{:02x}{:02x}", mac[4], mac[5]).into_bytes();
    let uuid = [&[0; 11], &mac[..]].concat();
    match (nature.netboots, stage) {
        (true, 0) => vec![
            (55, vec![1, 3, 6, 43, 60, 66, 67, 128, 129]),
            (57, vec![5, 220]),
            (60, b"PXEClient:Arch:00007:UNDI:003016".to_vec()),
            (93, vec![0, 7]),
            (97, uuid),
        ],
        (true, 1) => vec![
            (77, b"iPXE".to_vec()),
            (55, vec![1, 3, 6, 12, 15, 17, 66, 67, 175]),
            (60, b"PXEClient:Arch:00007:UNDI:003010".to_vec()),
            (93, vec![0, 7]),
            (61, by_mac),
            (97, uuid),
        ],
        _ => match nature.retry {
            Retry::Bursts => vec![
                (55, vec![1, 3, 6, 12, 15, 28]),
                (60, b"udhcp 1.35.0".to_vec()),
                (61, by_mac),
            ],
            _ => {
                let duid = [&[255, 0, 0, 0, 1, 0, 3, 0, 1], &mac[..]].concat();
                let mut said = vec![(61, duid), (12, name), (55, vec![1, 3, 6, 15, 26, 33, 121])];
                if nature.rapid {
                    said.insert(0, (80, Vec::new()));
                }
                said
            }
        },
    }
}
