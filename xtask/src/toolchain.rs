//! The compiler of the eBPF object: Debian's rustc-web, whose `core` for bpfel-unknown-none comes
//! built, or a rustup toolchain with rust-src, which builds `core` itself. Either needs features
//! that stable Rust keeps closed, so both run with `RUSTC_BOOTSTRAP=1`.
//!
//! Not here: the linker (`linker`), the build itself (`object`), installing (`setup`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The eBPF target: little-endian, as every machine we build on.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Names the toolchain to take instead of the first that fits: `debian`, or one of rustup's.
pub(crate) const CHOICE_VARIABLE: &str = "VIADUCT_EBPF_TOOLCHAIN";

/// The first Rust that compiles this workspace.
const OLDEST: Version = Version {
    major: 1,
    minor: 87,
};

/// A release of Rust, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    /// 1.
    pub(crate) major: u32,
    /// 87, for 1.87.0.
    pub(crate) minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What `rustc -vV` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its release.
    pub(crate) version: Version,
    /// The major version of the LLVM in it, which the linker's LLVM must match: it reads the
    /// bitcode that this one writes.
    pub(crate) llvm: u32,
}

impl Facts {
    /// Runs `rustc -vV`, given whole.
    ///
    /// # Errors
    /// When it does not run or says something else.
    pub(crate) fn ask(rustc: &mut Command) -> Result<Self> {
        let text = process::output(rustc)?;
        Self::parse(&text).with_context(|| format!("`rustc -vV` says no versions: {text}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(k, _)| *k == key)
        };
        let number = |text: &str, at: usize| text.split('.').nth(at)?.parse::<u32>().ok();
        let (_, release) = field("release")?;
        let (_, llvm) = field("LLVM version")?;
        Some(Self {
            version: Version {
                major: number(release, 0)?,
                minor: number(release, 1)?,
            },
            llvm: number(llvm, 0)?,
        })
    }
}

/// Whose toolchain it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// rustc-web with a built `core`.
    Debian,
    /// A rustup toolchain with rust-src, by name.
    Rustup(String),
}

/// A compiler that can build for eBPF.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    /// Whose it is.
    pub(crate) kind: Kind,
    /// What it says of itself.
    pub(crate) facts: Facts,
    bin: PathBuf,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Debian => write!(f, "Debian's rustc-web with its built `core`")?,
            Kind::Rustup(name) => write!(f, "rustup's {name} with rust-src")?,
        }
        write!(
            f,
            " (rustc {}, LLVM {})",
            self.facts.version, self.facts.llvm
        )
    }
}

impl Toolchain {
    /// Those this machine has, the preferred one first: Debian's builds quicker and its LLVM is
    /// in the same distribution.
    pub(crate) fn present() -> Vec<Self> {
        let choice = std::env::var(CHOICE_VARIABLE).ok();
        let names = choice.clone().map_or_else(rustup_names, |name| vec![name]);
        let debian = Self::debian().into_iter();
        let wanted = debian.filter(|_| choice.as_deref().is_none_or(|name| name == "debian"));
        wanted
            .chain(names.iter().filter_map(|name| Self::rustup(name)))
            .collect()
    }

    fn debian() -> Option<Self> {
        let bin = PathBuf::from("/usr/bin");
        let rustc = bin.join("rustc");
        if !rustc.exists() || !bin.join("cargo").exists() {
            return None;
        }
        let mut ask = process::foreign(&rustc);
        let libraries =
            process::output(ask.args(["--print", "target-libdir", "--target", TARGET])).ok()?;
        if !has_core(Path::new(libraries.trim())) {
            return None;
        }
        Self::at(Kind::Debian, bin)
    }

    fn rustup(name: &str) -> Option<Self> {
        let rustup = process::find("rustup")?;
        let mut ask = process::foreign(&rustup);
        let sysroot =
            process::output(ask.args(["run", name, "rustc", "--print", "sysroot"])).ok()?;
        let sysroot = PathBuf::from(sysroot.trim());
        if !sysroot
            .join("lib/rustlib/src/rust/library/core/src/lib.rs")
            .is_file()
        {
            return None;
        }
        Self::at(Kind::Rustup(name.to_owned()), sysroot.join("bin"))
    }

