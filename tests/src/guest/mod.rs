//! What runs on the lab's hosts: a web server and the clients that ask it. Each is a subcommand
//! of `viaduct-demo`, so that nothing else need be installed.
//!
//! Not here: starting them on a host (`lab::web`, `lab::load`, `lab::watch`).

mod ask;
mod pace;

pub mod blob;
pub mod downloads;
pub mod fetch;
pub mod load;
pub mod outage;
pub mod probe;
pub mod request;
pub mod slots;
pub mod udp;
pub mod web;
pub mod whohas;

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;

/// Writes a line of JSON to standard output, in one write: a reader never sees two half lines.
fn say(line: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&text)?;
    out.flush()?;
    Ok(())
}
