//! Options of several levels, looked up where they stand: nothing is merged for a packet.

use crate::config::model::{OptionValue, Options, Overrides};

/// Options that levels have on top of a subnet's.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    pub base: &'a Options,
    /// The most specific level last.
    pub over: &'a [&'a Overrides],
}

impl<'a> Layers<'a> {
    #[must_use]
    pub fn get(&self, code: u8) -> Option<&'a OptionValue> {
        let mut levels = self.over.iter().rev();
        match levels.find_map(|level| level.get(&code)) {
            Some(own) => own.as_ref(),
            None => self.base.get(&code),
        }
    }

    /// All options, ascending by code.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &'a OptionValue)> + use<'a> {
        let layers = *self;
        let mut codes = [0u64; 4];
        let levels = self.over.iter().flat_map(|level| level.keys());
        for code in self.base.keys().chain(levels) {
            codes[usize::from(code / 64)] |= 1 << (code % 64);
        }
        let is_there = move |code: &u8| codes[usize::from(code / 64)] & (1 << (code % 64)) != 0;
        (0..=u8::MAX)
            .filter(is_there)
            .filter_map(move |code| Some((code, layers.get(code)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(byte: u8) -> OptionValue {
        OptionValue {
            data: vec![byte],
            always_send: false,
        }
    }

    #[test]
    fn the_most_specific_level_wins_and_may_take_away() {
        let base = Options::from([(3, value(1)), (6, value(1)), (15, value(1))]);
        let class = Overrides::from([(6, Some(value(2))), (15, None), (42, Some(value(2)))]);
        let host = Overrides::from([(15, Some(value(3))), (42, None)]);
        let over = [&class, &host];
        let layers = Layers {
            base: &base,
            over: &over,
        };
        let all: Vec<_> = layers
            .iter()
            .map(|(code, value)| (code, value.data[0]))
            .collect();
        assert_eq!(all, [(3, 1), (6, 2), (15, 3)]);
        assert_eq!(layers.get(42), None);
        assert_eq!(layers.get(6), Some(&value(2)));
    }
}
