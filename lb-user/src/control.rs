//! The daemon's ears: the unix socket and the TCP listener that answer status and metrics. Orders come
//! over the unix socket alone, and only of root.
//!
//! Both only hand on to the engine; see [`crate::status`] for the answers, and [`crate::drain`] for
//! the orders.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use daemon::http::{Order, Request, Response, UnixSocket, serve};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::engine::Event;

/// The user who may order.
const ROOT: u32 = 0;

/// Listens on the unix socket; what is asked goes to `events`. The socket disappears when the task
/// is dropped.
///
/// # Errors
/// Another daemon answers there, or the path can't be had.
pub fn listen_unix(path: &Path, events: mpsc::Sender<Event>) -> anyhow::Result<()> {
    let socket = UnixSocket::bind(path)?;
    tokio::spawn(serve(socket, move |request| hear(events.clone(), request)));
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
        let task = tokio::spawn(serve(listener, move |request| {
            hear(events.clone(), request)
        }));
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

/// A question or an order.
async fn hear(events: mpsc::Sender<Event>, Request { path, order }: Request) -> Option<Response> {
    match order {
        None => ask(events, path).await,
        Some(Order { body, user }) if path == "/drain" => Some(match user {
            ROOT => drain(events, &body).await,
            _ => refusal(403, "only root may drain"),
        }),
        Some(Order { body, user }) if path == "/resign" => Some(match user {
            ROOT => resign(events, &body).await,
            _ => refusal(403, "only root may resign"),
        }),
        Some(_) => None,
    }
}

/// Hands the VIPs over, or takes part again.
async fn resign(events: mpsc::Sender<Event>, body: &[u8]) -> Response {
    let resign = match serde_json::from_slice(body) {
        Ok(resign) => resign,
        Err(error) => return refusal(400, &format!("not an order: {error}")),
    };
    let (answer, answered) = oneshot::channel();
    let asked = events.send(Event::Resign { resign, answer }).await;
    match (asked, answered.await) {
        (Ok(()), Ok(Ok(()))) => Response::text("ok\n".to_owned()),
        (Ok(()), Ok(Err(error))) => refusal(404, &error.to_string()),
        (Err(_), _) | (_, Err(_)) => refusal(503, "the daemon is stopping"),
    }
}

/// Carries out an order, and tells what came of it.
async fn drain(events: mpsc::Sender<Event>, body: &[u8]) -> Response {
    let order = match serde_json::from_slice(body) {
        Ok(order) => order,
        Err(error) => return refusal(400, &format!("not an order: {error}")),
    };
    let (answer, answered) = oneshot::channel();
    if events.send(Event::Drain { order, answer }).await.is_err() {
        return refusal(503, "the daemon is stopping");
    }
    let done = match answered.await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => return refusal(404, &error.to_string()),
        Err(_gone) => return refusal(503, "the daemon is stopping"),
    };
    match serde_json::to_vec(&done) {
        Ok(body) => Response::json(body),
        Err(error) => refusal(500, &error.to_string()),
    }
}

fn refusal(status: u16, why: &str) -> Response {
    Response::text(format!("{why}\n")).status(status)
}

/// The engine's answer; `None` also when it is on its way out.
async fn ask(events: mpsc::Sender<Event>, path: String) -> Option<Response> {
    let (answer, answered) = oneshot::channel();
    events.send(Event::Query { path, answer }).await.ok()?;
    answered.await.ok()?
}
