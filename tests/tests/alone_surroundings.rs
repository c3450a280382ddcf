//! Faults in what surrounds the daemon: in the kernel, at its interfaces, in the clock, in other processes. All
//! of them under load, and the ledger judges what clients were told.

mod common;

#[path = "alone_surroundings/clocks.rs"]
mod clocks;
#[path = "alone_surroundings/interfaces.rs"]
mod interfaces;
#[path = "alone_surroundings/limits.rs"]
mod limits;
#[path = "alone_surroundings/pins.rs"]
mod pins;
#[path = "alone_surroundings/site.rs"]
mod site;
#[path = "alone_surroundings/twins.rs"]
mod twins;
