//! A virtual router gets a lease, loses it, steps down and goes: what its VIP's packets and ARP
//! requests see of that.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use lb_ebpf::abi::{Mac, Reason};
use lb_user::tables::{RouterWish, Way, Wish};
use tests::packet::eth;

use super::{A, ACK, B, SYN, Story, Willing, ends, is_recorded, only, reaches, segment, site};
use crate::datapath::site::{CLIENT_MAC, LAN, ROUTER, VIP, WAN};
use crate::datapath::stage::{Seen, Stage, xdp};
use crate::datapath::stories::changed;

pub(super) const ALL: &[(&str, Story)] = &[
    (
        "lease: it runs out between two packets, and comes back",
        runs_out,
    ),
    (
        "lease: stepping down, ARP is silent at once and packets go on",
        steps_down,
    ),
    ("lease: ticks are whole", whole_ticks),
    (
        "lease: a flow that is recorded outlives a time without",
        keeps_flows,
    ),
    ("lease: a router that goes leaves its VIP to the site", goes),
    ("lease: whoever takes an index has none", index_again),
    (
        "lease: a real server here has what another director sends",
        local,
    ),
];

const INDEX: u16 = 5;
const NEVER: [u64; 2] = [0; 2];
const ALWAYS: [u64; 2] = [u64::MAX; 2];

/// The site of a story, its VIP a virtual router's on this interface.
fn owned(wish: Wish, ifindex: u32) -> Wish {
    Wish {
        routers: vec![RouterWish {
            index: INDEX,
            ifindex,
            mac: None,
            vips: vec![VIP.into()],
            local: Vec::new(),
        }],
        ..wish
    }
}

/// Who has the VIP?
fn asked(stage: &mut Stage) -> Result<Seen> {
    stage.send(LAN, &eth(CLIENT_MAC, Mac([0xff; 6])).arp(ROUTER, VIP))
}

fn is_answered(stage: &mut Stage) -> Result<()> {
    ends(&asked(stage)?, Reason::AnsweredArp, xdp::TX)
}

fn is_silent(stage: &mut Stage) -> Result<()> {
    ends(&asked(stage)?, Reason::NotActive, xdp::DROP)
}

fn is_dropped(stage: &mut Stage) -> Result<()> {
    ends(&segment(stage, 40_000, ACK)?, Reason::NotActive, xdp::DROP)
}

fn lend(stage: &mut Stage, until: [u64; 2]) {
    stage.plane().lend(INDEX, until);
}

fn runs_out(stage: &mut Stage) -> Result<()> {
    stage.load(&owned(only(A), LAN))?;
    is_dropped(stage).context("before the first lease")?;
    is_silent(stage)?;
    for _ in 0..2 {
        lend(stage, ALWAYS);
        reaches(stage, 40_000, ACK, A)?;
        is_answered(stage)?;
        // It ends with the tick that is now.
        let now = stage.plane().tick()?;
        lend(stage, [now; 2]);
        is_dropped(stage).context("after its end")?;
        is_silent(stage)?;
    }
    Ok(())
}

fn steps_down(stage: &mut Stage) -> Result<()> {
    stage.load(&owned(only(A), LAN))?;
    lend(stage, ALWAYS);
    is_answered(stage)?;
    lend(stage, [0, u64::MAX]);
    is_silent(stage)?;
    reaches(stage, 40_000, ACK, A)?;
    reaches(stage, 40_001, SYN, A)?;
    lend(stage, NEVER);
    is_silent(stage)?;
    is_dropped(stage)
}

fn whole_ticks(stage: &mut Stage) -> Result<()> {
    stage.load(&owned(only(A), LAN))?;
    // The low half is less than that of now, the whole is more; and the other way round.
    lend(stage, [1 << 40; 2]);
    is_answered(stage)?;
    reaches(stage, 40_000, ACK, A)?;
    let now = stage.plane().tick()?;
    lend(stage, [(now & 0xffff_ffff).min(now - 1); 2]);
    is_silent(stage)?;
    is_dropped(stage)
}

fn keeps_flows(stage: &mut Stage) -> Result<()> {
    let tracked = |wish| changed(wish, |service| service.track = true);
    stage.load(&owned(tracked(only(A)), LAN))?;
    lend(stage, ALWAYS);
    reaches(stage, 40_000, SYN, A)?;
    is_recorded(stage, 40_000, Some(A))?;
    lend(stage, NEVER);
    is_dropped(stage)?;
    stage.load(&owned(tracked(only(B)), LAN))?;
    is_dropped(stage).context("after a change of the site")?;
    lend(stage, ALWAYS);
    reaches(stage, 40_000, ACK, A)?;
    reaches(stage, 40_001, SYN, B)
}

fn goes(stage: &mut Stage) -> Result<()> {
    stage.load(&owned(only(A), LAN))?;
    is_dropped(stage)?;
    stage.load(&only(A))?;
    reaches(stage, 40_000, ACK, A)?;
    ends(&asked(stage)?, Reason::NotOurMac, xdp::PASS)?;
    // And when it comes back, it comes without a lease.
    lend(stage, ALWAYS);
    stage.load(&owned(only(A), LAN))?;
    is_dropped(stage)?;
    is_silent(stage)
}

fn index_again(stage: &mut Stage) -> Result<()> {
    stage.load(&owned(only(A), LAN))?;
    lend(stage, ALWAYS);
    reaches(stage, 40_000, ACK, A)?;
    // The same router goes on: only a service of its VIP has changed.
    stage.load(&owned(only(B), LAN))?;
    reaches(stage, 40_001, SYN, B)?;
    let mut other = owned(only(B), WAN);
    other.routers[0]
        .vips
        .push(Ipv4Addr::new(10, 77, 0, 99).into());
    stage.load(&other)?;
    is_dropped(stage)?;
    lend(stage, ALWAYS);
    reaches(stage, 40_001, SYN, B)?;
    ends(&asked(stage)?, Reason::NotOnLink, xdp::DROP)
}

fn local(stage: &mut Stage) -> Result<()> {
    let here = changed(site(&[(A, Willing)]), |service| {
        for real in &mut service.reals {
            real.way = Some(Way::Local);
        }
    });
    stage.load(&owned(here, LAN))?;
    let passed = segment(stage, 40_000, SYN)?;
    ends(&passed, Reason::NotActiveLocal, xdp::PASS)?;
    is_silent(stage)?;
    lend(stage, ALWAYS);
    let taken = segment(stage, 40_000, SYN)?;
    ends(&taken, Reason::ForwardedLocal, xdp::PASS)?;
    stage.load(&owned(only(A), LAN))?;
    lend(stage, NEVER);
    is_dropped(stage)
}
