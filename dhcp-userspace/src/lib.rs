//! xdhcpd, a DHCPv4 server whose renewals are answered in the kernel.
//!
//! ARCHITECTURE.md in the repository shows how the modules fit together.

#[cfg(test)]
mod captured;
pub mod class;
pub mod clock;
pub mod config;
pub mod control;
pub mod engine;
pub mod fastpath;
pub mod guard;
pub mod journal;
pub mod lease;
pub mod net;
pub mod netboot;
pub mod packet;
pub mod run;
#[cfg(test)]
mod simulation;
