//! The client: one `GET` or `POST` over a daemon's unix socket.
//!
//! Not here: TCP, and what the answer means.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header, http::request::Builder};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// How long a daemon may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer taken, in bytes: the status of 4,096 services fits.
const MAX_BODY: usize = 64 << 20;

/// What a daemon answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Why there is no answer. Each says the socket, and what to do where there is something.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// No socket, or one that nobody listens on.
    #[error("nothing listens at {}: is the daemon running?", .0.display())]
    NotRunning(PathBuf),
    /// Not for this user.
    #[error("{}: permission denied; run as root or as a member of the socket's group", .0.display())]
    Permission(PathBuf),
    /// It accepts and does not answer.
    #[error("{}: no answer within {} s", .0.display(), TIMEOUT.as_secs())]
    Timeout(PathBuf),
    /// The connection failed.
    #[error("{}: cannot be asked", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What answered does not speak as a daemon does.
    #[error("{}: the answer cannot be read", path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Asks the daemon at `socket` for `path`, which starts with `/`.
///
/// # Errors
/// No daemon, no permission, no answer in time or none that can be read. An HTTP status is not an
/// error.
pub async fn get(socket: &Path, path: &str) -> Result<Reply, GetError> {
    exchange(socket, Request::get(path), Bytes::new()).await
}

/// Sends `body` to `path` at the daemon at `socket`.
///
/// # Errors
/// As [`get`].
pub async fn post(socket: &Path, path: &str, body: Vec<u8>) -> Result<Reply, GetError> {
    exchange(socket, Request::post(path), body.into()).await
}

async fn exchange(socket: &Path, request: Builder, body: Bytes) -> Result<Reply, GetError> {
    tokio::time::timeout(TIMEOUT, ask(socket, request, body))
        .await
        .unwrap_or_else(|_elapsed| Err(GetError::Timeout(socket.to_owned())))
}

async fn ask(socket: &Path, request: Builder, body: Bytes) -> Result<Reply, GetError> {
    let protocol = |source: Box<dyn std::error::Error + Send + Sync>| GetError::Protocol {
        path: socket.to_owned(),
        source,
    };
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| refine(socket, error))?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| protocol(e.into()))?;
    let request = request
        .header(header::HOST, "localhost")
        .body(Full::new(body))
        .map_err(|e| protocol(e.into()))?;
    let ask = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|e| protocol(e.into()))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        let body = body.map_err(|error| protocol(described(error)))?.to_bytes();
        let body = String::from_utf8(body.into()).map_err(|e| protocol(e.into()))?;
        Ok(Reply { status, body })
    };
    let mut ask = std::pin::pin!(ask);
    // The connection's own work goes on beside the asking; what became of it, the asker hears.
    tokio::select! {
        biased;
        reply = &mut ask => reply,
        _ended = connection => ask.await,
    }
}

fn described(
    error: Box<dyn std::error::Error + Send + Sync>,
) -> Box<dyn std::error::Error + Send + Sync> {
    match error.is::<LengthLimitError>() {
        true => format!("larger than {} MiB", MAX_BODY >> 20).into(),
        false => error,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the standard library's list is open"
)]
fn refine(socket: &Path, source: io::Error) -> GetError {
    let path = socket.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => GetError::NotRunning(path),
        io::ErrorKind::PermissionDenied => GetError::Permission(path),
        _ => GetError::Io { path, source },
    }
}
