//! `cargo xtask lint`: formatting, clippy, documentation, dependency rules. None of it needs the
//! eBPF object or root.
//!
//! Not here: rules of our own (`tidy`).

use anyhow::{Context, Result};

use crate::process;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// Runs the verb.
///
/// # Errors
/// At the first tool that finds something.
pub(crate) fn verb(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::default();
    require_tools(workspace)?;
    steps.run("fmt", || {
        let mut fmt = workspace.cargo("fmt");
        process::run(fmt.args(["--all", "--", "--check"])).context("`cargo fmt --all` mends it")
    })?;
    steps.run("clippy", || {
        let mut clippy = workspace.cargo("clippy");
        let clippy = clippy.args(["--workspace", "--all-targets", "--", "-D", "warnings"]);
        process::run(clippy)
    })?;
    steps.run("doc", || {
        let mut doc = workspace.cargo("doc");
        process::run(
            doc.args(["--no-deps", "--workspace"])
                .env("RUSTDOCFLAGS", "-Dwarnings"),
        )
    })?;
    if process::find("cargo-deny").is_some() {
        steps.run("deny", || {
            let mut deny = workspace.cargo("deny");
            process::run(deny.args(["check", "bans", "licenses", "sources"]))
        })?;
    } else {
        eprintln!(
            "NOT CHECKED: bans, licences and sources of dependencies (deny.toml): \
             `cargo install --locked cargo-deny`, then call this again"
        );
    }
    steps.print();
    Ok(())
}

/// The tools that come with Rust, but not with every way to install it.
fn require_tools(workspace: &Workspace) -> Result<()> {
    for (tool, package) in [("fmt", "rustfmt-web"), ("clippy", "rust-web-clippy")] {
        process::output(workspace.cargo(tool).arg("--version")).with_context(|| {
            format!(
                "`cargo {tool}` is missing: `rustup component add rustfmt clippy`, or with \
                 Debian's Rust `apt-get install {package}`"
            )
        })?;
    }
    Ok(())
}
