//! The daemon's ears: the unix socket and the TCP listener that answer status and metrics.
//!
//! Both only hand the question to the engine; see [`crate::status`] for the answers.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use daemon::http::{Response, UnixSocket, serve};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::engine::Event;

/// Listens on the unix socket; what is asked goes to `events`. The socket disappears when the task
/// is dropped.
///
/// # Errors
/// Another daemon answers there, or the path can't be had.
pub fn listen_unix(path: &Path, events: mpsc::Sender<Event>) -> anyhow::Result<()> {
    let socket = UnixSocket::bind(path)?;
    tokio::spawn(serve(socket, move |path| ask(events.clone(), path)));
    Ok(())
}

/// Listens on TCP for status and metrics, read-only.
///
/// # Errors
/// The address can't be had.
pub async fn listen_tcp(address: SocketAddr, events: mpsc::Sender<Event>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("status = \"{address}\" can't be listened on"))?;
    tokio::spawn(serve(listener, move |path| ask(events.clone(), path)));
    Ok(())
}

/// The engine's answer; `None` also when it is on its way out.
async fn ask(events: mpsc::Sender<Event>, path: String) -> Option<Response> {
    let (answer, answered) = oneshot::channel();
    events.send(Event::Query { path, answer }).await.ok()?;
    answered.await.ok()?
}
