//! Where this workspace is: its root, its target directory, its targets; and cargo in it.
//!
//! Not here: the eBPF toolchain's cargo (`toolchain`).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;
use crate::toolchain::{self, Version};

/// The environment variable by which lb-user's build script is told where the eBPF object is.
pub(crate) const OBJECT_VARIABLE: &str = "VIADUCT_EBPF_OBJECT";

/// This workspace on this machine.
pub(crate) struct Workspace {
    /// The directory of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds (`target`, unless told otherwise).
    pub(crate) target: PathBuf,
    /// Everything cargo could build here.
    pub(crate) targets: Vec<Target>,
    cargo: PathBuf,
}

/// One thing cargo can build: a library, a program, a test.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    /// The package it is of.
    pub(crate) package: String,
    /// Its own name.
    pub(crate) name: String,
    /// cargo's words: `lib`, `bin`, `test`, `bench`, `custom-build`, …
    pub(crate) kinds: Vec<String>,
    /// Whether it has documentation tests that `cargo test` would run.
    pub(crate) doctest: bool,
}

impl Target {
    /// Whether cargo calls it a `kind`.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kinds.iter().any(|have| have == kind)
    }
}

impl Workspace {
    /// Asks the cargo that runs xtask about the workspace it is run in.
    ///
    /// # Errors
    /// When that cargo's rustc is too old, or a manifest does not parse.
    pub(crate) fn locate() -> Result<Self> {
        let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        check_version(&cargo)?;
        // `cargo run` says at run time where we are; a tree may have moved since it was built.
        let xtask = std::env::var_os("CARGO_MANIFEST_DIR");
        let xtask = xtask.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let mut ask = Command::new(&cargo);
        ask.args([
            "metadata",
            "--no-deps",
            "--format-version=1",
            "--manifest-path",
        ]);
        let text = process::output(ask.arg(xtask.join("../Cargo.toml")))?;
        let metadata = serde_json::from_str::<Value>(&text).context("cargo metadata")?;
        Ok(Self {
            root: path(&metadata, "workspace_root")?,
            target: path(&metadata, "target_directory")?,
            targets: targets(&metadata),
            cargo,
        })
    }

    /// A cargo command in this workspace, by the cargo that runs xtask.
    ///
    /// It names the eBPF object once that is built, in every verb alike: lb-user's build script
    /// watches the variable, and would run again at each change between verbs.
    pub(crate) fn cargo(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.cargo);
        command
            .current_dir(&self.root)
            .arg(verb)
            .env(OBJECT_VARIABLE, self.object());
        if std::env::var_os("CARGO_TARGET_DIR").is_some() {
            // It may be relative to where xtask was called from.
            command.env("CARGO_TARGET_DIR", &self.target);
        }
        command
    }

    /// The eBPF object that lb-user embeds.
    pub(crate) fn object(&self) -> PathBuf {
        self.target.join("ebpf/lb")
    }

    /// The eBPF object for real servers, which lb-user embeds too.
    pub(crate) fn decap_object(&self) -> PathBuf {
        self.target.join("ebpf/lb-decap")
    }

    /// The eBPF object that only `viaduct-bench` loads.
    pub(crate) fn bench_object(&self) -> PathBuf {
        self.target.join("ebpf/lb-bench")
    }
}

/// `rust-version` of the root manifest; cargo itself refuses older ones, this covers a `RUSTC`
/// that is another than cargo's own.
const OLDEST: Version = Version {
    major: 1,
    minor: 87,
};

fn check_version(cargo: &Path) -> Result<()> {
    let rustc = std::env::var_os("RUSTC").map_or_else(|| cargo.with_file_name("rustc"), Into::into);
    let facts = toolchain::Facts::ask(Command::new(&rustc).arg("-vV"))?;
    if facts.version < OLDEST {
        bail!(
            "{} is {}, Viaduct needs {OLDEST} or newer: `rustup update stable`, or on Debian \
             `apt-get install cargo-web rustc-web` (the plain packages `cargo` and `rustc` are \
             too old)",
            rustc.display(),
            facts.version,
        );
    }
    Ok(())
}

fn path(metadata: &Value, key: &str) -> Result<PathBuf> {
    metadata[key]
        .as_str()
        .map(PathBuf::from)
        .with_context(|| format!("cargo metadata: no {key}"))
}

fn targets(metadata: &Value) -> Vec<Target> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .flat_map(|package| {
            list(&package["targets"]).into_iter().map(|target| Target {
                package: text(&package["name"]),
                name: text(&target["name"]),
                kinds: list(&target["kind"]).iter().map(text).collect(),
                doctest: target["doctest"].as_bool().unwrap_or(false),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_from_metadata() {
        let metadata = serde_json::json!({ "packages": [ { "name": "tests", "targets": [
            { "name": "it", "kind": ["test"], "doctest": false },
            { "name": "tests", "kind": ["lib"], "doctest": true },
        ] } ] });
        let targets = targets(&metadata);
        assert_eq!(targets.len(), 2);
        assert!(targets[0].is("test") && !targets[0].doctest && targets[0].package == "tests");
        assert!(targets[1].is("lib") && targets[1].doctest);
    }

    #[test]
    fn this_workspace_is_found() {
        let workspace = Workspace::locate().expect("cargo metadata");
        assert!(workspace.root.join("xtask/src/workspace.rs").is_file());
        assert!(
            workspace
                .targets
                .iter()
                .any(|target| target.name == "xtask" && target.is("bin"))
        );
    }
}
