//! Which compiler builds the XDP program.
//!
//! The BPF target has no compiled `core` library anywhere, so the compiler must come with the
//! library's source and accept `-Z build-std`. And bpf-linker, which makes one object of its
//! output, loads the compiler's own LLVM, so the two must speak of the same LLVM ([`crate::linker`]).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xdhcpd_tests::process;

use crate::linker;
use crate::packages;
use crate::progress::step;

/// The last nightly known to fit: it brings LLVM 22.
const NIGHTLY: &str = "nightly-2026-05-20";
/// Debian's compiler and its source, in bookworm-security and later.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

#[derive(Debug)]
pub(crate) struct Compiler {
    pub(crate) rustc: PathBuf,
    pub(crate) cargo: PathBuf,
    /// The major version of its LLVM.
    pub(crate) llvm: u32,
    /// The shared library that its LLVM is in.
    pub(crate) shared_llvm: PathBuf,
}

/// The first compiler that can build for BPF; one is installed where there is none.
pub(crate) fn choose() -> Result<Compiler> {
    if let Some(rustc) = env::var_os("XDHCPD_EBPF_RUSTC") {
        let cargo = env::var_os("XDHCPD_EBPF_CARGO").unwrap_or_else(|| "cargo".into());
        return inspect(Path::new(&rustc), Path::new(&cargo)).context("XDHCPD_EBPF_RUSTC");
    }
    match installed() {
        Ok(compiler) => Ok(compiler),
        Err(why) => {
            eprintln!("no compiler here can build for BPF yet:{why}");
            install()?;
            installed().map_err(|why| anyhow::anyhow!("no compiler can build for BPF:{why}"))
        }
    }
}

/// Tries all that are installed; the error tells of each why it cannot.
fn installed() -> Result<Compiler, String> {
    let mut reasons = String::new();
    let system = (
        PathBuf::from("/usr/bin/rustc"),
        PathBuf::from("/usr/bin/cargo"),
    );
    for (rustc, cargo) in nightlies().into_iter().chain([system]) {
        match inspect(&rustc, &cargo) {
            Ok(compiler) => return Ok(compiler),
            Err(why) => reasons.push_str(&format!("\n  {}: {why:#}", rustc.display())),
        }
    }
    Err(reasons)
}

/// The nightly toolchains of rustup, by their own paths: rustup's stand-ins may want to download.
fn nightlies() -> Vec<(PathBuf, PathBuf)> {
    let home = env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".rustup")));
    let entries = home.and_then(|home| fs::read_dir(home.join("toolchains")).ok());
    let mut found: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    found.retain(|path| {
        path.file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with("nightly"))
    });
    found.sort();
    found
        .iter()
        .map(|toolchain| (toolchain.join("bin/rustc"), toolchain.join("bin/cargo")))
        .collect()
}

fn inspect(rustc: &Path, cargo: &Path) -> Result<Compiler> {
    let version = process::output(Command::new(rustc).arg("-vV"))?;
    let llvm = llvm_version(&version).context("its LLVM has no version")?;
    linker::supports(llvm)?;
    let sysroot = process::output(Command::new(rustc).args(["--print", "sysroot"]))?;
    let sysroot = Path::new(sysroot.trim());
    if !sysroot
        .join("lib/rustlib/src/rust/library/core/src/lib.rs")
        .exists()
    {
        bail!("the library's source is missing (component rust-src, package rust-web-src)");
    }
    process::output(Command::new(cargo).arg("-V"))?;
    let library = llvm_library(sysroot, llvm)?;
    Ok(Compiler {
        rustc: rustc.to_owned(),
        cargo: cargo.to_owned(),
        llvm,
        shared_llvm: library,
    })
}

fn llvm_version(version: &str) -> Option<u32> {
    let version = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    version.split('.').next()?.parse().ok()
}

fn llvm_library(sysroot: &Path, llvm: u32) -> Result<PathBuf> {
    let machine = format!("lib/{}-linux-gnu", env::consts::ARCH);
    let (versioned, plain) = (format!("libLLVM.so.{llvm}"), format!("libLLVM-{llvm}"));
    for folder in ["lib", &machine, "lib64"] {
        let mut files = fs::read_dir(sysroot.join(folder))
            .into_iter()
            .flatten()
            .flatten();
        let found = files.find(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.starts_with(&versioned) || name.starts_with(&plain)
        });
        if let Some(found) = found {
            return Ok(found.path());
        }
    }
    bail!("no shared library of LLVM {llvm} in {}", sysroot.display())
}

fn install() -> Result<()> {
    if packages::can_install() {
        return packages::install(&DEBIAN);
    }
    let command = [
        "toolchain",
        "install",
        NIGHTLY,
        "--profile",
        "minimal",
        "--component",
        "rust-src",
    ];
    if process::find("rustup").is_err() {
        bail!("install rustup and run `rustup {}`", command.join(" "));
    }
    step(
        &format!("installing {NIGHTLY}"),
        Command::new("rustup").args(command),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_llvm_version() {
        assert_eq!(
            llvm_version("release: 1.96.0\nLLVM version: 22.1.8\n"),
            Some(22)
        );
        assert_eq!(llvm_version("release: 1.96.0\n"), None);
    }

    #[test]
    fn finds_the_library_by_either_name() {
        for name in ["libLLVM.so.22.1", "libLLVM-22-rust-1.97.0-nightly.so"] {
            let sysroot = tempfile::tempdir().unwrap();
            fs::create_dir(sysroot.path().join("lib")).unwrap();
            fs::write(sysroot.path().join("lib").join(name), "").unwrap();
            assert!(llvm_library(sysroot.path(), 22).unwrap().ends_with(name));
            assert!(llvm_library(sysroot.path(), 23).is_err());
        }
    }
}
