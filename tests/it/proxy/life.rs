//! Reloads and the end, under load.

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use tests::{
    lab::{
        Lab,
        proxy::{PROXY, PROXY_ADDRESS, Proxy, proxied, site},
        topology::Method,
        wait::{SOON, eventually},
    },
    require,
};

use super::{url, with_nginx};

#[test]
fn reloads_under_load_fail_no_request_and_close_no_connection() -> Result<()> {
    require!(root, tools, proxy);
    with_nginx(2, &site(2, "", ""), |lab, proxy| {
        let target = (PROXY_ADDRESS, 80).into();
        let options = ["--workers", "8", "--keepalive", "--rate", "800"];
        let load = lab.load_at(target, &options)?;
        load.more(200)?;
        let second = "[[proxy.listener]]\nname = \"more\"\naddress = \"0.0.0.0\"\nport = 81\n";
        for round in 0..4 {
            let next = match round % 2 {
                0 => site(1, "", "balance = \"lc\"") + second,
                _ => site(2, "", ""),
            };
            let generation = proxy.reload(&next)?;
            assert_eq!(generation, Ok(round + 2));
            load.more(200)?;
            let other = proxy.curl(&[&format!("http://{PROXY_ADDRESS}:81/")])?;
            assert_eq!(
                other.status.success(),
                round % 2 == 0,
                "port 81 in round {round}"
            );
        }
        let outcome = load.stop()?;
        assert!(outcome.failures.is_empty(), "{outcome:?}");
        assert_eq!(
            (outcome.connections, outcome.lost_connections),
            (8, 0),
            "{outcome:?}"
        );
        Ok(())
    })
}

#[test]
fn a_bad_file_is_refused_and_what_runs_stays() -> Result<()> {
    require!(root, tools, proxy);
    with_nginx(1, &site(1, "", ""), |_, proxy| {
        let error = proxy.reload(&site(1, "colour = 1", ""))?.unwrap_err();
        assert!(error.contains("unknown key `colour`"), "{error}");
        // An address that this host does not have: nothing of the file is taken.
        let elsewhere = site(1, "", "").replace("0.0.0.0", "192.0.2.77");
        let error = proxy.reload(&elsewhere)?.unwrap_err();
        assert!(error.contains("listener at 192.0.2.77:80"), "{error}");
        assert!(proxy.get(&[&url("/")])?.starts_with("GET / "));
        assert_eq!(proxy.status()?["generation"], 1);
        Ok(())
    })
}

#[test]
fn a_proxy_that_is_to_stop_says_so_and_finishes_what_it_has() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    lab.web(Method::Fullnat, 1)?;
    let more = "health = \"/viaduct\"\n[proxy.timeouts]\nannounce = \"1s\"\n";
    let proxy = Proxy::start(&lab, &site(1, more, ""))?;
    let dir = lab.host_dir(PROXY)?;
    let out = dir.join("slow.txt");
    let slow = lab.spawn(
        "client",
        "slow",
        "curl",
        &["-sS", "-o", &*out.to_string_lossy(), &url("/slow/5000")],
    )?;
    proxy.wait_status("the slow request", |status| {
        status["upstreams"][0]["servers"][0]["active"] == 1
    })?;
    proxy.daemon().signal(Signal::SIGTERM)?;
    // The directors hear it while everybody else is still served.
    eventually(SOON, "the health answer to change", || {
        Ok(Some(proxy.get(&[&url("/viaduct")])?).filter(|text| text == "draining\n"))
    })?;
    let served = proxy.get(&["-i", &url("/")])?;
    assert!(
        served.contains("\r\nConnection: close\r\n") && served.contains("web1"),
        "{served}"
    );
    eventually(SOON, "the listener to close", || {
        // curl's status where nobody listens.
        Ok((proxy.curl(&[&url("/")])?.status.code() == Some(7)).then_some(()))
    })?;
    assert_eq!(slow.exit()?, None, "the slow request goes on");
    assert!(slow.wait_exit()?.success(), "{}", slow.story());
    let text = std::fs::read_to_string(&out).context("no answer")?;
    assert!(text.contains("web1"), "{text}");
    assert!(proxy.daemon().wait_exit()?.success());
    lab.finish()
}

#[test]
fn while_a_stop_is_announced_clients_move_on_and_no_request_fails() -> Result<()> {
    require!(root, tools, proxy);
    let more = "[proxy.timeouts]\nannounce = \"10m\"\n";
    with_nginx(1, &site(1, more, ""), |lab, proxy| {
        let target = (PROXY_ADDRESS, 80).into();
        let options = ["--workers", "8", "--keepalive", "--rate", "800"];
        let load = lab.load_at(target, &options)?;
        load.more(200)?;
        proxy.daemon().signal(Signal::SIGTERM)?;
        proxy.wait_status("the announcement", |status| status["state"] == "draining")?;
        load.more(400)?;
        let outcome = load.stop()?;
        assert!(outcome.failures.is_empty(), "{outcome:?}");
        assert!(
            outcome.connections > 16,
            "each answer ends its connection: {outcome:?}"
        );
        // Enough of it.
        assert!(proxy.daemon().terminate()?.success());
        Ok(())
    })
}

#[test]
fn each_request_is_a_line_of_the_log_and_a_number_of_the_metrics() -> Result<()> {
    require!(root, tools, proxy);
    let lab = Lab::build(proxied(1))?;
    lab.nginx(1, super::LOCATIONS)?;
    let log = lab.host_dir(PROXY)?.join("access.log");
    let more = format!(
        "[proxy.log]\nfile = \"{}\"\nformat = \"json\"\n",
        log.display()
    );
    let proxy = Proxy::start(&lab, &site(1, &more, ""))?;
    proxy.get(&["-A", "a \"b\"", &url("/x"), &url("/y")])?;
    let lines = eventually(SOON, "two lines", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        Ok((text.lines().count() == 2).then_some(text))
    })?;
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap_or_default())?;
    assert_eq!(first["target"], "/x");
    assert_eq!(first["client"], "10.77.0.1");
    assert_eq!(first["user_agent"], "a \"b\"");
    assert_eq!(first["server"], "10.77.0.11:80");
    // Moved away and opened again by its name.
    std::fs::rename(&log, log.with_extension("old"))?;
    proxy.daemon().signal(Signal::SIGUSR1)?;
    eventually(SOON, "the log to be there again", || {
        Ok(log.exists().then_some(()))
    })?;
    let mut curl = tests::lab::netns::command(&lab.netns(PROXY), "curl");
    let metrics = curl
        .args(["-s", "http://127.0.0.1:9145/metrics"])
        .output()?;
    let metrics = String::from_utf8(metrics.stdout)?;
    for line in [
        "viaduct_proxy_answers_total{route=\"site\",class=\"2xx\"} 2",
        "viaduct_proxy_request_seconds_count{route=\"site\"} 2",
        "viaduct_proxy_server_requests_total{upstream=\"webs\",server=\"10.77.0.11:80\"} 2",
        "viaduct_proxy_accepted_connections_total 1",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}:\n{metrics}"
        );
    }
    lab.finish()
}
