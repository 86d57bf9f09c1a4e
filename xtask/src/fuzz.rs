//! `cargo xtask fuzz TARGET`: looks for inputs that break a target, by libFuzzer; or, with
//! `--differential`, for stories that host and kernel play differently.
//!
//! What is found stays in `target`, until `--keep` takes what reaches more code into the corpus, which
//! the tests replay. Not here: what the targets do; that is `tests::fuzz`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup::{self, Scope};
use crate::workspace::Workspace;
use crate::{object, process};

/// Every target, what it is given, and the seeds that are like it. One line each.
const TARGETS: &[(&str, &str, Option<&str>)] = &[
    ("parse", "any frame, read", Some("frames")),
    (
        "steer",
        "stories of frames, decided by the host",
        Some("stories"),
    ),
    (
        "decap",
        "any frame, at the far end of a tunnel",
        Some("frames"),
    ),
    ("flow", "operations on the flow table", None),
    (
        "http",
        "requests and answers through the proxy, cut anywhere",
        None,
    ),
    (
        "preamble",
        "the beginning of a connection that another proxy opened",
        None,
    ),
    ("login", "the beginning of a MySQL connection", None),
    ("reply", "a MySQL server's answer, cut anywhere", None),
    ("sql", "any statement, classified", None),
];

/// Bytes of an input at most: a corpus is to be small, and a story is long with fewer.
const LONGEST: &str = "-max_len=300";

/// Arguments of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which; without it they are listed.
    target: Option<String>,
    /// How long to look.
    #[arg(long = "for", value_name = "SECS", default_value_t = 60)]
    seconds: u64,
    /// Only steer: play random stories to host and kernel, which must agree; needs root.
    #[arg(long)]
    differential: bool,
    /// Makes the differential run that printed this seed again.
    #[arg(long, requires = "differential")]
    seed: Option<u64>,
    /// Afterwards, replace the corpus by the smallest part of all inputs that reaches as much code.
    #[arg(long, conflicts_with = "differential")]
    keep: bool,
}

/// Runs the verb.
///
/// # Errors
/// When there is no such target, or an input breaks it.
pub(crate) fn verb(workspace: &Workspace, args: &Args) -> Result<()> {
    let Some(name) = &args.target else {
        eprintln!("{}", list());
        return Ok(());
    };
    let known = TARGETS.iter().find(|(known, ..)| known == name);
    let Some((target, _, seeds)) = known else {
        bail!("no fuzz target is called `{name}`; {}", list());
    };
    if args.differential {
        if *target != "steer" {
            bail!("host and kernel can be compared by `steer` alone");
        }
        return differential(workspace, args);
    }
    let fuzz = Fuzz::new(workspace, target)?;
    let seeds = seeds.map(|kind| fuzz.seeds(kind)).transpose()?;
    fuzz.run(args.seconds, seeds.as_deref())?;
    if args.keep {
        fuzz.keep(seeds.as_deref())?;
    }
    Ok(())
}

fn list() -> String {
    let lines = TARGETS
        .iter()
        .map(|(name, what, _)| format!("\n  {name:<16} {what}"));
    format!("there are:{}", lines.collect::<String>())
}

/// Plays random stories for as long as is said; the test that plays some in every run does it.
fn differential(workspace: &Workspace, args: &Args) -> Result<()> {
    setup::ensure(Scope::Lab)?;
    object::build_here(workspace)?;
    let mut cargo = workspace.cargo("test");
    cargo
        .args(["--release", "-p", "tests", "--test", "it", "--"])
        .args(["--exact", "--nocapture"])
        .arg("datapath::fuzz::random_stories_go_alike_on_host_and_kernel")
        .env("VIADUCT_REQUIRE", "1")
        .env("VIADUCT_FUZZ_SECONDS", args.seconds.to_string());
    if let Some(seed) = args.seed {
        cargo.env("VIADUCT_FUZZ_SEED", seed.to_string());
    }
    process::run(&mut cargo)
}

/// cargo-fuzz, and the places of one target.
struct Fuzz<'a> {
    workspace: &'a Workspace,
    target: &'a str,
}

impl<'a> Fuzz<'a> {
    /// With cargo-fuzz installed.
    fn new(workspace: &'a Workspace, target: &'a str) -> Result<Self> {
        if process::find("cargo-fuzz").is_none() {
            eprintln!("cargo-fuzz is not installed: `cargo install --locked cargo-fuzz`");
            let mut install = workspace.cargo("install");
            process::run(install.args(["--locked", "cargo-fuzz"]))?;
        }
        Ok(Self { workspace, target })
    }

