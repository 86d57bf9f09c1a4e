//! `viaduct-demo fetch`: one URL, its length and its hash; or bytes sent to it.
//!
//! Not here: keeping what was fetched.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use http_body_util::{BodyExt as _, Either, Empty};
use hyper::{Method, Request, Response, Uri, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpStream, time::timeout};

use super::{
    blob::{Blob, hex},
    request::server_of,
};

/// For how long nothing may come before the transfer counts as hung.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long an upload as a whole may take.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(20);

/// The command line of `fetch`.
#[derive(Args, Clone, Debug)]
pub struct FetchArgs {
    /// What to fetch: http://ADDRESS[:PORT]/PATH.
    url: Uri,
    /// POST instead of GET.
    #[arg(long)]
    post: bool,
    /// PUT bytes made from a seed; the answer says how many came, and their hash.
    #[arg(long, value_name = "BYTES?SEED", value_parser = blob)]
    upload: Option<Blob>,
}

fn blob(text: &str) -> Result<Blob> {
    let (bytes, seed) = text.split_once('?').unwrap_or((text, "0"));
    Ok(Blob::new(seed.parse()?, bytes.parse()?))
}

/// What was fetched, or what the server says came of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// The web server that answered.
    pub server: Option<String>,
    /// The body's length.
    pub bytes: u64,
    /// The body's SHA-256 in hexadecimal.
    pub sha256: String,
}

/// Fetches and writes a [`Fetched`] as JSON.
///
/// # Errors
/// When the transfer fails or hangs.
pub fn run(args: &FetchArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let fetched = runtime.block_on(fetch(args))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&fetched)?)?;
    Ok(())
}

async fn fetch(args: &FetchArgs) -> Result<Fetched> {
    let authority = args.url.authority().context("the URL names no host")?;
    let host = authority.host().trim_matches(['[', ']']);
    let target = (host, authority.port_u16().unwrap_or(80));
    let stream = timeout(PATIENCE, TcpStream::connect(target))
        .await
        .context("no connection")??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    drop(tokio::spawn(connection));

    let (method, patience) = match (args.upload, args.post) {
        (Some(_), _) => (Method::PUT, UPLOAD_PATIENCE),
        (None, true) => (Method::POST, PATIENCE),
        (None, false) => (Method::GET, PATIENCE),
    };
    let path = args.url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", authority.as_str())
        .body(
            args.upload
                .map_or(Either::Left(Empty::new()), Either::Right),
        )?;
    let response = timeout(patience, sender.send_request(request))
        .await
        .context("no answer")??;
    if args.upload.is_some() && response.status() == 200 {
        return uploaded(response).await;
    }
    received(response).await
}

/// What the server says came of an upload: `BYTES SHA256`.
async fn uploaded(response: Response<Incoming>) -> Result<Fetched> {
    let (status, server) = (response.status().as_u16(), server_of(&response));
    let body = response.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    let (bytes, sha256) = text.trim().split_once(' ').context("not from a sink")?;
    Ok(Fetched {
        status,
        server,
        bytes: bytes.parse()?,
        sha256: sha256.to_owned(),
    })
}

async fn received(response: Response<Incoming>) -> Result<Fetched> {
    let (status, server) = (response.status().as_u16(), server_of(&response));
    let (mut bytes, mut hash) = (0_u64, Sha256::new());
    let mut body = response.into_body();
    while let Some(frame) = timeout(PATIENCE, body.frame())
        .await
        .with_context(|| format!("hung after {bytes} bytes"))?
    {
        if let Ok(data) = frame
            .with_context(|| format!("broke after {bytes} bytes"))?
            .into_data()
        {
            bytes += data.len() as u64;
            hash.update(&data);
        }
    }
    Ok(Fetched {
        status,
        server,
        bytes,
        sha256: hex(&hash.finalize()),
    })
}
