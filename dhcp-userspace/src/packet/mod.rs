//! DHCP messages as bytes: requests are parsed, replies are built, and nothing is decided.
pub mod infiniband;
mod layers;
mod message;
mod options;
pub mod pxe;
mod region;
pub mod registry;
mod reply;
mod request;

pub use layers::Layers;
pub use message::{Message, wrap};
pub use options::{Field, Options, Truncated, put};
pub use region::{Cut, Region};
pub use reply::{Answer, Composed, Envelope, Recipe, compose};
pub use request::{MessageType, Request, suboption};
