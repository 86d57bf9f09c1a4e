//! Clients and servers that are written byte by byte: what no well-behaved program does.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc::channel,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt};
use tests::{
    lab::{
        Lab, netns,
        proxy::{PROXY_ADDRESS, Proxy, proxied, site},
        topology::CLIENT,
        wait::SOON,
    },
    require,
};

/// Listens on port 80 of a web server's host.
pub(super) fn listen(lab: &Lab, host: &str) -> Result<TcpListener> {
    netns::within(&lab.netns(host), || Ok(TcpListener::bind("0.0.0.0:80")?))
}

/// A connection from the client's host to the proxy.
fn connect(lab: &Lab) -> Result<TcpStream> {
    let stream = netns::within(&lab.netns(CLIENT), || {
        Ok(TcpStream::connect((PROXY_ADDRESS, 80))?)
    })?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

/// Reads until these bytes are at the end.
pub(super) fn read_to(stream: &mut TcpStream, end: &str) -> Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(end.as_bytes()) {
        let read = stream.read(&mut byte);
        let so_far = || String::from_utf8_lossy(&text).into_owned();
        anyhow::ensure!(read.with_context(so_far)? == 1, "it ends with {}", so_far());
        text.push(byte[0]);
    }
    Ok(String::from_utf8(text)?)
}

/// Sends bytes and gives all that is answered until the connection closes.
pub(super) fn ask(lab: &Lab, bytes: &str) -> Result<String> {
    let mut stream = connect(lab)?;
    stream.write_all(bytes.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Serves connections one after the other.
pub(super) fn serve(
    listener: TcpListener,
    count: usize,
    serve: impl Fn(TcpStream) -> Result<()> + Send + 'static,
) -> thread::JoinHandle<Result<()>> {
    thread::spawn(move || {
        for _ in 0..count {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(SOON))?;
            serve(stream)?;
        }
        Ok(())
    })
}

pub(super) fn joined(server: thread::JoinHandle<Result<()>>) -> Result<()> {
    server.join().expect("the server's thread")
}

#[test]
fn pipelined_requests_are_answered_in_order() -> Result<()> {
    require!(root, tools, proxy);
    super::with_nginx(1, &site(1, "", ""), |lab, _| {
        let one = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n");
        let post = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let stream = one("/1", "") + post + &one("/3", "Connection: close\r\n");
        let text = ask(lab, &stream)?;
        let order: Vec<&str> = text
            .lines()
            .filter(|line| line.contains(" a 10.77"))
            .collect();
        let found: Vec<&str> = order
            .iter()
            .filter_map(|line| line.split(' ').nth(1))
            .collect();
        assert_eq!(found, ["/1", "/2", "/3"], "{text}");
        Ok(())
    })
}

#[test]
fn a_malformed_request_is_answered_and_reaches_no_server() -> Result<()> {
    require!(root, tools, proxy);
    super::with_nginx(1, &site(1, "", ""), |lab, proxy| {
        let both = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
            0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        for bad in [both, "GET / HTTP/1.1\nHost: a\n\n", "nonsense\r\n\r\n"] {
            let text = ask(lab, bad)?;
            assert!(
                text.starts_with("HTTP/1.1 400 Bad Request\r\n"),
                "{bad:?}: {text}"
            );
            assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
        }
        assert_eq!(proxy.server(0, "requests")?, 0);
        Ok(())
    })
}

#[test]
fn a_tunnel_carries_what_both_sides_say_until_both_have_closed() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let server = serve(listen(&lab, "web1")?, 1, |mut stream| {
        let head = read_to(&mut stream, "\r\n\r\n")?;
        assert!(head.contains("\r\nUpgrade: echo\r\n"), "{head}");
        assert!(head.contains("\r\nConnection: upgrade\r\n"), "{head}");
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhello")?;
        assert_eq!(read_to(&mut stream, "bye")?, "ping bye");
        stream.write_all(b"pong")?;
        // The client has said that it has no more to say; the server still has.
        assert_eq!(stream.read(&mut [0])?, 0);
        stream.write_all(b" after")?;
        Ok(())
    });
    let _proxy = Proxy::start(&lab, &site(1, "", ""))?;
    let mut stream = connect(&lab)?;
    stream.write_all(
        b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
    )?;
    let head = read_to(&mut stream, "\r\n\r\n")?;
    assert!(
        head.starts_with("HTTP/1.1 101 ") && head.contains("\r\nUpgrade: echo\r\n"),
        "{head}"
    );
    assert_eq!(read_to(&mut stream, "hello")?, "hello");
    stream.write_all(b"ping bye")?;
    assert_eq!(read_to(&mut stream, "pong")?, "pong");
    stream.shutdown(Shutdown::Write)?;
    let mut rest = String::new();
    stream.read_to_string(&mut rest)?;
    assert_eq!(rest, " after");
    joined(server)?;
    lab.finish()
}

