//! `viaduct-demo web`: the small web server that plays a real server, and a UDP echo beside it.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the server's name |
//! | `GET /blob/BYTES?SEED` | that many bytes, made from the seed |
//! | `PUT /sink` | how many bytes came, and their SHA-256 |
//! | `GET /slow/MILLISECONDS` | the name, that much later |
//! | `GET /health` | 200, or 503 after `POST /health/off` until `POST /health/on` |
//!
//! Not here: anything a real web server needs to be safe on the Internet.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UdpSocket};

use sha2::{Digest as _, Sha256};

use super::{
    blob::{Blob, hex},
    request::SERVER_HEADER,
};

/// The longest wait and the largest blob it gives.
const SLOWEST: u64 = 60_000;
const LARGEST: u64 = 1 << 32;

/// The command line of `web`.
#[derive(Args, Clone, Debug)]
pub struct WebArgs {
    /// Where to serve HTTP, IP:PORT.
    #[arg(long)]
    listen: SocketAddr,
    /// Where to echo datagrams, IP:PORT; each answer begins with the name.
    #[arg(long)]
    udp: Vec<SocketAddr>,
    /// The name to answer with.
    #[arg(long)]
    name: String,
}

/// One web server.
struct Server {
    name: String,
    healthy: AtomicBool,
}

type Body = Either<Full<Bytes>, Blob>;

/// Serves until a signal ends the process.
///
/// # Errors
/// When an address cannot be had.
pub fn run(args: WebArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: WebArgs) -> Result<()> {
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    for address in &args.udp {
        let socket = UdpSocket::bind(address).await;
        let socket = socket.with_context(|| format!("cannot listen on udp {address}"))?;
        drop(tokio::spawn(echo(socket, args.name.clone())));
    }
    eprintln!("listening on {} {:?}", args.listen, args.udp);
    let server = Arc::new(Server {
        name: args.name,
        healthy: AtomicBool::new(true),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let server = Arc::clone(&server);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        // A client that goes away ends its own connection and nothing else.
        drop(tokio::spawn(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        ));
    }
}

async fn echo(socket: UdpSocket, name: String) {
    let mut buffer = vec![0; 65_536];
    loop {
        // Both fail only for what a client did (its port closed): the next datagram is another's.
        if let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let answer = [name.as_bytes(), &buffer[..length]].concat();
            drop(socket.send_to(&answer, from).await);
        }
    }
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (status, body) = match (request.method(), request.uri().path()) {
            (&Method::PUT, "/sink") => swallowed(request.into_body()).await,
            _ => self.said(&request).await,
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        if let Ok(name) = self.name.parse() {
            response.headers_mut().insert(SERVER_HEADER, name);
        }
        response
    }

    async fn said(&self, request: &Request<Incoming>) -> (StatusCode, Body) {
        let path = request.uri().path();
        match (request.method(), path) {
            (&Method::GET, "/") => (StatusCode::OK, self.text()),
            (&Method::GET, "/health") if self.healthy.load(Ordering::Relaxed) => {
                (StatusCode::OK, self.text())
            }
            (&Method::GET, "/health") => (StatusCode::SERVICE_UNAVAILABLE, self.text()),
            (&Method::POST, "/health/on" | "/health/off") => {
                self.healthy.store(path.ends_with("on"), Ordering::Relaxed);
                (StatusCode::OK, self.text())
            }
            (&Method::GET, _) => self.made_to_order(request).await,
            _ => (StatusCode::METHOD_NOT_ALLOWED, self.text()),
        }
    }

    async fn made_to_order(&self, request: &Request<Incoming>) -> (StatusCode, Body) {
        let number = |prefix: &str, most: u64| {
            let number = request
                .uri()
                .path()
                .strip_prefix(prefix)?
                .parse::<u64>()
                .ok()?;
            (number <= most).then_some(number)
        };
        if let Some(bytes) = number("/blob/", LARGEST) {
            let seed = request.uri().query().and_then(|seed| seed.parse().ok());
            return (
                StatusCode::OK,
                Either::Right(Blob::new(seed.unwrap_or(0), bytes)),
            );
        }
        if let Some(wait) = number("/slow/", SLOWEST) {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            return (StatusCode::OK, self.text());
        }
        (StatusCode::NOT_FOUND, self.text())
    }

    fn text(&self) -> Body {
        Either::Left(Full::from(format!("{}\n", self.name)))
    }
}

/// Reads a body to its end, and says what it was.
async fn swallowed(mut body: Incoming) -> (StatusCode, Body) {
    let (mut bytes, mut hash) = (0, Sha256::new());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            let message = format!("broke after {bytes} bytes\n");
            return (StatusCode::BAD_REQUEST, Either::Left(Full::from(message)));
        };
        if let Ok(data) = frame.into_data() {
            bytes += data.len();
            hash.update(&data);
        }
    }
    let text = format!("{bytes} {}\n", hex(&hash.finalize()));
    (StatusCode::OK, Either::Left(Full::from(text)))
}
