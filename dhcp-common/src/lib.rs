//! The protocol that the XDP program and the daemon both speak.
//!
//! One source, two targets: this crate compiles for BPF and for the host. The kernel side adds
//! nothing but access to packets and maps ([`fast::Env`]), so what it decides and every byte it
//! sends is what the same functions decide and send in the daemon, and the tests hold one
//! against the other.
//!
//! No I/O, no allocation, no panics: an index that the compiler cannot prove is refused by the
//! kernel's verifier, so whatever loads cannot index out of range on the host either. `unsafe`
//! stands in [`word`] alone.
#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    allow(dead_code, unused_imports, reason = "the daemon's half")
)]
#![cfg_attr(
    target_arch = "bpf",
    allow(internal_features, reason = "bpfel has no atomic xchg")
)]

#[cfg(loom)]
extern crate std;

pub mod boot;
pub mod fast;
pub mod guard;
pub mod head;
pub mod layout;
pub mod memo;
pub mod reason;
mod reply;
pub mod slot;
pub mod template;
pub mod wire;
pub mod word;

pub use reason::Reason;
