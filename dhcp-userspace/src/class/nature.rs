//! What is known of a value before any request comes: its kind and how long it can be. So a
//! comparison that can never hold is found at load.

use std::net::Ipv4Addr;
use std::ops::Range;

use super::bytes;
use super::error::SyntaxError;
use super::tree::{Cut, Node, Shown, Value};
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

    const fn exact(self) -> Option<usize> {
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
    fn meets(self, other: Self) -> bool {
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

/// # Errors
/// Where the two can never be equal.
pub fn equal(left: Typed, right: Typed) -> Result<Node, SyntaxError> {
    if !(left.is_written && right.is_written) {
        check(&left, &right)?;
        check(&right, &left)?;
    }
    Ok(Node::Equal(left.value, right.value))
}

/// What is wrong with `this` beside `other`.
fn check(this: &Typed, other: &Typed) -> Result<(), SyntaxError> {
    let at = || {
        if other.is_written {
            other.at.clone()
        } else {
            this.at.clone()
        }
    };
    if this.kind == Kind::Text && matches!(other.kind, Kind::Number | Kind::Address) {
        return Err(SyntaxError::new(
            at(),
            mismatch(other.kind),
            unquoted(this, other),
        ));
    }
    // An integer is four bytes, and so are two numbers of two bytes: not what is meant.
    let is_narrow =
        this.is_written && this.kind == Kind::Number && !matches!(other.lengths.step, 1 | 4);
    if is_narrow || !this.lengths.meets(other.lengths) {
        let (written, beside) = if other.is_written {
            (other, this)
        } else {
            (this, other)
        };
        let problem = format!("{} can never equal {}", size(written), size(beside));
        return Err(SyntaxError::new(at(), problem, longer(written, beside)));
    }
    let lower = other.case == Case::Lower && has(this, u8::is_ascii_uppercase);
    let upper = other.case == Case::Upper && has(this, u8::is_ascii_lowercase);
    if lower || upper {
        let case = if lower { "lower" } else { "upper" };
        let problem = format!("the other side is in {case} case and can never equal this");
        let hint = format!("write this in {case} case");
        return Err(SyntaxError::new(this.at.clone(), problem, hint));
    }
    Ok(())
}

fn has(this: &Typed, is_letter: impl Fn(&u8) -> bool) -> bool {
    this.bytes()
        .is_some_and(|bytes| bytes.iter().any(is_letter))
}

fn mismatch(other: Kind) -> &'static str {
    match other {
        Kind::Address => "a text can never equal an address",
        _ => "a text can never equal a number",
    }
}

fn unquoted(text: &Typed, other: &Typed) -> String {
    let literal = text
        .bytes()
        .and_then(|bytes| std::str::from_utf8(bytes).ok());
    match literal {
        Some(text) if text.parse::<Ipv4Addr>().is_ok() || text.parse::<u32>().is_ok() => {
            format!("write it without quotes: {text}")
        }
        _ if other.is_written => "put it in single quotes to compare it as text".to_owned(),
        _ => "make it text with addrtotext(value) or uint32totext(value)".to_owned(),
    }
}

fn size(this: &Typed) -> String {
    let Lengths { min, max, step } = this.lengths;
    match (this.lengths.exact(), this.kind) {
        (Some(_), Kind::Number) => "a number (4 bytes)".to_owned(),
        (Some(len), _) => bytes_in_words(len),
        _ if step > 1 && max == step => format!("an option of {step} bytes"),
        _ if step > 1 => format!("a list of items of {step} bytes"),
        _ if min == 0 => format!("at most {}", bytes_in_words(max)),
        _ => format!("{min} to {max} bytes"),
    }
}

fn bytes_in_words(len: usize) -> String {
    let plural = if len == 1 { "" } else { "s" };
    format!("{len} byte{plural}")
}

/// A number in decimal, or in too few bytes.
fn number(literal: &Typed) -> Option<u64> {
    let is_number = literal.kind == Kind::Number || literal.lengths.max == 1;
    let bytes = literal.bytes().filter(|_| is_number)?;
    Some(
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

/// What to write in place of a literal that is too long or too short.
fn longer(literal: &Typed, beside: &Typed) -> String {
    let width = beside.lengths.step;
    let is_narrow = beside.lengths.max < 4 || matches!(width, 2 | 3);
    if let (true, Some(number)) = (is_narrow, number(literal)) {
        return format!(
            "write all its bytes, as in 0x{number:0digits$x}",
            digits = width * 2
        );
    }
    if beside.kind == Kind::Number {
        return "write a decimal number, or all four bytes, as in 0x00000001".to_owned();
    }
    if beside.lengths == Lengths::exactly(6) && literal.kind == Kind::Text {
        return "write the address as 0x525400123456, or compare hexstring(pkt4.mac, ':')"
            .to_owned();
    }
    "compare as many bytes, for example with substring(value, start, length)".to_owned()
}
