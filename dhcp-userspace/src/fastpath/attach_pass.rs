//! An XDP program for the far end of a veth pair, where native replies arrive only if there is one.

use std::path::Path;

use aya::Ebpf;
use aya::EbpfLoader;
use aya::programs::links::FdLink;
use dhcp_common::layout::program;

use super::links::{self, AttachError, Hook};
use super::maps;
use super::netlink;
use super::off::{Off, Platform};

/// Keeps the program attached while it lives, or for longer if it is pinned.
pub struct Pass {
    _link: FdLink,
    _ebpf: Ebpf,
}

/// Why the program is not attached.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    #[error("there is no interface {0} in this network namespace")]
    NoInterface(String),
    #[error(transparent)]
    Off(#[from] Off),
    #[error(transparent)]
    Attach(#[from] AttachError),
}

/// Attaches a program that passes everything natively to an interface of the current network
/// namespace; pins it if a path on a bpffs is given.
///
/// # Errors
/// If there is no such interface, or the program cannot be loaded or attached.
pub fn attach_pass(interface: &str, pin: Option<&Path>) -> Result<Pass, PassError> {
    let object = Platform::current().check()?;
    let devices = netlink::devices().unwrap_or_default();
    let device = devices.into_iter().find(|device| device.name == interface);
    let device = device.ok_or_else(|| PassError::NoInterface(interface.to_owned()))?;
    let loaded = EbpfLoader::new().btf(None).load(object);
    let mut ebpf = loaded.map_err(|error| Off::Load(maps::describe(&error)))?;
    let program = maps::load_program(&mut ebpf, program::PASS)?;
    let link = links::attach(program, &device, Hook::Native, pin)?;
    Ok(Pass {
        _link: link,
        _ebpf: ebpf,
    })
}
