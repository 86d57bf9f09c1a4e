//! Rate limits, requests under way, and connections per client, as clients and the log see them.
//!
//! Not here: the rules (package `proxy`, beside nginx's own).

use std::net::TcpStream;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::{
    lab::{
        Lab, netns,
        proxy::{PROXY, PROXY_ADDRESS, Proxy, proxied, site},
        topology::{CLIENT, Method},
        wait::{SOON, eventually},
    },
    require,
};

use super::url;

/// A site that answers by itself, with these zones and routes.
fn own(zones: &str, routes: &[(&str, &str)]) -> String {
    let route = |(name, limits): &(&str, &str)| {
        format!(
            "[[proxy.route]]\nname = \"{name}\"\npath = \"/{name}\"\nstatus = 200\nbody = \"ok\"\n\
             {limits}\n"
        )
    };
    let routes: String = routes.iter().map(route).collect();
    format!(
        "[proxy]\nthreads = 2\n[proxy.log]\nfile = \"LOG\"\nformat = \"json\"\n\
         [[proxy.listener]]\nname = \"web\"\naddress = \"0.0.0.0\"\nport = 80\n{zones}{routes}"
    )
}

fn zone(name: &str, rate: &str) -> String {
    format!("[[proxy.zone]]\nname = \"{name}\"\nrate = \"{rate}\"\nsize = \"1MB\"\n")
}

fn with_log(lab: &Lab, site: &str) -> Result<String> {
    let log = lab.host_dir(PROXY)?.join("access.log");
    Ok(site.replace("LOG", &log.to_string_lossy()))
}

/// The log's lines once there are so many.
fn log(lab: &Lab, lines: usize) -> Result<Vec<Value>> {
    let path = lab.host_dir(PROXY)?.join("access.log");
    let text = eventually(SOON, "the lines of the log", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Ok((text.lines().count() >= lines).then_some(text))
    })?;
    let lines = text.lines().map(|line| Ok(serde_json::from_str(line)?));
    lines.collect()
}

/// The metrics now.
fn metrics(lab: &Lab) -> Result<String> {
    let mut curl = netns::command(&lab.netns(PROXY), "curl");
    let out = curl
        .args(["-s", "http://127.0.0.1:9145/metrics"])
        .output()?;
    Ok(String::from_utf8(out.stdout)?)
}

/// Whether the metrics have this line.
fn assert_counted(lab: &Lab, line: &str) -> Result<()> {
    let metrics = metrics(lab)?;
    let line = format!("viaduct_proxy_{line}");
    assert!(
        metrics.lines().any(|found| found == line),
        "{line}:\n{metrics}"
    );
    Ok(())
}

