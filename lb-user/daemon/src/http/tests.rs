//! Server, socket and client against each other and against rude peers.

use std::{
    fs,
    future::Future,
    os::unix::{fs::PermissionsExt as _, net::UnixListener as StdListener},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::Notify,
};

use super::{
    client::{GetError, get, post},
    server::{MAX_CONNECTIONS, Request, Response, serve},
    socket::{BindError, UnixSocket},
};

/// A socket's path of the test's own.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("viaduct-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&directory));
        Self(directory)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("lb.sock")
    }

    fn message(&self, error: &impl std::fmt::Display) -> String {
        error
            .to_string()
            .replace(&self.0.display().to_string(), "DIR")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

async fn handler(request: Request) -> Option<Response> {
    match (request.path.as_str(), request.order) {
        ("/order", Some(order)) => Some(Response::text(format!(
            "{} bytes from {}\n",
            order.body.len(),
            order.user
        ))),
        (_, Some(_)) => None,
        ("/status", None) => Some(Response::json("{}")),
        ("/busy", None) => Some(Response::text("draining\n").status(503)),
        _ => None,
    }
}

/// Runs the test beside the servers it spawned.
fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(30), test).await };
    runtime.block_on(limited).expect("the test hangs")
}

async fn raw(address: std::net::SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    drop(stream.write_all(request.as_ref()).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_path_is_answered_over_the_unix_socket() {
    let scratch = Scratch::new("answered");
    block_on(async {
        let socket = UnixSocket::bind(&scratch.socket()).unwrap();
        let mode = fs::metadata(scratch.socket()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert_eq!(
            fs::read_dir(&scratch.0).unwrap().count(),
            1,
            "only the socket itself"
        );
        let server = tokio::spawn(serve(socket, handler));
        let ask = async |path| {
            let reply = get(&scratch.socket(), path).await.unwrap();
            (reply.status, reply.body)
        };
        assert_eq!(ask("/status").await, (200, "{}".to_owned()));
        assert_eq!(ask("/status?verbose").await.0, 200);
        assert_eq!(ask("/busy").await, (503, "draining\n".to_owned()));
        assert_eq!(ask("/else").await, (404, "no such page\n".to_owned()));
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        assert!(!scratch.socket().exists(), "removed with the server");
    });
}

#[test]
fn orders_are_taken_over_the_unix_socket_with_their_user_and_are_bounded() {
    let scratch = Scratch::new("orders");
    block_on(async {
        let socket = UnixSocket::bind(&scratch.socket()).unwrap();
        let _server = tokio::spawn(serve(socket, handler));
        let order = async |path, bytes| {
            let reply = post(&scratch.socket(), path, vec![b'x'; bytes]).await;
            let reply = reply.unwrap();
            (reply.status, reply.body)
        };
        let user = nix::unistd::getuid();
        let taken = format!("16384 bytes from {user}\n");
        assert_eq!(order("/order", 16 << 10).await, (200, taken));
        let refused = "a body of at most 16 KiB is taken\n".to_owned();
        assert_eq!(order("/order", (16 << 10) + 1).await, (413, refused));
        assert_eq!(order("/status", 0).await.0, 404);
        let reply = get(&scratch.socket(), "/order").await.unwrap();
        assert_eq!(reply.status, 404, "asking is no order");
    });
}

#[test]
fn over_tcp_only_get_is_served_and_heads_are_bounded() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _server = tokio::spawn(serve(listener, handler));
        let answer = raw(address, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains("content-type: application/json\r\n"),
            "{answer}"
        );
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        for method in ["POST", "HEAD", "DELETE", "BREW"] {
            let answer = raw(
                address,
                format!("{method} /status HTTP/1.1\r\nHost: x\r\n\r\n"),
            )
            .await;
            assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
            assert!(answer.contains("allow: GET\r\n"), "{answer}");
        }
        let large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
        assert!(raw(address, large).await.starts_with("HTTP/1.1 431 "));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65));
        assert!(raw(address, many).await.starts_with("HTTP/1.1 431 "));
        assert!(
            raw(address, "\0\0\0\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 400 ")
        );
    });
}

