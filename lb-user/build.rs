//! Finds the eBPF object that `cargo xtask build` made and hands it to `datapath::object` for
//! embedding; without one (clippy, docs, editors) an empty placeholder stands in, and the daemon
//! says at its start what is missing.

use std::env;
use std::fs;
use std::path::PathBuf;

const PLACEHOLDER: &str = "no-object";

fn main() {
    println!("cargo:rerun-if-env-changed=VIADUCT_EBPF_OBJECT");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let named = env::var_os("VIADUCT_EBPF_OBJECT").map(PathBuf::from);
    if let Some(path) = &named {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    let object = named.filter(|path| path.exists()).unwrap_or_else(|| {
        let placeholder = out.join(PLACEHOLDER);
        fs::write(&placeholder, []).expect("OUT_DIR is writable");
        placeholder
    });
    println!(
        "cargo:rustc-env=VIADUCT_EBPF_OBJECT_EMBEDDED={}",
        object.display()
    );
}
