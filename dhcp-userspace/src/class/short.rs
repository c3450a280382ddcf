//! The short form: one test for each key of `match` in the configuration.

use dhcp_common::wire::option;
use ipnet::Ipv4Net;

use super::error::SyntaxError;
use super::pattern::Pattern;
use super::refused;
use super::tree::{Field, Node};
use super::{ClassId, Test};

const VENDOR_CLASS_IDENTIFIER: u8 = 60;
const CIRCUIT_ID: u8 = 1;
const REMOTE_ID: u8 = 2;

impl Test {
    /// One of the types that option 93 lists.
    #[must_use]
    pub fn arch(code: u16) -> Self {
        Self(Node::Arch(code))
    }

    /// Option 60: the whole text, or with a star at the end, what it begins with.
    #[must_use]
    pub fn vendor_class(pattern: &str) -> Self {
        let field = Field::Option(VENDOR_CLASS_IDENTIFIER);
        Self(Node::Like(field, Pattern::text(pattern)))
    }

    /// Option 77: the text, or any item of a list (RFC 3004).
    #[must_use]
    pub fn user_class(pattern: &str) -> Self {
        Self(Node::UserClass(Pattern::text(pattern)))
    }

    /// `52:54:00:12:34:56`, or `52:54:00:*`.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn mac(pattern: &str) -> Result<Self, SyntaxError> {
        Pattern::mac(pattern).map(|pattern| Self(Node::Mac(pattern)))
    }

    /// The relay's address, giaddr.
    #[must_use]
    pub fn relay(pattern: Ipv4Net) -> Self {
        Self(Node::Relay(pattern))
    }

    /// Text or `0x` and hexadecimal digits, either with a star at the end for the rest.
    ///
    /// # Errors
    /// Where the digits are wrong.
    pub fn circuit_id(pattern: &str) -> Result<Self, SyntaxError> {
        relay_option(CIRCUIT_ID, pattern)
    }

    /// As [`Test::circuit_id`].
    ///
    /// # Errors
    /// Where the digits are wrong.
    pub fn remote_id(pattern: &str) -> Result<Self, SyntaxError> {
        relay_option(REMOTE_ID, pattern)
    }

    /// Without a pattern: the option is there, even empty.
    ///
    /// # Errors
    /// For an option that no class may depend on, and where the pattern's digits are wrong.
    pub fn option(code: u8, pattern: Option<&str>) -> Result<Self, SyntaxError> {
        if let Some((problem, hint)) = refused::option(code) {
            let at = 0..pattern.map_or(0, str::len);
            return Err(SyntaxError::new(at, problem, hint));
        }
        let Some(pattern) = pattern else {
            return Ok(Self::exists(code));
        };
        let pattern = Pattern::text_or_hex(pattern)?;
        Ok(Self(Node::Like(Field::Option(code), pattern)))
    }

    pub(super) fn exists(code: u8) -> Self {
        Self(Node::Exists(Field::Option(code)))
    }

    #[must_use]
    pub fn member(class: ClassId) -> Self {
        Self(Node::Member(class))
    }

    /// The client has a reservation.
    #[must_use]
    pub fn known() -> Self {
        Self(Node::Known)
    }

    #[must_use]
    pub fn unknown() -> Self {
        Self::not(Self::known())
    }
}

fn relay_option(code: u8, pattern: &str) -> Result<Test, SyntaxError> {
    let field = Field::Sub(option::RELAY_AGENT, [code].into());
    Pattern::text_or_hex(pattern).map(|pattern| Test(Node::Like(field, pattern)))
}
