//! The classes that a request belongs to.

/// A class by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassId(pub u16);

/// So many classes a configuration may have: a set of them is one copy of 64 bytes.
pub const MAX_CLASSES: usize = 512;

const WORDS: usize = 8;
const _: () = assert!(WORDS * 64 == MAX_CLASSES);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ClassSet([u64; WORDS]);

impl ClassSet {
    #[must_use]
    pub const fn new() -> Self {
        Self([0; WORDS])
    }

    /// Nothing for a number from [`MAX_CLASSES`] on: no configuration has such a class.
    pub fn insert(&mut self, class: ClassId) {
        if let Some(word) = self.0.get_mut(usize::from(class.0 / 64)) {
            *word |= 1 << (class.0 % 64);
        }
    }

    #[must_use]
    pub fn contains(&self, class: ClassId) -> bool {
        let word = self.0.get(usize::from(class.0 / 64));
        word.is_some_and(|word| word >> (class.0 % 64) & 1 == 1)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .any(|(ours, theirs)| ours & theirs != 0)
    }

    /// In the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = ClassId> + '_ {
        (0..)
            .zip(&self.0)
            .flat_map(|(index, word)| Bits(*word).map(move |bit| ClassId(index * 64 + bit)))
    }
}

impl FromIterator<ClassId> for ClassSet {
    fn from_iter<I: IntoIterator<Item = ClassId>>(classes: I) -> Self {
        let mut set = Self::new();
        for class in classes {
            set.insert(class);
        }
        set
    }
}

/// The bits that are set, from the lowest.
struct Bits(u64);

impl Iterator for Bits {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let lowest = (self.0 != 0).then(|| self.0.trailing_zeros());
        self.0 &= self.0.wrapping_sub(1);
        lowest.and_then(|bit| u16::try_from(bit).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_number_that_no_class_has_is_never_a_member() {
        let mut set = ClassSet::new();
        set.insert(ClassId(512));
        set.insert(ClassId(u16::MAX));
        assert!(set.is_empty());
        assert!(!set.contains(ClassId(512)));
    }

    proptest! {
        #[test]
        fn it_is_a_set(
            ours in prop::collection::btree_set(0u16..512, 0..40),
            theirs in prop::collection::btree_set(0u16..512, 0..4),
        ) {
            let set = |ids: &BTreeSet<u16>| ids.iter().copied().map(ClassId).collect::<ClassSet>();
            let (a, b) = (set(&ours), set(&theirs));
            prop_assert!(a.iter().map(|id| id.0).eq(ours.iter().copied()), "in order");
            prop_assert_eq!(a.is_empty(), ours.is_empty());
            prop_assert_eq!(a.intersects(&b), !ours.is_disjoint(&theirs));
            for id in 0..512 {
                prop_assert_eq!(a.contains(ClassId(id)), ours.contains(&id));
            }
        }
    }
}
