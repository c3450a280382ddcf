//! Classes of clients.
mod set;

pub use set::{ClassId, ClassSet, MAX_CLASSES};

/// A compiled test on a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Test(());
