//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask/ lies in the workspace")
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    let chosen = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(chosen)
}

/// What the build of the XDP program leaves for `dhcp-userspace/build.rs` to embed.
pub(crate) fn object() -> PathBuf {
    target().join("ebpf/xdhcpd.bpf.o")
}

/// Programs for measuring, which no daemon embeds.
pub(crate) fn bench_object() -> PathBuf {
    target().join("ebpf/xdhcpd-bench.bpf.o")
}

/// Tools that we install for ourselves.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// The cargo that runs us.
pub(crate) fn cargo() -> PathBuf {
    env::var_os("CARGO")
        .unwrap_or_else(|| "cargo".into())
        .into()
}
