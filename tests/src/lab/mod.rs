//! A lab: hosts as network namespaces, the links between them, the processes on them, and the
//! promise that nothing of it is left, however the owner ends.
//!
//! ```text
//!   plan ─► link ─► namespaces, bridges, veths      process ─► programs on hosts, their logs
//!           stub ─► XDP_PASS at the far ends        director, keepalived, load, web ─► the ones
//!   owner, sweep ─► names, who lives, removal                                  tests use
//!   fault ─► cables pulled, ports gone deaf         counters, capture, watch ─► what went over the
//!                                                                             wire, who answers
//! ```
//!
//! A lab is removed when it is dropped. One whose owner was killed is removed by the next
//! [`Lab::sweep`]. Not here: what a test expects (`it`).

pub mod capture;
pub mod certificates;
pub mod counters;
pub mod director;
pub mod fault;
pub mod find;
pub mod keepalived;
pub mod link;
pub mod load;
pub mod mariadb;
pub mod netns;
pub mod owner;
pub mod peers;
pub mod plan;
pub mod process;
pub mod proxy;
pub mod require;
pub mod router;
pub mod site;
pub mod sqlproxy;
pub mod sqlsite;
pub mod status;
pub mod stub;
pub mod sweep;
pub mod topology;
pub mod wait;
pub mod watch;
pub mod web;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};

use self::{
    owner::{LabId, RootLock},
    plan::Plan,
    process::{Process, Spawner},
    stub::StubLink,
};

/// A running lab. Dropped without [`Lab::finish`], it counts as failed: it prints its processes'
/// logs and keeps its captures.
#[derive(Debug)]
pub struct Lab {
    id: LabId,
    dir: PathBuf,
    plan: Plan,
    spawner: Spawner,
    processes: Mutex<Vec<Process>>,
    stubs: Vec<StubLink>,
    succeeded: bool,
}

impl Lab {
    /// Builds the network of `plan`, with no process on it yet.
    ///
    /// # Errors
    /// When this machine cannot hold it: no root, a tool missing, the eBPF object not built.
    pub fn build(plan: Plan) -> Result<Self> {
        let id = LabId::fresh();
        let mut lab = Self {
            id,
            dir: owner::claim(id)?,
            plan,
            spawner: Spawner::start(),
            processes: Mutex::default(),
            stubs: Vec::new(),
            succeeded: false,
        };
        lab.stubs = link::build(id, &lab.plan).context("cannot build the lab's network")?;
        Ok(lab)
    }

    /// Removes what labs whose owners are dead left behind; gives their names.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn sweep() -> Result<Vec<String>> {
        sweep::sweep()
    }

    /// The lab's name, in the names of its namespaces and its directory.
    #[must_use]
    pub fn id(&self) -> LabId {
        self.id
    }

    /// The lab's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The network that was built.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The network namespace of a host.
    #[must_use]
    pub fn netns(&self, host: &str) -> String {
        self.id.netns(host)
    }

    /// A directory of a host's own within the lab's.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn host_dir(&self, host: &str) -> Result<PathBuf> {
        let dir = self.dir.join(host);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// A bpffs of a host's own, mounted in its directory.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn bpffs(&self, host: &str) -> Result<PathBuf> {
        let dir = self.host_dir(host)?.join("bpf");
        fs::create_dir_all(&dir)?;
        if !netns::is_mount_point(&dir)? {
            nix::mount::mount(
                Some("bpf"),
                &dir,
                Some("bpf"),
                nix::mount::MsFlags::empty(),
                Some("mode=0700"),
            )
            .with_context(|| format!("cannot mount a bpffs on {}", dir.display()))?;
        }
        Ok(dir)
    }

    /// Starts a program on a host; `name` names its log. It ends with the lab at the latest.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(
        &self,
        host: &str,
        name: &str,
        program: impl AsRef<OsStr>,
        args: &[impl AsRef<OsStr>],
    ) -> Result<Process> {
        let mut processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut command = netns::command(&self.netns(host), "setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(args);
        let files = self.dir.join(format!("{:02}-{name}", processes.len()));
        let process = self.spawner.spawn(command, (host, name), &files)?;
        sweep::record(&self.dir, &process)?;
        processes.push(process.clone());
        Ok(process)
    }

    /// Ends a lab that did what it should: checks the counters that must be 0 in every lab, then
    /// removes everything.
    ///
    /// # Errors
    /// When packets were lost to bad checksums or full rings; the lab then counts as failed.
    pub fn finish(mut self) -> Result<()> {
        counters::check(&self)?;
        self.succeeded = true;
        Ok(())
    }

    /// Ends a lab that was measured on: removes everything, whatever its counters say.
    pub fn let_go(mut self) {
        self.succeeded = true;
    }

    fn tell_failure(&self, processes: &[Process]) {
        let kept = std::env::temp_dir()
            .join("viaduct-lab-failures")
            .join(self.id.to_string());
        eprintln!("---- lab {} failed; its processes:", self.id);
        for process in processes {
            eprintln!("{}", process.story());
        }
        for line in counters::table(self) {
            eprintln!("{line}");
        }
        if keep(&self.dir, &kept).is_ok() {
            eprintln!("---- logs and captures kept in {}", kept.display());
        }
    }

    fn remove(&self) -> Result<()> {
        let lock = RootLock::take()?;
        sweep::remove(self.id, &lock)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let processes = std::mem::take(
            &mut *self
                .processes
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if !self.succeeded {
            self.tell_failure(&processes);
        }
        process::end_all(&processes);
        self.stubs.clear();
        if let Err(error) = self.remove() {
            eprintln!("lab {} could not be removed: {error:#}", self.id);
        }
    }
}

/// Copies logs and captures out of a lab that is about to go.
fn keep(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
