//! One HTTP request over one TCP connection, and the ways in which it can fail.
//!
//! Not here: rates, counts and repetition (`load`).

use std::{error::Error, io, net::SocketAddr, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, time::timeout};

/// After how long a request counts as failed: longer than one lost and repeated packet takes.
const PATIENCE: Duration = Duration::from_secs(3);

/// The header in which the lab's web server says its name.
pub const SERVER_HEADER: &str = "x-real";

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The connection was refused.
    Refused,
    /// No answer to the connection's opening.
    ConnectTimeout,
    /// The connection could not be opened for another reason.
    Connect,
    /// The connection was reset while the request was in flight.
    Reset,
    /// The connection was closed before the whole answer came.
    Closed,
    /// No whole answer came in time.
    Timeout,
    /// An answer came with a status that is not 200.
    Status,
    /// What came was not HTTP, or not from a lab's web server.
    Garbled,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    /// Who answered the last request on it.
    pub(super) server: Option<String>,
}

/// What a request on a connection comes to.
pub(super) enum Outcome {
    /// Answered by this server.
    Served(String),
    /// The connection had been closed; the request was never sent.
    NotSent,
    /// It failed.
    Failed(FailureKind),
}

impl Connection {
    /// Opens a connection.
    pub(super) async fn open(target: SocketAddr) -> Result<Self, FailureKind> {
        let stream = match timeout(PATIENCE, TcpStream::connect(target)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(kind_of_opening(&error)),
            Err(_elapsed) => return Err(FailureKind::ConnectTimeout),
        };
        let (sender, connection) = match http1::handshake(TokioIo::new(stream)).await {
            Ok(pair) => pair,
            Err(error) => return Err(kind_of(&error)),
        };
        // It ends with the sender; what it has to say, the sender's user is told as well.
        drop(tokio::spawn(connection));
        Ok(Self {
            sender,
            server: None,
        })
    }

    /// Makes a request and reads the whole answer.
    pub(super) async fn get(&mut self, path: &str, keepalive: bool) -> Outcome {
        let connection = if keepalive { "keep-alive" } else { "close" };
        let request = Request::get(path)
            .header("host", "lab")
            .header("connection", connection)
            .body(Empty::<Bytes>::new());
        let Ok(request) = request else {
            return Outcome::Failed(FailureKind::Garbled);
        };
        match timeout(PATIENCE, self.exchange(request)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Outcome::Failed(FailureKind::Timeout),
        }
    }

    async fn exchange(&mut self, request: Request<Empty<Bytes>>) -> Outcome {
        if self.sender.ready().await.is_err() {
            return Outcome::NotSent;
        }
        let response = match self.sender.try_send_request(request).await {
            Ok(response) => response,
            Err(unsent) if unsent.message().is_some() => return Outcome::NotSent,
            Err(sent) => return Outcome::Failed(kind_of(sent.error())),
        };
        let status = response.status();
        let server = server_of(&response);
        if let Err(error) = response.into_body().collect().await {
            return Outcome::Failed(kind_of(&error));
        }
        match server {
            _ if status != 200 => Outcome::Failed(FailureKind::Status),
            None => Outcome::Failed(FailureKind::Garbled),
            Some(server) => {
                self.server = Some(server.clone());
                Outcome::Served(server)
            }
        }
    }
}

/// The name of the web server that answered.
pub(super) fn server_of(response: &hyper::Response<Incoming>) -> Option<String> {
    Some(
        response
            .headers()
            .get(SERVER_HEADER)?
            .to_str()
            .ok()?
            .to_owned(),
    )
}

fn kind_of_opening(error: &io::Error) -> FailureKind {
    const KINDS: [(io::ErrorKind, FailureKind); 3] = [
        (io::ErrorKind::ConnectionRefused, FailureKind::Refused),
        (io::ErrorKind::TimedOut, FailureKind::ConnectTimeout),
        // Opened and reset before we could look.
        (io::ErrorKind::ConnectionReset, FailureKind::Reset),
    ];
    let known = KINDS.iter().find(|(kind, _)| *kind == error.kind());
    known.map_or(FailureKind::Connect, |(_, kind)| *kind)
}

fn kind_of(error: &hyper::Error) -> FailureKind {
    let io = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => FailureKind::Reset,
        _ if error.is_incomplete_message() || error.is_canceled() => FailureKind::Closed,
        _ => FailureKind::Garbled,
    }
}
