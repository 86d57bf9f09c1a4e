//! The inputs that are kept: `tests/fuzz/corpus/<target>/*`. So far frames of the packet table, stories
//! made of them, and inputs that failed once; `cargo xtask fuzz TARGET --keep` adds what libFuzzer finds.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// Bytes of an input at most.
pub const LONGEST: usize = 300;

/// Inputs of a corpus at least: fewer mean that they were lost.
const FEWEST: usize = 20;

/// Where the corpus of a target is.
pub fn directory(target: &str) -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let package = package.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.join("fuzz/corpus").join(target)
}

/// The inputs of a target, by their names.
///
/// # Errors
/// They cannot be read, or are not there.
pub fn of(target: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let directory = directory(target);
    let files = read(&directory)
        .with_context(|| format!("cannot read the corpus {}", directory.display()))?;
    ensure!(
        files.len() >= FEWEST,
        "only {} inputs in {}: where is the corpus?",
        files.len(),
        directory.display()
    );
    Ok(files)
}

fn read(directory: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().context("a file without a name")?;
        files.push((name.to_string_lossy().into_owned(), fs::read(&path)?));
    }
    files.sort();
    Ok(files)
}
