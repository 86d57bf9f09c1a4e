//! The lab's own eyes and faults, tried on two keepalived: outages are seen, and two answers where
//! there are two; and what keepalived writes when nothing is wrong.
//!
//! Not here: anything of Viaduct.

use anyhow::Result;
use tests::{
    lab::{
        Lab,
        keepalived::{Keepalived, Router, pair, unicast_pair},
        topology::{LB1, LB2, Method, dual, two_directors},
        wait::{SOON, unix_micros},
        watch::{Asking, Probing, Urgency},
    },
    require,
};

use super::{INTERVAL, MAC1, MAC2, MET, vips6};

/// A pair of keepalived, the first one Active, under watch.
struct Pair<'l> {
    lab: &'l Lab,
    one: Keepalived<'l>,
    two: Keepalived<'l>,
    probing: Probing,
    asking: Asking,
}

impl<'l> Pair<'l> {
    fn start(lab: &'l Lab, [one, two]: &[Router; 2]) -> Result<Self> {
        // The last: a neighbour's echo to a link-local address would have to say by which interface.
        let vip = one.vips[one.vips.len() - 1];
        let pair = Self {
            lab,
            one: Keepalived::start(lab, LB1, one)?,
            two: Keepalived::start(lab, LB2, two)?,
            probing: lab.probe(vip, Urgency::Ordinary, &[])?,
            asking: lab.who_has(vip, Urgency::Ordinary, &[])?,
        };
        pair.settled(MAC1)?;
        Ok(pair)
    }

    /// Waits until one answers alone, and the client reaches it.
    fn settled(&self, mac: &str) -> Result<()> {
        self.asking.wait_for(mac, 50)?;
        self.probing.wait_answered(50)
    }

    /// Both logs have nothing out of the ordinary, but for lines with `expected` in them.
    fn assert_no_complaints(&self, expected: Option<&str>) -> Result<()> {
        for keepalived in [&self.one, &self.two] {
            let mut complaints = keepalived.complaints()?;
            if let Some(text) = expected {
                complaints.retain(|line| !line.contains(text));
            }
            assert!(
                complaints.is_empty(),
                "{}: {complaints:?}",
                keepalived.host()
            );
        }
        Ok(())
    }
}

fn on_pair(
    routers: &[Router; 2],
    expected: Option<&str>,
    test: impl FnOnce(&Pair<'_>) -> Result<()>,
) -> Result<()> {
    let lab = Lab::build(dual(two_directors(Method::Dr, 0)))?;
    let pair = Pair::start(&lab, routers)?;
    test(&pair)?;
    pair.assert_no_complaints(expected)?;
    drop(pair);
    lab.finish()
}

/// The host dies without a word: the other takes over, and what was between is seen.
fn dies(pair: &Pair<'_>) -> Result<()> {
    let died = unix_micros();
    pair.lab.cut(LB1)?;
    pair.one.kill()?;
    pair.settled(MAC2)?;
    let (probed, asked) = (pair.probing.finish()?, pair.asking.finish()?);
    // Those before are of the start: nobody was Active.
    let since = probed.outages.iter().filter(|one| one.from >= died);
    let outage = since.max_by_key(|one| one.until - one.from);
    let outage = outage.expect("no outage was seen");
    assert!(!outage.open, "{died} {probed:?}");
    assert!(probed.lost > 0, "{probed:?}");
    let takeover = asked.first(MAC2).expect("who took over did not answer");
    assert!(outage.from < takeover, "{outage:?} {takeover}");
    assert_eq!(
        (asked.doubles(takeover), asked.changes()),
        (0, 1),
        "{asked:?}"
    );
    Ok(())
}

#[test]
fn a_hosts_death_and_the_takeover_are_seen_by_client_and_monitor() -> Result<()> {
    require!(root, tools, xdp, daemon, keepalived);
    on_pair(&pair(INTERVAL), None, dies)
}

#[test]
fn a_hosts_death_and_the_takeover_by_unicast_are_seen() -> Result<()> {
    require!(root, tools, xdp, daemon, keepalived);
    on_pair(&unicast_pair(INTERVAL), None, dies)
}

#[test]
fn a_hosts_death_and_the_takeover_in_ipv6_are_seen() -> Result<()> {
    require!(root, tools, xdp, daemon, keepalived);
    on_pair(
        &pair(INTERVAL).map(|router| router.vips(&vips6())),
        None,
        dies,
    )
}

#[test]
fn two_hosts_that_answer_at_a_time_are_seen_as_two() -> Result<()> {
    require!(root, tools, xdp, daemon, keepalived);
    on_pair(&pair(INTERVAL), None, |pair| {
        // The daemon dies, its host lives on and still has the VIP: that is keepalived's way.
        pair.one.kill()?;
        pair.two.wait_active(true)?;
        pair.asking.wait_until("two answers", SOON, |now| {
            now.streak >= 10 && now.macs == [MAC1, MAC2]
        })?;
        let asked = pair.asking.finish()?;
        assert!(
            asked.doubles(asked.first(MAC2).unwrap_or(0)) >= 10,
            "{asked:?}"
        );
        Ok(())
    })
}

#[test]
fn two_hosts_that_lost_sight_of_each_other_both_answer_until_they_meet() -> Result<()> {
    require!(root, tools, xdp, daemon, keepalived);
    on_pair(&pair(INTERVAL), Some(MET), |pair| {
        pair.lab.part(LB1, LB2)?;
        pair.asking
            .wait_until("two answers", SOON, |now| now.macs == [MAC1, MAC2])?;
        assert!(pair.one.is_active()? && pair.two.is_active()?);
        pair.lab.unite(LB1, LB2)?;
        pair.asking.wait_for(MAC1, 50)?;
        pair.two.wait_active(false)
    })
}

#[test]
fn a_cable_pulled_is_noticed_and_plugged_in_again_is_as_before() -> Result<()> {
    require!(root, tools, xdp, daemon, keepalived);
    let lab = Lab::build(two_directors(Method::Dr, 0))?;
    let pair = Pair::start(&lab, &pair(INTERVAL))?;
    lab.unplug(LB1)?;
    pair.asking.wait_for(MAC2, 50)?;
    // That it knows tells a pulled cable from a deaf port.
    pair.one
        .daemon()
        .wait_for_log("its fault", |line| line.contains("Entering FAULT STATE"))?;
    lab.plug(LB1)?;
    pair.settled(MAC1)?;
    drop(pair);
    lab.finish()
}

#[test]
fn a_paused_pair_of_processes_says_nothing_and_a_stopped_one_says_so() -> Result<()> {
    require!(root, tools, xdp, daemon, keepalived);
    on_pair(&pair(INTERVAL), Some(MET), |pair| {
        pair.one.pause()?;
        pair.two.wait_active(true)?;
        pair.one.resume()?;
        pair.one.wait_active(true)?;
        pair.two.wait_active(false)?;
        pair.one.stop()?;
        pair.two.wait_active(true)?;
        assert!(pair.two.daemon().log()?.contains("received priority 0"));
        pair.asking.wait_for(MAC2, 50)
    })
}
