//! HTTP/2 of clients: what goes through, what is refused, and what becomes of it when the proxy or a
//! server ends.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tests::{
    guest::blob::Blob,
    lab::{
        Lab, netns,
        process::Process,
        proxy::{PROXY_ADDRESS, Proxy, proxied, site},
        topology::{CLIENT, Method},
    },
    require,
};

use super::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY, HEADERS,
        PING, PROTOCOL_ERROR, RST_STREAM, Raw, SETTINGS, block, frame,
    },
    url, with_nginx,
};

/// curl with HTTP/2 and no word of HTTP/1.1 before.
const H2: &str = "--http2-prior-knowledge";

/// A head that is one.
const GOOD: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "a.example"),
    (":path", "/"),
];

#[test]
fn a_request_goes_through_and_is_counted_as_one_of_http2() -> Result<()> {
    require!(root, tools, proxy);
    let locations = "location / { return 200 \"$request_method $request_uri $http_host \
        $http_cookie $http_x_forwarded_for $server_protocol\\n\"; }";
    let lab = Lab::build(proxied(1))?;
    lab.nginx(1, locations)?;
    let log = lab.dir().join("access.log");
    let more = format!("[proxy.log]\nfile = \"{}\"\n", log.display());
    let proxy = Proxy::start(&lab, &site(1, &more, ""))?;
    let cookies = ["-H", "Cookie: a=b", "-H", "Cookie: c=d"];
    let target = url("/a/b?c=d");
    let args = [&[H2, &target, "-H", "Host: a.example"][..], &cookies].concat();
    assert_eq!(
        proxy.get(&args)?,
        "GET /a/b?c=d a.example a=b; c=d 10.77.0.1 HTTP/1.1\n"
    );
    let head = proxy.get(&[H2, "-I", &url("/")])?;
    assert!(head.starts_with("HTTP/2 200 "), "{head}");
    assert!(
        head.contains("x-real: web1") && head.contains("content-length: "),
        "{head}"
    );
    let missing = proxy.get(&[
        H2,
        "-i",
        &url("/a%2"),
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
    ])?;
    assert_eq!(missing, "400");
    let lines = tests::lab::wait::eventually(tests::lab::wait::SOON, "three lines", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        Ok((text.lines().count() == 3).then_some(text))
    })?;
    assert!(lines.contains("\"GET /a/b?c=d HTTP/2.0\" 200"), "{lines}");
    assert_eq!(
        proxy.metric("viaduct_proxy_answers_total{route=\"site\",class=\"2xx\"}")?,
        2
    );
    lab.finish()
}

#[test]
fn large_bodies_arrive_whole_in_both_directions() -> Result<()> {
    const LARGE: u64 = 20 << 20;
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    lab.web(Method::Fullnat, 1)?;
    let proxy = Proxy::start(&lab, &site(1, "", ""))?;
    let file = lab.dir().join("blob");
    let name = file.to_string_lossy();
    proxy.get(&[H2, "-o", &name, &url(&format!("/blob/{LARGE}?42"))])?;
    let sum = |path: &str| -> Result<String> {
        let out = std::process::Command::new("sha256sum").arg(path).output()?;
        Ok(String::from_utf8(out.stdout)?
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned())
    };
    assert_eq!(sum(&name)?, Blob::new(42, LARGE).sha256());
    let told = proxy.get(&[H2, "-T", &name, &url("/sink")])?;
    assert!(told.contains(&Blob::new(42, LARGE).sha256()), "{told}");
    // One whose length is not told before.
    let told = proxy.get(&[H2, "-H", "Content-Length:", "-T", &name, &url("/sink")])?;
    assert!(told.contains(&Blob::new(42, LARGE).sha256()), "{told}");
    lab.finish()
}

/// h2load with these options, in the background.
fn h2load(lab: &Lab, options: &[&str]) -> Result<Process> {
    let target = format!("http://{PROXY_ADDRESS}/");
    let args = [options, &[&target]].concat();
    lab.spawn(CLIENT, "h2load", "h2load", &args)
}

fn all_succeeded(load: &Process) -> Result<()> {
    ensure!(load.wait_exit()?.success(), "{}", load.story());
    let said = load.output()?;
    let line = said.lines().find(|line| line.starts_with("requests: "));
    let line = line.with_context(|| said.clone())?;
    ensure!(line.contains(" 0 failed, 0 errored, 0 timeout"), "{said}");
    ensure!(said.contains(" 0 3xx, 0 4xx, 0 5xx"), "{said}");
    Ok(())
}

