//! Servers that hang, reset and half-close while requests go on; and crowds of clients that do little.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::Signal,
    socket::{setsockopt, sockopt},
};
use tests::{
    lab::{
        Lab, netns,
        proxy::{PROXY_ADDRESS, Proxy, proxied, site},
        topology::CLIENT,
        wait::SOON,
    },
    require,
};

use super::{
    LOCATIONS,
    raw::{ask, joined, listen, read_to, serve},
    with_nginx,
};

/// Clients of a crowd.
const CROWD: usize = 2000;
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_server_that_hangs_costs_time_and_no_request() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(2))?;
    let hanging = lab.nginx(1, LOCATIONS)?;
    lab.nginx(2, LOCATIONS)?;
    let times = "[proxy.timeouts]\nresponse = \"500ms\"\nconnect = \"500ms\"\n";
    let proxy = Proxy::start(&lab, &site(2, times, "max_failures = 2\neject = \"30s\""))?;
    let target = (PROXY_ADDRESS, 80).into();
    let load = lab.load_at(target, &["--workers", "8", "--keepalive", "--rate", "400"])?;
    load.more(200)?;
    // It takes connections, as its kernel does that for it, and says nothing.
    hanging.signal(Signal::SIGSTOP)?;
    proxy.wait_status("the server to be left alone", |status| {
        status["upstreams"][0]["servers"][0]["ejected"] == true
    })?;
    load.more(200)?;
    hanging.signal(Signal::SIGCONT)?;
    let outcome = load.stop()?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    assert!(proxy.server(0, "failures")? >= 2, "it was noticed");
    lab.finish()
}

#[test]
fn an_answer_that_is_reset_in_its_middle_is_not_made_whole() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let server = serve(listen(&lab, "web1")?, 1, |mut stream| {
        read_to(&mut stream, "\r\n\r\n")?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        // Not before the proxy has it.
        read_to(&mut stream, "more")?;
        let at_once = nix::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        Ok(setsockopt(&stream, sockopt::Linger, &at_once)?)
    });
    let proxy = Proxy::start(&lab, &site(1, "", ""))?;
    let mut stream = crowd(&lab, 1)?.remove(0);
    stream.write_all(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")?;
    let head = read_to(&mut stream, "half")?;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    stream.write_all(b"and more")?;
    let mut rest = Vec::new();
    // An end or a reset: either way less than was announced.
    drop(stream.read_to_end(&mut rest));
    assert_eq!(rest, b"");
    joined(server)?;
    assert_eq!(proxy.server(0, "failures")?, 1);
    lab.finish()
}

#[test]
fn a_server_that_half_closes_may_still_be_told_and_may_have_answered() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let server = serve(listen(&lab, "web1")?, 2, |mut stream| {
        let head = read_to(&mut stream, "\r\n\r\n")?;
        if head.contains("/answered") {
            // The end of the stream is the end of the answer.
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nall of it")?;
        }
        stream.shutdown(Shutdown::Write)?;
        drop(stream.read(&mut [0]));
        Ok(())
    });
    let _proxy = Proxy::start(&lab, &site(1, "", "retries = 0"))?;
    let get = |path: &str| format!("GET {path} HTTP/1.0\r\nHost: a\r\n\r\n");
    let text = ask(&lab, &get("/answered"))?;
    assert!(
        text.starts_with("HTTP/1.1 200 ") && text.ends_with("\r\n\r\nall of it"),
        "{text}"
    );
    let text = ask(&lab, &get("/not"))?;
    assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
    joined(server)?;
    lab.finish()
}

/// So many connections from the client's host to the proxy.
fn crowd(lab: &Lab, count: usize) -> Result<Vec<TcpStream>> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    netns::within(&lab.netns(CLIENT), || {
        let one = |nth| {
            let stream = TcpStream::connect((PROXY_ADDRESS, 80));
            let stream = stream.with_context(|| format!("connection {nth}"))?;
            stream.set_read_timeout(Some(SOON))?;
            Ok(stream)
        };
        (0..count).map(one).collect()
    })
}

#[test]
fn thousands_of_slow_clients_hold_nobody_up_and_are_told_to_hurry() -> Result<()> {
    require!(root, tools, proxy);
    let times = "[proxy.timeouts]\nhead = \"3s\"\n";
    with_nginx(1, &site(1, times, ""), |lab, proxy| {
        let mut slow = crowd(lab, CROWD)?;
        for stream in &mut slow {
            stream.write_all(&GET.as_bytes()[..20])?;
        }
        let outcome = lab.requests_at((PROXY_ADDRESS, 80).into(), 200)?;
        assert!(outcome.failures.is_empty(), "{outcome:?}");
        for stream in &mut slow {
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            ensure!(text.starts_with("HTTP/1.1 408 "), "{text}");
        }
        proxy.wait_status("nobody to be connected", |status| {
            status["connections"] == 0
        })?;
        Ok(())
    })
}

#[test]
fn thousands_of_idle_clients_hold_nobody_up_and_do_not_keep_a_proxy_from_stopping() -> Result<()> {
    require!(root, tools, proxy);
    let times = "[proxy.timeouts]\nannounce = \"250ms\"\n";
    with_nginx(1, &site(1, times, ""), |lab, proxy| {
        let mut idle = crowd(lab, CROWD)?;
        for stream in &mut idle {
            stream.write_all(GET.as_bytes())?;
            read_to(stream, "http\n")?;
        }
        proxy.wait_status("all of them", |status| {
            status["connections"].as_u64() == Some(CROWD as u64)
        })?;
        let outcome = lab.requests_at((PROXY_ADDRESS, 80).into(), 200)?;
        assert!(outcome.failures.is_empty(), "{outcome:?}");
        ensure!(proxy.daemon().terminate()?.success());
        for stream in &mut idle {
            ensure!(stream.read(&mut [0])? == 0, "more than an end");
        }
        Ok(())
    })
}
