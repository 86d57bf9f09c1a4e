//! The eBPF object: lb-ebpf's program compiled for the kernel and laid where lb-user embeds it.
//!
//! Not here: which compiler (`toolchain`) and linker (`linker`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::Workspace;
use crate::{linker, process};

/// Every kernel Viaduct runs on (6.1) has this instruction set; `v4` came with 6.6.
const CPU: &str = "v3";

/// Builds the object when lb-ebpf changed, and replaces the embedded one when its bytes did.
///
/// The copy keeps its time otherwise, so lb-user is not built again for a comment in lb-ebpf.
///
/// # Errors
/// When compiling, linking or copying fails.
pub(crate) fn build(workspace: &Workspace, toolchain: &Toolchain, linker: &Path) -> Result<()> {
    let dir = workspace.target.join("ebpf-build");
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(&workspace.root)
        .args(["build", "--release", "--target", TARGET, "--target-dir"])
        .arg(&dir)
        .args(["-p", "lb-ebpf", "--bins", "--features", "ebpf"])
        .args(toolchain.core())
        .env("RUSTC_BOOTSTRAP", "1")
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            flags(workspace, linker).join("\x1f"),
        )
        // BTF is made from debug information, and one unit makes the same bytes each time.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "2")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    process::run(&mut cargo)?;
    for (bin, object) in [
        ("lb-decap", workspace.decap_object()),
        ("lb-bench", workspace.bench_object()),
        ("lb", workspace.object()),
    ] {
        if replace_if_different(&dir.join(TARGET).join("release").join(bin), &object)? {
            eprintln!("eBPF object: {} (new)", object.display());
        }
    }
    Ok(())
}

/// [`build`], with the toolchain and linker this machine has.
///
/// # Errors
/// When there is none, and as [`build`].
pub(crate) fn build_here(workspace: &Workspace) -> Result<()> {
    let toolchain = crate::toolchain::require()?;
    let linker = linker::ensure(&toolchain)?;
    eprintln!(
        "eBPF toolchain: {toolchain}, bpf-linker {}",
        linker::VERSION
    );
    build(workspace, &toolchain, &linker)
}

fn flags(workspace: &Workspace, linker: &Path) -> Vec<String> {
    let mut flags = vec![
        format!("-Clinker={}", linker.display()),
        format!("-Ctarget-cpu={CPU}"),
        "-Clink-arg=--btf".to_owned(),
        // Where it was built has no business in what ships, and would differ between clones.
        format!("--remap-path-prefix={}=viaduct", workspace.root.display()),
    ];
    flags.extend(cargo_home().map(|home| format!("--remap-path-prefix={}=cargo", home.display())));
    flags
}

fn cargo_home() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(home)
}

/// Whether `to` was replaced: by rename, so that a reader sees the old or the new one whole.
fn replace_if_different(from: &Path, to: &Path) -> Result<bool> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    let beside: PathBuf = to.with_extension(format!("new-{}", std::process::id()));
    fs::create_dir_all(to.parent().context("an object without a directory")?)?;
    fs::write(&beside, new).with_context(|| format!("cannot write {}", beside.display()))?;
    fs::rename(&beside, to).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_leave_the_file_alone() {
        let dir = std::env::temp_dir().join(format!("viaduct-xtask-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let (from, to) = (dir.join("built"), dir.join("ebpf/lb"));
        fs::write(&from, b"one").expect("a file");
        assert!(replace_if_different(&from, &to).expect("copied"));
        let first = fs::metadata(&to)
            .expect("there")
            .modified()
            .expect("a time");
        assert!(!replace_if_different(&from, &to).expect("compared"));
        assert_eq!(
            fs::metadata(&to)
                .expect("there")
                .modified()
                .expect("a time"),
            first
        );
        fs::write(&from, b"two").expect("a file");
        assert!(replace_if_different(&from, &to).expect("copied"));
        assert_eq!(fs::read(&to).expect("there"), b"two");
        fs::remove_dir_all(&dir).expect("removed");
    }
}
