//! Who is chosen for a new flow by turns, by connections and by the client's address; and how
//! connections are counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::Way as Word;
use lb_user::tables::{Scheduler, Wish};
use tests::packet::eth;

use super::{
    A, ACK, B, C, Down, FIN, Quiet, RST, SYN, Story, TCP, UDP, Willing, changed, datagram,
    flow_key, reaches, segment, server_of, site,
};
use crate::datapath::site::{CLIENT, CLIENT_MAC, LAN, LB, PORT, TIMEOUT, VIP};
use crate::datapath::stage::Stage;

/// Each with its name.
pub(super) const ALL: &[(&str, Story)] = &[
    ("rr: each in turn", in_turn),
    ("rr: a flow keeps its server between turns", turns_and_flows),
    ("rr: who is down or drains has no turn", turns_of_others),
    ("rr: datagrams of a flow are one turn", turns_of_datagrams),
    ("wrr: turns by weight, spread", by_weight),
    ("lc: the one with the fewest connections", fewest),
    (
        "lc: an active connection weighs 256 others",
        active_weighs_more,
    ),
    ("wlc: the fewest for its weight", fewest_for_its_weight),
    ("sh: a client has one server, whatever its port", by_client),
    (
        "sh: a ring change moves no client that is served",
        by_client_over_a_change,
    ),
    ("connections are counted in their states", counted),
    (
        "connections that expire are counted no more",
        counted_no_more,
    ),
];

fn by(scheduler: Scheduler, wish: Wish) -> Wish {
    changed(wish, |service| service.scheduler = scheduler)
}

fn all() -> Wish {
    site(&[(A, Willing), (B, Willing), (C, Willing)])
}

/// Where SYNs from these ports go, one after the other.
fn order(stage: &mut Stage, ports: std::ops::Range<u16>) -> Result<Vec<Ipv4Addr>> {
    ports
        .map(|port| server_of(&segment(stage, port, SYN)?))
        .collect()
}

fn are(servers: &[Ipv4Addr], wanted: &[Ipv4Addr]) -> Result<()> {
    ensure!(servers == wanted, "{servers:?}, not {wanted:?}");
    Ok(())
}

fn in_turn(stage: &mut Stage) -> Result<()> {
    stage.load(&by(Scheduler::Rr, all()))?;
    are(&order(stage, PORT..PORT + 7)?, &[A, B, C, A, B, C, A])
}

fn turns_and_flows(stage: &mut Stage) -> Result<()> {
    stage.load(&by(Scheduler::Rr, all()))?;
    for (port, server) in (PORT..).zip([A, B, C]) {
        reaches(stage, port, SYN, server)?;
        // The same SYN once more is no new flow.
        reaches(stage, port, SYN, server)?;
        reaches(stage, port, ACK, server)?;
    }
    reaches(stage, PORT + 3, SYN, A)?;
    for (port, server) in (PORT..).zip([A, B, C]) {
        reaches(stage, port, ACK, server)?;
    }
    Ok(())
}

fn turns_of_others(stage: &mut Stage) -> Result<()> {
    stage.load(&by(Scheduler::Rr, all()))?;
    are(&order(stage, PORT..PORT + 3)?, &[A, B, C])?;
    stage.load(&by(
        Scheduler::Rr,
        site(&[(A, Willing), (B, Quiet), (C, Willing)]),
    ))?;
    let servers = order(stage, PORT + 10..PORT + 16)?;
    ensure!(!servers.contains(&B), "{servers:?}");
    ensure!(
        servers.windows(2).all(|pair| pair[0] != pair[1]),
        "{servers:?}"
    );
    // What drains keeps what it has; what is down does not.
    reaches(stage, PORT + 1, ACK, B)?;
    stage.load(&by(
        Scheduler::Rr,
        site(&[(A, Willing), (B, Down), (C, Down)]),
    ))?;
    are(&order(stage, PORT + 20..PORT + 22)?, &[A, A])?;
    reaches(stage, PORT + 1, ACK, A)
}

fn turns_of_datagrams(stage: &mut Stage) -> Result<()> {
    stage.load(&by(Scheduler::Rr, all()))?;
    for (port, server) in (PORT..).zip([A, B, C, A]) {
        for _ in 0..3 {
            let to = server_of(&datagram(stage, port)?)?;
            ensure!(to == server, "port {port} went to {to}");
        }
    }
    Ok(())
}

/// The story's services with these weights for A, B and C.
fn weighted(scheduler: Scheduler, weights: [u16; 3]) -> Wish {
    changed(all(), |service| {
        service.scheduler = scheduler;
        for (real, weight) in service.reals.iter_mut().zip(weights) {
            real.weight = weight;
        }
    })
}

fn by_weight(stage: &mut Stage) -> Result<()> {
    stage.load(&weighted(Scheduler::Wrr, [200, 100, 100]))?;
    are(&order(stage, PORT..PORT + 8)?, &[A, B, C, A, A, B, C, A])?;
    stage.load(&weighted(Scheduler::Wrr, [1, 0, 4]))?;
    let servers = order(stage, PORT + 20..PORT + 30)?;
    let count = |server| servers.iter().filter(|found| **found == server).count();
    ensure!([A, B, C].map(count) == [2, 0, 8], "{servers:?}");
    Ok(())
}

fn fewest(stage: &mut Stage) -> Result<()> {
    stage.load(&by(Scheduler::Lc, all()))?;
    are(&order(stage, PORT..PORT + 6)?, &[A, B, C, A, B, C])?;
    // Two of B's are over and forgotten.
    for port in [PORT + 1, PORT + 4] {
        let entry = stage.entry(&flow_key(&TCP, CLIENT, port));
        let (_, _, gone, _) = entry.context("it is not recorded")?;
        stage.plane().forget(&|key, _| *key == gone);
    }
    are(&order(stage, PORT + 10..PORT + 13)?, &[B, B, A])
}

