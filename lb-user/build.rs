//! Finds the eBPF objects that `cargo xtask build` made and hands them to `datapath::object` for
//! embedding; without them (clippy, docs, editors) an empty placeholder stands in, and the daemon
//! says at its start what is missing.

use std::env;
use std::fs;
use std::path::PathBuf;

const PLACEHOLDER: &str = "no-object";

fn main() {
    println!("cargo:rerun-if-env-changed=VIADUCT_EBPF_OBJECT");
    let lb = env::var_os("VIADUCT_EBPF_OBJECT").map(PathBuf::from);
    let decap = lb.as_ref().map(|lb| lb.with_file_name("lb-decap"));
    embed("VIADUCT_EBPF_OBJECT_EMBEDDED", lb);
    embed("VIADUCT_DECAP_OBJECT_EMBEDDED", decap);
}

/// Hands the path of an object on, or that of an empty one.
fn embed(variable: &str, object: Option<PathBuf>) {
    if let Some(path) = &object {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    let object = object.filter(|path| path.exists()).unwrap_or_else(|| {
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        let placeholder = out.join(PLACEHOLDER);
        fs::write(&placeholder, []).expect("OUT_DIR is writable");
        placeholder
    });
    println!("cargo:rustc-env={variable}={}", object.display());
}
