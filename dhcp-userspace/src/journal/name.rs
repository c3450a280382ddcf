use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The name of a journal file: a number that orders them, what it is, and the key of its
/// checksums (which must not be in the file, see [`super::frame`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Of a snapshot: of the last segment that it stands for.
    pub(super) number: u64,
    pub(super) kind: FileKind,
    pub(super) key: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Segment,
    Snapshot,
}

/// Of a file that is not finished.
pub(super) const NEW: &str = ".new";
/// Of a file that is out of use and kept for the operator.
pub(super) const DAMAGED: &str = ".damaged";
/// The same once nothing that it lost is missed any more.
pub(super) const SUPERSEDED: &str = ".superseded";

impl Name {
    /// With a random key.
    pub(super) fn new(number: u64, kind: FileKind) -> Self {
        let key = RandomState::new().build_hasher().finish() as u32;
        Self { number, kind, key }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (stem, kind) = text.split_once('.')?;
        let (number, key) = stem.split_once('-')?;
        let name = Self {
            number: u64::from_str_radix(number, 16).ok()?,
            kind: match kind {
                "segment" => FileKind::Segment,
                "snapshot" => FileKind::Snapshot,
                _ => return None,
            },
            key: u32::from_str_radix(key, 16).ok()?,
        };
        (name.to_string() == text).then_some(name)
    }

    pub(super) fn unfinished(&self) -> String {
        format!("{self}{NEW}")
    }

    pub(super) fn damaged(&self) -> String {
        format!("{self}{DAMAGED}")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FileKind::Segment => "segment",
            FileKind::Snapshot => "snapshot",
        };
        write!(f, "{:016x}-{:08x}.{kind}", self.number, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_left_alone() {
        let name = Name {
            number: 0x1f,
            kind: FileKind::Snapshot,
            key: 0xab,
        };
        assert_eq!(name.to_string(), "000000000000001f-000000ab.snapshot");
        assert_eq!(Name::parse(&name.to_string()), Some(name));
        for other in [
            "lock",
            "1f-ab.snapshot",
            &name.damaged(),
            &name.unfinished(),
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
