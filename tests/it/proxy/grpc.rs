//! What gRPC needs: HTTP/2 on both sides, streams both ways at once, trailers, and an end that is heard.

use std::{
    future::poll_fn,
    net::{SocketAddr, TcpListener, TcpStream},
    thread::JoinHandle,
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::SendRequest,
    server::{Connection, SendResponse},
};
use http::{HeaderMap, HeaderValue, Request, Response};
use tests::{
    lab::{
        Lab, netns,
        proxy::{PROXY_ADDRESS, Proxy, proxied, site},
        topology::CLIENT,
        wait::{SOON, eventually},
    },
    require,
};

/// Runs work with sockets of a host on a runtime of its own.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    // Connections go on while the test waits for something else.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async { tokio::time::timeout(SOON, work).await.context("it hangs")? })
}

/// A client's connection to the proxy.
async fn connect(stream: TcpStream) -> Result<SendRequest<Bytes>> {
    stream.set_nonblocking(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let (client, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(client.ready().await?)
}

fn call(path: &str) -> Result<Request<()>> {
    let target: SocketAddr = (PROXY_ADDRESS, 80).into();
    let request = Request::post(format!("http://{target}{path}"))
        .header("te", "trailers")
        .header("content-type", "application/grpc");
    Ok(request.body(())?)
}

/// Serves one connection on a web server's host, as gRPC's servers do.
fn serve(lab: &Lab) -> Result<JoinHandle<Result<Vec<String>>>> {
    let listener = netns::within(&lab.netns("web1"), || Ok(TcpListener::bind("0.0.0.0:80")?))?;
    Ok(std::thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        block_on(async {
            let stream = tokio::net::TcpStream::from_std(stream)?;
            let mut connection: Connection<_, Bytes> = h2::server::handshake(stream).await?;
            let mut seen = Vec::new();
            let mut calls = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    next = connection.accept() => match next {
                        Some(next) => {
                            let (request, respond) = next?;
                            calls.spawn(one(request, respond));
                        }
                        None => break,
                    },
                    Some(done) = calls.join_next() => seen.push(done??),
                }
            }
            Ok(seen)
        })
    }))
}

/// Serves one call; gives what became of it.
async fn one(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<String> {
    let (head, mut body) = request.into_parts();
    ensure!(
        head.headers.get("te").is_some_and(|te| te == "trailers"),
        "{head:?}"
    );
    ensure!(head.headers.contains_key("x-forwarded-for"), "{head:?}");
    let answer = Response::builder().header("content-type", "application/grpc");
    match head.uri.path() {
        "/echo" => {
            let mut send = respond.send_response(answer.body(())?, false)?;
            while let Some(chunk) = body.data().await {
                let chunk = chunk?;
                body.flow_control().release_capacity(chunk.len())?;
                say(&mut send, chunk).await?;
            }
            let asked = body.trailers().await?.unwrap_or_default();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            if let Some(value) = asked.get("x-asked") {
                trailers.insert("x-answered", value.clone());
            }
            send.send_trailers(trailers)?;
            Ok("echoed".to_owned())
        }
        "/fail" => {
            let answer = answer.header("grpc-status", "5").body(())?;
            respond.send_response(answer, true)?;
            Ok("failed".to_owned())
        }
        _ => {
            let reason = poll_fn(|cx| respond.poll_reset(cx)).await?;
            Ok(format!("taken back: {reason:?}"))
        }
    }
}

async fn say(send: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<()> {
    while !bytes.is_empty() {
        send.reserve_capacity(bytes.len());
        let room = poll_fn(|cx| send.poll_capacity(cx)).await;
        let room = room.context("the stream has ended")??;
        send.send_data(bytes.split_to(room.min(bytes.len())), false)?;
    }
    Ok(())
}

async fn hear(body: &mut RecvStream) -> Result<Option<Bytes>> {
    let Some(chunk) = body.data().await.transpose()? else {
        return Ok(None);
    };
    body.flow_control().release_capacity(chunk.len())?;
    Ok(Some(chunk))
}

#[test]
fn calls_stream_both_ways_and_end_with_their_trailers() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let server = serve(&lab)?;
    let proxy = Proxy::start(
        &lab,
        &site(1, "", "http2 = true\n").replace("threads = 2", "threads = 1"),
    )?;
    let stream = netns::within(&lab.netns(CLIENT), || {
        Ok(TcpStream::connect((PROXY_ADDRESS, 80))?)
    })?;
    block_on(async {
        let mut client = connect(stream).await?;
        // One message at a time: each is answered before the next one is sent.
        let (answer, mut send) = client.send_request(call("/echo")?, false)?;
        say(&mut send, Bytes::from_static(b"first")).await?;
        let mut body = answer.await?.into_body();
        assert_eq!(hear(&mut body).await?.as_deref(), Some(&b"first"[..]));
        say(&mut send, Bytes::from_static(b"second")).await?;
        assert_eq!(hear(&mut body).await?.as_deref(), Some(&b"second"[..]));
        // Another one at the same time, larger than any window.
        let large = Bytes::from(vec![b'x'; 3 << 20]);
        let (answer, mut other) = client.send_request(call("/echo")?, false)?;
        let sent = large.clone();
        let sending = tokio::spawn(async move {
            say(&mut other, sent).await?;
            other.send_data(Bytes::new(), true)?;
            anyhow::Ok(())
        });
        let mut echoed = answer.await?.into_body();
        let mut length = 0;
        while let Some(chunk) = hear(&mut echoed).await? {
            length += chunk.len();
        }
        sending.await??;
        assert_eq!(length, large.len());
        let mut trailers = HeaderMap::new();
        trailers.insert("x-asked", HeaderValue::from_static("why"));
        send.send_trailers(trailers)?;
        assert_eq!(hear(&mut body).await?, None);
        let trailers = body.trailers().await?.context("no trailers")?;
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["x-answered"], "why");
        // An answer that is a head and nothing else stays that.
        let (answer, _) = client.send_request(call("/fail")?, true)?;
        let answer = answer.await?;
        assert_eq!(answer.headers()["grpc-status"], "5");
        assert!(answer.body().is_end_stream());
        // A client that goes away takes its call with it.
        let (answer, mut send) = client.send_request(call("/wait")?, true)?;
        eventually(SOON, "the call", || {
            Ok((proxy.server(0, "active")? == 1).then_some(()))
        })?;
        send.send_reset(h2::Reason::CANCEL);
        drop(answer);
        eventually(SOON, "the end of the call", || {
            Ok((proxy.server(0, "active")? == 0).then_some(()))
        })?;
        Ok(())
    })?;
    assert_eq!(
        proxy.server(0, "connects")?,
        1,
        "all calls share a connection"
    );
    assert!(proxy.daemon().terminate()?.success());
    let mut seen = server.join().expect("the server's thread")?;
    seen.sort();
    let expected = ["echoed", "echoed", "failed", "taken back: CANCEL"];
    assert_eq!(seen, expected);
    lab.finish()
}
