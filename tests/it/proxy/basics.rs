//! Requests go through, and come back whole.

use anyhow::Result;
use tests::{
    guest::blob::Blob,
    lab::{
        Lab,
        proxy::{PROXY_ADDRESS, Proxy, proxied, site},
        topology::{Method, web},
    },
    require,
};

use super::{url, with_nginx};

/// Bytes of the large transfers.
const LARGE: u64 = 100 << 20;

#[test]
fn a_request_goes_through_and_says_where_it_came_from() -> Result<()> {
    require!(root, tools, proxy);
    with_nginx(1, &site(1, "", ""), |_, proxy| {
        let text = proxy.get(&[&url("/a/b?c=d"), "-H", "X-Forwarded-For: 1.2.3.4"])?;
        assert_eq!(text, "GET /a/b?c=d 10.77.0.21 10.77.0.1 http\n");
        let text = proxy.get(&[&url("/%61"), "-H", "Host: www.example.com", "-X", "DELETE"])?;
        assert_eq!(text, "DELETE /a www.example.com 10.77.0.1 http\n");
        let head = proxy.get(&["-I", &url("/")])?;
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("x-real: web1"),
            "{head}"
        );
        let old = proxy.get(&["--http1.0", "-i", &url("/")])?;
        assert!(old.contains("Connection: close"), "{old}");
        Ok(())
    })
}

#[test]
fn large_bodies_arrive_whole_in_both_directions() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    lab.web(Method::Fullnat, 1)?;
    let _proxy = Proxy::start(&lab, &site(1, "", ""))?;
    let got = lab.fetch(&url(&format!("/blob/{LARGE}?42")))?;
    assert_eq!((got.status, got.bytes), (200, LARGE));
    assert_eq!(got.sha256, Blob::new(42, LARGE).sha256());
    let sent = lab.upload(&url("/sink"), 7, LARGE)?;
    assert_eq!((sent.status, sent.bytes), (200, LARGE));
    assert_eq!(sent.sha256, Blob::new(7, LARGE).sha256());
    assert_eq!(sent.server, Some(web(1)));
    lab.finish()
}

#[test]
fn connections_to_a_server_are_used_again() -> Result<()> {
    require!(root, tools, proxy);
    with_nginx(1, &site(1, "", ""), |lab, proxy| {
        // Each on a connection of its own, as far as the client is concerned.
        let outcome = lab.requests_at((PROXY_ADDRESS, 80).into(), 200)?;
        assert_eq!(
            (outcome.ok, outcome.failures.len()),
            (200, 0),
            "{outcome:?}"
        );
        assert_eq!(proxy.server(0, "requests")?, 200);
        let connects = proxy.server(0, "connects")?;
        assert!(connects <= 16, "{connects} connections for 200 requests");
        Ok(())
    })
}

#[test]
fn requests_find_their_route() -> Result<()> {
    require!(root, tools, proxy);
    let routes = "[[proxy.route]]\nname = \"old\"\nprefix = \"/old\"\n\
        redirect = \"https://$host$target\"\nstatus = 301\n\
        [[proxy.route]]\nname = \"closed\"\nhost = \"*.example.org\"\nstatus = 503\nbody = \"later\"\n";
    let site = site(1, "health = \"/viaduct\"", "") + routes;
    with_nginx(1, &site, |_, proxy| {
        let moved = proxy.get(&["-i", &url("/old/x?y"), "-H", "Host: a.b"])?;
        assert!(moved.starts_with("HTTP/1.1 301 "), "{moved}");
        assert!(
            moved.contains("\r\nLocation: https://a.b/old/x?y\r\n"),
            "{moved}"
        );
        let closed = proxy.get(&["-i", &url("/"), "-H", "Host: www.example.org"])?;
        assert!(
            closed.starts_with("HTTP/1.1 503 ") && closed.ends_with("\r\nlater"),
            "{closed}"
        );
        assert_eq!(proxy.get(&[&url("/viaduct")])?, "ok\n");
        assert!(proxy.get(&[&url("/older")])?.starts_with("GET /older "));
        Ok(())
    })
}
