//! A compiled test: a tree of comparisons over bytes.

use ipnet::Ipv4Net;

use super::ClassId;
use super::pattern::Pattern;
use super::regex::Regex;

/// True or false of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    Always,
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Equal(Value, Value),
    Matches(Regex, Value),
    Exists(Field),
    Like(Field, Pattern),
    /// Option 77, which has two formats.
    UserClass(Pattern),
    Arch(u16),
    Mac(Pattern),
    Relay(Ipv4Net),
    Member(ClassId),
    Known,
}

/// Bytes of a request, or made of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    Literal(Box<[u8]>),
    /// As it came; empty if it is not there.
    Raw(Field),
    /// Without the zeros that some clients end a text with.
    Text(Field),
    /// The enterprise number that option 124 or 125 begins with.
    Enterprise(u8),
    Mac,
    Giaddr,
    Substring(Box<Value>, Cut),
    Split(Box<Value>, Box<Value>, usize),
    Concat(Vec<Value>),
    Lower(Box<Value>),
    Upper(Box<Value>),
    Choose(Box<Node>, Box<Value>, Box<Value>),
    HexString(Box<Value>, Box<Value>),
    Shown(Box<Value>, Shown),
}

/// A place in the options of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    Option(u8),
    /// A sub-option, and perhaps sub-options of that.
    Sub(u8, Box<[u8]>),
    /// Option 125: a vendor's block, or a sub-option in it.
    Vendor(Option<u32>, Box<[u8]>),
    /// Option 124: one of the vendor's data.
    VendorClass(Option<u32>, u8),
}

/// The arguments of `substring`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    pub start: i64,
    /// None: all.
    pub len: Option<i64>,
}

/// What `addrtotext` and the like read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shown {
    Address,
    Signed(usize),
    Unsigned(usize),
}

impl Value {
    pub fn literal(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Literal(bytes.into().into_boxed_slice())
    }

    pub fn number(number: u32) -> Self {
        Self::literal(number.to_be_bytes())
    }
}
