//! Health: what clients see of a web server that dies and comes back.
//!
//! Not here: when a probe counts as failed and how often it must; package `health` has the tables.

use anyhow::Result;
use tests::{
    guest::load::Summary,
    lab::{
        Lab,
        director::Director,
        site::{Service, Site},
        status::Status,
        topology::{LB1, Method, one_director, web_address},
        wait::unix_micros,
    },
    require,
};

const WEBS: u8 = 3;

fn site(method: Method) -> Site {
    Site::new(vec![Service::web(method, WEBS).http_health("/health")])
}

fn web2_is(health: &str, method: Method) -> impl Fn(&Status) -> bool {
    move |status| status.health("web", web_address(method, 2)) == health
}

/// Only what was on web2 while it was dead and not yet seen to be may have failed.
fn assert_bounded(outcome: &Summary, killed: u64, seen_down: u64) {
    for failure in &outcome.failures {
        assert!(
            failure.failed >= killed,
            "failed before the kill: {failure:?}"
        );
        assert!(
            failure.begun <= seen_down,
            "begun after the server was seen down: {failure:?}"
        );
        let server = failure.server.as_deref();
        assert!(
            matches!(server, None | Some("web2")),
            "not on the killed server: {failure:?}"
        );
    }
    assert!(outcome.servers.contains_key("web1"), "{outcome:?}");
    assert!(outcome.servers.contains_key("web3"), "{outcome:?}");
}

fn killed_under_load(method: Method, keepalive: bool) -> Result<()> {
    let lab = Lab::build(one_director(method, WEBS))?;
    let webs = lab.webs(method, WEBS)?;
    let director = Director::start(&lab, LB1, site(method))?;
    director.wait_serving("web")?;

    // Enough connections that each server surely has one.
    let load = lab.load(24, keepalive)?;
    load.more(100)?;
    let killed = unix_micros();
    webs[1].kill()?;
    director.wait_status("web2 down", web2_is("down", method))?;
    let seen_down = unix_micros();
    load.more(200)?;
    assert_bounded(&load.stop()?, killed, seen_down);

    lab.web(method, 2)?;
    director.wait_status("web2 up again", web2_is("up", method))?;
    let after = lab.requests(100)?;
    assert!(after.failures.is_empty(), "{after:?}");
    assert!(
        after.servers.contains_key("web2"),
        "it does not serve again: {after:?}"
    );
    lab.finish()
}

#[test]
fn when_a_server_dies_under_load_only_requests_on_it_fail_and_it_serves_again() -> Result<()> {
    require!(root, tools, xdp, daemon);
    killed_under_load(Method::Dr, false)
}

#[test]
fn when_a_server_dies_only_kept_connections_to_it_fail() -> Result<()> {
    require!(root, tools, xdp, daemon);
    killed_under_load(Method::Dr, true)
}

#[test]
fn when_a_server_behind_nat_dies_under_load_only_requests_on_it_fail() -> Result<()> {
    require!(root, tools, xdp, daemon);
    killed_under_load(Method::Nat, false)
}

#[test]
fn a_server_that_answers_503_to_the_probe_is_down_without_a_failed_request() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let method = Method::Dr;
    let lab = Lab::build(one_director(method, WEBS))?;
    lab.webs(method, WEBS)?;
    let director = Director::start(&lab, LB1, site(method))?;
    director.wait_serving("web")?;
    let load = lab.load(4, false)?;
    load.more(50)?;

    lab.set_health("web2", false)?;
    let down = director.wait_status("web2 down", web2_is("down", method))?;
    let reason = &down.real("web", web_address(method, 2))["health_reason"];
    assert!(
        reason.as_str().is_some_and(|reason| reason.contains("503")),
        "{down}"
    );
    let meanwhile = lab.requests(100)?;
    assert_eq!(meanwhile.servers.get("web2"), None, "{meanwhile:?}");

    lab.set_health("web2", true)?;
    director.wait_status("web2 up again", web2_is("up", method))?;
    load.more(50)?;
    let outcome = load.stop()?;
    assert!(
        outcome.failures.is_empty() && meanwhile.failures.is_empty(),
        "{outcome:?}"
    );
    lab.finish()
}

#[test]
fn a_server_that_is_not_there_at_the_start_gets_no_connection() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let method = Method::Dr;
    let lab = Lab::build(one_director(method, WEBS))?;
    for number in [1, 3] {
        lab.web(method, number)?;
    }
    let director = Director::start(&lab, LB1, site(method))?;
    director.wait_status("two servers up, one down", |status| {
        let health = |number| status.health("web", web_address(method, number));
        [health(1), health(2), health(3)] == ["up", "down", "up"]
    })?;
    let outcome = lab.requests(100)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    assert_eq!(outcome.servers.len(), 2, "{outcome:?}");
    lab.finish()
}
