//! From the tree to the structs of [`super::written`], by serde.
//!
//! Unlike other deserializers this one goes on after a mistake: unknown keys are reported and
//! skipped, and what has the wrong shape is reported and read as if it were not there. So one
//! run finds them all.

mod access;
mod forms;

use std::fmt;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::error::{At, Problem, Report, did_you_mean};
use super::yaml::{Entries as Pairs, Key, Node, Shape, Style, Tree};
use access::{Alone, Entries, Items, Numbers, Single};
pub(super) use forms::{KeyOrMap, Later, OneOrMany, Passage, Placed, Short, Text, ValueOrMap};

/// Reads a whole document.
pub(super) fn decode<T: DeserializeOwned + Default>(tree: &Tree, report: &Report) -> T {
    read(Cursor {
        tree,
        node: tree.root,
        at: At::Root,
        report,
    })
}

fn read<T: DeserializeOwned + Default>(cursor: Cursor<'_>) -> T {
    T::deserialize(cursor).unwrap_or_else(|Broken(what)| {
        let problem = Problem::new(what, "");
        cursor.report.add(cursor.node.place, &cursor.at, problem);
        T::default()
    })
}

impl<T: DeserializeOwned + Default> Later<T> {
    /// The items, of the tree that this was read from.
    pub(super) fn each(
        &self,
        tree: &Tree,
        at: &At<'_>,
        report: &Report,
        mut take: impl FnMut(&Placed<T>, &At<'_>),
    ) {
        for (index, node) in tree.items(self.items).iter().enumerate() {
            let at = at.item(index);
            let value = read(Cursor {
                tree,
                node: *node,
                at,
                report,
            });
            let place = node.place;
            take(&Placed { place, value }, &at);
        }
    }
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
    tree: &'a Tree,
    node: Node,
    at: At<'a>,
    report: &'a Report,
}

impl<'a> Cursor<'a> {
    fn shape(&self) -> Shape<'a> {
        self.tree.shape(self.node)
    }

    fn wrong_shape(&self, expected: &str) {
        let found = match self.shape() {
            Shape::Null => "nothing",
            Shape::Scalar(..) => "a single value",
            Shape::List(_) => "a list",
            Shape::Map(_) => "a mapping",
        };
        let problem = Problem::new(format!("found {found}"), format!("write {expected}"));
        self.report
            .add_misshapen(self.node.place, &self.at, problem);
    }

    /// The entries of a mapping; none, and a report, if it is something else.
    fn entries(&self) -> Pairs<'a> {
        match self.shape() {
            Shape::Map(entries) => return entries,
            Shape::Null => {}
            _ => self.wrong_shape("a mapping (key: value)"),
        }
        self.tree.no_entries()
    }

    /// The items of a list; none, and a report, if it is something else.
    fn items(&self) -> &'a [Node] {
        match self.shape() {
            Shape::List(items) => return items,
            Shape::Null => {}
            _ => self.wrong_shape("a list ([a, b], or lines that start with -)"),
        }
        &[]
    }

    /// Where the items lie.
    fn list(&self) -> [u64; 2] {
        self.items();
        let part = Tree::list(self.node).unwrap_or_default();
        [part.start.into(), part.len.into()]
    }

    /// Where a scalar and its first character stand; 0: not known.
    fn passage(&self) -> [u64; 2] {
        let place = self.node.place;
        let lead = match self.shape() {
            Shape::Scalar(Style::Plain, _) => 0,
            Shape::Scalar(Style::Quoted, _) => 1,
            _ => return [place.pack(), 0],
        };
        let column = place.column + lead;
        [place.pack(), super::error::Place { column, ..place }.pack()]
    }

    fn visit_entries<'de, V: Visitor<'de>>(
        self,
        known: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Broken> {
        visitor.visit_map(Entries {
            map: self,
            rest: self.entries(),
            known,
            value: None,
        })
    }

    fn unknown(&self, key: Key<'_>, known: &[&'static str]) {
        let hint = did_you_mean(key.name, known.iter().copied());
        let hint = hint.unwrap_or_else(|| format!("known here: {}", known.join(", ")));
        let problem = Problem::new(format!("unknown key {}", key.name), hint);
        self.report.add(key.place, &self.at, problem);
    }
}

impl<'de> Deserializer<'de> for Cursor<'_> {
    type Error = Broken;

    /// For what may be anything.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        match self.shape() {
            Shape::Null => visitor.visit_unit(),
            Shape::List(_) => self.deserialize_seq(visitor),
            Shape::Map(_) => self.deserialize_map(visitor),
            Shape::Scalar(Style::Plain, text) => visit_plain(text, visitor),
            Shape::Scalar(_, text) => visitor.visit_str(text),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        if let Shape::Scalar(_, text) = self.shape() {
            return visitor.visit_str(text);
        }
        self.wrong_shape("a single value");
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        match self.shape() {
            Shape::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        let rest = self.items().iter().enumerate();
        visitor.visit_seq(Items { list: self, rest })
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
        let is_list = matches!(self.shape(), Shape::List(_));
        let is_map = matches!(self.shape(), Shape::Map(_));
        let key = name.strip_prefix("KeyOrMap ");
        let key = key.or((name == "ValueOrMap").then_some("value"));
        match name {
            "Placed" => visitor.visit_seq(Numbers::new([self.node.place.pack()], self)),
            "Passage" => visitor.visit_seq(Numbers::new(self.passage(), self)),
            "Later" => visitor.visit_seq(Numbers::new(self.list(), self)),
            "OneOrMany" if !is_list => visitor.visit_newtype_struct(Single(Some(self))),
            _ => match key {
                Some(key) if !is_map => visitor.visit_newtype_struct(Alone::new(key, self)),
                _ => visitor.visit_newtype_struct(self),
            },
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char string bytes byte_buf unit unit_struct
        tuple tuple_struct enum identifier ignored_any
    }
}

/// A plain scalar without a type: a number or truth value if it looks like one.
fn visit_plain<'de, V: Visitor<'de>>(text: &str, visitor: V) -> Result<V::Value, Broken> {
    let digits = text.trim_start_matches(['-', '+']);
    let is_code = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if let Ok(truth) = text.parse::<bool>() {
        return visitor.visit_bool(truth);
    }
    if is_code || !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return visitor.visit_str(text);
    }
    if let Ok(number) = text.parse::<i64>() {
        return visitor.visit_i64(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => visitor.visit_f64(number),
        _ => visitor.visit_str(text),
    }
}
