//! `cargo xtask build`: the eBPF object, then the programs that embed it or start those that do.
//!
//! Not here: the object's own build (`object`).

use anyhow::Result;

use crate::object;
use crate::process;
use crate::setup::{self, Scope};
use crate::workspace::Workspace;

/// Arguments of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Optimised programs, in `target/release`.
    #[arg(long)]
    release: bool,
}

/// Runs the verb.
///
/// # Errors
/// When something is missing or does not compile.
pub(crate) fn verb(workspace: &Workspace, args: &Args) -> Result<()> {
    setup::ensure(Scope::Build)?;
    object::build_here(workspace)?;
    programs(workspace, args.release)
}

/// Builds the workspace's programs around the object that is there.
///
/// # Errors
/// When they do not compile.
pub(crate) fn programs(workspace: &Workspace, release: bool) -> Result<()> {
    let mut cargo = workspace.cargo("build");
    cargo.args(["--workspace", "--exclude", "xtask", "--bins"]);
    if release {
        cargo.arg("--release");
    }
    process::run(&mut cargo)
}
