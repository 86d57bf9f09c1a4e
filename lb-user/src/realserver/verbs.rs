//! `viaduct realserver setup|check|undo`: facts, then a decision, then the host.
//!
//! Not here: the decisions, and the printing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use nix::fcntl::{Flock, FlockArg};

use super::check::{Item, Verdict, check};
use super::host::{Error, Host};
use super::memory::{Memory, STATE};
use super::plan::{Step, permitted, plan};
use super::wanted::{Method, Wanted};

/// What can be done with a real server.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make this host a real server of these VIPs: VIPs on lo, silence about them in ARP, and with
    /// method "tunnel" the far end of the tunnel. Until the next reboot; to be repeated at will. Exits
    /// with 1 if something is wrong that it does not mend, such as an interface that is down.
    Setup {
        /// What it should be.
        #[command(flatten)]
        wanted: Wanted,
        /// Where to note what was changed.
        #[arg(long, value_name = "FILE", default_value = STATE)]
        state: PathBuf,
    },
    /// Look whether this host is such a real server; changes nothing. Exits with 1 if it is not.
    Check {
        /// What it should be.
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Take back what setup changed, all of it, and nothing else.
    Undo {
        /// Where that is noted.
        #[arg(long, value_name = "FILE", default_value = STATE)]
        state: PathBuf,
    },
}

/// What a verb has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What was done, or found.
    pub lines: Vec<String>,
    /// What is still to be done by somebody.
    pub warnings: Vec<String>,
    /// Whether all is well.
    pub is_well: bool,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// It could not be done; then nothing is changed, or the error says what.
    pub async fn run(&self) -> Result<Answer, Error> {
        match self {
            Self::Setup { wanted, state } => setup(wanted, state).await,
            Self::Check { wanted } => look(wanted).await,
            Self::Undo { state } => undo(state).await,
        }
    }
}

async fn setup(wanted: &Wanted, state: &Path) -> Result<Answer, Error> {
    let host = Host::open()?;
    // Before the pins are read, which needs the same rights.
    let facts = host.facts(None).await?;
    permitted(&facts, wanted.method)?;
    let failed = |source| Error::State {
        path: state.to_owned(),
        source,
    };
    // What is refused makes no file either.
    plan(&facts, wanted)?;
    let _lock = lock(state).map_err(failed)?;
    let steps = plan(&host.facts(pins(wanted)).await?, wanted)?;
    let before = Memory::load(state).map_err(failed)?;
    let mut memory = before.clone();
    memory.remember(&steps);
    memory.save(state).map_err(failed)?;
    let mut lines = match make(&host, &steps).await {
        Ok(lines) => lines,
        Err(error) => {
            before.save(state).map_err(failed)?;
            return Err(error);
        }
    };
    let items = check(&host.facts(pins(wanted)).await?, wanted);
    // What is not setup's to mend, such as an interface that is down: it is no real server yet.
    let (wrong, rest): (Vec<&Item>, Vec<&Item>) = items.iter().partition(|item| item.is_wrong());
    let notes = rest.iter().filter(|item| item.verdict != Verdict::Good);
    lines.extend(wrong.iter().map(|item| line(item)));
    Ok(Answer {
        lines,
        warnings: notes.map(|item| line(item)).collect(),
        is_well: wrong.is_empty(),
    })
}

/// Makes all steps, or none: one that fails takes those before it back. What was done.
async fn make(host: &Host, steps: &[Step]) -> Result<Vec<String>, Error> {
    let mut made = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        match host.make(step).await {
            Ok(None) => made.push(step.to_string()),
            Ok(Some(more)) => made.push(format!("{step} ({more})")),
            Err(source) => {
                return Err(Error::HalfWay {
                    what: step.to_string(),
                    source: Box::new(source),
                    left: undo_steps(host, &steps[..=number]).await,
                });
            }
        }
    }
    if made.is_empty() {
        made.push("nothing was to be done".to_owned());
    }
    Ok(made)
}

/// Undoes steps of which the last one failed; what could not be undone.
async fn undo_steps(host: &Host, steps: &[Step]) -> Vec<String> {
    let mut memory = Memory::default();
    memory.remember(steps);
    let facts = match host.facts(None).await {
        Ok(facts) => facts,
        Err(error) => return vec![error.to_string()],
    };
    let mut left = Vec::new();
    for back in memory.way_back(&facts) {
        if let Err(error) = host.take_back(&back).await {
            left.push(format!("{back}: {error}"));
        }
    }
    left
}

async fn look(wanted: &Wanted) -> Result<Answer, Error> {
    let host = Host::open()?;
    if wanted.method == Method::Tunnel {
        permitted(&host.facts(None).await?, wanted.method)?;
    }
    let items = check(&host.facts(pins(wanted)).await?, wanted);
    Ok(Answer {
        lines: items.iter().map(line).collect(),
        warnings: Vec::new(),
        is_well: !items.iter().any(Item::is_wrong),
    })
}

/// An item as it is shown; what mends it stands on a line of its own.
fn line(item: &Item) -> String {
    let what = &item.what;
    match &item.verdict {
        Verdict::Good => format!("ok     {what}"),
        Verdict::Note => format!("note   {what}"),
        Verdict::Wrong(mend) => format!("wrong  {what}\n       mend: {mend}"),
    }
}

async fn undo(state: &Path) -> Result<Answer, Error> {
    let failed = |source| Error::State {
        path: state.to_owned(),
        source,
    };
    let mut answer = Answer {
        is_well: true,
        ..Answer::default()
    };
    if Memory::load(state).map_err(failed)?.is_empty() {
        let line = format!("{}: setup has changed nothing here", state.display());
        answer.lines.push(line);
        return Ok(answer);
    }
    let _lock = lock(state).map_err(failed)?;
    let memory = Memory::load(state).map_err(failed)?;
    let host = Host::open()?;
    let facts = host.facts(None).await?;
    let method = match memory.has_far_end() {
        true => Method::Tunnel,
        false => Method::Dr,
    };
    permitted(&facts, method)?;
    for back in memory.way_back(&facts) {
        // What fails stays in the file, for another attempt.
        host.take_back(&back)
            .await
            .map_err(|source| Error::HalfUndone {
                what: back.to_string(),
                source: Box::new(source),
            })?;
        answer.lines.push(back.to_string());
    }
    Memory::default().save(state).map_err(failed)?;
    Ok(answer)
}

/// The pins to look at; none where there is no tunnel.
fn pins(wanted: &Wanted) -> Option<&Path> {
    (wanted.method == Method::Tunnel).then_some(&*wanted.pin_dir)
}

/// Keeps a second one from changing the same host meanwhile: its file's directory is locked.
fn lock(state: &Path) -> std::io::Result<Flock<File>> {
    let directory = match state.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(directory)?;
    let file = File::open(directory)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}
