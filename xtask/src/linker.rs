//! bpf-linker, under the target directory.
//!
//! It must understand the bitcode that the compiler writes, so its LLVM may not be older than the
//! compiler's. 0.10 loads at run time the very library that the compiler uses, which needs no LLVM
//! development files and builds in a minute; it knows LLVM 20 to 22. Later ones link LLVM in.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::compiler::Compiler;
use crate::paths;
use crate::progress::step;

const VERSION: &str = "0.10.2";

pub(crate) fn supports(llvm: u32) -> Result<()> {
    if !(20..=22).contains(&llvm) {
        bail!("its LLVM {llvm} is not one that bpf-linker {VERSION} knows (20 to 22)");
    }
    Ok(())
}

/// Installs the one that fits `compiler`, unless it is there, and returns its directory.
pub(crate) fn ensure(compiler: &Compiler) -> Result<PathBuf> {
    let root = paths::tools().join(format!("bpf-linker-{VERSION}-llvm-{}", compiler.llvm));
    let directory = root.join("bin");
    if !directory.join("bpf-linker").exists() {
        let mut command = Command::new(paths::cargo());
        command.args(["install", "bpf-linker", "--version", VERSION, "--locked"]);
        command.args(["--no-default-features", "--features"]);
        command
            .arg(format!("llvm-{0},rust-llvm-{0}", compiler.llvm))
            .arg("--root")
            .arg(&root);
        step(
            &format!("installing bpf-linker {VERSION} under target/"),
            &mut command,
        )?;
    }
    Ok(directory)
}

/// A directory with a link to the compiler's LLVM and nothing else: where there are several LLVMs
/// on the library path, bpf-linker may take the wrong one.
pub(crate) fn library_directory(compiler: &Compiler) -> Result<PathBuf> {
    let directory = paths::tools().join(format!("llvm-{}", compiler.llvm));
    let name = compiler
        .shared_llvm
        .file_name()
        .context("the library has a name")?;
    if fs::read_link(directory.join(name)).ok().as_ref() != Some(&compiler.shared_llvm) {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)?;
        symlink(&compiler.shared_llvm, directory.join(name))?;
    }
    Ok(directory)
}
