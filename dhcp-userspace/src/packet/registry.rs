//! The IANA registry of BOOTP and DHCP options, the sub-options of some of them, and those that a
//! configuration defines: code, name and what the value is made of.
//!
//! The first name is the one this server prints: Kea's, or the registry's own where that is the
//! usual one. [`encode`] and [`show`] go between text and the bytes on the wire.

mod decode;
mod definitions;
mod encode;
mod kind;
mod name;
mod resolver;
mod spaces;
mod suboptions;
mod table;
#[cfg(test)]
mod tests;

pub use decode::{items, show, show_identifier, to_hex};
pub use definitions::{Clash, Custom, Definitions, Known, TOP};
pub use encode::{ValueError, encode, identifier};
pub use kind::{BINARY, EMPTY, Field, Kind, Repeat, TYPES, highest, type_by_name, type_names};
pub use spaces::{ENTERPRISE, Space, has_end, is_enterprise, space, spaces};
pub use suboptions::{TooLong, put_enterprise, put_suboption, suboptions};

use table::REGISTRY;

/// An option as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub code: u8,
    pub name: &'static str,
    /// Another name in use for the same option; empty: none.
    pub alias: &'static str,
    pub kind: Kind,
    /// The space of the sub-options that the value is made of; empty: none.
    pub space: &'static str,
}

impl Definition {
    const fn holding(mut self, space: &'static str) -> Self {
        self.space = space;
        self
    }
}

/// The option with this code, if the registry has one.
#[must_use]
pub fn by_code(code: u8) -> Option<&'static Definition> {
    find_code(REGISTRY, code)
}

/// The option with this name or alias.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Definition> {
    find_name(REGISTRY, name)
}

fn find_code(options: &[Definition], code: u8) -> Option<&Definition> {
    let at = options.binary_search_by_key(&code, |option| option.code);
    at.ok().map(|at| &options[at])
}

fn find_name<'a>(options: &'a [Definition], name: &str) -> Option<&'a Definition> {
    let is_meant = |option: &&Definition| option.name == name || option.alias == name;
    options
        .iter()
        .find(|option| !name.is_empty() && is_meant(option))
}

/// The name of an option, or its code where it has none.
#[must_use]
pub fn name(code: u8) -> String {
    by_code(code).map_or_else(|| code.to_string(), |option| option.name.to_owned())
}

/// Every option, by code.
#[must_use]
pub fn all() -> &'static [Definition] {
    REGISTRY
}

/// For an option that only the server itself can fill in: what to write in its place.
#[must_use]
pub const fn managed(code: u8) -> Option<&'static str> {
    Some(match code {
        0 | 255 => "it is a marker that every message has where it needs one",
        12 => "give each host its own name: `hostname` of a reservation",
        50 | 55 | 57 => "it is a client's option",
        51 => "use `lease_time`",
        52 => "long replies use it by themselves",
        53 => "the message decides it",
        54 => "use `server_address` of the subnet",
        58 => "use `renew_time`",
        59 => "use `rebind_time`",
        61 | 82 => "it is copied from the request",
        80 => "the server alone decides whether to send it",
        81 => "it is a client's option; use `domain-name` and `hostname` of a reservation",
        90 => "it is computed for each message, which this server does not do",
        118 => "it is a relay's or client's option",
        _ => return None,
    })
}

const fn of(code: u8, name: &'static str, kind: Kind) -> Definition {
    also(code, name, "", kind)
}

const fn also(code: u8, name: &'static str, alias: &'static str, kind: Kind) -> Definition {
    Definition {
        code,
        name,
        alias,
        kind,
        space: "",
    }
}