/// The statuses that curl gets for a path, so many times over one connection.
fn statuses(proxy: &Proxy<'_>, path: &str, times: usize) -> Result<Vec<String>> {
    let url = url(path);
    let mut args = vec!["-o", "/dev/null", "-w", "%{http_code}\n"];
    args.extend((0..times).flat_map(|n| {
        let next: &[&str] = match n {
            0 => &[],
            _ => &["-o", "/dev/null"],
        };
        next.iter().copied().chain([&*url])
    }));
    let text = proxy.get(&args)?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[test]
fn twelve_a_minute_with_a_burst_of_eleven_refuses_the_thirteenth_and_a_reload_forgets_nothing()
-> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(0))?;
    let zones = ["login", "alone", "wide", "narrow"].map(|name| zone(name, "12r/m"));
    let routes = [
        (
            "login",
            "limit = [{ zone = \"login\", burst = 11, nodelay = true }]\nlimit_headers = true",
        ),
        (
            "alone",
            "limit = [{ zone = \"alone\" }]\nlimit_status = 503",
        ),
        (
            "wide",
            "limit = [{ zone = \"wide\", burst = 1, nodelay = true }]",
        ),
        (
            "both",
            "limit = [{ zone = \"wide\", burst = 1, nodelay = true }, { zone = \"narrow\" }]",
        ),
        ("free", ""),
    ];
    let site = with_log(&lab, &own(&zones.concat(), &routes))?;
    let proxy = Proxy::start(&lab, &site)?;
    let thirteen = statuses(&proxy, "/login", 13)?;
    assert_eq!(thirteen[..12], vec!["200"; 12]);
    assert_eq!(thirteen[12], "429");
    let refused = proxy.get(&["-i", &url("/login")])?;
    assert!(
        refused.starts_with("HTTP/1.1 429 Too Many Requests\r\n"),
        "{refused}"
    );
    let has = |line: &str| refused.contains(&format!("\r\n{line}\r\n"));
    assert!(has("RateLimit-Policy: \"login\";q=12;w=60"), "{refused}");
    assert!(
        refused.contains("\r\nRateLimit: \"login\";r=0;t="),
        "{refused}"
    );
    let wait = refused
        .split_once("\r\nRetry-After: ")
        .context("no Retry-After")?
        .1;
    let wait: u64 = wait.lines().next().unwrap_or_default().parse()?;
    assert!((1..=5).contains(&wait), "{refused}");
    assert_eq!(statuses(&proxy, "/alone", 2)?, ["200", "503"]);
    // The second is refused by the narrow zone: the wide one, which has room for it, is not charged.
    assert_eq!(statuses(&proxy, "/both", 2)?, ["200", "429"]);
    assert_eq!(statuses(&proxy, "/wide", 2)?, ["200", "429"]);
    assert_eq!(statuses(&proxy, "/free", 3)?, ["200"; 3]);
    // Another rate, another order: what was counted stays.
    let zones = ["narrow", "alone", "wide", "login"].map(|name| zone(name, "1r/m"));
    let next = with_log(&lab, &own(&zones.concat(), &routes))?;
    assert_eq!(proxy.reload(&next)?, Ok(2));
    assert_eq!(statuses(&proxy, "/login", 1)?, ["429"]);
    let status = proxy.status()?;
    assert_eq!(status["zones"][3]["clients"], 1, "{status}");
    assert_eq!(status["routes"][0]["limits"][0]["passed"], 12, "{status}");
    // Clients told apart by something else: nothing that is remembered would mean anything.
    let other = next.replace(
        "name = \"login\"\nrate",
        "name = \"login\"\nkey = \"host\"\nrate",
    );
    let error = proxy.reload(&other)?.unwrap_err();
    assert!(error.contains("by host, but did so by address"), "{error}");
    lab.finish()
}

#[test]
fn requests_wait_for_their_turn_and_who_goes_away_leaves_nothing_behind() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(0))?;
    let zones = zone("fast", "10r/s")
        + &zone("frames", "30r/m")
        + &zone("slow", "1r/m")
        + &zone("dry", "1r/m");
    let routes = [
        ("fast", "limit = [{ zone = \"fast\", burst = 5 }]"),
        ("frames", "limit = [{ zone = \"frames\", burst = 5 }]"),
        (
            "slow",
            "limit = [{ zone = \"slow\", burst = 5, delay = 1 }]",
        ),
        (
            "dry",
            "limit = [{ zone = \"dry\", burst = 1 }]\nlimit_dry_run = true",
        ),
    ];
    let proxy = Proxy::start(&lab, &with_log(&lab, &own(&zones, &routes))?)?;
    assert_eq!(statuses(&proxy, "/fast", 4)?, ["200"; 4]);
    let lines = log(&lab, 4)?;
    let words: Vec<&Value> = lines.iter().map(|line| &line["limit"]).collect();
    assert_eq!(words, ["PASSED", "DELAYED", "DELAYED", "DELAYED"]);
    let waited = lines.iter().map(|line| line["microseconds"].as_u64());
    let waited: u64 = waited.sum::<Option<u64>>().context("no time")?;
    // Ten a second: the fourth answer is not sent before three tenths are over, but for what a sender
    // needs itself.
    assert!(waited >= 250_000, "{lines:?}");
    assert_eq!(statuses(&proxy, "/dry", 3)?, ["200"; 3]);
    let words: Vec<Value> = log(&lab, 7)?[4..]
        .iter()
        .map(|line| line["limit"].clone())
        .collect();
    assert_eq!(words, ["PASSED", "DELAYED_DRY_RUN", "REJECTED_DRY_RUN"]);
    for line in [
        "limited_requests_total{route=\"dry\",zone=\"dry\",outcome=\"refused_dry_run\"} 1",
        "limited_requests_total{route=\"fast\",zone=\"fast\",outcome=\"delayed\"} 3",
        "zone_clients{zone=\"fast\"} 1",
        "zone_forgotten_clients_total{zone=\"fast\",why=\"forced\"} 0",
    ] {
        assert_counted(&lab, line)?;
    }
    two_requests_of_http2(&lab, &proxy)?;
    // The third is to wait for a minute; its client does not.
    assert_eq!(statuses(&proxy, "/slow", 2)?, ["200"; 2]);
    let gone = proxy.curl(&["--max-time", "1", &url("/slow")])?;
    assert_eq!(
        gone.status.code(),
        Some(28),
        "curl's status for time that is over"
    );
    let last = log(&lab, 12)?.pop().unwrap_or_default();
    assert_eq!(
        (&last["limit"], &last["zone"]),
        (&"DELAYED".into(), &"slow".into())
    );
    assert_eq!(last["status"], 499);
    proxy.wait_status("no connection to be left", |status| {
        status["connections"] == 0
    })?;
    lab.finish()
}

