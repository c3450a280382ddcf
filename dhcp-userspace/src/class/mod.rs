//! Classes of clients.
mod set;

pub use set::{ClassId, ClassSet, MAX_CLASSES};

use crate::packet::Request;

/// What a test is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub request: &'a Request<'a>,
    /// The classes found so far.
    pub members: &'a ClassSet,
    /// The client has a reservation.
    pub known: bool,
}

/// A compiled test on a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Test(());

impl Test {
    #[must_use]
    pub fn matches(&self, _subject: &Subject<'_>) -> bool {
        false
    }
}
