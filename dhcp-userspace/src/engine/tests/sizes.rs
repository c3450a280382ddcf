//! What an engine keeps, for who runs one for long.

use crate::engine::Engine;

impl Engine {
    /// With nothing left to chance: the same packets at the same times have the same answers.
    pub(crate) fn without_chance(mut self) -> Self {
        self.shares = self.shares.without_chance();
        // Which boot memos stand in each other's way hangs on the key.
        for (number, word) in (1u64..).zip(&self.table.meta().key) {
            word.store(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        self
    }

    /// How many entries there are of each thing that could become more and more.
    pub(crate) fn sizes(&self) -> [(&'static str, usize); 9] {
        let (templates, idle) = self.templates.handed_out();
        let (links, relays) = self.places();
        [
            ("clients", self.known_clients()),
            ("offers", self.open_offers()),
            ("slots", self.table.addresses().count()),
            ("templates handed out", templates),
            ("templates idle", idle),
            ("tainted slots", self.tainted.len()),
            ("declines", self.declines.len()),
            ("changes meanwhile", self.read().meanwhile.len()),
            ("places", links.len() + relays.len()),
        ]
    }
}
