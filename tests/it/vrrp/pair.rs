//! Two directors as their clients see them: killed, stopped, hung, cut off, drained, and back again.
//!
//! Not here: for how long a takeover takes (`cargo xtask bench failover`), and other makers' routers.

use std::process::Command;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use tests::{
    lab::{
        Lab,
        director::Director,
        find, link,
        plan::{Plan, SWITCH},
        router::VirtualRouter,
        site::{Service, Site},
        status::Status,
        topology::{LB1, LB2, Method, VIP, two_directors},
        wait::unix_micros,
        watch::{Asking, Urgency},
    },
    require,
};

use super::{INTERVAL, MAC1, MAC2};

/// How many servers each test has.
pub(super) const WEBS: u8 = 2;

/// Two directors, the first one Active.
pub(super) struct Pair<'l> {
    pub(super) lab: &'l Lab,
    pub(super) one: Director<'l>,
    pub(super) two: Director<'l>,
}

/// A site of method dr with one virtual router.
pub(super) fn dr(router: VirtualRouter) -> Site {
    Site::new(vec![Service::web(Method::Dr, WEBS)]).router(router)
}

/// A site of method nat, its gateway in a router of the same group.
pub(super) fn nat() -> Site {
    let group = "group = \"site\"";
    Site::new(vec![Service::web(Method::Nat, WEBS)])
        .on(&["eth0", "eth1"])
        .router(VirtualRouter::new(INTERVAL).key(group))
        .router(VirtualRouter::inside(INTERVAL).key(group))
}

/// Runs `test` on two directors once the first one serves.
pub(super) fn on_pair(
    plan: Plan,
    site: &Site,
    test: impl FnOnce(&mut Pair<'_>) -> Result<()>,
) -> Result<()> {
    let method = site.services[0].method;
    let lab = Lab::build(plan)?;
    lab.webs(method, WEBS)?;
    let one = Director::start(&lab, LB1, site)?;
    let two = Director::start(&lab, LB2, site)?;
    for director in [&one, &two] {
        director.wait_serving("web")?;
    }
    let lab_ref = &lab;
    let mut pair = Pair {
        lab: lab_ref,
        one,
        two,
    };
    pair.first_serves()?;
    test(&mut pair)?;
    drop(pair);
    lab.finish()
}

impl Pair<'_> {
    /// Waits until the first one serves and the second one does not.
    pub(super) fn first_serves(&self) -> Result<()> {
        self.one
            .wait_status("the first to be active", Status::is_active)?;
        self.two
            .wait_status("the second to be backup", |now| now.is("backup"))?;
        Ok(())
    }

    /// Waits until the second one serves.
    pub(super) fn second_serves(&self) -> Result<()> {
        self.two
            .wait_status("the second to be active", Status::is_active)?;
        Ok(())
    }

    pub(super) fn asking(&self) -> Result<Asking> {
        self.lab.who_has(VIP.into(), Urgency::Ordinary, &[])
    }

    /// Makes requests, none of which may fail.
    pub(super) fn assert_serves(&self) -> Result<()> {
        let outcome = self.lab.requests(40)?;
        ensure!(
            outcome.failures.is_empty() && outcome.ok == 40,
            "{outcome:?}"
        );
        Ok(())
    }

    /// Runs `viaduct` on the first director's socket.
    pub(super) fn viaduct(&self, verb: &str) -> Result<(Option<i32>, String)> {
        let mut command = Command::new(find::program("viaduct")?);
        let socket = &self.one.files().socket;
        let out = command.arg(verb).arg("--socket").arg(socket).output()?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        Ok((out.status.code(), said))
    }
}

/// Asserts that nobody else answered once this one did, since a moment.
pub(super) fn assert_alone(asking: &Asking, since: u64) -> Result<()> {
    let asked = asking.finish()?;
    assert_eq!(asked.rivals(since), 0, "two answered: {asked:?}");
    Ok(())
}

#[test]
fn a_killed_daemon_is_replaced_and_its_host_is_silent_for_the_vip() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        let asking = pair.asking()?;
        asking.wait_for(MAC1, 50)?;
        let since = unix_micros();
        pair.one.daemon().kill()?;
        asking.wait_for(MAC2, 50)?;
        pair.assert_serves()?;
        assert_alone(&asking, since)?;
        pair.one.start_again()?;
        pair.first_serves()?;
        pair.assert_serves()
    })
}

fn no_connection_dies_with_its_director(method: Method, site: &Site) -> Result<()> {
    on_pair(two_directors(method, WEBS), site, |pair| {
        let downloads = pair.lab.downloads(VIP.into(), 200, 400_000, 8)?;
        downloads.wait_under_way(200, 8_000_000)?;
        pair.lab.cut(LB1)?;
        pair.one.daemon().kill()?;
        pair.second_serves()?;
        let outcome = downloads.finish()?;
        assert_eq!(outcome.whole, 200, "{outcome:?}");
        Ok(())
    })
}

