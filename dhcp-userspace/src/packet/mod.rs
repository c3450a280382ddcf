//! packet
pub mod registry;