fn active_weighs_more(stage: &mut Stage) -> Result<()> {
    stage.load(&by(Scheduler::Lc, all()))?;
    are(&order(stage, PORT..PORT + 2)?, &[A, B])?;
    reaches(stage, PORT, ACK, A)?;
    are(&order(stage, PORT + 2..PORT + 7)?, &[C, B, C, B, C])?;
    // A's connection ends: it is as light as any.
    reaches(stage, PORT, FIN | ACK, A)?;
    are(&order(stage, PORT + 7..PORT + 9)?, &[A, A])
}

fn fewest_for_its_weight(stage: &mut Stage) -> Result<()> {
    stage.load(&weighted(Scheduler::Wlc, [300, 100, 0]))?;
    are(&order(stage, PORT..PORT + 8)?, &[A, B, A, A, A, B, A, A])
}

/// A SYN of another client.
fn syn_of(stage: &mut Stage, client: Ipv4Addr, port: u16) -> Result<Ipv4Addr> {
    let frame = eth(CLIENT_MAC, LB).ipv4(client, VIP).tcp(port, 80);
    server_of(&stage.send(LAN, &frame.flags(SYN).build())?)
}

fn clients() -> impl Iterator<Item = Ipv4Addr> {
    (0..60).map(|number| Ipv4Addr::from(0x0a09_0000 + number * 0x101))
}

fn by_client(stage: &mut Stage) -> Result<()> {
    stage.load(&by(Scheduler::Sh, all()))?;
    let mut seen = BTreeSet::new();
    for client in clients() {
        let server = syn_of(stage, client, PORT)?;
        for port in [1, 1024, PORT + 1, u16::MAX] {
            let to = syn_of(stage, client, port)?;
            ensure!(
                to == server,
                "{client}:{port} went to {to}, not to {server}"
            );
        }
        seen.insert(server);
    }
    ensure!(seen.len() == 3, "60 clients, all to {seen:?}");
    ensure!(
        stage.plane().entries().is_empty(),
        "the ring is all it takes"
    );
    Ok(())
}

fn by_client_over_a_change(stage: &mut Stage) -> Result<()> {
    stage.load(&by(Scheduler::Sh, site(&[(A, Willing), (B, Willing)])))?;
    let mut before = BTreeMap::new();
    for client in clients() {
        before.insert(client, syn_of(stage, client, PORT)?);
    }
    stage.load(&by(Scheduler::Sh, all()))?;
    for (client, server) in &before {
        let frame = eth(CLIENT_MAC, LB).ipv4(*client, VIP).tcp(PORT, 80);
        let to = server_of(&stage.send(LAN, &frame.build())?)?;
        ensure!(to == *server, "{client} went to {to}, not to {server}");
    }
    Ok(())
}

/// Active and inactive connections of a server.
fn counts(stage: &Stage, server: Ipv4Addr) -> Result<(u32, u32)> {
    Ok(stage.connections(stage.real_id(&TCP, server.into())?))
}

fn has(stage: &Stage, server: Ipv4Addr, wanted: (u32, u32)) -> Result<()> {
    let found = counts(stage, server)?;
    ensure!(found == wanted, "{server} has {found:?}, not {wanted:?}");
    Ok(())
}

fn tracked(wish: Wish) -> Wish {
    changed(wish, |service| service.track = true)
}

fn counted(stage: &mut Stage) -> Result<()> {
    stage.load(&tracked(site(&[(A, Willing)])))?;
    for (flags, wanted) in [
        (SYN, (0, 1)),
        (SYN, (0, 1)),
        (ACK, (1, 0)),
        (ACK, (1, 0)),
        (FIN | ACK, (0, 1)),
        (ACK, (0, 1)),
        (SYN, (0, 1)),
        (ACK, (1, 0)),
        (RST, (0, 1)),
    ] {
        reaches(stage, PORT, flags, A)?;
        has(stage, A, wanted).with_context(|| format!("after flags {flags:#x}"))?;
    }
    reaches(stage, PORT + 1, ACK, A)?;
    has(stage, A, (0, 2))?;
    reaches(stage, PORT + 1, ACK, A)?;
    has(stage, A, (1, 1))?;
    let udp = stage.real_id(&UDP, A.into())?;
    for wanted in [(0, 1), (1, 0), (1, 0)] {
        server_of(&datagram(stage, PORT)?)?;
        let found = stage.connections(udp);
        ensure!(found == wanted, "datagrams: {found:?}, not {wanted:?}");
    }
    Ok(())
}

fn counted_no_more(stage: &mut Stage) -> Result<()> {
    stage.load(&tracked(site(&[(A, Willing)])))?;
    for port in PORT..PORT + 3 {
        reaches(stage, port, SYN, A)?;
        reaches(stage, port, ACK, A)?;
    }
    has(stage, A, (3, 0))?;
    let now = stage.plane().now()?;
    let entry = stage.entry(&flow_key(&TCP, CLIENT, PORT));
    let (at, way, key, flow) = entry.context("it is not recorded")?;
    let expired = Word::new(way.tag(), way.state(), now.wrapping_sub(10));
    stage.plane().put_entry(at, expired, &key, &flow);
    // Nobody has swept yet, but nobody finds it either.
    reaches(stage, PORT + 1, ACK, A)?;
    has(stage, A, (3, 0))?;
    stage.plane().sweep(now);
    reaches(stage, PORT + 1, ACK, A)?;
    has(stage, A, (2, 0))?;
    stage.plane().sweep(now.wrapping_add(TIMEOUT / 2));
    reaches(stage, PORT + 1, ACK, A)?;
    has(stage, A, (2, 0))
}
