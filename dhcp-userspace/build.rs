//! Embeds the XDP object if `cargo xtask build-ebpf` has made one.

use std::path::Path;

fn main() {
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/ebpf/xdhcpd.bpf.o");
    println!("cargo::rustc-check-cfg=cfg(has_bpf)");
    println!("cargo::rerun-if-changed={}", object.display());
    if object.exists() {
        println!("cargo::rustc-cfg=has_bpf");
        println!(
            "cargo::rustc-env=XDHCPD_BPF_OBJECT_PATH={}",
            object.display()
        );
    }
}
