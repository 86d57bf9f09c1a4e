//! Debian's packages: what is installed, what could be, and installing it.
//!
//! Not here: which packages are needed, and why (`needs`).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// Those of `names` that are installed and configured.
///
/// # Errors
/// When dpkg-query cannot be run.
pub(crate) fn installed(names: &[String]) -> Result<BTreeSet<String>> {
    // It fails when it does not know one of the names, and still lists the others.
    let output = Command::new("dpkg-query")
        .args([
            "--show",
            "--showformat",
            "${db:Status-Abbrev}\t${Package}\n",
            "--",
        ])
        .args(names)
        .env("LC_ALL", "C")
        .output()
        .context("cannot start dpkg-query, which every Debian has")?;
    Ok(parse_installed(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_installed(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        // Desired state does not matter (a held package is installed too), the actual one does.
        .filter(|(status, _)| status.chars().nth(1) == Some('i'))
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Whether apt's lists offer the package.
pub(crate) fn offers(name: &str) -> bool {
    let policy = process::output(
        Command::new("apt-cache")
            .args(["policy", name])
            .env("LC_ALL", "C"),
    );
    policy.is_ok_and(|text| parse_offers(&text))
}

fn parse_offers(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate: "))
        .any(|version| version != "(none)")
}

/// The major version of the LLVM that rustc-web is made with, from its packages' dependencies:
/// known before it is installed. None when apt's lists do not say.
pub(crate) fn llvm_of_rustc_web() -> Option<u32> {
    let mut asked = BTreeSet::new();
    let mut ask = vec!["rustc-web".to_owned()];
    while let Some(name) = ask.pop() {
        let text = process::output(
            Command::new("apt-cache")
                .args(["depends", &name])
                .env("LC_ALL", "C"),
        );
        let depends = parse_depends(&text.unwrap_or_default());
        if let Some(llvm) = depends.iter().find_map(|name| name.strip_prefix("libllvm")) {
            return llvm.parse().ok();
        }
        asked.insert(name);
        let rust = depends
            .into_iter()
            .filter(|name| name.starts_with("libstd-rust-web"));
        ask.extend(rust.filter(|name| !asked.contains(name)));
    }
    None
}

fn parse_depends(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            line.trim()
                .trim_start_matches('|')
                .strip_prefix("Depends: ")
        })
        .map(|name| name.split(':').next().unwrap_or(name).to_owned())
        .collect()
}

/// Fetches the package lists.
///
/// # Errors
/// When apt-get fails.
pub(crate) fn update() -> Result<()> {
    process::run(apt_get().arg("update"))
        .context("apt cannot fetch its package lists: check the network and /etc/apt/sources.list")
}

/// What apt would remove to install `names` (rustc-web replaces an older rustc).
pub(crate) fn removals(names: &[String]) -> Vec<String> {
    let simulated = process::output(apt_get().args(["install", "--simulate"]).args(names));
    parse_removals(&simulated.unwrap_or_default())
}

fn parse_removals(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("Remv "))
        .filter_map(|rest| rest.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// Installs `names` without asking and without what they merely recommend, and starts none of the
/// services that come with them: the lab starts its own nginx and MariaDB.
///
/// # Errors
/// When apt-get fails.
pub(crate) fn install(names: &[String]) -> Result<()> {
    let _quiet = NoServices::begin()?;
    process::run(apt_get().args(["install", "--yes"]).args(names))
        .context("apt could not install the packages; what it printed above says why")
}

/// Debian's way to say that packages must not start services: `/usr/sbin/policy-rc.d` fails with 101. A
/// machine that has one keeps it; ours goes with the value.
struct NoServices(bool);

impl NoServices {
    const POLICY: &'static str = "/usr/sbin/policy-rc.d";

    fn begin() -> Result<Self> {
        if fs::exists(Self::POLICY)? {
            return Ok(Self(false));
        }
        fs::write(Self::POLICY, "#!/bin/sh\nexit 101\n")
            .with_context(|| format!("cannot write {}", Self::POLICY))?;
        let ours = Self(true);
        fs::set_permissions(Self::POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(ours)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.0
            && let Err(error) = fs::remove_file(Self::POLICY)
        {
            eprintln!("remove {} by hand: {error}", Self::POLICY);
        }
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .args([
            "-q",
            "--no-install-recommends",
            "-o",
            "DPkg::Lock::Timeout=120",
        ])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        // cargo's libraries are not apt's.
        .env_remove("LD_LIBRARY_PATH");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_count() {
        let text = "ii \trustc-web\nrc \ttcpdump\nun \tethtool\nhi \tcurl\niU \tnftables\n";
        let installed = parse_installed(text);
        assert_eq!(
            installed.into_iter().collect::<Vec<_>>(),
            ["curl", "rustc-web"]
        );
        assert!(parse_installed("").is_empty());
    }

    #[test]
    fn a_candidate_is_an_offer() {
        assert!(parse_offers(
            "ethtool:\n  Installed: (none)\n  Candidate: 1:6.1-1\n"
        ));
        assert!(!parse_offers(
            "rustc-web:\n  Installed: (none)\n  Candidate: (none)\n"
        ));
        assert!(!parse_offers(""));
    }

    #[test]
    fn dependencies_are_read_without_their_marks() {
        let text = "libstd-rust-web-1.96\n  Depends: libc6\n |Depends: gcc\n  Depends: libllvm22\n\
                    \x20 Depends: libstd-rust-web-1.96:amd64\n  Conflicts: <rustup>\n";
        assert_eq!(
            parse_depends(text),
            ["libc6", "gcc", "libllvm22", "libstd-rust-web-1.96"]
        );
    }

    #[test]
    fn removals_are_read_from_a_simulation() {
        let text = "Reading package lists...\nRemv cargo [0.66.0]\nRemv rustc [1.63.0] [x ]\nInst rustc-web\n";
        assert_eq!(parse_removals(text), ["cargo", "rustc"]);
    }
}
