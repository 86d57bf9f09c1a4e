//! `viaduct-sqlproxy switchover`: asks a running proxy to move the writer, and waits for the end of it.
//!
//! Not here: the move ([`sqlproxy::lead::switchover`]).

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// From look to look.
const LOOK: Duration = Duration::from_millis(100);
/// Looks at most: longer than a move may take.
const LOOKS: usize = 250;

/// Orders it, and says how it ended.
///
/// # Errors
/// Why the writer is where it was.
#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the answer of the command")]
pub(super) async fn run(server: &str, is_forced: bool, socket: &Path) -> Result<()> {
    let before = moves(socket).await?;
    let body = match is_forced {
        true => format!("force {server}"),
        false => server.to_owned(),
    };
    let reply = daemon::http::post(socket, "/switchover", body.into_bytes()).await?;
    if reply.status != 200 {
        bail!("{}", reply.body.trim());
    }
    if is_forced {
        println!("{server} may be elected for the next 30 s, whatever it lacks");
        return Ok(());
    }
    for _ in 0..LOOKS {
        let now = moves(socket).await?;
        if now.0 > before.0 {
            if now.1.is_empty() {
                println!("{server} takes the writes");
                return Ok(());
            }
            bail!("the writer stays: {}", now.1);
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("the move has not ended: see `viaduct-sqlproxy status`")
}

/// How many moves have ended, and why the last one failed.
async fn moves(socket: &Path) -> Result<(u64, String)> {
    let reply = daemon::http::get(socket, "/status").await?;
    let status: Value = serde_json::from_str(&reply.body)?;
    let election = &status["election"];
    let count = election["moves"].as_u64();
    let count =
        count.context("nobody leads the servers: the site file has no `[sqlproxy.monitor]`")?;
    let why = election["last_move"].as_str().unwrap_or_default();
    Ok((count, why.to_owned()))
}
