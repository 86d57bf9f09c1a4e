//! This machine: its distribution, its kernel, and whether we are root.
//!
//! Not here: packages (`apt`, `needs`) and toolchains (`toolchain`).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};

/// The oldest kernel Viaduct runs on: Debian 12's.
const OLDEST_KERNEL: (u32, u32) = (6, 1);

/// How to call xtask again as root with the user's own Rust.
pub(crate) const AS_ROOT: &str =
    "run it as root, or with `sudo -E env \"PATH=$PATH\" cargo xtask …`";

/// What is known of the running distribution.
#[derive(Debug, PartialEq)]
pub(crate) enum Distribution {
    /// Debian 12 or newer: packages can be installed for the user.
    Debian,
    /// Not ours to install on; the family decides which names are told.
    Other {
        /// As it calls itself.
        name: String,
        /// Whose package names it shares.
        family: Family,
    },
}

/// Distributions that share package names and an installer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// apt: older Debian, Ubuntu, Mint.
    Debian,
    /// dnf: Fedora, RHEL, Rocky.
    Fedora,
    /// pacman.
    Arch,
    /// None of these.
    Unknown,
}

impl Distribution {
    /// Reads `/etc/os-release`.
    pub(crate) fn detect() -> Self {
        let text = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok())
            .unwrap_or_default();
        Self::parse(&text)
    }

    /// The meaning of an os-release file (os-release(5)).
    fn parse(text: &str) -> Self {
        let fields = text
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .map(|(key, value)| (key, value.trim_matches(['"', '\''])))
            .collect::<BTreeMap<_, _>>();
        let get = |key| fields.get(key).copied().unwrap_or_default();
        // Testing and unstable have no VERSION_ID and are newer than any that has.
        let version = get("VERSION_ID").parse::<u32>().unwrap_or(u32::MAX);
        if get("ID") == "debian" && version >= 12 {
            return Self::Debian;
        }
        let name = ["PRETTY_NAME", "NAME", "ID"].map(get);
        let name = name
            .iter()
            .find(|name| !name.is_empty())
            .unwrap_or(&"an unknown distribution");
        let like = format!("{} {}", get("ID"), get("ID_LIKE"));
        let family = like.split_whitespace().find_map(|id| match id {
            "debian" | "ubuntu" => Some(Family::Debian),
            "fedora" | "rhel" | "centos" => Some(Family::Fedora),
            "arch" => Some(Family::Arch),
            _ => None,
        });
        Self::Other {
            name: (*name).to_owned(),
            family: family.unwrap_or(Family::Unknown),
        }
    }
}

/// Whether we may install, make namespaces and load programs.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// What of this machine, packages apart, keeps a lab from running: one line each, with its remedy.
pub(crate) fn problems() -> Vec<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut problems = Vec::new();
    problems.extend(kernel_problem(release.trim()));
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        problems.push(
            "the kernel has no BTF (/sys/kernel/btf/vmlinux): boot one built with \
             CONFIG_DEBUG_INFO_BTF=y, as every distribution's own is; in a container, mount /sys"
                .to_owned(),
        );
    }
    if !is_root() {
        problems.push(format!(
            "network namespaces and XDP programs need root, this is an ordinary user: {AS_ROOT}"
        ));
    }
    problems
}

/// Checks [`problems`].
///
/// # Errors
/// When there are any; all are named.
pub(crate) fn require() -> Result<()> {
    let problems = problems();
    if !problems.is_empty() {
        bail!(
            "this machine cannot run the lab:\n  - {}",
            problems.join("\n  - ")
        );
    }
    Ok(())
}

fn kernel_problem(release: &str) -> Option<String> {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    let version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    let (major, minor) = OLDEST_KERNEL;
    (version < OLDEST_KERNEL).then(|| {
        format!(
            "the kernel is {release}, Viaduct needs {major}.{minor} or newer: boot Debian 12's, \
             or a newer one"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(text: &str) -> Family {
        match Distribution::parse(text) {
            Distribution::Other { family, .. } => family,
            Distribution::Debian => panic!("taken for a Debian we install on: {text}"),
        }
    }

    #[test]
    fn debian_is_ours_from_12_on() {
        for text in [
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n",
            "VERSION_ID=13\nID='debian'\n",
            "PRETTY_NAME=\"Debian GNU/Linux forky/sid\"\nID=debian\n",
        ] {
            assert_eq!(Distribution::parse(text), Distribution::Debian, "{text}");
        }
        assert_eq!(other("ID=debian\nVERSION_ID=\"11\"\n"), Family::Debian);
    }

    #[test]
    fn others_are_known_by_what_they_are_like() {
        assert_eq!(
            other("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n"),
            Family::Debian
        );
        assert_eq!(
            other("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"),
            Family::Fedora
        );
        assert_eq!(other("ID=arch\n"), Family::Arch);
        assert_eq!(other("ID=alpine\n"), Family::Unknown);
        assert_eq!(
            Distribution::parse(""),
            Distribution::Other {
                name: "an unknown distribution".to_owned(),
                family: Family::Unknown
            }
        );
    }

    #[test]
    fn old_kernels_are_told() {
        for release in ["6.1.0-18-amd64", "6.1", "6.18.44-fc-v657", "7.0.0-rc1"] {
            assert_eq!(kernel_problem(release), None, "{release}");
        }
        for release in ["6.0.19", "5.15.0-91-generic", "4.19"] {
            assert!(kernel_problem(release).is_some(), "{release} is too old");
        }
        assert_eq!(
            kernel_problem("something else"),
            None,
            "an unreadable release is no proof"
        );
    }
}
