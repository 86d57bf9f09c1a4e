//! The daemon's ears: the unix socket and the TCP listener that answer status and metrics.
//!
//! Both only hand the question to the engine; see [`crate::status`] for the answers.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use daemon::http::{Response, UnixSocket, serve};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

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

/// A TCP listener for status and metrics, read-only; it ends when this is dropped.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listening {
    /// Listens at `address`; what is asked goes to `events`.
    ///
    /// # Errors
    /// The address can't be had.
    pub async fn tcp(address: SocketAddr, events: mpsc::Sender<Event>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let task = tokio::spawn(serve(listener, move |path| ask(events.clone(), path)));
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The engine's answer; `None` also when it is on its way out.
async fn ask(events: mpsc::Sender<Event>, path: String) -> Option<Response> {
    let (answer, answered) = oneshot::channel();
    events.send(Event::Query { path, answer }).await.ok()?;
    answered.await.ok()?
}
