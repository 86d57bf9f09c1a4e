//! The lab's web server and clients, without a balancer: the other tests believe what they say.
//!
//! Not here: what a balancer makes of it (`l4` and on).

use anyhow::Result;
use nix::sys::signal::Signal;
use tests::{
    guest::request::FailureKind,
    lab::{
        Lab, link,
        topology::{CLIENT, Method, VIP, no_director, web_address},
        wait::{SOON, eventually, unix_micros},
    },
    require,
};

/// A lab in which the client's route to the VIP leads straight to web1.
fn routed_to_web1() -> Result<Lab> {
    let lab = Lab::build(no_director(1))?;
    let route = format!("route add {VIP}/32 via {}", web_address(Method::Dr, 1));
    link::ip(&lab.netns(CLIENT), &[route])?;
    Ok(lab)
}

#[test]
fn the_load_counts_requests_and_connections() -> Result<()> {
    require!(root, tools, daemon);
    let lab = routed_to_web1()?;
    lab.webs(Method::Dr, 1)?;
    let fresh = lab.requests(20)?;
    let kept = lab.load_with(&["--workers", "3", "--keepalive"])?;
    kept.more(20)?;
    let kept = kept.stop()?;
    assert_eq!((fresh.ok, fresh.connections), (20, 20), "{fresh:?}");
    assert_eq!(fresh.servers.get("web1"), Some(&20));
    assert!(kept.ok >= 20 && kept.connections == 3, "{kept:?}");
    lab.finish()
}

#[test]
fn the_load_tells_who_was_on_a_connection_that_broke() -> Result<()> {
    require!(root, tools, daemon);
    let lab = routed_to_web1()?;
    let web1 = lab.web(Method::Dr, 1)?;
    // Slow enough that requests are in flight when the server dies.
    let load = lab.load_with(&["--workers", "4", "--keepalive", "--path", "/slow/200"])?;
    load.more(8)?;
    let killed = unix_micros();
    web1.kill()?;
    eventually(SOON, "failures", || {
        Ok((load.progress()?.failed >= 8).then_some(()))
    })?;
    let outcome = load.stop()?;
    let (in_flight, after): (Vec<_>, Vec<_>) = outcome
        .failures
        .iter()
        .partition(|failure| failure.server.is_some());
    assert_eq!(in_flight.len(), 4, "{outcome:?}");
    for failure in in_flight {
        assert_eq!(failure.server.as_deref(), Some("web1"));
        assert!(
            matches!(failure.kind, FailureKind::Reset | FailureKind::Closed),
            "{failure:?}"
        );
        assert!(
            failure.begun <= killed && failure.failed >= killed,
            "{failure:?} {killed}"
        );
    }
    assert!(!after.is_empty());
    for failure in after {
        // One that the dying server's kernel had accepted before it closed the listener is reset.
        assert!(
            matches!(failure.kind, FailureKind::Refused | FailureKind::Reset),
            "{failure:?}"
        );
    }
    lab.finish()
}

#[test]
fn a_kept_connection_closed_between_requests_is_lost_but_fails_nothing() -> Result<()> {
    require!(root, tools, daemon);
    let lab = routed_to_web1()?;
    let web1 = lab.web(Method::Dr, 1)?;
    // One request a second: it is idle when it is stopped.
    let load = lab.load_with(&["--workers", "1", "--keepalive", "--rate", "1"])?;
    load.more(1)?;
    load.signal(Signal::SIGSTOP)?;
    web1.kill()?;
    lab.web(Method::Dr, 1)?;
    load.signal(Signal::SIGCONT)?;
    load.more(1)?;
    let outcome = load.stop()?;
    assert_eq!(
        (outcome.lost_connections, outcome.failures.len()),
        (1, 0),
        "{outcome:?}"
    );
    lab.finish()
}

#[test]
fn datagrams_are_answered_by_name_and_lost_ones_are_counted() -> Result<()> {
    require!(root, tools, daemon);
    let lab = routed_to_web1()?;
    let web1 = lab.web(Method::Dr, 1)?;
    let echoed = lab.echo(4, 8)?;
    assert_eq!((echoed.sent, echoed.lost), (8, 0), "{echoed:?}");
    assert!(
        echoed.sockets.iter().all(|servers| servers.len() == 1),
        "{echoed:?}"
    );
    web1.terminate()?;
    assert_eq!(lab.echo(1, 2)?.lost, 2);
    lab.finish()
}
