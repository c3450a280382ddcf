//! Client classes: tests on a request, written in Kea's language or in the short form of the
//! configuration, checked and compiled at load.
//!
//! A test sees only what stays the same from a client's first DISCOVER to its last renewal, and
//! what the memo of a renewal covers: option bytes, chaddr, and giaddr, which is empty in all
//! that the kernel answers. What else Kea can test is refused with its reason.

mod bytes;
mod compare;
mod depends;
mod error;
mod fields;
mod functions;
mod nature;
mod parse;
mod pattern;
mod read;
pub mod ready;
mod refused;
mod regex;
mod run;
mod set;
mod short;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod token;
mod tree;

pub use error::SyntaxError;
pub use set::{ClassId, ClassSet, MAX_CLASSES};

use crate::packet::Request;
use tree::Node;

/// What a test is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub request: &'a Request<'a>,
    /// The classes found so far.
    pub members: &'a ClassSet,
    /// The client has a reservation.
    pub known: bool,
    /// Option 82 of an earlier message, which counts where the request has none.
    pub relay_agent: Option<&'a [u8]>,
}

/// A compiled test.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Test(Node);

impl Test {
    /// Compiles Kea's expression language. `class` knows the classes that stand before this one,
    /// `option` the names of options; ready-made classes need not be known to `class`.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(
        text: &str,
        class: &dyn Fn(&str) -> Option<ClassId>,
        option: &dyn Fn(&str) -> Option<u8>,
    ) -> Result<Self, SyntaxError> {
        parse::parse(text, parse::Names { class, option }).map(Self)
    }

    #[must_use]
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        run::holds(&self.0, subject).unwrap_or(false)
    }

    /// True of every request where there are no tests.
    #[must_use]
    pub fn all(tests: Vec<Self>) -> Self {
        Self(Node::All(nodes(tests)))
    }

    /// True of no request where there are no tests.
    #[must_use]
    pub fn any(tests: Vec<Self>) -> Self {
        Self(Node::Any(nodes(tests)))
    }

    #[expect(
        clippy::should_implement_trait,
        reason = "it stands beside `all` and `any`"
    )]
    #[must_use]
    pub fn not(test: Self) -> Self {
        Self(Node::Not(Box::new(test.0)))
    }
}

fn nodes(tests: Vec<Test>) -> Vec<Node> {
    tests.into_iter().map(|test| test.0).collect()
}