#[test]
fn reloads_and_a_killed_server_fail_no_request() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(2))?;
    lab.nginx(1, super::LOCATIONS)?;
    let second = lab.nginx(2, super::LOCATIONS)?;
    let proxy = Proxy::start(&lab, &site(2, "", ""))?;
    let load = h2load(&lab, &["-n", "20000", "-c", "8", "-m", "8"])?;
    let served = |least: u64| {
        proxy.wait_status("requests", |status| {
            status["routes"][0]["answers"].as_u64() >= Some(least)
        })
    };
    served(500)?;
    assert!(proxy.reload(&site(2, "", "balance = \"lc\""))?.is_ok());
    served(2000)?;
    assert!(proxy.reload(&site(2, "", ""))?.is_ok());
    served(4000)?;
    second.kill()?;
    all_succeeded(&load)?;
    assert!(
        proxy.server(1, "failures")? > 0,
        "it was killed too late to be missed"
    );
    lab.finish()
}

#[test]
fn a_proxy_that_is_to_stop_sends_its_clients_away_and_finishes_what_it_has() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    lab.web(Method::Fullnat, 1)?;
    let more = "[proxy.timeouts]\nannounce = \"250ms\"\n";
    let proxy = Proxy::start(&lab, &site(1, more, ""))?;
    let slow = lab.spawn(CLIENT, "slow", "curl", &["-sS", H2, &url("/slow/3000")])?;
    let mut idle = Raw::connect(&lab)?;
    idle.until(|frame| frame.kind == SETTINGS && frame.flags == 0)?;
    proxy.wait_status("the slow request", |status| {
        status["upstreams"][0]["servers"][0]["active"] == 1
    })?;
    proxy.daemon().signal(Signal::SIGTERM)?;
    let end = idle.until(|frame| frame.kind == GOAWAY)?;
    assert_eq!(end.code(), Some(0));
    assert!(slow.wait_exit()?.success(), "{}", slow.story());
    assert!(slow.output()?.contains("web1"), "{}", slow.story());
    assert!(proxy.daemon().wait_exit()?.success());
    lab.finish()
}

/// What the proxy says to frames on stream 1.
fn answer(lab: &Lab, frames: &[Vec<u8>]) -> Result<Frame> {
    let mut raw = Raw::connect(lab)?;
    raw.send(&frames.concat())?;
    raw.until(|frame| frame.stream == 1 || frame.kind == GOAWAY)
}

/// The head with something else in place of, or behind, what it has.
fn with<'h>(name: &'h str, value: &'h str) -> Vec<(&'h str, &'h str)> {
    let mut head: Vec<_> = GOOD.to_vec();
    match head.iter_mut().find(|(known, _)| *known == name) {
        Some(known) => known.1 = value,
        None => head.push((name, value)),
    }
    head
}

#[test]
fn heads_that_could_become_another_request_reach_no_server() -> Result<()> {
    require!(root, tools, proxy);
    with_nginx(1, &site(1, "", ""), |lab, proxy| {
        let ends = END_STREAM | END_HEADERS;
        let heads: Vec<Vec<(&str, &str)>> = vec![
            with("connection", "close"),
            with("transfer-encoding", "chunked"),
            with("upgrade", "h2c"),
            with("keep-alive", "1"),
            with("proxy-connection", "close"),
            with("te", "gzip"),
            with("X-Upper", "case"),
            with("x-line", "a\r\nb: c"),
            with("x-nul", "a\0b"),
            with("x na", "me"),
            with("content-length", "5"),
            with(":path", "/a b"),
            with(":path", ""),
            with(":method", "GE T"),
            with(":authority", "a b"),
            with(":unknown", "x"),
            [&GOOD[..], &[(":path", "/again")]].concat(),
            GOOD[..3].to_vec(),
            GOOD[1..].to_vec(),
            [&[("x-before", "y")][..], &GOOD].concat(),
        ];
        for head in &heads {
            let told = answer(lab, &[frame(HEADERS, ends, 1, &block(head))])?;
            assert_eq!(told.code(), Some(PROTOCOL_ERROR), "{head:?}: {told:?}");
        }
        // What is a head, but none that is sent on, gets a status; `:status: 400` is the table's 12th.
        for head in [
            with("host", "other.example"),
            with(":path", "/%zz"),
            with("expect", "something"),
        ] {
            let told = answer(lab, &[frame(HEADERS, ends, 1, &block(&head))])?;
            assert_eq!(told.kind, HEADERS, "{head:?}: {told:?}");
            let is_4xx = told.payload[0] == 0x8c || told.payload.windows(2).any(|w| w == b"41");
            assert!(is_4xx || told.payload[0] == 0x48, "{head:?}: {told:?}");
        }
        assert_eq!(proxy.server(0, "requests")?, 0);
        // The same head without any of that goes through.
        let told = answer(lab, &[frame(HEADERS, ends, 1, &block(&GOOD))])?;
        assert_eq!((told.kind, told.payload[0]), (HEADERS, 0x88), "{told:?}");
        Ok(())
    })
}

