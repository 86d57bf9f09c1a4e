//! `cargo xtask <verb>`: everything a person or a CI does with this repository, one file a verb.
//!
//! Not here: anything that ships. What a verb needs of the machine is asked for by `setup`; the
//! rooms below the verbs (`toolchain`, `linker`, `object`, `apt`, `host`) know how to get it.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod ci;
mod fuzz;
mod lint;
mod run;
mod setup;
mod test;
mod tidy;

mod apt;
mod host;
mod linker;
mod needs;
mod object;
mod process;
mod steps;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Setup, build, run, test and lint Viaduct.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what this machine lacks to build and test, after naming it.
    Setup(setup::Args),
    /// Build the eBPF object and the programs that embed it.
    Build(build::Args),
    /// Build and bring up the demonstration site; Ctrl-C removes it.
    Run(run::Args),
    /// Set up, build and run every test, from unit to namespaces.
    Test(test::Args),
    /// What the CI runs: lint, then test.
    Ci,
    /// Formatting, clippy, docs and dependency rules; needs no eBPF object.
    Lint,
    /// The rules of this tree that no compiler checks.
    Tidy,
    /// Run a benchmark by name; without one, list them.
    Bench(bench::Args),
    /// Look for inputs that break a fuzz target; without one, list them.
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(verb: Verb) -> Result<()> {
    let workspace = workspace::Workspace::locate()?;
    match verb {
        Verb::Setup(args) => setup::verb(&args),
        Verb::Build(args) => build::verb(&workspace, &args),
        Verb::Run(args) => run::verb(&workspace, &args),
        Verb::Test(args) => test::verb(&workspace, &args),
        Verb::Ci => ci::verb(&workspace),
        Verb::Lint => lint::verb(&workspace),
        Verb::Tidy => tidy::verb(&workspace),
        Verb::Bench(args) => bench::verb(&workspace, &args),
        Verb::Fuzz(args) => fuzz::verb(&workspace, &args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