#[test]
fn a_client_that_waits_for_leave_to_send_hears_the_server() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let server = serve(listen(&lab, "web1")?, 1, |mut stream| {
        let head = read_to(&mut stream, "\r\n\r\n")?;
        assert!(head.contains("\r\nExpect: 100-continue\r\n"), "{head}");
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        assert_eq!(read_to(&mut stream, "c")?, "abc");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        Ok(())
    });
    let _proxy = Proxy::start(&lab, &site(1, "", ""))?;
    let mut stream = connect(&lab)?;
    stream.write_all(
        b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    )?;
    assert_eq!(
        read_to(&mut stream, "\r\n\r\n")?,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream.write_all(b"abc")?;
    let head = read_to(&mut stream, "\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(read_to(&mut stream, "ok")?, "ok");
    joined(server)?;
    lab.finish()
}

#[test]
fn an_answer_that_breaks_off_is_not_made_whole() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let server = serve(listen(&lab, "web1")?, 1, |mut stream| {
        read_to(&mut stream, "\r\n\r\n")?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")?;
        Ok(())
    });
    let _proxy = Proxy::start(&lab, &site(1, "", ""))?;
    let text = ask(&lab, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
    assert!(text.ends_with("\r\n\r\n5\r\nhello\r\n"), "{text}");
    joined(server)?;
    lab.finish()
}

#[test]
fn a_kept_connection_that_closes_as_a_request_goes_out_costs_no_client_an_error() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    // Each connection has one request answered, and is closed when the next one is there.
    let server = serve(listen(&lab, "web1")?, 3, |mut stream| {
        read_to(&mut stream, "\r\n\r\n")?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        // The next one, or the end of the test.
        drop(read_to(&mut stream, "\r\n\r\n"));
        Ok(())
    });
    let proxy = Proxy::start(&lab, &site(1, "", "retries = 0"))?;
    let mut stream = connect(&lab)?;
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
        let head = read_to(&mut stream, "\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        read_to(&mut stream, "ok")?;
    }
    assert_eq!(
        proxy.server(0, "failures")?,
        0,
        "a closed connection is no failure"
    );
    assert_eq!(proxy.server(0, "connects")?, 3);
    // What may not be sent twice is not, not even then.
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")?;
    let head = read_to(&mut stream, "\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    joined(server)?;
    lab.finish()
}

#[test]
fn a_client_that_resets_its_connection_frees_the_server() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let (told, asked) = channel();
    let server = serve(listen(&lab, "web1")?, 1, move |mut stream| {
        read_to(&mut stream, "\r\n\r\n")?;
        told.send(())?;
        // Nobody waits for an answer: the proxy closes.
        assert_eq!(stream.read(&mut [0])?, 0);
        Ok(())
    });
    let proxy = Proxy::start(&lab, &site(1, "", ""))?;
    let mut stream = connect(&lab)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
    asked.recv()?;
    let at_once = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&stream, sockopt::Linger, &at_once)?;
    drop(stream);
    joined(server)?;
    proxy.wait_status("the request to be over", |status| {
        status["upstreams"][0]["servers"][0]["active"] == 0
    })?;
    assert_eq!(proxy.server(0, "failures")?, 0, "it was not the server");
    lab.finish()
}

