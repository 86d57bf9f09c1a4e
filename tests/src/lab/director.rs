//! A director: a host's site file, its `viaduct-lb`, and what a person does to it.
//!
//! Not here: the daemon. It is run as a user runs it, and seen through its status and its log.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use super::{
    Lab, find,
    process::Process,
    status::{self, Status},
    wait::{SOON, eventually},
};

/// A host with a running `viaduct-lb`.
#[derive(Debug)]
pub struct Director<'l> {
    lab: &'l Lab,
    host: String,
    files: Files,
    daemon: Process,
}

/// Where a director keeps its things.
#[derive(Clone, Debug)]
pub struct Files {
    /// The site file.
    pub config: PathBuf,
    /// The directory of its pins, in a bpffs of its own.
    pub pins: PathBuf,
    /// The status socket.
    pub socket: PathBuf,
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The file was applied; this is the new generation.
    Applied(u64),
    /// The file was refused, for this reason.
    Refused(String),
}

impl Files {
    /// The places for a host's director; makes the directories.
    ///
    /// # Errors
    /// When the bpffs cannot be mounted.
    pub fn of(lab: &Lab, host: &str) -> Result<Self> {
        let dir = lab.host_dir(host)?;
        let pins = lab.bpffs(host)?.join("viaduct");
        Ok(Self {
            config: dir.join("site.toml"),
            pins,
            socket: dir.join("lb.sock"),
        })
    }

    /// Writes the site file as editors do: a reader sees the old or the new one, never half.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_site(&self, site: impl ToString) -> Result<()> {
        let new = self.config.with_extension("new");
        fs::write(&new, site.to_string())?;
        fs::rename(&new, &self.config)?;
        Ok(())
    }

    /// The arguments of `viaduct-lb run`.
    #[must_use]
    pub fn run_args(&self, host: &str) -> Vec<String> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let (config, pins, socket) = (text(&self.config), text(&self.pins), text(&self.socket));
        [
            "run",
            "--config",
            &config,
            "--host",
            host,
            "--pin-dir",
            &pins,
            "--socket",
            &socket,
        ]
        .map(str::to_owned)
        .into()
    }
}

impl<'l> Director<'l> {
    /// Writes the site file, starts the daemon on `host` and waits until it is ready.
    ///
    /// # Errors
    /// When the daemon is not built, ends, or is not ready soon; the log is in the message.
    pub fn start(lab: &'l Lab, host: &str, site: impl ToString) -> Result<Self> {
        let files = Files::of(lab, host)?;
        files.write_site(site)?;
        let daemon = launch(lab, host, &files)?;
        let director = Self {
            lab,
            host: host.to_owned(),
            files,
            daemon,
        };
        director.wait_ready()?;
        Ok(director)
    }

    /// Starts the daemon again after it ended.
    ///
    /// # Errors
    /// As [`Director::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.daemon = launch(self.lab, &self.host, &self.files)?;
        self.wait_ready()
    }

    /// Starts the daemon again after it ended, from another binary, as an upgrade does.
    ///
    /// # Errors
    /// As [`Director::start`].
    pub fn start_again_from(&mut self, program: &Path) -> Result<()> {
        let args = self.files.run_args(&self.host);
        self.daemon = self.lab.spawn(&self.host, "viaduct-lb", program, &args)?;
        self.wait_ready()
    }

    /// Ends the daemon as systemd would; the data plane stays.
    ///
    /// # Errors
    /// When it does not end soon.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.daemon.terminate()
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The daemon.
    #[must_use]
    pub fn daemon(&self) -> &Process {
        &self.daemon
    }

    /// Its files.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Its status now.
    ///
    /// # Errors
    /// When nobody answers; the log is in the message.
    pub fn status(&self) -> Result<Status> {
        status::ask(&self.files.socket).with_context(|| self.daemon.story())
    }

    /// Waits until the status is as `wanted`.
    ///
    /// # Errors
    /// When it is not soon; status and log are in the message.
    pub fn wait_status(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Result<Status> {
        let mut last = None;
        let found = eventually(SOON, what, || {
            let status = self.status()?;
            let found = wanted(&status).then(|| status.clone());
            last = Some(status);
            Ok(found)
        });
        let said = || last.as_ref().map(ToString::to_string).unwrap_or_default();
        found.with_context(|| format!("{}\nstatus: {}", self.daemon.story(), said()))
    }

    /// Waits until every real server of a service can be sent packets: its next hop is known and
    /// it is not down.
    ///
    /// # Errors
    /// As [`Director::wait_status`].
    pub fn wait_serving(&self, service: &str) -> Result<Status> {
        self.wait_status(
            &format!("all real servers of {service} to serve"),
            |status| status.resolved(service) && status.serving(service),
        )
    }

    /// Replaces the site file, asks for a reload and waits for its outcome.
    ///
    /// # Errors
    /// When the status shows no outcome soon.
    pub fn reload(&self, site: impl ToString) -> Result<Reload> {
        let before = self.status()?;
        self.files.write_site(site)?;
        self.daemon.signal(Signal::SIGHUP)?;
        let after = self.wait_status("the outcome of the reload", |now| {
            now.generation() > before.generation() || now.last_error() != before.last_error()
        })?;
        match after.last_error() {
            Some(error) if after.generation() == before.generation() => {
                Ok(Reload::Refused(error.to_owned()))
            }
            _ => Ok(Reload::Applied(after.generation())),
        }
    }

    /// Reloads a file that must be accepted.
    ///
    /// # Errors
    /// When it is refused.
    pub fn apply(&self, site: impl ToString) -> Result<u64> {
        match self.reload(site)? {
            Reload::Applied(generation) => Ok(generation),
            Reload::Refused(error) => bail!("a good site file was refused: {error}"),
        }
    }

    /// Runs `viaduct-lb detach`: the data plane goes.
    ///
    /// # Errors
    /// When it fails.
    pub fn detach(&self) -> Result<()> {
        let pins = self.files.pins.to_string_lossy();
        let program = find::program("viaduct-lb")?;
        let args = ["detach", "--pin-dir", &*pins];
        let detach = self
            .lab
            .spawn(&self.host, "viaduct-lb-detach", program, &args)?;
        let status = detach.wait_exit()?;
        if !status.success() {
            bail!("{}", detach.story());
        }
        Ok(())
    }

    fn wait_ready(&self) -> Result<()> {
        self.daemon.wait_for_log("`ready`", |line| {
            line.split_whitespace().any(|word| word == "ready")
        })
    }
}

fn launch(lab: &Lab, host: &str, files: &Files) -> Result<Process> {
    lab.spawn(
        host,
        "viaduct-lb",
        find::program("viaduct-lb")?,
        &files.run_args(host),
    )
}
