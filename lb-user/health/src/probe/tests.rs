//! Probes against real listeners on the loopback interface: good ones and every kind of bad one.

use std::{future::Future, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::spec::HttpCheck;

/// Long enough for any loaded machine: only the tests of silence wait for it, with a short one.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

fn http() -> ProbeKind {
    ProbeKind::Http(HttpCheck::default())
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Everything up to the blank line of a request.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Probes a server that takes one connection, reads the request and sends `answer`; returns what the
/// probe said and the request.
async fn against(answer: impl AsRef<[u8]>, check: HttpCheck) -> (Result<(), Failure>, String) {
    let (listener, address) = listener().await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        // A probe that has seen enough may close before all is written.
        drop(stream.write_all(answer.as_ref()).await);
        head
    };
    let kind = ProbeKind::Http(check);
    tokio::join!(run(address, &kind, PATIENCE), serve)
}

async fn verdict_on(answer: impl AsRef<[u8]>) -> Result<(), Failure> {
    against(answer, HttpCheck::default()).await.0
}

fn block_on<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

#[test]
fn tcp_passes_where_something_listens_and_closes_without_a_reset() {
    block_on(async {
        let (listener, address) = listener().await;
        assert_eq!(run(address, &ProbeKind::Tcp, PATIENCE).await, Ok(()));
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(
            stream.read(&mut [0; 8]).await.unwrap(),
            0,
            "end of stream, not an error"
        );
    });
}

#[test]
fn a_port_nobody_listens_on_refuses() {
    block_on(async {
        let (listener, address) = listener().await;
        drop(listener);
        assert_eq!(
            run(address, &ProbeKind::Tcp, PATIENCE).await,
            Err(Failure::Refused)
        );
        assert_eq!(run(address, &http(), PATIENCE).await, Err(Failure::Refused));
    });
}

#[test]
fn a_server_that_accepts_and_is_silent_times_out() {
    block_on(async {
        let (_listener, address) = listener().await;
        assert_eq!(run(address, &http(), SHORT).await, Err(Failure::Timeout));
    });
}

#[test]
fn a_body_that_never_comes_times_out() {
    block_on(async {
        let (listener, address) = listener().await;
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                .await
                .unwrap();
            stream.read(&mut [0; 8]).await
        };
        let kind = http();
        let (result, _) = tokio::join!(run(address, &kind, SHORT), serve);
        assert_eq!(result, Err(Failure::Timeout));
    });
}

#[test]
fn the_status_decides() {
    block_on(async {
        assert_eq!(
            verdict_on("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await,
            Ok(())
        );
        assert_eq!(verdict_on("HTTP/1.0 204 No Content\r\n\r\n").await, Ok(()));
        assert_eq!(
            verdict_on("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n").await,
            Ok(())
        );
        let busy =
            verdict_on("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(busy, Err(Failure::Status(503)));
        let statuses = crate::StatusSet::new(vec!["503".parse().unwrap()]);
        let check = HttpCheck {
            statuses,
            ..HttpCheck::default()
        };
        let (wanted, _) = against("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", check).await;
        assert_eq!(wanted, Ok(()));
    });
}

#[test]
fn what_is_not_http_is_malformed() {
    block_on(async {
        assert_eq!(
            verdict_on("SSH-2.0-OpenSSH_9.2p1\r\n").await,
            Err(Failure::Malformed)
        );
        assert_eq!(verdict_on([0xff; 64]).await, Err(Failure::Malformed));
        let broken = verdict_on("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n").await;
        assert_eq!(broken, Err(Failure::Malformed));
    });
}

#[test]
fn a_head_without_end_is_too_large() {
    block_on(async {
        let mut one_line = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        one_line.extend([b'x'; 100_000]);
        assert_eq!(verdict_on(one_line).await, Err(Failure::TooLarge));
        let lines = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MANY));
        assert_eq!(verdict_on(lines).await, Err(Failure::TooLarge));
    });
}
/// More header lines than a probe takes.
const MANY: usize = 101;

#[test]
fn a_connection_that_ends_too_early_is_closed() {
    block_on(async {
        assert_eq!(verdict_on("").await, Err(Failure::Closed));
        assert_eq!(verdict_on("HTTP/1.1 200 O").await, Err(Failure::Closed));
        let half = verdict_on("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        assert_eq!(half, Err(Failure::Closed));
    });
}

#[test]
fn a_page_larger_than_a_probe_reads_passes() {
    block_on(async {
        let page = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n{}",
            "x".repeat(999_999)
        );
        assert_eq!(verdict_on(page).await, Ok(()));
    });
}

#[test]
fn the_request_says_what_it_should() {
    block_on(async {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let check = HttpCheck {
            path: "/health?deep=1".parse().unwrap(),
            host: Some("www.example.com".parse().unwrap()),
            ..HttpCheck::default()
        };
        let (_, request) = against(answer, check).await;
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            request,
            format!(
                "GET /health?deep=1 HTTP/1.1\r\nhost: www.example.com\r\n\
                 user-agent: viaduct-health/{version}\r\naccept: */*\r\nconnection: close\r\n\r\n"
            )
        );
        let (_, request) = against(answer, HttpCheck::default()).await;
        assert!(request.contains("\r\nhost: 127.0.0.1:"), "{request}");
    });
}

#[test]
fn errors_of_this_host_are_not_the_targets() {
    assert_eq!(
        failure(&io::Error::from_raw_os_error(24)),
        Failure::Local,
        "EMFILE"
    );
    assert_eq!(
        failure(&io::Error::from_raw_os_error(99)),
        Failure::Local,
        "EADDRNOTAVAIL"
    );
    assert_eq!(
        failure(&io::Error::from_raw_os_error(113)),
        Failure::Unreachable,
        "EHOSTUNREACH"
    );
    assert_eq!(
        failure(&io::Error::from_raw_os_error(101)),
        Failure::Unreachable,
        "ENETUNREACH"
    );
    assert_eq!(
        failure(&io::Error::from_raw_os_error(104)),
        Failure::Reset,
        "ECONNRESET"
    );
}
