//! The journal.
mod record;
pub use record::{Kind, Record};
