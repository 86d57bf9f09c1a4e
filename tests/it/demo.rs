//! The demonstration, run as a user runs it.
//!
//! Not here: that a killed one is swept (`lab`).

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tests::{
    lab::{Lab, find},
    require,
};

use crate::traces::Traces;

fn demo() -> Result<Command> {
    let mut command = Command::new(find::program("viaduct-demo")?);
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    Ok(command)
}

/// A demonstration that ends with the test, however that ends.
struct Running(Child);

impl Running {
    /// As Ctrl-C does.
    fn interrupt(&mut self) -> Result<ExitStatus> {
        if self.0.try_wait()?.is_none() {
            kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGINT)?;
        }
        Ok(self.0.wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.interrupt() {
            eprintln!("the demonstration could not be ended: {error:#}");
        }
    }
}

fn assert_nothing_left(pid: u32) -> Result<()> {
    assert_eq!(Traces::of(&format!("{pid}-0"))?, Traces::default());
    Ok(())
}

fn checks_itself(method: &str) -> Result<()> {
    let child = demo()?
        .args(["--once", "--method", method])
        .stdout(Stdio::piped())
        .spawn()?;
    let pid = child.id();
    let out = child.wait_with_output()?;
    let report: Value = serde_json::from_slice(&out.stdout).context("no report")?;
    assert!(out.status.success(), "{report:#}");
    assert_eq!(
        report["requests"]["servers"]
            .as_object()
            .map(serde_json::Map::len),
        Some(3)
    );
    assert_nothing_left(pid)
}

#[test]
fn the_demonstration_with_dr_passes_its_own_check() -> Result<()> {
    require!(root, tools, xdp, daemon, proxy);
    checks_itself("dr")
}

#[test]
fn the_demonstration_with_nat_passes_its_own_check() -> Result<()> {
    require!(root, tools, xdp, daemon, proxy);
    checks_itself("nat")
}

#[test]
fn commands_the_demonstration_suggests_work_and_ctrl_c_removes_all() -> Result<()> {
    require!(root, tools, xdp, daemon, proxy);
    let mut running = Running(
        demo()?
            .args(["--for", "60"])
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let out = BufReader::new(running.0.stdout.take().context("no pipe")?);
    let mut lines = out.lines();
    let mut commands = vec![];
    let shown = loop {
        let line = lines.next().context("it ended before its first status")??;
        if line.starts_with("  # ") {
            commands.push((line, lines.next().context("a comment without a command")??));
        } else if line.starts_with("web: ") {
            break line;
        }
    };
    let try_it = |about: &str| -> Result<String> {
        let found = commands.iter().find(|(comment, _)| comment.contains(about));
        let (_, command) = found.with_context(|| format!("nothing about {about}"))?;
        let out = Command::new("sh").args(["-c", command]).output()?;
        assert!(
            out.status.success(),
            "`{command}`: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(String::from_utf8(out.stdout)?)
    };
    assert!(shown.starts_with("web: 10.77.0.21 up"), "{shown}");
    assert!(shown.contains("10.77.0.12:80 up"), "{shown}");
    assert!(
        try_it("ask the site")?.contains("web"),
        "no web server answered"
    );
    assert!(try_it("what the director lb1 says")?.contains("10.77.0.12"));
    assert!(try_it("what the proxy proxy2 says")?.contains("10.77.0.13:80"));
    assert!(shown.ends_with("lb1 active; lb2 backup"), "{shown}");
    try_it("put a new process in the place of proxy1's")?;
    assert!(try_it("ask the site")?.contains("web"), "nobody noticed");
    try_it("stop the proxy proxy2 as planned")?;
    let asked = try_it("ask it 1000 times")?;
    assert!(asked.contains("\"failures\":[]"), "{asked}");
    assert!(try_it("hand over from lb1 as planned")?.contains("handed over"));
    assert!(
        try_it("ask the site")?.contains("web"),
        "the other director serves"
    );
    try_it("and back")?;
    try_it("kill lb1's daemon")?;
    assert!(
        try_it("ask the site")?.contains("web"),
        "the other director serves"
    );

    // Its output must be read to the end, or it waits on a full pipe.
    let rest = std::thread::spawn(|| lines.map_while(Result::ok).collect::<Vec<_>>());
    let status = running.interrupt()?;
    let rest = rest.join().unwrap_or_default();
    assert_nothing_left(running.0.id())?;
    assert!(status.success(), "{status}: {rest:?}");
    Ok(())
}

#[test]
fn nothing_is_left_of_a_killed_demonstration_after_the_next_start() -> Result<()> {
    require!(root, tools, xdp, daemon, proxy);
    let mut running = Running(
        demo()?
            .args(["--for", "60"])
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let out = BufReader::new(running.0.stdout.take().context("no pipe")?);
    for line in out.lines() {
        if line?.starts_with("web: ") {
            break;
        }
    }
    let there = Traces::of(&format!("{}-0", running.0.id()))?;
    assert_eq!(there.namespaces.len(), 10, "{there:?}");
    assert!(there.directory && there.mounts.len() > 6, "{there:?}");
    running.0.kill()?;
    running.0.wait()?;
    // What the next start does first.
    Lab::sweep()?;
    assert_nothing_left(running.0.id())
}
