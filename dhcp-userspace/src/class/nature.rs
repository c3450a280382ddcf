//! What is known of a value before any request comes: its kind and how long it can be. So a
//! comparison that can never hold is found at load.

use std::ops::Range;

use super::bytes;
use super::error::SyntaxError;
use super::tree::{Cut, Shown, Value};
use crate::packet::registry;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Bytes,
    Number,
    Address,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    Any,
    Lower,
    Upper,
}

/// Multiples of `step` from `min` to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    pub min: usize,
    pub max: usize,
    pub step: usize,
}

/// An option's pieces together are no longer than a packet.
const LONGEST_OPTION: usize = 65_535;
/// What a test may make of a request.
const LONGEST_VALUE: usize = 1 << 20;

impl Lengths {
    pub const OPTION: Self = Self::up_to(LONGEST_OPTION);

    pub const fn exactly(len: usize) -> Self {
        Self {
            min: len,
            max: len,
            step: 1,
        }
    }

    pub const fn up_to(max: usize) -> Self {
        Self {
            min: 0,
            max,
            step: 1,
        }
    }

    /// Items of so many bytes, or nothing where the option is not there.
    const fn items(bytes: usize, is_list: bool) -> Self {
        let max = if is_list { LONGEST_OPTION } else { bytes };
        Self {
            min: 0,
            max,
            step: bytes,
        }
    }

    pub const fn exact(self) -> Option<usize> {
        if self.min == self.max {
            Some(self.min)
        } else {
            None
        }
    }

    pub fn has(self, len: usize) -> bool {
        (self.min..=self.max).contains(&len) && len.is_multiple_of(self.step)
    }

    /// Whether two values can be equally long.
    pub fn meets(self, other: Self) -> bool {
        match (self.exact(), other.exact()) {
            (Some(len), _) => other.has(len),
            (_, Some(len)) => self.has(len),
            _ => self.min <= other.max && other.min <= self.max,
        }
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            min: self.min + other.min,
            max: self.max + other.max,
            step: 1,
        }
    }

    pub fn or(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            step: 1,
        }
    }

    pub fn cut(self, cut: Cut) -> Self {
        if let Some(len) = self.exact() {
            return Self::exactly(bytes::substring(len, cut).len());
        }
        let wanted = cut.len.map_or(self.max, |len| {
            usize::try_from(len.unsigned_abs()).unwrap_or(self.max)
        });
        Self::up_to(self.max.min(wanted))
    }

    pub fn hex(self, separator: Self) -> Self {
        let len = |bytes: usize, separator: usize| bytes * 2 + bytes.saturating_sub(1) * separator;
        Self {
            min: len(self.min, separator.min),
            max: len(self.max, separator.max),
            step: 1,
        }
    }

    pub fn shown(shown: Shown) -> Self {
        Self::up_to(match shown {
            Shown::Address => "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len(),
            Shown::Signed(_) | Shown::Unsigned(_) => "-2147483648".len(),
        })
    }
}

/// A value with its place in the text.
#[derive(Debug)]
pub struct Typed {
    pub at: Range<usize>,
    pub value: Value,
    pub kind: Kind,
    pub lengths: Lengths,
    pub case: Case,
    /// It stands in the text.
    pub is_written: bool,
}

impl Typed {
    pub fn new(at: Range<usize>, value: Value, kind: Kind, lengths: Lengths) -> Self {
        Self {
            at,
            value,
            kind,
            lengths,
            case: Case::Any,
            is_written: false,
        }
    }

    pub fn written(at: Range<usize>, bytes: impl Into<Vec<u8>>, kind: Kind) -> Self {
        let bytes = bytes.into();
        let lengths = Lengths::exactly(bytes.len());
        // Nothing stands for what is not there, of whatever kind.
        let kind = if bytes.is_empty() { Kind::Bytes } else { kind };
        let is_written = true;
        Self {
            is_written,
            ..Self::new(at, Value::literal(bytes), kind, lengths)
        }
    }

    /// The bytes, of what stands in the text.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.value {
            Value::Literal(bytes) if self.is_written => Some(bytes),
            _ => None,
        }
    }

    /// The kind of what is cut out of it.
    pub fn part_kind(&self) -> Kind {
        if self.kind == Kind::Text {
            Kind::Text
        } else {
            Kind::Bytes
        }
    }

    /// # Errors
    /// Where a function could be made to use much memory.
    pub fn bounded(self) -> Result<Self, SyntaxError> {
        if self.lengths.max <= LONGEST_VALUE {
            return Ok(self);
        }
        let hint = "take a part of it first: substring(value, start, length)";
        Err(SyntaxError::new(
            self.at,
            "this could become longer than any message",
            hint,
        ))
    }
}

/// The kind and lengths of an option's value; anything where the registry does not know it.
pub fn of_option(code: u8) -> (Kind, Lengths) {
    use registry::Kind as Is;
    let Some(definition) = registry::by_code(code) else {
        return (Kind::Bytes, Lengths::OPTION);
    };
    match definition.kind {
        Is::Text => (Kind::Text, Lengths::OPTION),
        Is::Ipv4 => (Kind::Address, Lengths::items(4, false)),
        Is::Ipv4List => (Kind::Bytes, Lengths::items(4, true)),
        Is::Ipv4Pairs => (Kind::Bytes, Lengths::items(8, true)),
        Is::Uint { bytes: 4, .. } | Is::Int32 => (Kind::Number, Lengths::items(4, false)),
        Is::Uint { bytes, .. } => (Kind::Bytes, Lengths::items(bytes.into(), false)),
        Is::UintList { bytes, .. } => (Kind::Bytes, Lengths::items(bytes.into(), true)),
        Is::Bool => (Kind::Bytes, Lengths::items(1, false)),
        Is::Domain | Is::DomainList | Is::Routes | Is::Binary => (Kind::Bytes, Lengths::OPTION),
    }
}

/// Whether the value of an option can be read as text.
pub fn is_text(code: u8) -> bool {
    use registry::Kind::{Binary, Text};
    registry::by_code(code).is_none_or(|option| matches!(option.kind, Text | Binary))
}
