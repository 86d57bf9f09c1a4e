//! Running other programs: loud failures that name the command, and an environment of their own
//! for toolchains other than the one that runs xtask.
//!
//! Not here: which programs, and why.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs `command` to its end with our stdout and stderr, and no stdin to wait for.
///
/// # Errors
/// When it cannot be started, or ends with anything but success; the command line is named.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// The standard output of `command`, which must succeed.
///
/// # Errors
/// When it cannot be started, fails (its stderr is told), or prints something not UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed: {}: {}", output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no UTF-8"))
}

/// The path of `name`, from `PATH` or from the administrator's directories, which the `PATH` of
/// an ordinary user lacks.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// A command of another toolchain than the one that runs xtask.
///
/// Both rustup and `cargo run` put variables into our environment that would turn such a
/// toolchain into a mixture of two: they are left out.
pub(crate) fn foreign(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (key, _) in std::env::vars_os() {
        if belongs_to_a_toolchain(&key) {
            command.env_remove(&key);
        }
    }
    command
}

fn belongs_to_a_toolchain(key: &OsStr) -> bool {
    const WHOLE: &[&str] = &[
        "CARGO",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_CRATE_NAME",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_DIR",
        "LD_LIBRARY_PATH",
        "RUSTC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "RUST_RECURSION_COUNT",
    ];
    const PREFIXES: &[&str] = &[
        "CARGO_BIN_",
        "CARGO_BUILD_RUST",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_BPFEL_",
        "CARGO_UNSTABLE_",
        "RUSTC_",
        "RUSTDOC",
    ];
    let key = key.to_string_lossy();
    WHOLE.contains(&&*key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// The command as a person would type it, without its environment.
fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo no such luck >&2; exit 3"]))
            .expect_err("exit 3 is a failure");
        let text = format!("{error:#}");
        assert!(
            text.contains("sh -c") && text.contains("no such luck"),
            "{text}"
        );
        assert!(run(&mut Command::new("false")).is_err());
        assert!(run(&mut Command::new("/nonexistent/program")).is_err());
    }

    #[test]
    fn variables_of_a_toolchain_are_known_from_those_of_the_user() {
        for key in [
            "CARGO",
            "RUSTC_WRAPPER",
            "RUSTUP_TOOLCHAIN",
            "CARGO_PKG_NAME",
            "RUSTFLAGS",
        ] {
            assert!(belongs_to_a_toolchain(OsStr::new(key)), "{key} stays");
        }
        for key in [
            "CARGO_HOME",
            "CARGO_BUILD_JOBS",
            "CARGO_NET_OFFLINE",
            "RUSTUP_HOME",
            "PATH",
        ] {
            assert!(!belongs_to_a_toolchain(OsStr::new(key)), "{key} is lost");
        }
    }

    #[test]
    fn programs_are_found_by_name() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
