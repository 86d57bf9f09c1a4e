//! A bucket of the flow table that many flows want: who stays, who gives way, and what becomes of
//! those without room.

use std::net::Ipv4Addr;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::{BUCKETS, FlowEvent, Reason, Way as Word, method};
use lb_ebpf::flow::bucket;
use lb_user::tables::Wish;
use tests::packet::eth;

use super::{
    A, ACK, B, C, FIN, RST, SYN, Story, TCP, arrives, changed, ends, flow_key, only, server_of,
};
use crate::datapath::site::{CLIENT_MAC, LAN, LB, VIP, pool};
use crate::datapath::stage::{Seen, Stage, xdp};

/// Each with its name.
pub(super) const ALL: &[(&str, Story)] = &[
    (
        "a flood of new flows takes nothing from established ones",
        a_flood,
    ),
    ("a flood of new flows is counted right", a_flood_is_counted),
    (
        "a bucket full of established flows takes no more",
        a_full_bucket,
    ),
    (
        "a flow without room keeps its server by the ring",
        without_room,
    ),
    ("an expired entry is the first to give way", expired_first),
    ("a reset flow gives way before a new one", reset_first),
    ("a flow that is about to end does not give way", closing),
    ("fullnat: without room no flow begins", fullnat_without_room),
];

/// Where a client's flow comes from.
type From = (Ipv4Addr, u16);

/// Clients' flows that all want one bucket, on the host and in the kernel.
fn crowd() -> &'static [From] {
    static CROWD: OnceLock<Vec<From>> = OnceLock::new();
    CROWD.get_or_init(|| {
        let all = (0x0a09_0000u32..)
            .flat_map(|address| (1024..=u16::MAX).map(move |port| (Ipv4Addr::from(address), port)));
        let bucket = |(client, port): &From| bucket(&flow_key(&TCP, *client, *port), BUCKETS - 1);
        all.filter(|from| bucket(from) == 77).take(60).collect()
    })
}

fn tracked(wish: Wish) -> Wish {
    changed(wish, |service| service.track = true)
}

fn send(stage: &mut Stage, (client, port): From, flags: u8) -> Result<Seen> {
    let frame = eth(CLIENT_MAC, LB).ipv4(client, VIP).tcp(port, 80);
    stage.send(LAN, &frame.flags(flags).build())
}

/// The flows begin, and go on.
fn establish(stage: &mut Stage, flows: &[From]) -> Result<()> {
    for from in flows {
        send(stage, *from, SYN)?;
        send(stage, *from, ACK)?;
    }
    Ok(())
}

fn is_there(stage: &Stage, (client, port): From) -> bool {
    stage.entry(&flow_key(&TCP, client, port)).is_some()
}

fn all_there(stage: &Stage, flows: &[From]) -> Result<()> {
    let gone: Vec<_> = flows
        .iter()
        .filter(|from| !is_there(stage, **from))
        .collect();
    ensure!(gone.is_empty(), "{gone:?} have no entries any more");
    Ok(())
}

fn counts(stage: &Stage, event: FlowEvent, wanted: u64) -> Result<()> {
    let found = stage.events(event);
    ensure!(found == wanted, "{event:?}: {found}, not {wanted}");
    Ok(())
}

fn a_flood(stage: &mut Stage) -> Result<()> {
    let (known, flood) = crowd().split_at(3);
    stage.load(&tracked(only(A)))?;
    establish(stage, known)?;
    stage.load(&tracked(only(B)))?;
    for from in &flood[..40] {
        arrives(&send(stage, *from, SYN)?, B)?;
    }
    all_there(stage, known)?;
    for from in known {
        arrives(&send(stage, *from, ACK)?, A)?;
    }
    // The last of the flood are those that are known.
    all_there(stage, &flood[39..40])?;
    ensure!(stage.entries().len() == 8, "more than a bucket");
    counts(stage, FlowEvent::Displaced, 35)?;
    counts(stage, FlowEvent::Recorded, 43)?;
    counts(stage, FlowEvent::Untracked, 0)
}

fn a_flood_is_counted(stage: &mut Stage) -> Result<()> {
    let (known, flood) = crowd().split_at(3);
    stage.load(&tracked(only(A)))?;
    establish(stage, known)?;
    for from in &flood[..40] {
        send(stage, *from, SYN)?;
    }
    let found = stage.connections(stage.real_id(&TCP, A.into())?);
    ensure!(found == (3, 5), "{found:?}, not 3 and 5");
    Ok(())
}

