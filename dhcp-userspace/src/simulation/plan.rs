//! How hard a run is: for the network, the clients, the disk and the server.

use super::dice::Dice;
use crate::clock::SECOND;

const HOUR: u64 = 3600 * SECOND;

/// What may happen to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kill,
    PowerCut,
    Stop,
    Reload,
    Full,
    Room,
    DiskFails,
}

impl Fate {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::PowerCut => "power cut",
            Self::Stop => "clean restart",
            Self::Reload => "reload",
            Self::Full => "disk full",
            Self::Room => "disk has room",
            Self::DiskFails => "disk fails",
        }
    }
}

/// Times are means, in ns; what is per mille says so.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) clients: usize,
    /// Addresses of each of the six subnets, at most.
    pub(super) pool: u32,
    /// Until all are switched on.
    pub(super) flood: u64,
    /// Per mille.
    pub(super) loss: u64,
    pub(super) copies: u64,
    pub(super) delay: u64,
    pub(super) latency: u64,
    pub(super) sweep: u64,
    pub(super) upkeep: u64,
    /// Between two things that happen to the server.
    pub(super) fate: u64,
    pub(super) down: u64,
    pub(super) hostile: u64,
    /// Whether the server ever dies. Where it does not, its memory has to stay as it is.
    pub(super) dies: bool,
    /// Between two quiet times, and how long they are.
    pub(super) loud: u64,
    pub(super) calm: u64,
    /// Every so many ACKs a power cut is thought of.
    pub(super) look: u64,
}

impl Plan {
    pub(super) fn any(dice: &mut Dice, clients: usize) -> Self {
        let clients = dice.range(clients as u64 / 4, clients as u64);
        // From ample to tight: six pools for clients of five places.
        let pool = (clients / 5 * dice.range(60, 200) / 100).clamp(16, 800);
        Self {
            clients: clients as usize,
            pool: pool as u32,
            flood: dice.pick(&[10 * SECOND, HOUR]),
            loss: dice.pick(&[0, 10, 50, 200]),
            copies: dice.pick(&[0, 20, 100]),
            delay: dice.pick(&[SECOND / 100, SECOND / 2, 3 * SECOND]),
            latency: dice.pick(&[SECOND / 500, SECOND / 20, SECOND]),
            // Not as often as the daemon does: each sweep walks over the whole table.
            sweep: dice.pick(&[15 * SECOND, 60 * SECOND, 120 * SECOND]),
            upkeep: HOUR / 4,
            fate: dice.pick(&[HOUR / 6, HOUR, 12 * HOUR]),
            down: dice.pick(&[2 * SECOND, 60 * SECOND, HOUR / 2]),
            dies: true,
            hostile: dice.pick(&[20 * SECOND, HOUR]),
            loud: dice.pick(&[5 * HOUR, 11 * HOUR]),
            calm: 2 * HOUR,
            look: dice.pick(&[50, 500, 2000]),
        }
    }

    /// The same for a server that is never restarted.
    pub(super) fn alive(self) -> Self {
        Self {
            dies: false,
            fate: HOUR / 2,
            // So that little piles up in between.
            sweep: 5 * SECOND,
            ..self
        }
    }

    pub(super) fn any_fate(&self, dice: &mut Dice) -> Fate {
        if !self.dies {
            return dice.pick(&[Fate::Reload, Fate::Reload, Fate::Full, Fate::Room]);
        }
        dice.pick(&[
            Fate::Kill,
            Fate::Kill,
            Fate::PowerCut,
            Fate::Stop,
            Fate::Reload,
            Fate::Reload,
            Fate::Reload,
            Fate::Reload,
            Fate::Full,
            Fate::Room,
            Fate::Room,
            Fate::DiskFails,
        ])
    }
}
