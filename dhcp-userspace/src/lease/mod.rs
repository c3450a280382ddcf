//! Leases in memory: the table that the kernel shares, and the templates of replies.
pub mod memory;
pub mod table;
pub mod templates;
pub mod time;
pub mod yaml;
