//! `cargo xtask bench NAME`: measurements, by name, optimised, with figures for a machine to read.
//!
//! Not here: the measurements; they are in the program `viaduct-bench` of the package `tests`.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::setup::{self, Scope};
use crate::workspace::Workspace;
use crate::{object, process};

/// Every benchmark `viaduct-bench` knows, and what it measures. One line each.
pub(crate) const BENCHES: &[(&str, &str)] = &[(
    "datapath",
    "CPU time a packet, by forwarding method and number of flows",
)];

/// Arguments of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which; without it they are listed.
    name: Option<String>,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only cases with this in their name, and their floor.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// When there is no such benchmark, or it fails.
pub(crate) fn verb(workspace: &Workspace, args: &Args) -> Result<()> {
    let Some(name) = &args.name else {
        eprintln!("{}", list());
        return Ok(());
    };
    if !BENCHES.iter().any(|(known, _)| known == name) {
        bail!("no benchmark is called `{name}`; {}", list());
    }
    setup::ensure(Scope::Lab)?;
    object::build_here(workspace)?;
    let mut cargo = workspace.cargo("run");
    cargo.args([
        "--release",
        "-p",
        "tests",
        "--bin",
        "viaduct-bench",
        "--",
        name,
    ]);
    if let Some(file) = &args.json {
        cargo.arg("--json").arg(std::path::absolute(file)?);
    }
    if let Some(only) = &args.only {
        cargo.args(["--only", only]);
    }
    process::run(&mut cargo)
}

fn list() -> String {
    let lines = BENCHES
        .iter()
        .map(|(name, what)| format!("\n  {name:<16} {what}"));
    format!("there are:{}", lines.collect::<String>())
}
