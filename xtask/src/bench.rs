//! `cargo xtask bench NAME`: measurements, by name, optimised, with figures for a machine to read.
//!
//! Not here: the measurements; they are in the program `viaduct-bench` of the package `tests`.

use std::process::Command;

use anyhow::{Result, bail};

use crate::setup::{self, Scope};
use crate::workspace::Workspace;
use crate::{build, object, process};

/// Every benchmark `viaduct-bench` knows, and what it measures. One line each.
pub(crate) const BENCHES: &[(&str, &str)] = &[
    (
        "datapath",
        "CPU time a packet, by forwarding method and number of flows",
    ),
    (
        "failover",
        "what a client sees when a director fails, stops, returns; ours and keepalived",
    ),
    (
        "limiter",
        "CPU time a rate limit's decision, by number of clients",
    ),
    (
        "proxy",
        "CPU time, memory and system calls of HTTP requests; ours, nginx and HAProxy",
    ),
];

/// Arguments of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which; without it they are listed.
    name: Option<String>,
    /// Passed on to the benchmark as they are, `--json FILE` for example; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
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
    // All programs: some benchmarks run them.
    build::programs(workspace, true)?;
    let program = workspace.target.join("release/viaduct-bench");
    process::run(Command::new(program).arg(name).args(&args.rest))
}

fn list() -> String {
    let lines = BENCHES
        .iter()
        .map(|(name, what)| format!("\n  {name:<16} {what}"));
    format!("there are:{}", lines.collect::<String>())
}
