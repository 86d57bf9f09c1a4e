//! The HTTP probe: one `GET` over HTTP/1.1 on a connection of its own.
//!
//! The status decides. Of the body as much is read as fits in [`MAX_BODY`], for two reasons: a
//! server that promises a page and breaks off is not healthy, and closing with unread bytes would
//! reset the connection, which servers log as an error at every probe. Redirects are not followed
//! (3xx passes by default).

use std::{error::Error as _, future::Future, io, net::SocketAddr, pin::pin};

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;

use super::{failure, tcp};
use crate::{outcome::Failure, spec::HttpCheck};

/// The largest response head taken, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The most header lines taken.
const MAX_HEADERS: usize = 100;
/// How much of a body is read before the connection is closed, in bytes.
const MAX_BODY: usize = 64 * 1024;

const USER_AGENT: &str = concat!("viaduct-health/", env!("CARGO_PKG_VERSION"));

/// Asks for the path and judges the answer.
pub(super) async fn probe(target: SocketAddr, check: &HttpCheck) -> Result<(), Failure> {
    let mut stream = tcp::connect(target).await?;
    if !check.preamble.is_empty() {
        let written = stream.write_all(&check.preamble).await;
        written.map_err(|error| failure(&error))?;
    }
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| refine(&error))?;
    let exchange = async {
        let response = sender
            .send_request(request(target, check)?)
            .await
            .map_err(|e| refine(&e))?;
        judge(check, response.status().as_u16())?;
        drain(response.into_body()).await
    };
    drive(connection, exchange).await
}

fn request(target: SocketAddr, check: &HttpCheck) -> Result<Request<Empty<Bytes>>, Failure> {
    let host = match &check.host {
        Some(host) => host.as_str().to_owned(),
        None => own_host(target),
    };
    let request = Request::get(check.path.as_str())
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new());
    // The types of path and host take only what fits; should hyper ever be stricter, it is this
    // host's failure, not the target's.
    request.map_err(|_unexpected: hyper::http::Error| Failure::Local)
}

/// The `Host` of a target that was given none: its address, and its port unless it is the default.
fn own_host(target: SocketAddr) -> String {
    match (target, target.port()) {
        (SocketAddr::V4(v4), 80) => v4.ip().to_string(),
        (SocketAddr::V6(v6), 80) => format!("[{}]", v6.ip()),
        (SocketAddr::V4(v4), port) => format!("{}:{port}", v4.ip()),
        (SocketAddr::V6(v6), port) => format!("[{}]:{port}", v6.ip()),
    }
}

fn judge(check: &HttpCheck, status: u16) -> Result<(), Failure> {
    if check.statuses.contains(status) {
        Ok(())
    } else {
        Err(Failure::Status(status))
    }
}

/// Reads the body to its end, or to [`MAX_BODY`].
async fn drain(mut body: Incoming) -> Result<(), Failure> {
    let mut read = 0;
    while read < MAX_BODY {
        let Some(frame) = body.frame().await else {
            break;
        };
        let frame = frame.map_err(|error| refine(&error))?;
        read += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(())
}

/// Runs the exchange to its end, with the connection's own work beside it.
async fn drive<C, E>(connection: C, exchange: E) -> Result<(), Failure>
where
    C: Future<Output = hyper::Result<()>>,
    E: Future<Output = Result<(), Failure>>,
{
    let mut exchange = pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        // The connection has said all it will; what the exchange makes of it is the verdict. Its own
        // error is the better one where the exchange only hears that the connection went away.
        ended = connection => match (exchange.await, ended) {
            (Err(Failure::Closed), Err(error)) => Err(refine(&error)),
            (result, _) => result,
        },
    }
}

/// What hyper's error says about the target.
fn refine(error: &hyper::Error) -> Failure {
    if error.is_parse_too_large() {
        return Failure::TooLarge;
    }
    if error.is_parse() {
        return Failure::Malformed;
    }
    match error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
    {
        Some(io) => failure(io),
        None => Failure::Closed,
    }
}
