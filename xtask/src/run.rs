//! `cargo xtask run`: the demonstration site on this machine.
//!
//! Not here: the site itself; it is the program `viaduct-demo` of the package `tests`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, anyhow};

use crate::setup::{self, Scope};
use crate::workspace::Workspace;
use crate::{build, object};

/// Arguments of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to the demonstration as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds, then becomes the demonstration: signals reach it without a parent in between.
///
/// # Errors
/// When something is missing, does not compile or does not start.
pub(crate) fn verb(workspace: &Workspace, args: &Args) -> Result<()> {
    setup::ensure(Scope::Lab)?;
    object::build_here(workspace)?;
    build::programs(workspace, true)?;
    let program = workspace.target.join("release/viaduct-demo");
    let error = Command::new(&program).args(&args.rest).exec();
    Err(anyhow!(error).context(format!("cannot start {}", program.display())))
}
