//! bpf-linker: built once for each version and LLVM, kept outside `target` so that neither
//! `cargo clean` nor a fresh clone costs its minute again.
//!
//! Not here: installing the LLVM it is built with (`setup`).

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::toolchain::Toolchain;

/// The release we build with.
pub(crate) const VERSION: &str = "0.13.0";

/// The LLVMs this release can be built for (its features `llvm-N`).
const LLVMS: RangeInclusive<u32> = 21..=23;

/// The linker's place in the cache, whether it is there or not.
///
/// # Errors
/// When neither `XDG_CACHE_HOME` nor `HOME` is set.
pub(crate) fn path(llvm: u32) -> Result<PathBuf> {
    Ok(root(llvm)?.join("bin/bpf-linker"))
}

/// Whether the cached linker is there and runs; an upgrade of libLLVM may have broken it.
pub(crate) fn is_cached(llvm: u32) -> bool {
    path(llvm).is_ok_and(|path| runs(&path))
}

/// The cached linker for this toolchain, built now when there is none.
///
/// # Errors
/// When this release knows no such LLVM, the LLVM is not installed, or the build fails.
pub(crate) fn ensure(toolchain: &Toolchain) -> Result<PathBuf> {
    let llvm = toolchain.facts.llvm;
    let path = path(llvm)?;
    if runs(&path) {
        return Ok(path);
    }
    if !supports(llvm) {
        bail!(
            "bpf-linker {VERSION} can be built for LLVM {} to {}, but the toolchain has {llvm}: \
             choose another by {}",
            LLVMS.start(),
            LLVMS.end(),
            crate::toolchain::CHOICE_VARIABLE,
        );
    }
    let tools = llvm_tools(llvm).with_context(|| {
        format!(
            "LLVM {llvm} with its headers is not installed, and bpf-linker must match it: install \
             llvm-{llvm}-dev (Debian and its kin), or llvm{llvm}-devel, or your distribution's"
        )
    })?;
    eprintln!("building bpf-linker {VERSION} for LLVM {llvm} (once; about a minute)");
    build(toolchain, &tools, &root(llvm)?)?;
    if !runs(&path) {
        bail!(
            "{} was built but does not run: see `{0} --version`",
            path.display()
        );
    }
    Ok(path)
}

/// Whether this release can be built for that LLVM.
pub(crate) fn supports(llvm: u32) -> bool {
    LLVMS.contains(&llvm)
}

/// The directory with the `llvm-config` of that LLVM.
pub(crate) fn llvm_tools(llvm: u32) -> Option<PathBuf> {
    let by_version = [
        format!("/usr/lib/llvm-{llvm}/bin"),
        format!("/usr/lib64/llvm{llvm}/bin"),
    ];
    let unversioned = process::find("llvm-config").and_then(|file| Some(file.parent()?.to_owned()));
    by_version
        .into_iter()
        .map(PathBuf::from)
        .chain(unversioned)
        .find(|dir| {
            let asked = process::output(Command::new(dir.join("llvm-config")).arg("--version"));
            asked.is_ok_and(|version| version.split('.').next() == Some(&llvm.to_string()))
        })
}

fn root(llvm: u32) -> Result<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set: no place to keep bpf-linker")?;
    Ok(cache.join(format!("viaduct/bpf-linker-{VERSION}-llvm-{llvm}")))
}

fn runs(linker: &Path) -> bool {
    linker.is_file() && process::output(Command::new(linker).arg("--version")).is_ok()
}

fn build(toolchain: &Toolchain, tools: &Path, root: &Path) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(
        std::iter::once(tools.to_owned()).chain(std::env::split_paths(&path)),
    )?;
    let mut install = toolchain.cargo();
    install
        .args([
            "install",
            "bpf-linker",
            "--locked",
            "--force",
            "--version",
            VERSION,
        ])
        .args(["--no-default-features", "--features"])
        .arg(format!("llvm-{}", toolchain.facts.llvm))
        .arg("--root")
        .arg(root)
        .env("PATH", path)
        // The workspace's own .cargo/config.toml is not meant for it.
        .current_dir("/");
    process::run(&mut install)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_kept_apart_by_llvm() {
        let (old, new) = (path(21).expect("a home"), path(22).expect("a home"));
        assert_ne!(old, new);
        assert!(new.ends_with(format!("bpf-linker-{VERSION}-llvm-22/bin/bpf-linker")));
    }

    #[test]
    fn a_file_that_does_not_run_is_no_linker() {
        assert!(!runs(Path::new("/nonexistent/bpf-linker")));
        assert!(!runs(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/Cargo.toml"
        ))));
        assert!(!runs(Path::new("/bin/false")), "it fails");
    }

    #[test]
    fn only_llvms_of_this_release_are_tried() {
        assert!(supports(22) && !supports(20) && !supports(24));
        assert_eq!(llvm_tools(1), None);
    }
}
