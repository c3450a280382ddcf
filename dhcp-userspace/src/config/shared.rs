//! Levels that hosts have in common.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::model::{BootOverrides, Level, Overrides};

/// A level of which a million hosts may have the same: it is kept once, and copied by the first
/// change.
#[derive(Clone, Default)]
pub struct SharedLevel(Option<Arc<Level>>);

static EMPTY: Level = Level {
    times: None,
    options: Overrides::new(),
    boot: BootOverrides {
        next_server: None,
        server_name: None,
        file: None,
        menu: None,
    },
};

impl From<Level> for SharedLevel {
    fn from(level: Level) -> Self {
        Self((!level.is_empty()).then(|| Arc::new(level)))
    }
}

impl Deref for SharedLevel {
    type Target = Level;

    fn deref(&self) -> &Level {
        self.0.as_deref().unwrap_or(&EMPTY)
    }
}

impl DerefMut for SharedLevel {
    fn deref_mut(&mut self) -> &mut Level {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl PartialEq for SharedLevel {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Hash for SharedLevel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for SharedLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_of_one_holder_alone() {
        let mut one = SharedLevel::default();
        one.boot.file = Some("a.efi".to_owned());
        let mut other = one.clone();
        assert_eq!(one, other);
        other.boot.file = None;
        assert_eq!(one.boot.file.as_deref(), Some("a.efi"));
        assert_eq!(other, SharedLevel::default());
        assert!(other.is_empty() && !one.is_empty());
    }
}