#[test]
fn a_client_that_reads_nothing_holds_the_server_back_and_not_memory() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let (told, sent) = channel();
    let server = serve(listen(&lab, "web1")?, 1, move |mut stream| {
        read_to(&mut stream, "\r\n\r\n")?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n")?;
        stream.set_nonblocking(true)?;
        let (piece, mut bytes) = (vec![b'x'; 65_536], 0);
        // Until nothing more fits between here and the client, for a second.
        let mut full = 0;
        while full < 100 {
            match stream.write(&piece) {
                Ok(some) => (bytes, full) = (bytes + some, 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    full += 1;
                    thread::park_timeout(Duration::from_millis(10));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(told.send(bytes)?)
    });
    let proxy = Proxy::start(&lab, &site(1, "", ""))?;
    let mut stream = connect(&lab)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let sent = sent.recv()?;
    assert!(sent < 200 << 20, "{sent} bytes went nowhere");
    let status = format!("/proc/{}/status", proxy.daemon().life().pid);
    let status = std::fs::read_to_string(status)?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    let kilobytes: u64 = kilobytes.context("no VmRSS")?.parse()?;
    assert!(kilobytes < 64 << 10, "{kilobytes} KiB for {sent} bytes");
    drop(stream);
    joined(server)?;
    lab.finish()
}

#[test]
fn what_is_not_safe_to_send_twice_is_sent_once() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    // Reads a request whole, then closes without a word.
    let server = serve(listen(&lab, "web1")?, 3, |mut stream| {
        read_to(&mut stream, "\r\n\r\n").map(drop)
    });
    let proxy = Proxy::start(&lab, &site(1, "", "retries = 1"))?;
    let post = ask(
        &lab,
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    )?;
    assert!(post.starts_with("HTTP/1.1 502 "), "{post}");
    assert_eq!(proxy.server(0, "requests")?, 1);
    // There is no other server to try, so one more each.
    for _ in 0..2 {
        let get = ask(
            &lab,
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )?;
        assert!(get.starts_with("HTTP/1.1 502 "), "{get}");
    }
    assert_eq!(proxy.server(0, "requests")?, 3);
    joined(server)?;
    lab.finish()
}

#[test]
fn a_slow_head_is_answered_with_a_timeout_and_an_idle_connection_is_closed() -> Result<()> {
    require!(root, tools, proxy);
    let timeouts = "[proxy.timeouts]\nhead = \"500ms\"\nidle = \"500ms\"\nresponse = \"500ms\"\n";
    let lab = Lab::build(proxied(1))?;
    let server = serve(listen(&lab, "web1")?, 1, |mut stream| {
        read_to(&mut stream, "\r\n\r\n")?;
        // Silence, until the proxy has had enough.
        assert_eq!(stream.read(&mut [0])?, 0);
        Ok(())
    });
    let _proxy = Proxy::start(&lab, &site(1, timeouts, "retries = 0"))?;
    assert_eq!(ask(&lab, "")?, "", "nothing was asked");
    let text = ask(&lab, "GET / HTTP/1.1\r\nHos")?;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    let text = ask(
        &lab,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )?;
    assert!(text.starts_with("HTTP/1.1 504 "), "{text}");
    joined(server)?;
    lab.finish()
}

#[test]
fn a_request_cut_at_every_byte_is_the_same_request() -> Result<()> {
    require!(root, tools, proxy);
    super::with_nginx(1, &site(1, "", ""), |lab, _| {
        let mut stream = connect(lab)?;
        stream.set_nodelay(true)?;
        let post = "POST /cut HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for byte in post.as_bytes() {
            stream.write_all(&[*byte])?;
            thread::yield_now();
        }
        let text = read_to(&mut stream, "http\n")?;
        assert!(text.contains("POST /cut a "), "{text}");
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(())
    })
}
