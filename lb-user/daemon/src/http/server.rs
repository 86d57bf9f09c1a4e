//! The server: one request a connection, one handler for all listeners. `GET` everywhere; `POST` only
//! where the system says which user asks, over a unix socket.
//!
//! Not here: what it answers.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, StatusCode, body::Body, body::Bytes, header, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
};

/// Connections served at once; more wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 64;
/// How long a client may take over its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last, from accept to the last byte of the answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The most header lines of a request.
const MAX_HEADERS: usize = 64;
/// The largest body of a request, in bytes.
const MAX_BODY: usize = 16 * 1024;
/// How long to wait after the system refused a connection (no descriptor left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The path, without the query.
    pub path: String,
    /// What is to be done, where it is a `POST`; else it is a `GET`.
    pub order: Option<Order>,
}

/// The rest of a `POST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its body.
    pub body: Vec<u8>,
    /// The user who sent it, by the system's word.
    pub user: u32,
}

/// What a path is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// 200 with JSON.
    #[must_use]
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            body: body.into(),
        }
    }

    /// 200 with plain text.
    #[must_use]
    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }

    /// The same with another status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// What connections come from.
pub trait Listener {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection. Dropping the future loses none.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// The user at the other end, where the system knows; of nobody else is a `POST` taken.
    fn user(stream: &Self::Stream) -> Option<u32>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _peer)| stream)
    }

    fn user(_stream: &TcpStream) -> Option<u32> {
        None
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _peer)| stream)
    }

    fn user(stream: &UnixStream) -> Option<u32> {
        stream.peer_cred().ok().map(|peer| peer.uid())
    }
}

/// Serves until dropped, which also ends its connections. `handler` answers a request, or does not know
/// it (`None`: 404).
pub async fn serve<L, H, F>(listener: L, handler: H)
where
    L: Listener,
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Response>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Never closed, so never an error; a listener without room for a connection does not accept.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match listener.next().await {
            Ok(stream) => {
                let handler = handler.clone();
                connections.spawn(async move {
                    let user = L::user(&stream);
                    connection(stream, user, handler).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a status connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection<S, H, F>(stream: S, user: Option<u32>, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request) -> F,
    F: Future<Output = Option<Response>>,
{
    let service = hyper::service::service_fn(|request| answer(request, user, &handler));
    let exchange = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, exchange).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a status connection broke off"),
        Err(_elapsed) => tracing::debug!("a status connection took too long"),
    }
}

async fn answer<B, H, F>(
    request: hyper::Request<B>,
    user: Option<u32>,
    handler: &H,
) -> Result<hyper::Response<Full<Bytes>>, Infallible>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    H: Fn(Request) -> F,
    F: Future<Output = Option<Response>>,
{
    let path = request.uri().path().to_owned();
    let order = match (request.method(), user) {
        (&Method::GET, _) => None,
        (&Method::POST, Some(user)) => {
            let Ok(body) = Limited::new(request.into_body(), MAX_BODY).collect().await else {
                let refusal = format!("a body of at most {} KiB is taken\n", MAX_BODY >> 10);
                return Ok(rendered(Response::text(refusal).status(413)));
            };
            let body = body.to_bytes().into();
            Some(Order { body, user })
        }
        (_, Some(_)) => return Ok(not_served("GET, POST")),
        (_, None) => return Ok(not_served("GET")),
    };
    let answer = handler(Request { path, order }).await;
    Ok(rendered(answer.unwrap_or_else(|| {
        Response::text("no such page\n").status(404)
    })))
}

/// The refusal of another method than those.
fn not_served(methods: &'static str) -> hyper::Response<Full<Bytes>> {
    let mut refusal =
        rendered(Response::text(format!("only {methods} is served here\n")).status(405));
    refusal
        .headers_mut()
        .insert(header::ALLOW, header::HeaderValue::from_static(methods));
    refusal
}

fn rendered(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut rendered = hyper::Response::new(Full::new(Bytes::from(response.body)));
    *rendered.status_mut() =
        StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = header::HeaderValue::from_static(response.content_type);
    rendered
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    // A status is true for a moment only.
    let no_store = header::HeaderValue::from_static("no-store");
    rendered
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    rendered
}
