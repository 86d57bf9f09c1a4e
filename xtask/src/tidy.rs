//! `cargo xtask tidy`: the rules of this tree that no compiler checks. Pure functions of the
//! files' texts; each says how much it looked at, so that a rule that finds nothing to look at
//! fails instead of passing for ever.
//!
//! Not here: formatting and lints (`lint`).

mod glossary;
mod manifests;
mod sources;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// A text of the tree.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl File {
    /// Its name, without directories.
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether it is Rust.
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// A finding at a line, counted from 1.
    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    /// Its lines, counted from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        std::iter::zip(1.., self.text.lines())
    }
}

/// What a check did.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// How many things it could have objected to.
    pub(crate) looked_at: usize,
    /// What it objects to.
    pub(crate) findings: Vec<String>,
}

/// A rule: its name, and the check.
type Rule = (&'static str, fn(&[File]) -> Checked);

const RULES: &[Rule] = &[
    (
        "every Rust file says first what it is for",
        sources::introductions,
    ),
    ("no Rust file is long", sources::lengths),
    ("no lint is allowed without a reason", sources::allows),
    (
        "nothing names the machine it was written on",
        sources::machine_paths,
    ),
    ("one word for each idea", glossary::words),
    (
        "packages know nothing of what is above them",
        manifests::arrows,
    ),
    ("each dependency has its reason", manifests::reasons),
    (
        "versions are named in the root manifest only",
        manifests::inherited,
    ),
];

/// Runs the verb.
///
/// # Errors
/// When a rule is broken, naming each place; or when a rule had nothing to look at.
pub(crate) fn verb(workspace: &Workspace) -> Result<()> {
    let files = read_tree(&workspace.root)?;
    let findings = findings(&files);
    if !findings.is_empty() {
        bail!("the tree is not tidy:\n{}", findings.join("\n"));
    }
    eprintln!("tidy: {} rules, {} files", RULES.len(), files.len());
    Ok(())
}

fn findings(files: &[File]) -> Vec<String> {
    RULES
        .iter()
        .flat_map(|(name, check)| {
            let Checked {
                looked_at,
                mut findings,
            } = check(files);
            if looked_at == 0 {
                findings.push("nothing to look at: the rule no longer fits the tree".to_owned());
            }
            findings
                .into_iter()
                .map(move |finding| format!("  {finding} [{name}]"))
        })
        .collect()
}

/// Every text below `root`, but for git's own files and what cargo built.
fn read_tree(root: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries =
            fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        for entry in entries {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            if entry.file_name() == ".git" {
                // A directory, or in a work tree of its own a file.
                continue;
            }
            if kind.is_dir() && !is_built(&path) {
                dirs.push(path);
            } else if kind.is_file() {
                files.extend(read(root, &path));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// cargo marks its target directories so that backups leave them out.
fn is_built(dir: &Path) -> bool {
    dir.join("CACHEDIR.TAG").exists()
}

/// None for what is not text, and for a file that an editor or a build took away meanwhile.
fn read(root: &Path, path: &Path) -> Option<File> {
    let text = fs::read_to_string(path).ok()?;
    let path = path.strip_prefix(root).ok()?.to_str()?.replace('\\', "/");
    (path != "Cargo.lock").then_some(File { path, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_tree_is_tidy() {
        let workspace = Workspace::locate().expect("cargo metadata");
        if let Err(error) = verb(&workspace) {
            panic!("{error:#}");
        }
    }

    #[test]
    fn an_empty_tree_is_a_finding_of_every_rule() {
        assert!(findings(&[]).len() >= RULES.len());
    }

    #[test]
    fn the_walk_finds_this_file_and_nothing_built() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let files = read_tree(root).expect("readable");
        assert!(files.iter().any(|file| file.path == "xtask/src/tidy.rs"));
        assert!(files.iter().all(|file| !file.path.starts_with("target/")));
        assert!(files.iter().all(|file| !file.path.starts_with(".git/")));
    }
}
