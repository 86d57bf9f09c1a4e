//! A room for a host of a lab: a mount namespace with its own /etc, /run, /usr/local/sbin and BPF file
//! system, so that the paths of documents are used as they are.
//!
//! Not here: what is done in it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use tests::lab::{Lab, find, netns, process::Process};

use super::ROOT;

/// Makes a room, and keeps it.
const ROOM: &str = r#"
    mkdir "$1/etc" && mount -t tmpfs -o mode=0755 room "$1/etc"
    cp -a /etc/. "$1/etc" && mount --bind "$1/etc" /etc
    mount --bind "$2" /mnt
    mount -t tmpfs -o mode=0755 room /usr/local/sbin
    mount -t tmpfs -o mode=0755 room /run
    mount -t bpf room /sys/fs/bpf
    echo made >&2
    exec sleep infinity
"#;

/// Where the source tree is in a room.
const TREE: &str = "/mnt";

/// What a shell is told before a snippet: where it is, and how to do without procps.
const PRELUDE: &str = r#"
    set -eu
    PATH=/usr/local/sbin:/usr/sbin:/sbin:$PATH
    cd "$1"
    if ! command -v sysctl >/dev/null; then
        sysctl() { echo "${2#*=}" > "/proc/sys/$(echo "${2%%=*}" | tr . /)"; }
    fi
"#;

/// A host's room.
pub(super) struct Room<'l> {
    lab: &'l Lab,
    host: String,
    keeper: Process,
}

impl<'l> Room<'l> {
    pub(super) fn new(lab: &'l Lab, host: &str) -> Result<Self> {
        let (dir, tree) = (lab.host_dir(host)?, tree(lab)?);
        let (dir, tree) = (dir.to_string_lossy(), tree.to_string_lossy());
        let args = ["--mount", "sh", "-euc", ROOM, "sh", &*dir, &*tree];
        let keeper = lab.spawn(host, "room", "unshare", &args)?;
        keeper.wait_for_log("`made`", |line| line == "made")?;
        Ok(Self {
            lab,
            host: host.to_owned(),
            keeper,
        })
    }

    /// A path of the room as it is seen from outside.
    pub(super) fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.keeper.life().pid))
    }

    /// What enters the room from the host's network namespace.
    pub(super) fn enter(&self) -> Vec<String> {
        let mounts = format!("--mount=/proc/{}/ns/mnt", self.keeper.life().pid);
        vec!["nsenter".to_owned(), mounts, "--".to_owned()]
    }

    /// Runs a script in it, to its end; gives what it wrote.
    pub(super) fn shell(&self, script: &str) -> Result<String> {
        shell(self.lab, &self.host, self.enter(), TREE, script)
    }
}

/// Runs a script on a host without a room.
pub(super) fn plain_shell(lab: &Lab, host: &str, script: &str) -> Result<String> {
    shell(lab, host, vec![], "/", script)
}

fn shell(lab: &Lab, host: &str, enter: Vec<String>, at: &str, script: &str) -> Result<String> {
    let mut words = enter;
    words.extend(["sh", "-c"].map(str::to_owned));
    let mut command = netns::command(&lab.netns(host), &words[0]);
    let script = format!("{PRELUDE}\n{script}");
    command.args(&words[1..]).args([&script, "sh", at]);
    let out = command.output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let errors = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "on {host}: {errors}\n{text}");
    Ok(text)
}

/// As much of the source tree as the documents use, with the programs of this build.
fn tree(lab: &Lab) -> Result<PathBuf> {
    let tree = lab.dir().join("tree");
    if tree.exists() {
        return Ok(tree);
    }
    let release = tree.join("target/release");
    fs::create_dir_all(&release)?;
    for name in ["viaduct-lb", "viaduct"] {
        symlink(find::program(name)?, release.join(name))?;
    }
    let packaging = fs::canonicalize(Path::new(ROOT).join("packaging"))?;
    symlink(packaging, tree.join("packaging"))?;
    Ok(tree)
}
