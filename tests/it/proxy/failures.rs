//! Servers that die, hang, or say no; and what clients notice of it.

use anyhow::Result;
use tests::{
    lab::{
        Lab,
        proxy::{PROXY_ADDRESS, Proxy, proxied, site},
    },
    require,
};

use super::{LOCATIONS, url, with_nginx};

#[test]
fn killing_a_server_with_idle_connections_costs_no_client_an_error() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(2))?;
    let first = lab.nginx(1, LOCATIONS)?;
    lab.nginx(2, LOCATIONS)?;
    let proxy = Proxy::start(&lab, &site(2, "", ""))?;
    let target = (PROXY_ADDRESS, 80).into();
    let load = lab.load_at(target, &["--workers", "8", "--keepalive", "--rate", "800"])?;
    load.more(400)?;
    assert!(
        proxy.server(0, "requests")? > 0,
        "the first server had requests"
    );
    first.kill()?;
    load.more(800)?;
    lab.nginx(1, LOCATIONS)?;
    let before = proxy.server(0, "requests")?;
    proxy.wait_status("the first server to get requests again", |status| {
        let server = &status["upstreams"][0]["servers"][0];
        server["requests"].as_u64() > Some(before + 20) && server["ejected"] == false
    })?;
    let outcome = load.stop()?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    assert_eq!(
        outcome.lost_connections, 0,
        "the clients' connections stayed: {outcome:?}"
    );
    assert!(proxy.server(0, "failures")? > 0, "the death was noticed");
    lab.finish()
}

#[test]
fn a_server_that_its_probes_call_down_gets_nothing() -> Result<()> {
    require!(root, tools, proxy);
    let health = "[proxy.upstream.health]\ntype = \"http\"\ninterval = \"250ms\"\n\
        timeout = \"250ms\"\nfall = 2\nrise = 1";
    let lab = Lab::build(proxied(2))?;
    lab.nginx(1, "location / { return 500; }")?;
    let second = lab.nginx(2, LOCATIONS)?;
    let proxy = Proxy::start(&lab, &site(2, "", health))?;
    proxy.wait_status("one server down and one up", |status| {
        let servers = &status["upstreams"][0]["servers"];
        servers[0]["health"] == "down" && servers[1]["health"] == "up"
    })?;
    let before = proxy.server(0, "requests")?;
    let outcome = lab.requests_at((PROXY_ADDRESS, 80).into(), 50)?;
    assert_eq!(outcome.servers.get("web2"), Some(&50), "{outcome:?}");
    assert_eq!(proxy.server(0, "requests")?, before);
    second.kill()?;
    proxy.wait_status("no server up", |status| {
        status["upstreams"][0]["servers"][1]["health"] == "down"
    })?;
    let answer = proxy.get(&["-i", &url("/")])?;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
    lab.finish()
}

#[test]
fn without_a_server_the_client_hears_it_at_once() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    let proxy = Proxy::start(&lab, &site(1, "", ""))?;
    let answer = proxy.get(&["-i", &url("/")])?;
    assert!(
        answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"),
        "{answer}"
    );
    lab.finish()
}

#[test]
fn a_request_that_is_too_much_is_refused_and_the_next_one_served() -> Result<()> {
    require!(root, tools, proxy);
    let limits = "[proxy.limits]\nbody = \"1KiB\"\nhead = \"2KiB\"\n";
    with_nginx(1, &site(1, limits, ""), |_, proxy| {
        let large = "x".repeat(2000);
        let status = ["-o", "/dev/null", "-w", "%{http_code}"];
        let ask = |args: &[&str]| proxy.get(&[&status[..], args].concat());
        assert_eq!(ask(&["-d", &large, &url("/")])?, "413");
        let chunked = ["-H", "Transfer-Encoding: chunked", "-d", &large, &url("/")];
        assert_eq!(ask(&chunked)?, "413");
        assert_eq!(ask(&["-H", &format!("X: {large}"), &url("/")])?, "431");
        assert_eq!(ask(&["-d", "x", &url("/")])?, "200");
        Ok(())
    })
}
