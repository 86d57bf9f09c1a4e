//! Network namespaces: making, entering, removing them, and who lives in them.
//!
//! Not here: what is inside (links, addresses: `link`). Programs are started in a namespace by
//! `nsenter --net=`, not by `ip netns exec`, which mounts /sys anew: pins made under it would
//! vanish with the process.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::{mount::MntFlags, sched::CloneFlags};

use super::owner::{ROOT, RootLock};

/// Where iproute2 keeps named network namespaces.
const NETNS_DIR: &str = "/run/netns";

/// Left in [`ROOT`] when [`NETNS_DIR`] became a mount point through us: `ip netns add` mounts the
/// directory onto itself, and nothing takes that back but [`tidy`].
const MOUNTED_BY_US: &str = "netns-mounted";

/// The file that is the namespace called `name`.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    Path::new(NETNS_DIR).join(name)
}

/// Makes a network namespace.
///
/// # Errors
/// When `ip` is missing, refuses, or the name is taken.
pub fn add(name: &str) -> Result<()> {
    let lock = RootLock::take()?;
    if !is_mount_point(NETNS_DIR)? {
        fs::write(Path::new(ROOT).join(MOUNTED_BY_US), "")?;
    }
    run(Command::new("ip").args(["netns", "add", name]))?;
    drop(lock);
    Ok(())
}

/// Removes a network namespace's name; the namespace itself goes with its last process.
pub(super) fn delete(name: &str) -> Result<()> {
    run(Command::new("ip").args(["netns", "delete", name]))
}

/// The names of all namespaces that begin with `prefix`.
///
/// # Errors
/// When the directory of namespaces cannot be read.
pub fn named(prefix: &str) -> Result<Vec<String>> {
    let entries = match fs::read_dir(NETNS_DIR) {
        Ok(entries) => entries,
        Err(none) if none.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(other) => return Err(other.into()),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names
        .filter(|name: &Result<String>| name.as_ref().map_or(true, |name| name.starts_with(prefix)))
        .collect()
}

/// The processes that live in a namespace.
///
/// # Errors
/// When `ip` refuses: there is no such namespace.
pub fn pids(name: &str) -> Result<Vec<u32>> {
    let out = output(Command::new("ip").args(["netns", "pids", name]))?;
    out.split_whitespace().map(|pid| Ok(pid.parse()?)).collect()
}

/// Runs `work` on a thread of its own inside the namespace: sockets, /proc/sys/net,
/// /proc/thread-self/net and interface names are then those of that host.
///
/// # Errors
/// When the namespace cannot be entered, and what `work` itself says.
pub fn within<T: Send>(name: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let file =
        fs::File::open(path(name)).with_context(|| format!("no network namespace {name}"))?;
    let inside = || {
        nix::sched::setns(&file, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("cannot enter the network namespace {name}"))?;
        work()
    };
    match thread::scope(|scope| scope.spawn(inside).join()) {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A command that will run inside the namespace.
#[must_use]
pub fn command(name: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={}", path(name).display()))
        .arg("--")
        .arg(program);
    command
}

/// Takes back what the first namespace changed on this machine. For the last lab to call, with
/// the lock held.
pub(super) fn tidy(_lock: &RootLock) -> Result<()> {
    let marker = Path::new(ROOT).join(MOUNTED_BY_US);
    if !marker.exists() {
        return Ok(());
    }
    // Not lazily: someone else's namespace below makes this fail, and then all stays as it is.
    if nix::mount::umount2(NETNS_DIR, MntFlags::empty()).is_ok() {
        // Nor is a directory removed that others use.
        drop(fs::remove_dir(NETNS_DIR));
    }
    fs::remove_file(marker)?;
    Ok(())
}

/// Whether something is mounted at exactly this path.
pub(super) fn is_mount_point(path: impl AsRef<Path>) -> Result<bool> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let path = path.as_ref().to_string_lossy();
    Ok(mounts
        .lines()
        .any(|line| line.split(' ').nth(4) == Some(&path)))
}

/// Runs a short command to its end.
pub(super) fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a short command to its end and gives what it wrote.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let out = command
        .output()
        .with_context(|| format!("cannot run `{program}`: is it installed?"))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        bail!("`{command:?}` failed ({}): {}", out.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
