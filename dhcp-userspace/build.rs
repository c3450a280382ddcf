//! Finds the XDP program for the daemon to embed: `cargo xtask build-ebpf` puts it under the
//! target directory, and `XDHCPD_BPF_OBJECT` names another. Without one the daemon builds as
//! well, and says at run time that it has no fast path.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rustc-check-cfg=cfg(has_bpf)");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=XDHCPD_BPF_OBJECT");
    println!("cargo:rerun-if-env-changed=CARGO_TARGET_DIR");

    if let Some(object) = env::var_os("XDHCPD_BPF_OBJECT").map(PathBuf::from) {
        let found = object.canonicalize();
        embed(&found.unwrap_or_else(|why| panic!("XDHCPD_BPF_OBJECT={}: {why}", object.display())));
        return;
    }
    let directory = target_directory().join("ebpf");
    let object = directory.join("xdhcpd.bpf.o");
    if object.exists() {
        embed(&object);
    } else {
        // Cargo takes a missing file for one that changes all the time, but can watch a directory.
        let _ = fs::create_dir_all(&directory);
        println!("cargo:rerun-if-changed={}", directory.display());
    }
}

fn embed(object: &Path) {
    println!("cargo:rerun-if-changed={}", object.display());
    println!(
        "cargo:rustc-env=XDHCPD_BPF_OBJECT_PATH={}",
        object.display()
    );
    println!("cargo:rustc-cfg=has_bpf");
}

fn target_directory() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let root = Path::new(&manifest)
        .parent()
        .expect("this package lies in the workspace");
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