    /// The frames of the packet table as inputs.
    fn seeds(&self, kind: &str) -> Result<PathBuf> {
        let seeds = self.workspace.target.join("fuzz-seeds");
        let mut cargo = self.workspace.cargo("test");
        cargo
            .args(["--quiet", "-p", "tests", "--test", "it", "--"])
            .args(["--ignored", "--exact"])
            .arg("datapath::fuzz::write_the_frames_of_the_table_as_inputs")
            .env("VIADUCT_FUZZ_SEEDS", &seeds);
        process::run(&mut cargo).context("cannot write the frames of the packet table")?;
        Ok(seeds.join(kind))
    }

    /// `cargo fuzz run` over these directories, the first of which takes what is found.
    fn cargo(&self, directories: &[&Path], options: &[String]) -> Command {
        let mut command = match nightly() {
            Some((rustup, name)) => {
                let mut command = process::foreign(&rustup);
                command.args(["run", &name, "cargo"]);
                command
            }
            None => {
                eprintln!("no nightly Rust is here: the one that is does, by RUSTC_BOOTSTRAP");
                let mut command = self.workspace.cargo("--quiet");
                command.env("RUSTC_BOOTSTRAP", "1");
                command
            }
        };
        command
            .current_dir(&self.workspace.root)
            .args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir"])
            .arg(self.package())
            .arg("--target-dir")
            .arg(self.workspace.target.join("fuzz"))
            .arg(self.target)
            .args(directories)
            .arg("--")
            .arg(LONGEST)
            .args(options);
        command
    }

    fn run(&self, seconds: u64, seeds: Option<&Path>) -> Result<()> {
        let (found, corpus) = (self.found(), self.corpus());
        fs::create_dir_all(&found)?;
        let directories: Vec<_> = [&*found, &*corpus].into_iter().chain(seeds).collect();
        let mut command = self.cargo(&directories, &[format!("-max_total_time={seconds}")]);
        process::run(&mut command)
    }

    /// Replaces the corpus by the smallest part of everything that reaches as much code.
    fn keep(&self, seeds: Option<&Path>) -> Result<()> {
        let (found, corpus) = (self.found(), self.corpus());
        let kept = found.with_extension("kept");
        // None of an earlier run.
        if kept.exists() {
            fs::remove_dir_all(&kept)?;
        }
        fs::create_dir_all(&kept)?;
        let from = [&*kept, &*corpus, &*found];
        let directories: Vec<_> = from.into_iter().chain(seeds).collect();
        process::run(&mut self.cargo(&directories, &["-set_cover_merge=1".to_owned()]))?;
        fs::remove_dir_all(&corpus)?;
        fs::create_dir_all(&corpus)?;
        let mut bytes = 0;
        for entry in fs::read_dir(&kept)? {
            let entry = entry?;
            bytes += fs::copy(entry.path(), corpus.join(entry.file_name()))?;
        }
        eprintln!("{}: {bytes} bytes", corpus.display());
        Ok(())
    }

    fn package(&self) -> PathBuf {
        self.workspace.root.join("tests/fuzz")
    }

    fn corpus(&self) -> PathBuf {
        self.package().join("corpus").join(self.target)
    }

    fn found(&self) -> PathBuf {
        self.workspace.target.join("fuzz-found").join(self.target)
    }
}

/// rustup and its nightly toolchain, where there is one.
fn nightly() -> Option<(PathBuf, String)> {
    let rustup = process::find("rustup")?;
    let list = process::output(process::foreign(&rustup).args(["toolchain", "list"])).ok()?;
    let mut names = list
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let name = names.find(|name| name.starts_with("nightly"))?;
    Some((rustup, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_of_the_package_is_known_and_has_a_corpus() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz");
        let names = |directory: &str| {
            let entries = fs::read_dir(package.join(directory)).expect("a directory");
            let names = entries.map(|entry| entry.expect("readable").path());
            let mut names: Vec<_> = names
                .map(|path| {
                    path.file_stem()
                        .expect("a name")
                        .to_string_lossy()
                        .into_owned()
                })
                .collect();
            names.sort();
            names
        };
        let mut known: Vec<_> = TARGETS.iter().map(|(name, ..)| *name).collect();
        known.sort_unstable();
        assert_eq!(names("fuzz_targets"), known);
        assert_eq!(names("corpus"), known);
    }
}
