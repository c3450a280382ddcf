//! What the values of options are made of, and how each part is called and written.

use std::borrow::Cow;

/// One part of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Ipv4,
    Ipv6,
    /// An IPv4 address and its mask.
    Network,
    Mac,
    /// Unsigned, big-endian.
    Uint {
        bytes: u8,
        min: u32,
    },
    /// Two's complement, big-endian.
    Int {
        bytes: u8,
    },
    Bool,
    /// All that is left, as text.
    Text,
    /// A text or bytes behind a length of one or two bytes.
    Counted {
        bytes: u8,
    },
    /// A domain name as DNS encodes it (RFC 1035).
    Domain,
    /// As [`Field::Domain`], the ends of names shared (RFC 3397).
    SearchDomain,
    /// A classless static route (RFC 3442): `10.0.0.0/8 via 10.0.0.1`.
    Route,
    /// IPv4 addresses behind how many they are, or behind how many bytes they take.
    Group {
        in_bytes: bool,
    },
    /// A name or an address; the value begins with which of them all are (RFC 3361).
    SipServer,
    /// An encrypted resolver (RFC 9463).
    Resolver,
    Uuid,
    /// All that is left: a text, or bytes in hexadecimal.
    Identifier,
    /// All that is left, in hexadecimal.
    Hex,
}

/// Which parts of a value may be there more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    Never,
    /// The last one.
    Last,
    /// All of them, in turn.
    All,
}

/// What an option's value is made of: these parts in this order. None: the option has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    pub fields: Cow<'static, [Field]>,
    pub repeat: Repeat,
}

/// Bytes, written in hexadecimal.
pub const BINARY: Kind = Kind::one(&[Field::Hex]);

/// The types that a configuration can name.
pub const TYPES: [Field; 22] = [
    Field::Ipv4,
    Field::Ipv6,
    Field::Network,
    Field::Mac,
    Field::Uint { bytes: 1, min: 0 },
    Field::Uint { bytes: 2, min: 0 },
    Field::Uint { bytes: 4, min: 0 },
    Field::Uint { bytes: 8, min: 0 },
    Field::Int { bytes: 1 },
    Field::Int { bytes: 2 },
    Field::Int { bytes: 4 },
    Field::Int { bytes: 8 },
    Field::Bool,
    Field::Text,
    Field::Counted { bytes: 1 },
    Field::Domain,
    Field::SearchDomain,
    Field::Route,
    Field::Group { in_bytes: false },
    Field::Uuid,
    Field::Identifier,
    Field::Hex,
];

/// The name of the type without a value.
pub const EMPTY: &str = "empty";

/// The names of all types, for hints.
#[must_use]
pub fn type_names() -> String {
    let names = TYPES.iter().map(|field| field.name()).chain([EMPTY]);
    names.collect::<Vec<_>>().join(", ")
}

/// The type with this name.
#[must_use]
pub fn type_by_name(name: &str) -> Option<Field> {
    TYPES.into_iter().find(|field| field.name() == name)
}

impl Kind {
    /// Each part once.
    #[must_use]
    pub const fn one(fields: &'static [Field]) -> Self {
        Self::of(fields, Repeat::Never)
    }

    /// The last part once or more.
    #[must_use]
    pub const fn list(fields: &'static [Field]) -> Self {
        Self::of(fields, Repeat::Last)
    }

    /// All parts in turn, once or more.
    #[must_use]
    pub const fn groups(fields: &'static [Field]) -> Self {
        Self::of(fields, Repeat::All)
    }

    const fn of(fields: &'static [Field], repeat: Repeat) -> Self {
        Self {
            fields: Cow::Borrowed(fields),
            repeat,
        }
    }

    /// A kind that a configuration defines.
    #[must_use]
    pub fn custom(fields: Vec<Field>, array: bool) -> Self {
        Self {
            repeat: if array { Repeat::Last } else { Repeat::Never },
            fields: Cow::Owned(fields),
        }
    }

    /// Whether a value may have several items.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.fields.len() > 1 || self.repeat != Repeat::Never
    }

    /// The part that the item with this index is; `None`: there is no such item.
    pub(super) fn field(&self, index: usize) -> Option<Field> {
        let last = self.fields.last()?;
        match self.repeat {
            Repeat::Never => self.fields.get(index).copied(),
            Repeat::Last => Some(*self.fields.get(index).unwrap_or(last)),
            Repeat::All => Some(self.fields[index % self.fields.len()]),
        }
    }

    /// The part that takes all that is left may only be the last one, once.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let Some((last, others)) = self.fields.split_last() else {
            return true;
        };
        let repeated = self.repeat != Repeat::Never;
        let early = others.iter().any(|field| field.is_greedy());
        !(early || repeated && last.is_greedy())
    }

    /// How to write a value.
    #[must_use]
    pub fn hint(&self) -> String {
        match &*self.fields {
            [] => "write true; the option has no value".to_owned(),
            [field] => field.hint(),
            _ => format!("write {}, in this order", self.shape()),
        }
    }

    /// Like `uint16, ipv4 ...`, as the documentation and hints say it.
    #[must_use]
    pub fn shape(&self) -> String {
        let names: Vec<&str> = self.fields.iter().map(|field| field.name()).collect();
        match (&*names, self.repeat) {
            ([], _) => EMPTY.to_owned(),
            (names, Repeat::Never) => names.join(", "),
            (names, Repeat::Last) => format!("{} ...", names.join(", ")),
            (names, Repeat::All) => format!("({}) ...", names.join(", ")),
        }
    }
}

