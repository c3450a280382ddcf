//! YAML configuration.
pub mod model;
pub use model::Config;
