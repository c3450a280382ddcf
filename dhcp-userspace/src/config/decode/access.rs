//! Lists and mappings as serde walks through them.

use std::slice;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::super::yaml::{Entries as Pairs, Key, Node};
use super::{Broken, Cursor};

pub(super) struct Items<'a> {
    pub list: Cursor<'a>,
    pub rest: std::iter::Enumerate<slice::Iter<'a, Node>>,
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
            node: *node,
            at: self.list.at.item(index),
            ..self.list
        };
        seed.deserialize(item).map(Some)
    }
}

pub(super) struct Entries<'a> {
    pub map: Cursor<'a>,
    pub rest: Pairs<'a>,
    /// The keys there are; `None`: any.
    pub known: Option<&'static [&'static str]>,
    pub value: Option<(Key<'a>, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Broken;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Broken> {
        for (key, value) in self.rest.by_ref() {
            match self.known {
                Some(known) if !known.contains(&key.name) => self.map.unknown(key, known),
                _ => {
                    self.value = Some((key, value));
                    return seed.deserialize(KeyCursor(key)).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Broken> {
        let (key, node) = self.value.ok_or_else(|| de::Error::custom("key first"))?;
        seed.deserialize(Cursor {
            node,
            at: self.map.at.key(key.name),
            ..self.map
        })
    }
}

pub(super) struct KeyCursor<'a>(pub Key<'a>);

impl<'de> Deserializer<'de> for KeyCursor<'_> {
    type Error = Broken;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_str(self.0.name)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Broken> {
        match name {
            "Placed" => visitor.visit_seq(Numbers::new([self.0.place.pack()], self)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A value that stands alone, as a list of one.
pub(super) struct Single<'a>(pub Option<Cursor<'a>>);

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

/// A value that stands alone, as a mapping with one key.
pub(super) struct Alone<'a> {
    key: &'static str,
    value: Option<Cursor<'a>>,
}

impl<'a> Alone<'a> {
    pub(super) const fn new(key: &'static str, value: Cursor<'a>) -> Self {
        let value = Some(value);
        Self { key, value }
    }
}

impl<'de> Deserializer<'de> for Alone<'_> {
    type Error = Broken;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Alone<'_> {
    type Error = Broken;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Broken> {
        let key: StrDeserializer<'_, Broken> = self.key.into_deserializer();
        let there = self.value.is_some();
        there.then(|| seed.deserialize(key)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Broken> {
        let value = self.value.take();
        seed.deserialize(value.ok_or_else(|| de::Error::custom("key first"))?)
    }
}

/// Numbers, then a value: what serde itself has no word for goes this way.
pub(super) struct Numbers<const N: usize, D> {
    numbers: std::array::IntoIter<u64, N>,
    value: Option<D>,
}

impl<const N: usize, D> Numbers<N, D> {
    pub(super) fn new(numbers: [u64; N], value: D) -> Self {
        Self {
            numbers: numbers.into_iter(),
            value: Some(value),
        }
    }
}

impl<'de, const N: usize, D: Deserializer<'de, Error = Broken>> SeqAccess<'de> for Numbers<N, D> {
    type Error = Broken;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Broken> {
        if let Some(number) = self.numbers.next() {
            return seed.deserialize(number.into_deserializer()).map(Some);
        }
        let value = self.value.take();
        value.map(|value| seed.deserialize(value)).transpose()
    }
}