impl Field {
    /// How many bytes it takes, if always as many.
    #[must_use]
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::Ipv4 => Some(4),
            Self::Ipv6 | Self::Uuid => Some(16),
            Self::Network => Some(8),
            Self::Mac => Some(6),
            Self::Uint { bytes, .. } | Self::Int { bytes } => Some(bytes as usize),
            Self::Bool => Some(1),
            _ => None,
        }
    }

    /// Takes all bytes that are left.
    pub(super) const fn is_greedy(self) -> bool {
        matches!(self, Self::Text | Self::Identifier | Self::Hex)
    }

    /// Whether an item may hold a comma.
    pub(super) const fn has_commas(self) -> bool {
        let text = matches!(self, Self::Text | Self::Counted { .. } | Self::Identifier);
        text || matches!(self, Self::Resolver)
    }

    /// The name of the type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Network => "network",
            Self::Mac => "mac",
            Self::Uint { bytes: 1, .. } => "uint8",
            Self::Uint { bytes: 2, .. } => "uint16",
            Self::Uint { bytes: 4, .. } => "uint32",
            Self::Uint { .. } => "uint64",
            Self::Int { bytes: 1 } => "int8",
            Self::Int { bytes: 2 } => "int16",
            Self::Int { bytes: 4 } => "int32",
            Self::Int { .. } => "int64",
            Self::Bool => "bool",
            Self::Text => "string",
            Self::Counted { .. } => "counted",
            Self::Domain => "domain",
            Self::SearchDomain => "compressed-domain",
            Self::Route => "route",
            Self::Group { .. } => "ipv4-group",
            Self::SipServer => "sip-server",
            Self::Resolver => "resolver",
            Self::Uuid => "uuid",
            Self::Identifier => "client-id",
            Self::Hex => "hex",
        }
    }

    /// What an item is.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Ipv4 => "an IPv4 address",
            Self::Ipv6 => "an IPv6 address",
            Self::Network => "an IPv4 network",
            Self::Mac => "a hardware address",
            Self::Uint { .. } | Self::Int { .. } => "a number that fits",
            Self::Bool => "a truth value",
            Self::Text => "a text",
            Self::Counted { .. } => "a text that fits",
            Self::Domain | Self::SearchDomain => "a domain name",
            Self::Route => "a route",
            Self::Group { .. } => "a group of IPv4 addresses",
            Self::SipServer => "a server like those before",
            Self::Resolver => "an encrypted resolver",
            Self::Uuid => "a UUID",
            Self::Identifier => "an identifier",
            Self::Hex => "hexadecimal",
        }
    }

    /// How to write an item.
    #[must_use]
    pub fn hint(self) -> String {
        let hint = match self {
            Self::Uint { bytes, min } => {
                return format!("write a whole number from {min} to {}", highest(bytes));
            }
            Self::Int { bytes } => {
                let most = highest(bytes) / 2;
                return format!("write a whole number from -{} to {most}", most + 1);
            }
            Self::Counted { bytes } => {
                return format!(
                    "write a text of at most {} bytes, or 0x01ab",
                    highest(bytes)
                );
            }
            Self::Ipv4 => "write an IPv4 address like 10.0.0.1",
            Self::Ipv6 => "write an IPv6 address like 2001:db8::1",
            Self::Network => "write 10.0.0.0/8 or 10.0.0.0/255.0.0.0",
            Self::Mac => "write six bytes in hexadecimal, like 52:54:00:12:34:56",
            Self::Bool => "write true or false",
            Self::Text => "write at least one character, none of them NUL",
            Self::Domain | Self::SearchDomain => {
                "write a domain name like example.org: labels of 1 to 63 letters, digits, \
                 hyphens or underscores"
            }
            Self::Route => "write \"10.1.0.0/16 via 10.0.0.1\"",
            Self::Group { .. } => "write addresses with spaces between them: \"10.0.0.1 10.0.0.2\"",
            Self::SipServer => "write addresses or domain names, not both",
            Self::Resolver => {
                "write \"1 dns.example 10.0.0.1 alpn=dot port=853\": priority, name, addresses, \
                 parameters"
            }
            Self::Uuid => "write it like 4c4c4544-0042-3110-8058-b4c04f4e3732",
            Self::Identifier => "write a text, or hexadecimal: 01:52:54:00:12:34:56 or 0x01ab",
            Self::Hex => "write hexadecimal digits: 0x01ab or \"01:ab\"",
        };
        hint.to_owned()
    }
}

/// The highest number of so many bytes.
#[must_use]
pub const fn highest(bytes: u8) -> u64 {
    u64::MAX >> (64 - 8 * bytes as u32)
}
