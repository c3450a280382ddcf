//! From the tree to the structs of [`super::written`], by serde.
//!
//! Unlike other deserializers this one goes on after a mistake: unknown keys are reported and
//! skipped, and what has the wrong shape is reported and read as if it were not there. So one
//! run finds them all.

use std::fmt;
use std::marker::PhantomData;
use std::slice;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::error::{At, Place, Problem, Report, did_you_mean};
use super::yaml::{Content, Key, Node};

/// A value and where it stood.
#[derive(Debug, Clone, Default)]
pub(super) struct Placed<T> {
    pub place: Place,
    pub value: T,
}

/// The text of a scalar; `None` if something else stood there, which has been reported.
#[derive(Debug, Clone, Default)]
pub(super) struct Text(pub Option<String>);

/// One value or a list of them.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A mapping, or its `value` alone.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ValueOrMap<T>(pub T);

/// Reads a whole document.
pub(super) fn decode<T: DeserializeOwned + Default>(root: &Node, report: &Report) -> T {
    let cursor = Cursor {
        node: root,
        at: At::Root,
        report,
    };
    T::deserialize(cursor).unwrap_or_else(|Broken(what)| {
        report.add(root.place, &At::Root, Problem::new(what, ""));
        T::default()
    })
}

/// What serde itself finds wrong: nothing, as [`Cursor`] hands it only what it asks for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(String);

impl de::Error for Broken {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self(what.to_string())
    }
}

#[derive(Clone, Copy)]
struct Cursor<'a> {
    node: &'a Node,
    at: At<'a>,
    report: &'a Report,
}

impl<'a> Cursor<'a> {
    fn wrong_shape(&self, expected: &str) {
        let found = match &self.node.content {
            Content::Null => "nothing",
            Content::Scalar(_) => "a single value",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        };
        let problem = Problem::new(format!("found {found}"), format!("write {expected}"));
        self.report
            .add_misshapen(self.node.place, &self.at, problem);
    }

    /// The entries of a mapping; none, and a report, if it is something else.
    fn entries(&self) -> &'a [(Key, Node)] {
        match &self.node.content {
            Content::Map(entries) => entries,
            Content::Null => &[],
            _ => {
                self.wrong_shape("a mapping (key: value)");
                &[]
            }
        }
    }

    fn visit_entries<'de, V: Visitor<'de>>(
        self,
        known: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Broken> {
        visitor.visit_map(Entries {
            map: self,
            rest: self.entries().iter(),
            known,
            value: None,
        })
    }

    fn unknown(&self, key: &Key, known: &[&'static str]) {
        let hint = did_you_mean(&key.name, known.iter().copied());
        let hint = hint.unwrap_or_else(|| format!("known here: {}", known.join(", ")));
        let problem = Problem::new(format!("unknown key {}", key.name), hint);
        self.report.add(key.place, &self.at, problem);
    }
}

impl<'de> Deserializer<'de> for Cursor<'_> {
    type Error = Broken;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        if let Content::Scalar(text) = &self.node.content {
            return visitor.visit_str(text);
        }
        self.wrong_shape("a single value");
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        match &self.node.content {
            Content::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        let items: &[Node] = match &self.node.content {
            Content::List(items) => items,
            Content::Null => &[],
            _ => {
                self.wrong_shape("a list ([a, b], or lines that start with -)");
                &[]
            }
        };
        visitor.visit_seq(Items {
            list: self,
            rest: items.iter().enumerate(),
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        self.visit_entries(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Broken> {
        self.visit_entries(Some(fields), visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Broken> {
        let is_list = matches!(self.node.content, Content::List(_));
        let is_map = matches!(self.node.content, Content::Map(_));
        match name {
            "Placed" => visitor.visit_seq(PlaceThen::new(self.node.place, self)),
            "OneOrMany" if !is_list => visitor.visit_newtype_struct(Single(Some(self))),
            "ValueOrMap" if !is_map => visitor.visit_newtype_struct(ValueAlone(Some(self))),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char string bytes byte_buf unit unit_struct
        tuple tuple_struct enum identifier ignored_any
    }
}

struct Items<'a> {
    list: Cursor<'a>,
    rest: std::iter::Enumerate<slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Broken;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Broken> {
        let Some((index, node)) = self.rest.next() else {
            return Ok(None);
        };
        let item = Cursor {
            node,
            at: self.list.at.item(index),
            report: self.list.report,
        };
        seed.deserialize(item).map(Some)
    }
}

struct Entries<'a> {
    map: Cursor<'a>,
    rest: slice::Iter<'a, (Key, Node)>,
    /// The keys there are; `None`: any.
    known: Option<&'static [&'static str]>,
    value: Option<&'a (Key, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Broken;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Broken> {
        for entry in self.rest.by_ref() {
            match self.known {
                Some(known) if !known.contains(&entry.0.name.as_str()) => {
                    self.map.unknown(&entry.0, known);
                }
                _ => {
                    self.value = Some(entry);
                    return seed.deserialize(KeyCursor(&entry.0)).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Broken> {
        let (key, node) = self.value.ok_or_else(|| de::Error::custom("key first"))?;
        seed.deserialize(Cursor {
            node,
            at: self.map.at.key(&key.name),
            report: self.map.report,
        })
    }
}

struct KeyCursor<'a>(&'a Key);

impl<'de> Deserializer<'de> for KeyCursor<'_> {
    type Error = Broken;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_str(&self.0.name)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Broken> {
        match name {
            "Placed" => visitor.visit_seq(PlaceThen::new(self.0.place, self)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A value that stands alone, as a list of one.
struct Single<'a>(Option<Cursor<'a>>);

impl<'de> Deserializer<'de> for Single<'_> {
    type Error = Broken;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_seq(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for Single<'_> {
    type Error = Broken;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Broken> {
        let value = self.0.take();
        value.map(|value| seed.deserialize(value)).transpose()
    }
}

/// A value that stands alone, as a mapping with the key `value`.
struct ValueAlone<'a>(Option<Cursor<'a>>);

impl<'de> Deserializer<'de> for ValueAlone<'_> {
    type Error = Broken;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for ValueAlone<'_> {
    type Error = Broken;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Broken> {
        let key: StrDeserializer<'_, Broken> = "value".into_deserializer();
        let there = self.0.is_some();
        there.then(|| seed.deserialize(key)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Broken> {
        let value = self.0.take();
        seed.deserialize(value.ok_or_else(|| de::Error::custom("key first"))?)
    }
}

/// What a [`Placed`] is read from: the place as a number, then the value.
struct PlaceThen<D> {
    place: Option<Place>,
    value: Option<D>,
}

impl<D> PlaceThen<D> {
    fn new(place: Place, value: D) -> Self {
        Self {
            place: Some(place),
            value: Some(value),
        }
    }
}

impl<'de, D: Deserializer<'de, Error = Broken>> SeqAccess<'de> for PlaceThen<D> {
    type Error = Broken;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Broken> {
        if let Some(place) = self.place.take() {
            return seed.deserialize(place.pack().into_deserializer()).map(Some);
        }
        let value = self.value.take();
        value.map(|value| seed.deserialize(value)).transpose()
    }
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
        let missing = || de::Error::custom("a place without a value");
        let place = seq.next_element()?.ok_or_else(missing)?;
        let value = seq.next_element()?.ok_or_else(missing)?;
        Ok(Placed {
            place: Place::unpack(place),
            value,
        })
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
