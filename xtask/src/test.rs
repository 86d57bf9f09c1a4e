//! `cargo xtask test`: everything, in the order in which a mistake is cheapest to find.
//!
//! Not here: the tests; the lab's are the binary `it` of the package `tests`.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::setup::{self, Scope};
use crate::steps::Steps;
use crate::workspace::{Target, Workspace};
use crate::{object, process, tidy};

/// The lab's test binary.
const LAB: &str = "it";

/// Makes what would be a loud skip (no root, no BTF) a failure.
const REQUIRE_VARIABLE: &str = "VIADUCT_REQUIRE";

/// Arguments of the verb.
#[derive(Default, clap::Args)]
pub(crate) struct Args {
    /// Only tests whose name contains this.
    filter: Option<String>,
    /// Trust the machine to have what is needed.
    #[arg(long)]
    no_setup: bool,
    /// How many of the lab's tests run at a time [default: by the processors, 2 to 4].
    #[arg(long, value_name = "N")]
    lab_threads: Option<usize>,
}

/// Runs the verb.
///
/// # Errors
/// At the first step that fails, which is named; the times of all steps are printed.
pub(crate) fn verb(workspace: &Workspace, args: &Args) -> Result<()> {
    let mut steps = Steps::default();
    if !args.no_setup {
        steps.run("setup", || setup::ensure(Scope::Lab))?;
    }
    steps.run("tidy", || tidy::verb(workspace))?;
    steps.run("eBPF object", || object::build_here(workspace))?;
    steps.run("build", || process::run(&mut everything(workspace)))?;
    if let Some(filter) = &args.filter {
        steps.run("filter", || matches_some(workspace, filter))?;
    }
    steps.run("unit tests", || {
        process::run(&mut unit_tests(workspace, args))
    })?;
    if workspace.targets.iter().any(|target| target.doctest) {
        steps.run("doc tests", || {
            process::run(workspace.cargo("test").args(["--workspace", "--doc"]))
        })?;
    }
    steps.run("lab tests", || {
        process::run(&mut lab_tests(workspace, args))
    })?;
    steps.print();
    Ok(())
}

/// Programs and tests in one go: the same features, so that no package is built twice.
fn everything(workspace: &Workspace) -> Command {
    let mut cargo = workspace.cargo("build");
    cargo.args(["--workspace", "--bins", "--tests"]);
    cargo
}

fn unit_tests(workspace: &Workspace, args: &Args) -> Command {
    let mut cargo = workspace.cargo("test");
    cargo.args(["--workspace", "--no-fail-fast", "--lib", "--bins"]);
    for name in other_tests(&workspace.targets) {
        cargo.args(["--test", name]);
    }
    cargo.env(REQUIRE_VARIABLE, "1").args(&args.filter);
    cargo
}

fn lab_tests(workspace: &Workspace, args: &Args) -> Command {
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let threads = args.lab_threads.unwrap_or_else(|| processors.clamp(2, 4));
    let mut cargo = workspace.cargo("test");
    cargo
        .args(["--workspace", "--test", LAB])
        .args(&args.filter)
        .args(["--", "--test-threads", &threads.to_string()])
        .env(REQUIRE_VARIABLE, "1");
    cargo
}

/// A mistyped filter would pass as "0 passed".
fn matches_some(workspace: &Workspace, filter: &str) -> Result<()> {
    let mut cargo = workspace.cargo("test");
    cargo.args([
        "--quiet",
        "--workspace",
        "--lib",
        "--bins",
        "--tests",
        filter,
        "--",
        "--list",
    ]);
    let list = process::output(&mut cargo)?;
    let matching = list.lines().filter(|line| line.ends_with(": test")).count();
    ensure!(matching > 0, "no test's name contains `{filter}`");
    eprintln!("{matching} tests match `{filter}`");
    Ok(())
}

/// Integration tests that need no lab.
fn other_tests(targets: &[Target]) -> Vec<&str> {
    let tests = targets
        .iter()
        .filter(|target| target.is("test") && target.name != LAB);
    tests.map(|target| target.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, kind: &str) -> Target {
        Target {
            package: "p".to_owned(),
            name: name.to_owned(),
            kinds: vec![kind.to_owned()],
            doctest: false,
        }
    }

    #[test]
    fn no_test_binary_is_left_out() {
        let targets = [
            target("it", "test"),
            target("p", "lib"),
            target("site", "test"),
        ];
        assert_eq!(other_tests(&targets), ["site"]);
    }

    #[test]
    fn the_lab_binary_exists() {
        let workspace = Workspace::locate().expect("cargo metadata");
        assert!(
            workspace
                .targets
                .iter()
                .any(|target| target.is("test") && target.name == LAB)
        );
    }
}
