//! What outlives a voter, in a file: `promised 5 1 decided 4 0`, each epoch with its server.
//!
//! A promise that is forgotten could be given twice, and then two servers be elected: so the file is
//! whole or the old one, and on the disk, before an answer goes. It is written once an election.
//!
//! Not here: what is kept ([`crate::Kept`]).

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::{Epoch, Kept, Server};

/// Why a voter cannot run.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The disk says no.
    #[error("{}: {error}; the election keeps its promises there: make the directory, writable for this daemon", .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// Not what a voter writes.
    #[error("{}: not written by a voter: `{text}`; if it cannot be restored, stop all sqlproxies, remove it, and start again", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What it holds, at most 100 characters of it.
        text: String,
    },
}

/// The file of one voter.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    last: Kept,
}

impl Keeper {
    /// Reads what was kept; of a voter that never ran, [`Kept::first`]. Writes it too: what cannot be
    /// written is noticed at the start, not in an election.
    ///
    /// # Errors
    /// When it cannot be read or written, or is something else.
    pub fn open(path: &Path) -> Result<Self, KeptError> {
        let first = Kept::first(Server(0));
        let path = path.to_owned();
        let disk = |error| KeptError::Disk {
            path: path.clone(),
            error,
        };
        let last = match fs::read_to_string(&path) {
            Ok(text) => parse(&text).ok_or_else(|| KeptError::Form {
                path: path.clone(),
                text: text.chars().take(100).collect(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => first,
            Err(error) => return Err(disk(error)),
        };
        write(&path, last).map_err(disk)?;
        Ok(Self { path, last })
    }

    /// What was kept last.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.last
    }

    /// Keeps it, if it is something new.
    ///
    /// # Errors
    /// When it cannot be written: nothing may be answered then.
    pub fn keep(&mut self, kept: Kept) -> Result<(), KeptError> {
        if kept != self.last {
            write(&self.path, kept).map_err(|error| KeptError::Disk {
                path: self.path.clone(),
                error,
            })?;
            self.last = kept;
        }
        Ok(())
    }
}

fn write(path: &Path, kept: Kept) -> io::Result<()> {
    let Kept { promised, decided } = kept;
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    let numbers = [
        promised.0.0,
        u64::from(promised.1.0),
        decided.0.0,
        u64::from(decided.1.0),
    ];
    let [p, ps, d, ds] = numbers;
    writeln!(file, "promised {p} {ps} decided {d} {ds}")?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let dir = path.parent().unwrap_or_else(|| Path::new("/"));
    File::open(dir)?.sync_all()
}

fn parse(text: &str) -> Option<Kept> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["promised", p, ps, "decided", d, ds] = words[..] else {
        return None;
    };
    let pair = |epoch: &str, server: &str| {
        Some((Epoch(epoch.parse().ok()?), Server(server.parse().ok()?)))
    };
    Some(Kept {
        promised: pair(p, ps)?,
        decided: pair(d, ds)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_outlives_the_voter_and_a_foreign_file_is_refused() {
        let dir = std::env::temp_dir().join(format!("viaduct-kept-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("election");
        let kept = Kept {
            promised: (Epoch(9), Server(1)),
            decided: (Epoch(8), Server(0)),
        };
        let mut keeper = Keeper::open(&path).unwrap();
        assert_eq!(keeper.kept(), Kept::first(Server(0)));
        keeper.keep(kept).unwrap();
        assert_eq!(Keeper::open(&path).unwrap().kept(), kept);
        fs::write(&path, "promised 9 1 decided").unwrap();
        let error = Keeper::open(&path).unwrap_err().to_string();
        assert!(error.contains("not written by a voter"), "{error}");
        let error = Keeper::open(&dir.join("no/such")).unwrap_err().to_string();
        assert!(error.contains("make the directory"), "{error}");
        fs::remove_dir_all(&dir).unwrap();
    }
}
