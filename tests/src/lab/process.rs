//! Programs on the lab's hosts: started, watched through their logs, ended.
//!
//! Not here: which programs (`web`, `load`, `director`), and the removal of what a dead owner
//! left (`sweep`).

use std::{
    fmt::Write as _,
    fs::{self, File},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use serde::de::DeserializeOwned;

use super::{
    owner::Life,
    wait::{SOON, eventually},
};

/// How much of a log a failure shows.
const TOLD_LINES: usize = 80;

/// A program running, or having run, on a host. Clones are the same program.
#[derive(Clone, Debug)]
pub struct Process(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    host: String,
    life: Life,
    child: Mutex<Child>,
    out: PathBuf,
    log: PathBuf,
}

impl Process {
    /// What the program is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The host it runs on.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// Its number and start.
    #[must_use]
    pub fn life(&self) -> Life {
        self.0.life
    }

    /// What it wrote to standard output so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn output(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.0.out)?).into_owned())
    }

    /// What it wrote to standard error so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.0.log)?).into_owned())
    }

    /// Sends a signal. Does nothing to a program that has ended.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // A child that was not waited for keeps its number: no one else can be hit.
        if self.exit()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_raw(i32::try_from(self.0.life.pid)?);
        match kill(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(other) => Err(other).with_context(|| format!("cannot signal {}", self.0.name)),
        }
    }

    /// Sends a signal to the program and to all it started that stayed in its process group: to all
    /// of them in one go, so that none sees another's end first. Does nothing after its end.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal_group(&self, signal: Signal) -> Result<()> {
        if self.exit()?.is_some() {
            return Ok(());
        }
        // The spawner made it the leader of a group of its own.
        let group = Pid::from_raw(i32::try_from(self.0.life.pid)?);
        match killpg(group, signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(other) => Err(other).with_context(|| format!("cannot signal {}", self.0.name)),
        }
    }

    /// Ends it and all it started at once (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill_group(&self) -> Result<ExitStatus> {
        self.signal_group(Signal::SIGKILL)?;
        self.wait_exit()
    }

    /// How it ended; none while it runs.
    ///
    /// # Errors
    /// When the kernel cannot tell.
    pub fn exit(&self) -> Result<Option<ExitStatus>> {
        let mut child = self.0.child.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(child.try_wait()?)
    }

    /// The last whole line of its standard output (the one behind it may be half written), read as JSON; none before the first.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub fn last_line<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let output = self.output()?;
        let whole = output.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let last = whole.lines().last().map(serde_json::from_str).transpose();
        last.with_context(|| self.story())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end soon.
    pub fn wait_exit(&self) -> Result<ExitStatus> {
        eventually(SOON, &format!("{} to end", self.0.name), || self.exit())
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it does not end soon.
    pub fn terminate(&self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait_exit()
    }

    /// Ends it at once (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&self) -> Result<ExitStatus> {
        self.signal(Signal::SIGKILL)?;
        self.wait_exit()
    }

    /// Waits until `wanted` finds what it looks for in the log; a program that ends before fails
    /// the wait at once.
    ///
    /// # Errors
    /// When the program ends or the line does not come soon; the log is in the message.
    pub fn wait_for_log(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let found = |log: &str| log.lines().any(&wanted).then_some(());
        eventually(
            SOON,
            &format!("{what} in the log of {}", self.0.name),
            || {
                let exit = self.exit()?;
                match (found(&self.log()?), exit) {
                    (Some(()), _) => Ok(Some(())),
                    (None, None) => Ok(None),
                    (None, Some(status)) => bail!("it ended ({status}) before"),
                }
            },
        )
        .with_context(|| self.story())
    }

    /// How the program is or how it ended, and the end of its log.
    #[must_use]
    pub fn story(&self) -> String {
        let state = match self.exit() {
            Ok(Some(status)) => status.to_string(),
            Ok(None) => "running".to_owned(),
            Err(error) => error.to_string(),
        };
        let Inner {
            name, host, life, ..
        } = &*self.0;
        let mut story = format!("---- {name} on {host} (pid {}, {state})", life.pid);
        let log = self.log().unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(TOLD_LINES)) {
            write!(story, "\n     {line}").unwrap_or_default();
        }
        story
    }
}

/// Ends programs: asks all of them, then insists.
pub(super) fn end_all(processes: &[Process]) {
    for process in processes {
        report(process, process.signal(Signal::SIGTERM));
    }
    for process in processes {
        let asked = eventually(std::time::Duration::from_secs(2), "an orderly end", || {
            process.exit()
        });
        if asked.is_err() {
            report(process, process.kill().map(drop));
        }
    }
}

fn report(process: &Process, result: Result<()>) {
    if let Err(error) = result {
        eprintln!("{}: {error:#}", process.name());
    }
}

/// Whether a program ended because of this signal.
#[must_use]
pub fn ended_by(status: ExitStatus, signal: Signal) -> bool {
    status.signal() == Some(signal as i32)
}

type Job = (Command, Sender<std::io::Result<Child>>);

/// The thread that starts all programs of a lab. A child's parent-death signal is sent when the
/// *thread* that made it ends: so one thread makes all of them and lives as long as the lab.
#[derive(Debug)]
pub(super) struct Spawner {
    jobs: Sender<Job>,
}

impl Spawner {
    /// Starts the thread; it ends when the value is dropped.
    pub(super) fn start() -> Self {
        let (jobs, queue) = channel::<Job>();
        thread::spawn(move || {
            for (mut command, answer) in queue {
                // No one listening: the caller is gone, and a child with it.
                if let Err(unheard) = answer.send(command.spawn()) {
                    drop(unheard.0.map(|mut child| child.kill()));
                }
            }
        });
        Self { jobs }
    }

    /// Starts a program with its output in `<files>.out` and `<files>.log`.
    pub(super) fn spawn(
        &self,
        mut command: Command,
        (host, name): (&str, &str),
        files: &Path,
    ) -> Result<Process> {
        let (out, log) = (files.with_extension("out"), files.with_extension("log"));
        command
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&log)?)
            .env("NO_COLOR", "1")
            // Not in the terminal's foreground group: Ctrl-C is for the owner to act on.
            .process_group(0);
        let (answer, child) = channel();
        self.jobs
            .send((command, answer))
            .ok()
            .context("the lab's spawner is gone")?;
        let child = child
            .recv()?
            .with_context(|| format!("cannot start {name}"))?;
        let life = Life::of_child(child.id()).with_context(|| format!("{name} is gone"))?;
        let (name, host, child) = (name.to_owned(), host.to_owned(), Mutex::new(child));
        Ok(Process(Arc::new(Inner {
            name,
            host,
            life,
            child,
            out,
            log,
        })))
    }
}