/// Behind seven lines of the log: the end of a request's body is not the end of its client.
fn two_requests_of_http2(lab: &Lab, proxy: &Proxy<'_>) -> Result<()> {
    let post = [
        "--http2-prior-knowledge",
        "-d",
        "x",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
    ];
    let frames = url("/frames");
    for (lines, word) in [(8, "PASSED"), (9, "DELAYED")] {
        assert_eq!(proxy.get(&[&post[..], &[&*frames]].concat())?, "200");
        let line = log(lab, lines)?.pop().unwrap_or_default();
        assert_eq!(
            (&line["limit"], &line["status"]),
            (&word.into(), &200.into())
        );
    }
    Ok(())
}

#[test]
fn a_client_has_so_many_requests_under_way_and_so_many_connections() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    lab.web(Method::Fullnat, 1)?;
    let limits =
        "limit = [{ zone = \"busy\", connections = 1 }]\n[[proxy.zone]]\nname = \"busy\"\n";
    let site = site(1, "", "") + limits;
    let site = site.replace(
        "port = 80\n[[proxy.upstream]]",
        "port = 80\nclient_connections = 2\n[[proxy.upstream]]",
    );
    let proxy = Proxy::start(&lab, &site)?;
    let slow = |name: &str, path| lab.spawn(CLIENT, name, "curl", &["-sS", &url(path)]);
    let first = slow("first", "/slow/3000")?;
    proxy.wait_status("a request under way", |status| {
        status["zones"][0]["clients"] == 1
    })?;
    assert_eq!(statuses(&proxy, "/", 1)?, ["429"]);
    assert!(first.wait_exit()?.success(), "{}", first.story());
    proxy.wait_status("the place to be free", |status| {
        status["zones"][0]["clients"] == 0
    })?;
    assert_eq!(statuses(&proxy, "/", 2)?, ["200"; 2]);
    let _busy = slow("second", "/slow/60000")?;
    proxy.wait_status("a request under way", |status| {
        status["zones"][0]["clients"] == 1
    })?;
    let idle = netns::within(&lab.netns(CLIENT), || {
        Ok(TcpStream::connect((PROXY_ADDRESS, 80))?)
    })?;
    proxy.wait_status("two connections", |status| status["connections"] == 2)?;
    let third = proxy.curl(&[&url("/")])?;
    let code = third.status.code();
    assert!(
        matches!(code, Some(52 | 56)),
        "curl was not hung up on: {third:?}"
    );
    assert_counted(&lab, "turned_away_connections_total{bound=\"client\"} 1")?;
    assert_counted(&lab, "listener_connections{listener=\"web\"} 2")?;
    assert_counted(
        &lab,
        "limited_requests_total{route=\"site\",zone=\"busy\",outcome=\"refused\"} 1",
    )?;
    drop(idle);
    proxy.wait_status("one connection", |status| status["connections"] == 1)?;
    assert_eq!(statuses(&proxy, "/", 1)?, ["429"]);
    lab.finish()
}
