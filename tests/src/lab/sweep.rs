//! Removing labs: the last act of a living one, and what the next owner does for one whose owner
//! was killed.
//!
//! Not here: ending processes that are our own children (`process`): by then they are gone.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    mount::MntFlags,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    netns,
    owner::{self, LabId, Life, ROOT, RootLock},
    process::Process,
    wait::{SOON, eventually},
};

/// The file in a lab's directory that lists its processes, a life and a name a line.
const PROCESSES: &str = "processes";

/// Removes every lab whose owner is dead; gives their names.
pub(super) fn sweep() -> Result<Vec<String>> {
    if !Path::new(ROOT).exists() {
        return Ok(Vec::new());
    }
    let lock = RootLock::take()?;
    let mut swept = Vec::new();
    for entry in fs::read_dir(ROOT)? {
        let entry = entry?;
        let Ok(id) = entry.file_name().to_string_lossy().parse::<LabId>() else {
            continue;
        };
        if owner::owner_of(&entry.path()).is_ok_and(Life::goes_on) {
            continue;
        }
        remove(id, &lock).with_context(|| format!("cannot remove the left-over lab {id}"))?;
        swept.push(id.to_string());
    }
    Ok(swept)
}

/// Writes a process down, so that it can be found after its owner's death.
pub(super) fn record(dir: &Path, process: &Process) -> Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join(PROCESSES))?;
    writeln!(file, "{} {}", process.life(), process.name())?;
    Ok(())
}

/// Removes everything of a lab: processes, namespaces with all links in them, mounts, files. The
/// directory goes last: as long as anything is left, the next sweep finds it.
pub(super) fn remove(id: LabId, lock: &RootLock) -> Result<()> {
    let dir = id.dir();
    let namespaces = netns::named(&id.netns_prefix())?;
    end_strays(&dir, &namespaces)?;
    for namespace in &namespaces {
        netns::delete(namespace)?;
    }
    unmount_below(&dir)?;
    fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    remove_root_after_last(lock)
}

/// Kills the processes the lab recorded, and whoever else lives in its namespaces.
fn end_strays(dir: &Path, namespaces: &[String]) -> Result<()> {
    let recorded = fs::read_to_string(dir.join(PROCESSES)).unwrap_or_default();
    let mut strays: Vec<Life> = recorded
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    for namespace in namespaces {
        strays.extend(netns::pids(namespace)?.into_iter().filter_map(Life::of));
    }
    strays.retain(|life| life.goes_on() && life.pid != std::process::id());
    for life in &strays {
        match kill(Pid::from_raw(i32::try_from(life.pid)?), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(other) => return Err(other).context("cannot kill a left-over process"),
        }
    }
    eventually(SOON, "left-over processes to end", || {
        Ok((!strays.iter().any(|life| life.goes_on())).then_some(()))
    })
}

fn unmount_below(dir: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let points = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(Path::new);
    let mut below: Vec<_> = points.filter(|point| point.starts_with(dir)).collect();
    below.reverse();
    for point in below {
        nix::mount::umount2(point, MntFlags::MNT_DETACH)
            .with_context(|| format!("cannot unmount {}", point.display()))?;
    }
    Ok(())
}

/// Removes the labs' common directory when no lab is left in it.
fn remove_root_after_last(lock: &RootLock) -> Result<()> {
    let labs = fs::read_dir(ROOT)?.filter_map(Result::ok);
    if labs.filter(|entry| entry.path().is_dir()).count() > 0 {
        return Ok(());
    }
    netns::tidy(lock)?;
    fs::remove_dir(ROOT).with_context(|| format!("cannot remove {ROOT}"))
}
