//! `viaduct resign` and `viaduct rejoin`: the order over the daemon's socket, and waiting for what comes
//! of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use daemon::http::{get, post};

use crate::cli::SOCKET;
use crate::status::Status;
use crate::time;

/// How often the daemon is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(50);

/// Options of `viaduct resign`.
#[derive(Debug, clap::Args)]
pub struct Resign {
    /// How long to wait until another director serves; adverts a second apart take up to five.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
    /// The daemon's socket.
    #[arg(long, value_name = "FILE", default_value = SOCKET)]
    socket: PathBuf,
}

/// Options of `viaduct rejoin`.
#[derive(Debug, clap::Args)]
pub struct Rejoin {
    /// The daemon's socket.
    #[arg(long, value_name = "FILE", default_value = SOCKET)]
    socket: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// To be printed.
    pub line: String,
    /// Whether it is what was wanted.
    pub is_done: bool,
}

impl Resign {
    /// Hands over, and waits until another director serves.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub async fn run(&self) -> anyhow::Result<Outcome> {
        let deadline = time::now() + Duration::from_secs(self.wait);
        let serves = |status: &Status| {
            let serving = |state: &str| matches!(state, "active" | "resigning");
            status.routers.iter().any(|router| serving(&router.state))
        };
        let has_served = serves(&ask(&self.socket).await?);
        order(&self.socket, true).await?;
        loop {
            let status = ask(&self.socket).await?;
            let is_ordered = status.routers.iter().all(|router| router.fault.is_some());
            let outcome = |line: &str, is_done| Outcome {
                line: line.to_owned(),
                is_done,
            };
            if !is_ordered {
                let line = "no other director takes over: this one goes on serving";
                return Ok(outcome(line, false));
            }
            if !serves(&status) {
                let line = match has_served {
                    true => "handed over; this host takes no part until `viaduct rejoin`",
                    false => "this host served nothing; it takes no part until `viaduct rejoin`",
                };
                return Ok(outcome(line, true));
            }
            if time::now() >= deadline {
                let line = "this host still serves; it hands over when another director takes over";
                return Ok(outcome(line, false));
            }
            tokio::time::sleep_until(deadline.min(time::now() + AGAIN).into()).await;
        }
    }
}

impl Rejoin {
    /// Takes part again.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub async fn run(&self) -> anyhow::Result<Outcome> {
        order(&self.socket, false).await?;
        Ok(Outcome {
            line: "this host takes part again".to_owned(),
            is_done: true,
        })
    }
}

async fn order(socket: &Path, resign: bool) -> anyhow::Result<()> {
    let reply = post(socket, "/resign", serde_json::to_vec(&resign)?).await?;
    if reply.status != 200 {
        bail!("{}", reply.body.trim());
    }
    Ok(())
}

async fn ask(socket: &Path) -> anyhow::Result<Status> {
    let reply = get(socket, "/status").await?;
    if reply.status != 200 {
        bail!("{}: {}", socket.display(), reply.body.trim());
    }
    let other = || format!("{}: the daemon is of another version", socket.display());
    serde_json::from_str(&reply.body).with_context(other)
}
