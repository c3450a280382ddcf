//! A directory of boot files, beside a secret that nobody may have.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::OnceLock;

use tempfile::TempDir;

pub const SECRET: &str = "secret-beside-the-root";

/// The root that is served. It lasts as long as the process.
pub fn root() -> &'static PathBuf {
    static TREE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, root) = TREE.get_or_init(|| plant().expect("a temporary directory"));
    root
}

fn plant() -> std::io::Result<(TempDir, PathBuf)> {
    let outer = tempfile::tempdir()?;
    let root = outer.path().join("root");
    fs::create_dir_all(root.join("x86"))?;
    fs::write(outer.path().join("secret"), SECRET)?;
    fs::write(root.join("a.efi"), [0xa5; 1500])?;
    fs::write(root.join("x86/b.efi"), "abcd")?;
    fs::write(root.join("empty"), "")?;
    symlink("../secret", root.join("out"))?;
    symlink(outer.path(), root.join("door"))?;
    symlink("x86/b.efi", root.join("current"))?;
    Ok((outer, root))
}
