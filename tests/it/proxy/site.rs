//! Proxies as real servers of a director: one that stops is left before it goes, one that is killed costs
//! what it held and no more.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tests::{
    guest::{load::Summary, request::FailureKind},
    lab::{
        Lab,
        director::Director,
        process::Process,
        proxy::{Proxy, tables},
        site::{PROXY_HEALTH, Service, Site},
        topology::{
            CLIENT, LB1, Method, VIP, one_director, proxy, proxy_address, web, with_proxies,
        },
        wait::unix_micros,
    },
    require,
};

const METHOD: Method = Method::Dr;
const PROXIES: u8 = 2;
const WEBS: u8 = 2;

/// A client, a director, two proxies and two web servers, all by one site file.
struct Rig<'l> {
    lab: &'l Lab,
    director: Director<'l>,
    proxies: Vec<Proxy<'l>>,
    webs: Vec<Process>,
}

/// Runs `test` on such a site, with more lines in `[proxy]`.
fn on_site(more: &str, test: impl FnOnce(&mut Rig<'_>) -> Result<()>) -> Result<()> {
    let lab = Lab::build(with_proxies(one_director(METHOD, WEBS), METHOD, PROXIES))?;
    let webs = lab.webs(METHOD, WEBS)?;
    let health = format!("health = \"{PROXY_HEALTH}\"\n{more}");
    let site = Site::new(vec![Service::proxied(METHOD, PROXIES)]).proxies(
        METHOD,
        PROXIES,
        tables(METHOD, WEBS, &health, ""),
    );
    let start = |number| Proxy::start_on(&lab, &proxy(number), &site);
    let proxies = (1..=PROXIES).map(start).collect::<Result<_>>()?;
    let director = Director::start(&lab, LB1, &site)?;
    director.wait_serving("web")?;
    let mut rig = Rig {
        lab: &lab,
        director,
        proxies,
        webs,
    };
    test(&mut rig)?;
    lab.finish()
}

impl Rig<'_> {
    /// Waits until the director says this of a proxy.
    fn wait_proxy(&self, number: u8, what: &str, health: &str, draining: bool) -> Result<()> {
        let address = proxy_address(METHOD, number);
        self.director.wait_status(what, |status| {
            status.health("web", address) == health
                && status.real("web", address)["draining"] == draining
        })?;
        Ok(())
    }

    /// Whether requests went to both proxies.
    fn both_served(&self) -> Result<bool> {
        for proxy in &self.proxies {
            let status = proxy.status()?;
            let servers = status["upstreams"][0]["servers"].as_array();
            let servers = servers.context("no servers")?.iter();
            let requests: u64 = servers.filter_map(|one| one["requests"].as_u64()).sum();
            if requests == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[test]
fn a_proxy_that_stops_is_left_first_and_no_request_fails() -> Result<()> {
    require!(root, tools, xdp, daemon, proxy);
    on_site("[proxy.timeouts]\nannounce = \"1s\"\n", |rig| {
        let kept = rig
            .lab
            .load_with(&["--workers", "4", "--keepalive", "--rate", "400"])?;
        let new = rig.lab.load_with(&["--workers", "4", "--rate", "400"])?;
        kept.more(200)?;
        new.more(200)?;
        ensure!(rig.both_served()?, "a proxy had no request");
        for number in [1, 2] {
            let place = usize::from(number) - 1;
            let slow = slow_ones(rig)?;
            let proxy = &rig.proxies[place];
            proxy.wait_status("slow requests", |_| {
                active(proxy).is_ok_and(|some| some > 0)
            })?;
            proxy.daemon().signal(Signal::SIGTERM)?;
            rig.wait_proxy(number, "the proxy to say that it stops", "up", true)?;
            // It has closed its listeners, the director hears nothing more; what it holds goes on.
            rig.wait_proxy(number, "the proxy to be gone", "down", true)?;
            ensure!(active(&rig.proxies[place])? > 0, "all was over before");
            for slow in slow {
                ensure!(slow.wait_exit()?.success(), "{}", slow.story());
            }
            ensure!(rig.proxies[place].daemon().wait_exit()?.success());
            kept.more(100)?;
            new.more(100)?;
            rig.proxies[place].start_again()?;
            rig.wait_proxy(number, "the proxy to be back", "up", false)?;
        }
        for load in [kept, new] {
            let outcome = load.stop()?;
            assert!(outcome.failures.is_empty(), "{outcome:?}");
        }
        Ok(())
    })
}

/// Requests of four seconds through the VIP: of so many, each proxy has some.
fn slow_ones(rig: &Rig<'_>) -> Result<Vec<Process>> {
    let url = format!("http://{VIP}/slow/4000");
    let args = ["-sS", "--fail", "--max-time", "60", &url];
    let one = |_| rig.lab.spawn(CLIENT, "slow", "curl", &args);
    (0..12).map(one).collect()
}

/// Requests under way at a proxy.
fn active(proxy: &Proxy<'_>) -> Result<u64> {
    let status = proxy.status()?;
    let servers = status["upstreams"][0]["servers"].as_array();
    let servers = servers.context("no servers")?.iter();
    Ok(servers.filter_map(|one| one["active"].as_u64()).sum())
}

#[test]
fn a_proxy_that_is_killed_costs_what_it_held_and_new_ones_until_it_is_down() -> Result<()> {
    require!(root, tools, xdp, daemon, proxy);
    on_site("", |rig| {
        let load = rig.lab.load_with(&["--workers", "8", "--rate", "400"])?;
        load.more(200)?;
        let killed = unix_micros();
        rig.proxies[0].daemon().kill()?;
        rig.wait_proxy(1, "the dead proxy to be down", "down", false)?;
        let down = unix_micros();
        load.more(400)?;
        let outcome = load.stop()?;
        only_between(&outcome, killed, down)?;
        rig.proxies[0].start_again()?;
        rig.wait_proxy(1, "the proxy to be back", "up", false)?;
        let after = rig.lab.requests(200)?;
        assert!(after.failures.is_empty(), "{after:?}");
        Ok(())
    })
}

/// Requests failed only because nobody listened, and only between two moments; there were such.
fn only_between(outcome: &Summary, from: u64, to: u64) -> Result<()> {
    assert!(!outcome.failures.is_empty(), "the kill was noticed");
    for failure in &outcome.failures {
        let dead = [
            FailureKind::Refused,
            FailureKind::Reset,
            FailureKind::Closed,
        ];
        ensure!(dead.contains(&failure.kind), "{failure:?}");
        ensure!(failure.failed >= from, "before the kill: {failure:?}");
        ensure!(failure.begun <= to, "after it was down: {failure:?}");
    }
    Ok(())
}

#[test]
fn a_web_server_that_is_killed_behind_proxies_costs_no_client_an_error() -> Result<()> {
    require!(root, tools, xdp, daemon, proxy);
    on_site("", |rig| {
        let kept = rig
            .lab
            .load_with(&["--workers", "4", "--keepalive", "--rate", "400"])?;
        let new = rig.lab.load_with(&["--workers", "4", "--rate", "400"])?;
        kept.more(200)?;
        new.more(200)?;
        rig.webs[0].kill()?;
        kept.more(300)?;
        new.more(300)?;
        rig.lab.web(METHOD, 1)?;
        kept.more(100)?;
        for load in [kept, new] {
            let outcome = load.stop()?;
            assert!(outcome.failures.is_empty(), "{outcome:?}");
            assert!(outcome.servers.contains_key(&web(1)), "{outcome:?}");
        }
        Ok(())
    })
}
