//! DHCP messages as bytes: requests are parsed, replies are built, and nothing is decided.
mod extras;
pub mod infiniband;
mod layers;
mod message;
mod options;
mod plan;
pub mod pxe;
mod region;
pub mod registry;
mod reply;
mod request;

pub use layers::Layers;
pub use message::{Message, wrap};
pub use options::{Field, Options, Truncated, put};
pub use region::{Cut, Region};
pub use reply::{Answer, Composed, Envelope, MIN_SIZE, Recipe, compose, reply_size};
pub use request::{MessageType, Request, suboption};
