//! `cargo xtask build-ebpf`: the XDP program, as an object for the daemon to embed.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use xdhcpd_tests::process;

use crate::compiler::{self, Compiler};
use crate::linker;
use crate::paths;
use crate::progress::step;

const TARGET: &str = "bpfel-unknown-none";
/// v3 has the atomic exchange that a grant needs; `bpf_loop` wants the functions' BTF, which
/// LLVM makes of the debug information.
const FLAGS: &str = "-C target-cpu=v3 -C debuginfo=2 -C link-arg=--btf";

/// Builds it, if anything has changed, and returns the object's path.
pub(crate) fn build() -> Result<PathBuf> {
    build_with(&compiler::choose()?)
}

pub(crate) fn build_with(compiler: &Compiler) -> Result<PathBuf> {
    let target = paths::target().join("ebpf");
    let mut build = cargo_build(paths::root(), &target, compiler)?;
    step("building the XDP program", &mut build)?;
    install(&built(&target), &paths::object())?;
    Ok(paths::object())
}

/// Builds the XDP program of another copy of this workspace.
pub(crate) fn build_tree(root: &Path, target: &Path, compiler: &Compiler) -> Result<PathBuf> {
    process::output(&mut cargo_build(root, target, compiler)?)?;
    Ok(built(target))
}

fn built(target: &Path) -> PathBuf {
    target.join(TARGET).join("release/xdhcpd-ebpf")
}

fn cargo_build(root: &Path, target: &Path, compiler: &Compiler) -> Result<Command> {
    let mut command = Command::new(&compiler.cargo);
    command.current_dir(root);
    command.args([
        "build",
        "--release",
        "--package",
        "dhcp-ebpf",
        "--target",
        TARGET,
    ]);
    command
        .args(["-Z", "build-std=core", "--target-dir"])
        .arg(target);
    // Not the flags, target directory or compiler that may be set for the host's builds.
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTUP_TOOLCHAIN",
    ] {
        command.env_remove(name);
    }
    command.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_RUSTFLAGS", FLAGS);
    command.env("RUSTC", &compiler.rustc);
    // A distribution's stable compiler is asked for -Z build-std as well.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("PATH", path_with(linker::ensure(compiler)?)?);
    command.env("LD_LIBRARY_PATH", linker::library_directory(compiler)?);
    Ok(command)
}

fn path_with(first: PathBuf) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(
        [first].into_iter().chain(env::split_paths(&path)),
    )?)
}

/// Copies the object without its DWARF, which is large and which the kernel does not read. Left
/// alone when nothing has changed, so that the daemon is not built again for it.
fn install(built: &Path, object: &Path) -> Result<()> {
    let stripped = object.with_extension("new");
    if strip(built, &stripped).is_err() {
        fs::copy(built, &stripped).with_context(|| format!("no {}", built.display()))?;
    }
    if fs::read(&stripped)? == fs::read(object).unwrap_or_default() {
        fs::remove_file(&stripped)?;
        return Ok(());
    }
    fs::rename(&stripped, object)?;
    Ok(())
}

fn strip(built: &Path, stripped: &Path) -> Result<()> {
    let mut command = Command::new(objcopy()?);
    process::output(command.arg("--strip-debug").arg(built).arg(stripped))?;
    Ok(())
}

/// rustup's toolchains bring one; LLVM's own will do.
fn objcopy() -> Result<PathBuf> {
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let host = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let own = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-objcopy");
    if own.exists() {
        Ok(own)
    } else {
        process::find("llvm-objcopy")
    }
}