#[test]
fn a_body_that_is_not_as_long_as_it_was_said_to_be_is_none() -> Result<()> {
    require!(root, tools, proxy);
    with_nginx(1, &site(1, "", ""), |lab, _| {
        let mut head = with("content-length", "5");
        head[0].1 = "POST";
        for body in [&b"abc"[..], b"abcdef"] {
            let told = answer(
                lab,
                &[
                    frame(HEADERS, END_HEADERS, 1, &block(&head)),
                    frame(DATA, END_STREAM, 1, body),
                ],
            )?;
            assert_eq!(told.code(), Some(PROTOCOL_ERROR), "{body:?}: {told:?}");
        }
        Ok(())
    })
}

/// Sends `frames` again and again, at most so many times; the connection has to end with this code.
fn flood(lab: &Lab, most: u32, frames: impl Fn(u32) -> Vec<u8>) -> Result<()> {
    let mut raw = Raw::connect(lab)?;
    let mut heard = raw.another()?;
    let listening = std::thread::spawn(move || -> Result<Vec<u32>> {
        let mut codes = Vec::new();
        while let Some(frame) = heard.next()? {
            codes.extend(frame.code().filter(|_| frame.kind == GOAWAY));
        }
        Ok(codes)
    });
    let mut sent = 0;
    while sent < most && raw.send(&frames(sent))? {
        sent += 1;
    }
    ensure!(sent > 0, "nothing was taken");
    let codes = listening.join().expect("the thread that listens")?;
    // Who goes on sending may get a reset in place of the frame.
    ensure!(
        codes.contains(&ENHANCE_YOUR_CALM) || (codes.is_empty() && sent < most),
        "{codes:?} after {sent}"
    );
    Ok(())
}

#[test]
fn a_client_that_only_makes_work_is_sent_away() -> Result<()> {
    require!(root, tools, proxy);
    with_nginx(1, &site(1, "", ""), |lab, proxy| {
        let ends = END_STREAM | END_HEADERS;
        let good = block(&GOOD);
        // Requests that are taken back at once (CVE-2023-44487).
        flood(lab, 20_000, |count| {
            let stream = 1 + 2 * count;
            let cancel = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            [frame(HEADERS, ends, stream, &good), cancel].concat()
        })?;
        // A head that never ends (CVE-2024-27316).
        flood(lab, 20_000, |count| {
            let more = block(&[("x-more", &"x".repeat(100))]);
            match count {
                0 => frame(HEADERS, END_STREAM, 1, &good),
                _ => frame(CONTINUATION, 0, 1, &more),
            }
        })?;
        let floods = proxy.metric("viaduct_proxy_http2_floods_total")?;
        flood(lab, 500_000, |_| frame(PING, 0, 0, &[0; 8]).repeat(64))?;
        flood(lab, 500_000, |_| frame(SETTINGS, 0, 0, &[]).repeat(64))?;
        assert_eq!(
            proxy.metric("viaduct_proxy_http2_floods_total")?,
            floods + 2
        );
        assert!(proxy.get(&[H2, &url("/")])?.starts_with("GET / "));
        Ok(())
    })
}

#[test]
fn a_connection_with_nothing_to_do_ends_and_a_client_that_goes_takes_its_request_with_it()
-> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    lab.web(Method::Fullnat, 1)?;
    let more = "[proxy.timeouts]\nidle = \"500ms\"\n";
    let proxy = Proxy::start(&lab, &site(1, more, ""))?;
    let mut raw = Raw::connect(&lab)?;
    let mut slow = GOOD.to_vec();
    slow[3].1 = "/slow/60000";
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&slow)))?;
    let active = |number: u64| {
        proxy.wait_status("the request", |status| {
            status["upstreams"][0]["servers"][0]["active"] == number
        })
    };
    active(1)?;
    raw.send(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()))?;
    active(0)?;
    let told = raw.until(|frame| frame.kind == GOAWAY)?;
    assert_eq!(told.code(), Some(0));
    while raw.next()?.is_some() {}
    lab.finish()
}

#[test]
fn http2_is_not_spoken_where_the_listener_has_none() -> Result<()> {
    require!(root, tools, proxy);
    let site = site(1, "", "").replace(
        "port = 80\n[[proxy.up",
        "port = 80\nhttp2 = false\n[[proxy.up",
    );
    with_nginx(1, &site, |lab, _| {
        let mut curl = netns::command(&lab.netns(CLIENT), "curl");
        let seconds = Duration::from_secs(60).as_secs().to_string();
        let out = curl
            .args(["-sS", "--max-time", &seconds, H2, &url("/")])
            .output()?;
        assert!(!out.status.success());
        Ok(())
    })
}