#[test]
fn connections_beyond_the_limit_wait_for_room() {
    let scratch = Scratch::new("limit");
    block_on(async {
        let socket = UnixSocket::bind(&scratch.socket()).unwrap();
        let (inside, full, open) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Notify::new()),
            Arc::new(Notify::new()),
        );
        let slow = {
            let (inside, full, open) = (inside.clone(), full.clone(), open.clone());
            move |_path| {
                let (inside, full, open) = (inside.clone(), full.clone(), open.clone());
                async move {
                    let opened = open.notified();
                    if inside.fetch_add(1, Ordering::Relaxed) + 1 == MAX_CONNECTIONS {
                        full.notify_one();
                    }
                    opened.await;
                    inside.fetch_sub(1, Ordering::Relaxed);
                    Some(Response::text("done"))
                }
            }
        };
        let _server = tokio::spawn(serve(socket, slow));
        let path = scratch.socket();
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..MAX_CONNECTIONS + 5 {
            let path = path.clone();
            clients.spawn(async move { get(&path, "/").await });
        }
        full.notified().await;
        // Everything that could run has run: nobody else has come in.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(inside.load(Ordering::Relaxed), MAX_CONNECTIONS);
        let mut done = 0;
        while done < MAX_CONNECTIONS + 5 {
            open.notify_waiters();
            if let Ok(Some(reply)) =
                tokio::time::timeout(Duration::from_millis(10), clients.join_next()).await
            {
                assert_eq!(reply.unwrap().unwrap().status, 200);
                done += 1;
            }
        }
    });
}

#[test]
fn a_live_daemon_keeps_its_socket_and_a_dead_ones_is_replaced() {
    let scratch = Scratch::new("stale");
    block_on(async {
        fs::create_dir_all(&scratch.0).unwrap();
        drop(StdListener::bind(scratch.socket()).unwrap());
        assert!(scratch.socket().exists(), "left behind");
        let first = UnixSocket::bind(&scratch.socket()).unwrap();
        let error = UnixSocket::bind(&scratch.socket()).unwrap_err();
        assert!(matches!(error, BindError::InUse(_)));
        assert_eq!(
            scratch.message(&error),
            "DIR/lb.sock: another daemon is running and listens here"
        );
        assert!(
            UnixStream::connect(scratch.socket()).await.is_ok(),
            "the first still answers"
        );
        fs::remove_file(scratch.socket()).unwrap();
        let second = UnixSocket::bind(&scratch.socket()).unwrap();
        drop(first);
        assert!(
            scratch.socket().exists(),
            "a successor's socket is not removed"
        );
        drop(second);
        assert!(!scratch.socket().exists());
    });
}

#[test]
fn a_file_in_the_way_is_left_alone() {
    let scratch = Scratch::new("file");
    block_on(async {
        fs::create_dir_all(&scratch.0).unwrap();
        fs::write(scratch.socket(), "precious").unwrap();
        let error = UnixSocket::bind(&scratch.socket()).unwrap_err();
        assert!(matches!(error, BindError::NotASocket(_)));
        assert_eq!(fs::read_to_string(scratch.socket()).unwrap(), "precious");
    });
}

#[test]
fn the_client_says_why_there_is_no_answer() {
    let scratch = Scratch::new("client");
    block_on(async {
        let error = get(&scratch.socket(), "/status").await.unwrap_err();
        assert_eq!(
            scratch.message(&error),
            "nothing listens at DIR/lb.sock: is the daemon running?"
        );
        fs::create_dir_all(&scratch.0).unwrap();
        drop(StdListener::bind(scratch.socket()).unwrap());
        let error = get(&scratch.socket(), "/status").await.unwrap_err();
        assert!(matches!(error, GetError::NotRunning(_)), "{error}");
        fs::remove_file(scratch.socket()).unwrap();
        let listener = tokio::net::UnixListener::bind(scratch.socket()).unwrap();
        let babble = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"hello?\r\n\r\n").await.unwrap();
            stream
        };
        let path = scratch.socket();
        let (reply, _stream) = tokio::join!(get(&path, "/status"), babble);
        assert!(matches!(reply.unwrap_err(), GetError::Protocol { .. }));
    });
}
