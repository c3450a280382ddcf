//! The bare limit in the place of a server.

use anyhow::{Context, Result};
use aya::EbpfLoader;
use aya::programs::{Xdp, XdpMode};
use dhcp_common::layout::bench::SWAP;
use xdhcpd_tests::lab::INTERFACE;

use super::{Handle, Starting};
use crate::time::now;

pub(super) fn start(starting: &Starting<'_>) -> Result<(Handle, u64)> {
    let began = now();
    let mut ebpf = EbpfLoader::new().load(&starting.programs.object)?;
    let program = ebpf.program_mut(SWAP).context("no program that swaps")?;
    let program: &mut Xdp = program.try_into()?;
    program.load()?;
    let attach = || program.attach(INTERFACE, XdpMode::Driver);
    starting.site.lab.server.enter(attach)??;
    let attached = Some(Box::new(ebpf));
    Ok((Handle::Program { attached }, now() - began))
}
