//! Sets of classes.

/// Classes of a configuration at most.
pub const MAX_CLASSES: usize = 512;

/// A class's place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub u16);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ClassSet([u64; MAX_CLASSES / 64]);

impl ClassSet {
    #[must_use]
    pub fn contains(&self, id: ClassId) -> bool {
        self.0[usize::from(id.0 / 64)] & (1 << (id.0 % 64)) != 0
    }

    pub fn insert(&mut self, id: ClassId) {
        self.0[usize::from(id.0 / 64)] |= 1 << (id.0 % 64);
    }
}
