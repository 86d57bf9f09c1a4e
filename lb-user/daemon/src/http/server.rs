//! The server: one request a connection, `GET` only, one handler for all listeners.
//!
//! Not here: what it answers.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{Method, Request, StatusCode, body::Bytes, header, server::conn::http1};
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
/// How long to wait after the system refused a connection (no descriptor left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _peer)| stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _peer)| stream)
    }
}

/// Serves until dropped, which also ends its connections. `handler` gets the path of a `GET` (without
/// the query) and answers it, or does not know it (`None`: 404).
pub async fn serve<L, H, F>(listener: L, handler: H)
where
    L: Listener,
    H: Fn(String) -> F + Clone + Send + Sync + 'static,
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
                    connection(stream, handler).await;
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

async fn connection<S, H, F>(stream: S, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(String) -> F,
    F: Future<Output = Option<Response>>,
{
    let service = hyper::service::service_fn(|request| answer(request, &handler));
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
    request: Request<B>,
    handler: &H,
) -> Result<hyper::Response<Full<Bytes>>, Infallible>
where
    H: Fn(String) -> F,
    F: Future<Output = Option<Response>>,
{
    if request.method() != Method::GET {
        let mut refusal = rendered(Response::text("only GET is served here\n").status(405));
        refusal
            .headers_mut()
            .insert(header::ALLOW, header::HeaderValue::from_static("GET"));
        return Ok(refusal);
    }
    let answer = handler(request.uri().path().to_owned()).await;
    Ok(rendered(answer.unwrap_or_else(|| {
        Response::text("no such page\n").status(404)
    })))
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