    fn at(kind: Kind, bin: PathBuf) -> Option<Self> {
        let facts = Facts::ask(process::foreign(&bin.join("rustc")).arg("-vV")).ok()?;
        (facts.version >= OLDEST).then_some(Self { kind, facts, bin })
    }

    /// Its cargo, in an environment in which nothing names another toolchain.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = process::foreign(&self.bin.join("cargo"));
        command
            .env("RUSTC", self.bin.join("rustc"))
            .env("RUSTC_WRAPPER", "");
        command
    }

    /// What its cargo must be told besides, to have a `core` for [`TARGET`].
    pub(crate) fn core(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Debian => &[],
            Kind::Rustup(_) => &["-Z", "build-std=core"],
        }
    }
}

/// What a person without any of them can do.
pub(crate) fn remedy() -> String {
    format!(
        "either Debian's `rustc-web cargo-web libstd-rust-web-dev-bpf` (Debian 12 or newer), or \
         `rustup toolchain install nightly --component rust-src`{}",
        std::env::var(CHOICE_VARIABLE).map_or_else(
            |_| String::new(),
            |name| format!(" ({CHOICE_VARIABLE} asks for {name})")
        )
    )
}

/// The toolchain to use, when setup has done its work.
///
/// # Errors
/// When there is none.
pub(crate) fn require() -> Result<Toolchain> {
    match Toolchain::present().into_iter().next() {
        Some(toolchain) => Ok(toolchain),
        None => bail!(
            "no Rust here compiles for eBPF: run `cargo xtask setup`, or install {}",
            remedy()
        ),
    }
}

fn has_core(libraries: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(libraries) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    })
}

/// rustup's nightlies, then its default: with `RUSTC_BOOTSTRAP` a stable that has rust-src does.
fn rustup_names() -> Vec<String> {
    let Some(rustup) = process::find("rustup") else {
        return Vec::new();
    };
    let list = process::output(process::foreign(&rustup).args(["toolchain", "list"]));
    order(&list.unwrap_or_default())
}

fn order(list: &str) -> Vec<String> {
    let mut names = list
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(|name| (name, line)))
        .filter(|(name, line)| name.starts_with("nightly") || line.contains("default"))
        .map(|(name, _)| name.to_owned())
        .collect::<Vec<_>>();
    names.sort_by_key(|name| !name.starts_with("nightly"));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHTLY: &str = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\n\
        host: x86_64-unknown-linux-gnu\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";

    #[test]
    fn versions_are_read() {
        let facts = Facts::parse(NIGHTLY).expect("a whole answer");
        assert_eq!(
            facts,
            Facts {
                version: Version {
                    major: 1,
                    minor: 97
                },
                llvm: 22
            }
        );
        assert!(facts.version > OLDEST);
        assert!(
            Version { major: 1, minor: 9 } < OLDEST,
            "compared as numbers, not as text"
        );
        assert_eq!(Facts::parse("release: 1.63.0\n"), None, "no LLVM named");
        assert_eq!(Facts::parse("error: no such command\n"), None);
    }

    #[test]
    fn nightlies_come_before_the_default() {
        let list = "stable-x86_64-unknown-linux-gnu (active, default)\n\
                    nightly-x86_64-unknown-linux-gnu\n1.95.0-x86_64-unknown-linux-gnu\n";
        assert_eq!(
            order(list),
            [
                "nightly-x86_64-unknown-linux-gnu",
                "stable-x86_64-unknown-linux-gnu"
            ]
        );
        assert!(order("no installed toolchains\n").is_empty());
    }

    #[test]
    fn a_directory_without_core_is_no_target() {
        assert!(!has_core(Path::new("/nonexistent")));
        assert!(!has_core(Path::new(env!("CARGO_MANIFEST_DIR"))));
    }
}
