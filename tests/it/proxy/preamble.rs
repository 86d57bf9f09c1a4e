//! The PROXY protocol with other makes: HAProxy before ours, nginx behind it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use anyhow::Result;
use tests::{
    lab::{
        Lab, netns,
        proxy::{PROXY, PROXY_ADDRESS, Proxy, proxied, site},
        topology::CLIENT,
        wait::SOON,
    },
    require,
};

use super::{LOCATIONS, url};

/// A server that says what a PROXY header on port 81 told it.
const TOLD: &str = "listen 81 proxy_protocol;\nlocation / { return 200 \
    \"$proxy_protocol_addr $proxy_protocol_server_addr $proxy_protocol_server_port $connection\\n\"; }";

/// A site whose listener has PROXY headers from these.
fn from(senders: &str) -> String {
    let port = "port = 80\n";
    site(1, "", "").replacen(port, &format!("{port}proxy_protocol = [{senders}]\n"), 1)
}

/// Sends bytes from the client's host and gives all that is answered until the connection closes.
fn ask(lab: &Lab, bytes: &str) -> Result<String> {
    let mut stream = netns::within(&lab.netns(CLIENT), || {
        Ok(TcpStream::connect((PROXY_ADDRESS, 80))?)
    })?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(bytes.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn metrics(lab: &Lab) -> Result<String> {
    let mut curl = netns::command(&lab.netns(PROXY), "curl");
    let out = curl
        .args(["-s", "http://127.0.0.1:9145/metrics"])
        .output()?;
    Ok(String::from_utf8(out.stdout)?)
}

#[test]
fn haproxy_tells_whose_a_connection_is() -> Result<()> {
    require!(root, tools, proxy, peers);
    let lab = Lab::build(proxied(2))?;
    lab.nginx(1, LOCATIONS)?;
    for version in ["send-proxy", "send-proxy-v2"] {
        let sections =
            format!("listen edge\n bind :8080\n server ours {PROXY_ADDRESS}:80 {version}\n");
        let edge = lab.haproxy("web2", &sections, 8080)?;
        let proxy = Proxy::start(&lab, &from("\"10.77.0.12\""))?;
        for _ in 0..3 {
            let text = proxy.get(&["http://10.77.0.12:8080/x"])?;
            assert_eq!(text, "GET /x 10.77.0.12:8080 10.77.0.1 http\n", "{version}");
        }
        proxy.daemon().terminate()?;
        edge.kill()?;
    }
    lab.finish()
}

#[test]
fn who_may_not_say_is_not_believed_and_who_has_to_is_not_served_without() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    lab.nginx(1, LOCATIONS)?;
    let proxy = Proxy::start(&lab, &from("\"192.0.2.0/24\""))?;
    let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let header = "PROXY TCP4 1.2.3.4 10.77.0.21 5 80\r\n";
    let text = ask(&lab, &format!("{header}{get}"))?;
    // It is a malformed request: no version stands where it should.
    assert!(text.starts_with("HTTP/1.1 505 "), "{text}");
    assert!(ask(&lab, get)?.ends_with(" 10.77.0.1 http\n"), "as without");
    proxy.reload(&from("\"10.77.0.0/24\""))?.expect("taken");
    assert!(ask(&lab, &format!("{header}{get}"))?.ends_with(" 1.2.3.4 http\n"));
    let unknown = ask(&lab, &format!("PROXY UNKNOWN\r\n{get}"))?;
    assert!(unknown.ends_with(" 10.77.0.1 http\n"), "{unknown}");
    assert_eq!(
        ask(&lab, get).unwrap_or_default(),
        "",
        "closed without a word"
    );
    assert_eq!(ask(&lab, "PROXY TCP4 a b c d\r\n").unwrap_or_default(), "");
    let metrics = metrics(&lab)?;
    for reason in ["missing", "malformed"] {
        let line = format!("viaduct_proxy_refused_proxy_headers_total{{reason=\"{reason}\"}} 1");
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}:\n{metrics}"
        );
    }
    lab.finish()
}

#[test]
fn nginx_hears_from_us_whose_a_connection_is() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    lab.nginx(1, TOLD)?;
    let health =
        "[proxy.upstream.health]\ntype = \"http\"\ninterval = \"250ms\"\nfall = 1\nrise = 1";
    let server = "address = \"10.77.0.11\"\n";
    let text = |version: &str| {
        let upstream = format!("proxy_protocol = \"{version}\"\n{health}");
        site(1, "trusted = [\"10.77.0.1\"]", &upstream)
            .replace(server, &format!("{server}port = 81\n"))
    };
    let proxy = Proxy::start(&lab, &text("v1"))?;
    for version in ["v1", "v2"] {
        proxy
            .reload(&(text(version) + "# again\n"))?
            .expect("taken");
        proxy.wait_status("its probe, which has a header, too", |status| {
            status["upstreams"][0]["servers"][0]["health"] == "up"
        })?;
        let two = proxy.get(&[&url("/"), &url("/")])?;
        let lines: Vec<&str> = two.lines().collect();
        assert!(
            lines[0].starts_with("10.77.0.1 10.77.0.21 80 "),
            "{version}: {two}"
        );
        assert_eq!(lines[0], lines[1], "one client, one connection: {two}");
        // Another client behind the same connection is not that one.
        let as_other = ["-H", "X-Forwarded-For: 198.51.100.7"];
        let other = proxy.get(&[&as_other[..], &[&url("/")]].concat())?;
        assert!(
            other.starts_with("198.51.100.7 10.77.0.21 80 "),
            "{version}: {other}"
        );
        let again = proxy.get(&[&url("/")])?;
        assert!(
            again.starts_with("10.77.0.1 ") && !lines.contains(&again.trim()),
            "{again}"
        );
    }
    assert_eq!(proxy.server(0, "failures")?, 0);
    lab.finish()
}
