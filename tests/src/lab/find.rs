//! Where the built programs are: beside the running one, since cargo puts all of a workspace's
//! artefacts in one target directory.
//!
//! Not here: building them; that is xtask's work.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// A program of this workspace, `viaduct-lb` for example. Looked for in `VIADUCT_BIN_DIR`, then
/// beside the running program and one directory above (tests run from `target/debug/deps`).
///
/// # Errors
/// When it has not been built.
pub fn program(name: &str) -> Result<PathBuf> {
    let exe = env::current_exe().context("cannot tell where this program is")?;
    let dirs = env::var_os("VIADUCT_BIN_DIR").map(PathBuf::from);
    let dirs = dirs
        .into_iter()
        .chain(exe.ancestors().skip(1).take(2).map(Path::to_owned));
    let candidates: Vec<_> = dirs.map(|dir| dir.join(name)).collect();
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => bail!("{name} is not built (looked for {candidates:?}): run `cargo xtask build`"),
    }
}

/// The eBPF object: `VIADUCT_EBPF_OBJECT`, else `ebpf/lb` in the target directory.
///
/// # Errors
/// When it has not been built.
pub fn ebpf_object() -> Result<PathBuf> {
    if let Some(path) = env::var_os("VIADUCT_EBPF_OBJECT") {
        return Ok(path.into());
    }
    let exe = env::current_exe().context("cannot tell where this program is")?;
    let mut candidates = exe
        .ancestors()
        .skip(1)
        .take(3)
        .map(|dir| dir.join("ebpf/lb"));
    candidates
        .find(|path| path.is_file())
        .context("the eBPF object (target/ebpf/lb) is not built: run `cargo xtask build`")
}
