//! The options of a configuration: the registry's, those of built-in spaces, and its own.

use std::collections::BTreeMap;

use super::decode::{items, to_hex};
use super::kind::{BINARY, Kind};
use super::suboptions::{enterprises, put_enterprise, put_suboption, suboptions};
use super::{Definition, ENTERPRISE, REGISTRY, find_code, find_name, has_end, space};

/// The space of the options themselves, as Kea calls it.
pub const TOP: &str = "dhcp4";
/// Sub-options within sub-options are shown so deep.
const MAX_DEPTH: u8 = 4;

/// An option that a configuration defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    pub space: String,
    pub code: u8,
    pub name: String,
    pub kind: Kind,
    /// The space of the sub-options that the value is made of; empty: none.
    pub encapsulates: String,
    /// Sent whether the client asks for it or not.
    pub always_send: bool,
}

/// All that a configuration defines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definitions {
    own: Vec<Custom>,
    /// Known options whose sub-options are those of another space here.
    moved: BTreeMap<u8, String>,
}

/// What is known of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'a> {
    pub code: u8,
    pub name: &'a str,
    pub kind: &'a Kind,
    /// The space of the sub-options that the value is made of; empty: none.
    pub space: &'a str,
    pub always_send: bool,
}

/// Why an option cannot be defined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    #[error("option {0} of the space is {1} already")]
    Code(u8, String),
    #[error("the name {0} is option {1} of the space already")]
    Name(String, u8),
}

impl<'a> From<&'a Definition> for Known<'a> {
    fn from(option: &'a Definition) -> Self {
        Self {
            code: option.code,
            name: option.name,
            kind: &option.kind,
            space: option.space,
            always_send: false,
        }
    }
}

impl<'a> From<&'a Custom> for Known<'a> {
    fn from(option: &'a Custom) -> Self {
        Self {
            code: option.code,
            name: &option.name,
            kind: &option.kind,
            space: &option.encapsulates,
            always_send: option.always_send,
        }
    }
}

fn built_in(space_name: &str) -> &'static [Definition] {
    match space_name {
        TOP => REGISTRY,
        name => space(name).map_or(&[], |space| space.options),
    }
}

impl Definitions {
    /// Adds an option.
    ///
    /// # Errors
    /// If its code or name has a meaning in the space already.
    pub fn define(&mut self, option: Custom) -> Result<(), Clash> {
        if let Some(known) = self.by_code(&option.space, option.code) {
            return Err(Clash::Code(option.code, known.name.to_owned()));
        }
        if let Some(known) = self.by_name(&option.space, &option.name) {
            return Err(Clash::Name(option.name, known.code));
        }
        self.own.push(option);
        Ok(())
    }

    /// Says that the sub-options of a known option are those of another space.
    pub fn encapsulate(&mut self, code: u8, space: String) {
        self.moved.insert(code, space);
    }

