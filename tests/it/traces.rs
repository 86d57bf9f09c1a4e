//! What a lab leaves on the machine: nothing, hopes `lab`, and so does `demo`.
//!
//! Not here: removing it.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt as _};

use anyhow::Result;
use tests::lab::{netns, owner::ROOT};

/// Everything on this machine that belongs to one lab.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Traces {
    pub(crate) namespaces: BTreeSet<String>,
    pub(crate) mounts: BTreeSet<String>,
    pub(crate) processes: BTreeSet<String>,
    pub(crate) directory: bool,
}

impl Traces {
    /// Of the lab with this name.
    pub(crate) fn of(lab: &str) -> Result<Self> {
        let dir = format!("{ROOT}/{lab}");
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mine = |line: &&str| line.contains(&dir) || line.contains(&format!("vd{lab}-"));
        Ok(Self {
            namespaces: netns::named(&format!("vd{lab}-"))?.into_iter().collect(),
            mounts: mounts.lines().filter(mine).map(str::to_owned).collect(),
            processes: lives_in(lab)?,
            directory: fs::exists(dir)?,
        })
    }
}

/// The command lines of the processes that the lab's directory records or namespaces hold, and of
/// any that name it.
fn lives_in(lab: &str) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc")? {
        let dir = entry?.path();
        let Ok(cmdline) = fs::read(dir.join("cmdline")) else {
            continue;
        };
        let text = String::from_utf8_lossy(&cmdline).replace('\0', " ");
        let netns = fs::metadata(dir.join("ns/net")).ok();
        let inside = netns.is_some_and(|netns| is_of_lab(&netns, lab));
        if inside || text.contains(&format!("vd{lab}-")) || text.contains(&format!("{ROOT}/{lab}/"))
        {
            found.insert(format!("{}: {text}", dir.display()));
        }
    }
    Ok(found)
}

fn is_of_lab(netns: &fs::Metadata, lab: &str) -> bool {
    let names = netns::named(&format!("vd{lab}-")).unwrap_or_default();
    let mut files = names
        .iter()
        .filter_map(|name| fs::metadata(netns::path(name)).ok());
    files.any(|file| file.ino() == netns.ino() && file.dev() == netns.dev())
}