fn a_full_bucket(stage: &mut Stage) -> Result<()> {
    let (known, more) = crowd().split_at(8);
    stage.load(&tracked(only(A)))?;
    establish(stage, known)?;
    for from in &more[..10] {
        arrives(&send(stage, *from, SYN)?, A)?;
        ensure!(!is_there(stage, *from), "it found room");
    }
    counts(stage, FlowEvent::Untracked, 10)?;
    counts(stage, FlowEvent::Displaced, 0)?;
    all_there(stage, known)?;
    let found = stage.connections(stage.real_id(&TCP, A.into())?);
    ensure!(found == (8, 0), "{found:?}, not 8 and none");
    // Where there is room again, the next packet finds it.
    send(stage, known[0], RST)?;
    arrives(&send(stage, more[0], ACK)?, A)?;
    ensure!(is_there(stage, more[0]), "it found no room");
    Ok(())
}

/// All its packets must go one way, also those of a flow that begins while the slot is unsettled.
fn without_room(stage: &mut Stage) -> Result<()> {
    let (known, more) = crowd().split_at(8);
    stage.load(&tracked(only(A)))?;
    establish(stage, known)?;
    arrives(&send(stage, more[0], SYN)?, A)?;
    stage.load(&tracked(only(B)))?;
    arrives(&send(stage, more[0], ACK)?, A)?;
    let server = server_of(&send(stage, more[1], SYN)?)?;
    arrives(&send(stage, more[1], ACK)?, server)?;
    stage.load(&tracked(only(C)))?;
    arrives(&send(stage, more[1], ACK)?, server)?;
    for from in known {
        arrives(&send(stage, *from, ACK)?, A)?;
    }
    Ok(())
}

fn expired_first(stage: &mut Stage) -> Result<()> {
    let (known, more) = crowd().split_at(7);
    stage.load(&tracked(only(A)))?;
    establish(stage, known)?;
    send(stage, more[0], SYN)?;
    let now = stage.plane().now()?;
    let (client, port) = known[3];
    let entry = stage.entry(&flow_key(&TCP, client, port));
    let (at, way, key, flow) = entry.context("it is not recorded")?;
    let expired = Word::new(way.tag(), way.state(), now.wrapping_sub(1));
    stage.plane().put_entry(at, expired, &key, &flow);
    send(stage, more[1], SYN)?;
    ensure!(!is_there(stage, known[3]), "the expired one is there");
    all_there(stage, &[&known[..3], &known[4..], &more[..2]].concat())?;
    counts(stage, FlowEvent::Reused, 1)?;
    counts(stage, FlowEvent::Displaced, 0)?;
    let found = stage.connections(stage.real_id(&TCP, A.into())?);
    ensure!(found == (6, 2), "{found:?}, not 6 and 2");
    Ok(())
}

fn reset_first(stage: &mut Stage) -> Result<()> {
    let (known, more) = crowd().split_at(6);
    stage.load(&tracked(only(A)))?;
    establish(stage, known)?;
    send(stage, more[0], SYN)?;
    establish(stage, &more[1..2])?;
    send(stage, more[1], RST)?;
    send(stage, more[2], SYN)?;
    ensure!(!is_there(stage, more[1]), "the reset one is there");
    all_there(stage, &[known, &more[..1], &more[2..3]].concat())?;
    counts(stage, FlowEvent::Displaced, 1)
}

fn closing(stage: &mut Stage) -> Result<()> {
    let (known, more) = crowd().split_at(8);
    stage.load(&tracked(only(A)))?;
    establish(stage, known)?;
    for from in known {
        send(stage, *from, FIN | ACK)?;
    }
    arrives(&send(stage, more[0], SYN)?, A)?;
    all_there(stage, known)?;
    counts(stage, FlowEvent::Untracked, 1)
}

fn fullnat_without_room(stage: &mut Stage) -> Result<()> {
    let (known, more) = crowd().split_at(8);
    let mut wish = changed(only(A), |service| service.method = method::FULLNAT);
    wish.pool = pool(100);
    stage.load(&wish)?;
    establish(stage, known)?;
    all_there(stage, known)?;
    let before = stage.entries().len();
    for from in &more[..5] {
        let seen = send(stage, *from, SYN)?;
        ends(&seen, Reason::FlowTableFull, xdp::DROP)?;
    }
    counts(stage, FlowEvent::Refused, 5)?;
    all_there(stage, known)?;
    let after = stage.entries().len();
    ensure!(after == before, "{after} entries, not {before}: ports leak");
    // One is over: there is room for another.
    send(stage, known[0], RST)?;
    let seen = send(stage, more[0], SYN)?;
    ends(&seen, Reason::ForwardedFullnat, xdp::TX)
}
