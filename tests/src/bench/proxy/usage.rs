//! What a process uses: CPU time, memory, system calls.
//!
//! Not here: what for.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::signal::Signal,
    unistd::Pid,
};

use crate::lab::{Lab, process::Process, require::is_installed};

/// Keeps the calling thread on a processor; the last one, where there are not so many.
pub(super) fn pin(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor.min(processors() - 1))?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// How many processors there are.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// CPU time of all threads of a process, in nanoseconds (the scheduler's own account).
pub(super) fn cpu(process: &Process) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{}/task", process.life().pid))? {
        // One that ends just now had nothing to do.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let on_cpu = text.split(' ').next().context("schedstat is empty")?;
        sum += on_cpu.parse::<u64>()?;
    }
    Ok(sum)
}

/// Memory of a process, in bytes.
pub(super) fn memory(process: &Process) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.life().pid))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.context("no VmRSS")?.parse::<u64>()? << 10)
}

/// System calls of all threads of a process while `work` goes on; `None`, and it is said, where they cannot
/// be counted.
pub(super) fn syscalls(
    lab: &Lab,
    process: &Process,
    work: impl FnOnce() -> Result<()>,
) -> Result<Option<u64>> {
    if !is_installed("strace") {
        eprintln!("==== SKIPPED: system calls are not counted: no `strace` (package strace) ====");
        return Ok(None);
    }
    let file = lab.dir().join("syscalls.txt");
    let (path, pid) = (file.to_string_lossy(), process.life().pid.to_string());
    let args = ["-f", "-c", "-o", &path, "-p", &pid];
    let strace = lab.spawn(process.host(), "strace", "strace", &args)?;
    let attached = strace.wait_for_log("`attached`", |line| line.contains(" attached"));
    if attached.is_err() {
        eprintln!("==== SKIPPED: system calls are not counted: strace may not attach ====");
        return Ok(None);
    }
    work()?;
    strace.signal(Signal::SIGINT)?;
    strace.wait_exit()?;
    total(&file).map(Some)
}

fn total(file: &Path) -> Result<u64> {
    let text = fs::read_to_string(file)?;
    calls(&text).with_context(|| format!("no total in:\n{text}"))
}

/// The number of calls in the last line: `100.00 0.01 2 4009 5 total`.
fn calls(text: &str) -> Option<u64> {
    let line = text.lines().rev().find(|line| line.ends_with("total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_with_and_without_errors() {
        let with = "% time\n100.00    0.041017           4      9020         2 total\n";
        let without = "100.00    0.041017           4      9020           total\n";
        assert_eq!((calls(with), calls(without)), (Some(9020), Some(9020)));
        assert_eq!(calls("nothing"), None);
    }
}
