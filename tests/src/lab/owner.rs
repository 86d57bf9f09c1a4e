//! Who owns a lab: names and directories that no two labs share, and the proof that an owner is
//! still alive.
//!
//! Not here: making or removing anything but the directory and the lock file system objects need.

use std::{
    fmt, fs,
    fs::File,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};
use nix::fcntl::{Flock, FlockArg};

/// The directory under which every lab has its own.
pub const ROOT: &str = "/run/viaduct-lab";

/// Distinguishes the labs of one process.
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// The name of one lab: the process that owns it and its number within that process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabId {
    pid: u32,
    serial: u32,
}

impl LabId {
    /// A name no other lab on this machine has.
    #[must_use]
    pub fn fresh() -> Self {
        Self {
            pid: std::process::id(),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The lab's directory: sockets, logs, captures, the bpffs of each director.
    #[must_use]
    pub fn dir(self) -> PathBuf {
        Path::new(ROOT).join(self.to_string())
    }

    /// The network namespace of `host`.
    #[must_use]
    pub fn netns(self, host: &str) -> String {
        format!("{}{host}", self.netns_prefix())
    }

    /// What the names of all this lab's namespaces begin with.
    #[must_use]
    pub fn netns_prefix(self) -> String {
        format!("vd{self}-")
    }
}

impl fmt::Display for LabId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.serial)
    }
}

/// The reverse of `Display`: the name of a directory under [`ROOT`].
impl FromStr for LabId {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (pid, serial) = text.split_once('-').context("no dash in the lab's name")?;
        Ok(Self {
            pid: pid.parse()?,
            serial: serial.parse()?,
        })
    }
}

/// One life of a process: its number and when it started, since numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The process number.
    pub pid: u32,
    /// Clock ticks between boot and its start: field 22 of proc(5) `/proc/pid/stat`.
    start: u64,
}

impl Life {
    /// The process that has this number now; none when there is no such process, or only the
    /// remains of one that nobody has waited for.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let (life, state) = Self::read(pid)?;
        (state != "Z" && state != "X").then_some(life)
    }

    /// A child that nobody has waited for yet: it has a life to tell of even if that is over, as
    /// that of a short command may be.
    pub(super) fn of_child(pid: u32) -> Option<Self> {
        Self::read(pid).map(|(life, _)| life)
    }

    fn read(pid: u32) -> Option<(Self, String)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field, the name in parentheses, may hold anything, parentheses too.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.to_owned();
        let start = fields.nth(18)?.parse().ok()?;
        Some((Self { pid, start }, state))
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn goes_on(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.start)
    }
}

/// Reads what `Display` wrote; words that follow are ignored.
impl FromStr for Life {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let mut words = line.split_whitespace();
        let pid = words.next().context("no process number")?.parse()?;
        let start = words.next().context("no start time")?.parse()?;
        Ok(Self { pid, start })
    }
}

/// Makes the lab's directory and writes its owner down, before anything else of the lab exists.
pub(super) fn claim(id: LabId) -> Result<PathBuf> {
    let dir = id.dir();
    let lock = RootLock::take()?;
    fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let owner = Life::of(id.pid).context("this process is not in /proc")?;
    fs::write(dir.join("owner"), owner.to_string())?;
    drop(lock);
    Ok(dir)
}

/// The owner written down in a lab's directory.
pub(super) fn owner_of(dir: &Path) -> Result<Life> {
    fs::read_to_string(dir.join("owner"))?.parse()
}

/// Held while labs come and go, so that they see each other whole. An flock(2) on [`ROOT`]
/// itself: it ends with the process, and needs no file that would be left over.
pub(super) struct RootLock(#[expect(dead_code, reason = "held for its Drop")] Flock<File>);

impl RootLock {
    /// Waits until no other lab holds the lock. Makes [`ROOT`] when it is absent.
    pub(super) fn take() -> Result<Self> {
        loop {
            fs::create_dir_all(ROOT).with_context(|| format!("cannot make {ROOT}"))?;
            let file = match File::open(ROOT) {
                Ok(file) => file,
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
                Err(other) => return Err(other.into()),
            };
            let inode = file.metadata()?.ino();
            let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
            // The last lab removes the directory: then the lock is on a directory of the past.
            if fs::metadata(ROOT).is_ok_and(|there| there.ino() == inode) {
                return Ok(Self(lock));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_goes_on_and_a_former_life_of_it_does_not() {
        let me = Life::of(std::process::id()).unwrap();
        assert!(me.goes_on());
        assert!(
            !Life {
                start: me.start - 1,
                ..me
            }
            .goes_on()
        );
    }

    #[test]
    fn a_life_and_a_lab_are_read_back_as_written() {
        let me = Life::of(std::process::id()).unwrap();
        assert_eq!(format!("{me} web1").parse::<Life>().unwrap(), me);
        let id = LabId::fresh();
        assert_eq!(id.to_string().parse::<LabId>().unwrap(), id);
    }

    #[test]
    fn a_child_that_ended_but_was_not_waited_for_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        crate::lab::wait::eventually(crate::lab::wait::SOON, "the child's end", || {
            Ok(Life::of(pid).is_none().then_some(()))
        })
        .unwrap();
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        child.wait().unwrap();
    }
}