#[test]
fn two_hundred_downloads_through_dr_outlive_their_director() -> Result<()> {
    require!(root, tools, xdp, daemon);
    no_connection_dies_with_its_director(Method::Dr, &dr(VirtualRouter::new(INTERVAL)))
}

#[test]
fn two_hundred_downloads_through_nat_outlive_their_director() -> Result<()> {
    require!(root, tools, xdp, daemon);
    no_connection_dies_with_its_director(Method::Nat, &nat())
}

#[test]
fn planned_moves_lose_no_packet() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        let probing = pair.lab.probe(VIP.into(), Urgency::Ordinary, &[])?;
        let asking = pair.asking()?;
        probing.wait_answered(100)?;
        // A stop, and the return of the better one.
        pair.one.stop()?;
        pair.second_serves()?;
        probing.wait_answered(100)?;
        pair.one.start_again()?;
        pair.first_serves()?;
        probing.wait_answered(100)?;
        // An operator's word, and its end.
        let (code, said) = pair.viaduct("resign")?;
        ensure!(
            code == Some(0) && said.contains("handed over"),
            "{code:?} {said}"
        );
        asking.wait_for(MAC2, 50)?;
        let status = pair.one.status()?;
        assert_eq!(
            status.0["routers"][0]["fault"], "resigned by order",
            "{status}"
        );
        pair.viaduct("rejoin")?;
        pair.first_serves()?;
        probing.wait_answered(100)?;
        let probed = probing.finish()?;
        assert_eq!((probed.lost, probed.twice), (0, 0), "{probed:?}");
        Ok(())
    })
}

#[test]
fn a_director_without_another_goes_on_when_it_is_to_resign() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        pair.two.daemon().kill()?;
        let probing = pair.lab.probe(VIP.into(), Urgency::Ordinary, &[])?;
        probing.wait_answered(100)?;
        let (code, said) = pair.viaduct("resign")?;
        ensure!(
            code == Some(3) && said.contains("goes on serving"),
            "{code:?} {said}"
        );
        probing.wait_answered(100)?;
        let probed = probing.finish()?;
        assert_eq!(probed.lost, 0, "{probed:?}");
        Ok(())
    })
}

#[test]
fn a_daemon_that_hangs_is_fenced_and_returns_in_order() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        let asking = pair.asking()?;
        asking.wait_for(MAC1, 50)?;
        let since = unix_micros();
        pair.one.daemon().signal(Signal::SIGSTOP)?;
        asking.wait_for(MAC2, 50)?;
        assert_alone(&asking, since)?;
        // Make before break: in the moment of the planned return both may answer.
        let asking = pair.asking()?;
        pair.one.daemon().signal(Signal::SIGCONT)?;
        pair.first_serves()?;
        asking.wait_for(MAC1, 50)?;
        asking.finish()?;
        let status = pair.one.status()?;
        assert_eq!(
            status.0["routers"][0]["counters"]["woken_late"], 1,
            "{status}"
        );
        Ok(())
    })
}

#[test]
fn a_partition_heals_to_one_director_that_clients_find() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        pair.lab.part(LB1, LB2)?;
        pair.second_serves()?;
        pair.one
            .wait_status("the first to be active still", Status::is_active)?;
        pair.lab.unite(LB1, LB2)?;
        pair.first_serves()?;
        let asking = pair.asking()?;
        asking.wait_for(MAC1, 50)?;
        pair.assert_serves()?;
        asking.finish()?;
        Ok(())
    })
}

#[test]
fn a_pulled_cable_moves_the_vip_and_back() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        pair.lab.unplug(LB1)?;
        pair.second_serves()?;
        pair.one.wait_status("the first to say why", |now| {
            now.0["routers"][0]["fault"] == "interface eth0 is down"
        })?;
        pair.assert_serves()?;
        pair.lab.plug(LB1)?;
        pair.first_serves()?;
        pair.assert_serves()
    })
}

#[test]
fn the_two_sides_of_nat_move_together() -> Result<()> {
    require!(root, tools, xdp, daemon);
    on_pair(two_directors(Method::Nat, WEBS), &nat(), |pair| {
        let inside = |state: &str| vec![format!("link set {LB1}.eth1 {state}")];
        link::ip(&pair.lab.netns(SWITCH), &inside("down"))?;
        pair.second_serves()?;
        pair.one
            .wait_status("the first to take no part on either side", |now| {
                now.is("initialize")
            })?;
        pair.assert_serves()?;
        link::ip(&pair.lab.netns(SWITCH), &inside("up"))?;
        pair.first_serves()?;
        pair.assert_serves()
    })
}