    /// The option with this code in a space.
    #[must_use]
    pub fn by_code(&self, space: &str, code: u8) -> Option<Known<'_>> {
        let own = |option: &&Custom| option.space == space && option.code == code;
        let known = find_code(built_in(space), code).map(Known::from);
        let known = known.or_else(|| self.own.iter().find(own).map(Known::from));
        known.map(|known| self.moved(space, known))
    }

    /// The option with this name or alias in a space.
    #[must_use]
    pub fn by_name(&self, space: &str, name: &str) -> Option<Known<'_>> {
        let own = |option: &&Custom| option.space == space && option.name == name;
        let known = find_name(built_in(space), name).map(Known::from);
        let known = known.or_else(|| self.own.iter().find(own).map(Known::from));
        known.map(|known| self.moved(space, known))
    }

    fn moved<'a>(&'a self, space: &str, known: Known<'a>) -> Known<'a> {
        let moved = self.moved.get(&known.code).filter(|_| space == TOP);
        Known {
            space: moved.map_or(known.space, String::as_str),
            ..known
        }
    }

    /// All names and aliases in a space.
    pub fn names<'a>(&'a self, space: &'a str) -> impl Iterator<Item = &'a str> {
        let both = |option: &'static Definition| [option.name, option.alias];
        let own = self.own.iter().filter(move |option| option.space == space);
        let known = built_in(space).iter().flat_map(both);
        known
            .filter(|name| !name.is_empty())
            .chain(own.map(|option| option.name.as_str()))
    }

    /// Whether there is such a space: built-in, an enterprise's, or with an option defined in it.
    #[must_use]
    pub fn has_space(&self, name: &str) -> bool {
        let known = space(name).is_some() || super::is_enterprise(name);
        known || self.own.iter().any(|option| option.space == name)
    }

    /// The name of an option, or its code where it has none.
    #[must_use]
    pub fn name(&self, code: u8) -> String {
        let known = self.by_code(TOP, code);
        known.map_or_else(|| code.to_string(), |known| known.name.to_owned())
    }

    /// The value of an option as it could be written.
    #[must_use]
    pub fn show(&self, code: u8, data: &[u8]) -> String {
        let known = self.by_code(TOP, code);
        if let Some(known) = known.filter(|known| !known.space.is_empty()) {
            return self.show_inside(known.space, data, MAX_DEPTH);
        }
        super::show(known.map_or(&BINARY, |known| known.kind), data)
    }

    /// The sub-options of a value, in braces; hexadecimal if it is not made of any.
    fn show_inside(&self, space: &str, data: &[u8], depth: u8) -> String {
        let shown = match space {
            _ if depth == 0 => None,
            ENTERPRISE => self.enterprises(data, depth),
            space => self
                .braces(space, data, depth)
                .map(|braces| format!("{{suboptions: {braces}}}")),
        };
        shown.unwrap_or_else(|| to_hex(data))
    }

    fn enterprises(&self, data: &[u8], depth: u8) -> Option<String> {
        let (mut shown, mut again) = (Vec::new(), Vec::new());
        for (number, part) in enterprises(data)? {
            let braces = self.braces(&number.to_string(), part, depth)?;
            shown.push(format!("{{enterprise: {number}, suboptions: {braces}}}"));
            put_enterprise(&mut again, number, part).ok()?;
        }
        match &*shown {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(format!("[{}]", several.join(", "))),
        }
    }

    /// `{name: value, ...}`, if writing that would give the same bytes.
    fn braces(&self, space: &str, data: &[u8], depth: u8) -> Option<String> {
        let all = suboptions(data, has_end(space))?;
        let mut again = Vec::new();
        for (code, value) in &all {
            put_suboption(&mut again, *code, value).ok()?;
        }
        if has_end(space) {
            again.push(255);
        }
        let ascending = all.is_sorted_by(|one, two| one.0 < two.0);
        (ascending && again == data && !all.is_empty()).then_some(())?;
        let each = all
            .iter()
            .map(|(code, value)| self.entry(space, *code, value, depth));
        Some(format!("{{{}}}", each.collect::<Vec<_>>().join(", ")))
    }

    fn entry(&self, space: &str, code: u8, value: &[u8], depth: u8) -> String {
        let Some(known) = self.by_code(space, code) else {
            return format!("{code}: {}", hex_entry(value));
        };
        if !known.space.is_empty() {
            let inside = self.show_inside(known.space, value, depth - 1);
            return format!("{}: {inside}", known.name);
        }
        let shown = match items(known.kind, value).as_deref() {
            None => hex_entry(value),
            Some([one]) => quoted(one),
            Some(several) => {
                let each: Vec<String> = several.iter().map(|item| quoted(item)).collect();
                format!("[{}]", each.join(", "))
            }
        };
        format!("{}: {shown}", known.name)
    }
}

fn hex_entry(value: &[u8]) -> String {
    if value.is_empty() {
        return "{type: empty, value: true}".to_owned();
    }
    format!("{{hex: {}}}", to_hex(value))
}

/// Text as YAML reads it back.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    let safe = text.starts_with(|first: char| first.is_ascii_alphanumeric());
    if safe && text.bytes().all(plain) && !text.eq_ignore_ascii_case("null") {
        return text.to_owned();
    }
    serde_json::to_string(text).unwrap_or_default()
}
