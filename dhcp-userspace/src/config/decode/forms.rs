//! Forms that values are written in, beyond what serde knows.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::super::error::Place;
use super::super::yaml::Part;

/// A value and where it stood.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Placed<T> {
    pub place: Place,
    pub value: T,
}

/// The text of a scalar; `None` if something else stood there, which has been reported.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Text(pub Option<String>);

/// One value or a list of them.
#[derive(Debug, Clone, Deserialize)]
pub(in super::super) struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A mapping, or its `value` alone.
#[derive(Debug, Clone, Default, Deserialize)]
pub(in super::super) struct ValueOrMap<T>(pub T);

/// A mapping, or one of its keys alone: that which the type names.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct KeyOrMap<T>(pub T);

/// A mapping that may be written as one of its keys alone.
pub(in super::super) trait Short {
    /// `KeyOrMap ` and the key.
    const NAME: &'static str;
    /// What an editor is told of the key alone.
    fn schema() -> schemars::Schema;
}

/// A list that is read item by item when its turn comes: all at once, an inventory would take
/// many times its size in memory.
#[derive(Debug)]
pub(in super::super) struct Later<T> {
    pub(super) items: Part,
    kind: PhantomData<fn() -> T>,
}

impl<T> Default for Later<T> {
    fn default() -> Self {
        Self {
            items: Part::default(),
            kind: PhantomData,
        }
    }
}

/// A text, and where it stands if it stands in the file as it is.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Passage {
    pub place: Place,
    /// Of its first character.
    pub first: Option<Place>,
    pub text: Option<String>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct("Placed", PlacedVisitor(PhantomData))
    }
}

struct PlacedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PlacedVisitor<T> {
    type Value = Placed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a place and a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Placed<T>, A::Error> {
        Ok(Placed {
            place: Place::unpack(next(&mut seq)?),
            value: next(&mut seq)?,
        })
    }
}

impl<'de, T> Deserialize<'de> for Later<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = deserializer.deserialize_newtype_struct("Later", LaterVisitor)?;
        let kind = PhantomData;
        Ok(Self { items, kind })
    }
}

struct LaterVisitor;

impl<'de> Visitor<'de> for LaterVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of the nodes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Part, A::Error> {
        Ok(Part {
            start: next(&mut seq)?,
            len: next(&mut seq)?,
        })
    }
}

impl<'de> Deserialize<'de> for Passage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct("Passage", PassageVisitor)
    }
}

struct PassageVisitor;

impl<'de> Visitor<'de> for PassageVisitor {
    type Value = Passage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two places and a text")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Passage, A::Error> {
        let place = Place::unpack(next(&mut seq)?);
        let first: u64 = next(&mut seq)?;
        let Text(text) = next(&mut seq)?;
        let first = (first != 0).then(|| Place::unpack(first));
        Ok(Passage { place, first, text })
    }
}

impl<'de, T: Short + Deserialize<'de>> Deserialize<'de> for KeyOrMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(T::NAME, KeyOrMapVisitor(PhantomData))
    }
}

struct KeyOrMapVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for KeyOrMapVisitor<T> {
    type Value = KeyOrMap<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<KeyOrMap<T>, D::Error> {
        T::deserialize(deserializer).map(KeyOrMap)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a single value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Some(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(None))
    }
}

/// The next of [`Numbers`].
fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
    let missing = || de::Error::custom("numbers without a value");
    seq.next_element()?.ok_or_else(missing)
}
