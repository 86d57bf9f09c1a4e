//! `cargo xtask ci`: what a change must pass: lint, then all that `.ci/run` runs.
//!
//! Not here: the checks.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{lint, test};

/// Runs the verb.
///
/// # Errors
/// At the first check that fails.
pub(crate) fn verb(workspace: &Workspace) -> Result<()> {
    lint::verb(workspace)?;
    test::verb(workspace, &test::Args::default())
}
