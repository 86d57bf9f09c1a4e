//! Clients that stay with their real server: over new flows, ring changes, and as networks.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::{Way as Word, kind};
use lb_user::tables::{Persistence, Scheduler, Wish};
use tests::packet::eth;

use super::{A, ACK, B, C, Down, Is, Quiet, SYN, Story, Willing, changed, server_of, site};
use crate::datapath::site::{CLIENT_MAC, LAN, LB, PORT, TIMEOUT, VIP};
use crate::datapath::stage::Stage;

/// Each with its name.
pub(super) const ALL: &[(&str, Story)] = &[
    (
        "persistence: a client stays, with every port",
        a_client_stays,
    ),
    (
        "persistence: a network is one client",
        a_network_is_one_client,
    ),
    ("persistence: by turns, a client has one turn", by_turns),
    (
        "persistence: a client stays when the ring changes",
        when_the_ring_changes,
    ),
    ("persistence: over A, B, C", over_a_b_c),
    (
        "persistence: who drains keeps flows, not clients",
        who_drains,
    ),
    ("persistence: who is down keeps nothing", who_is_down),
    (
        "persistence: a client that was away for long is new",
        away_for_long,
    ),
    (
        "persistence: packets of a flow keep its client",
        kept_by_packets,
    ),
    (
        "persistence: by fewest connections, a client stays",
        by_connections,
    ),
];

const STAYS: u32 = TIMEOUT / 2;

fn persistent(scheduler: Scheduler, prefix: u8, reals: &[(Ipv4Addr, Is)]) -> Wish {
    changed(site(reals), |service| {
        service.scheduler = scheduler;
        service.persistence = Some(Persistence {
            timeout: STAYS,
            prefix,
        });
    })
}

fn all() -> [(Ipv4Addr, Is); 3] {
    [(A, Willing), (B, Willing), (C, Willing)]
}

fn only(willing: Ipv4Addr) -> [(Ipv4Addr, Is); 3] {
    [A, B, C].map(|server| (server, if server == willing { Willing } else { Quiet }))
}

/// Client number `number`; of 256 in a row, all are in one network of 24 bits.
fn client(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a09_0000 + number)
}

fn to(stage: &mut Stage, client: Ipv4Addr, port: u16, flags: u8) -> Result<Ipv4Addr> {
    let frame = eth(CLIENT_MAC, LB).ipv4(client, VIP).tcp(port, 80);
    server_of(&stage.send(LAN, &frame.flags(flags).build())?)
}

fn goes(stage: &mut Stage, client: Ipv4Addr, port: u16, flags: u8, server: Ipv4Addr) -> Result<()> {
    let found = to(stage, client, port, flags)?;
    ensure!(
        found == server,
        "{client}:{port}, flags {flags:#x}, went to {found}, not to {server}"
    );
    Ok(())
}

fn a_client_stays(stage: &mut Stage) -> Result<()> {
    stage.load(&persistent(Scheduler::Maglev, 32, &all()))?;
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..40 {
        let server = to(stage, client(number), PORT, SYN)?;
        for port in [1, PORT + 1, u16::MAX] {
            goes(stage, client(number), port, SYN, server)?;
            goes(stage, client(number), port, ACK, server)?;
        }
        seen.insert(server);
    }
    ensure!(seen.len() == 3, "40 clients, all to {seen:?}");
    Ok(())
}

fn a_network_is_one_client(stage: &mut Stage) -> Result<()> {
    for scheduler in [Scheduler::Maglev, Scheduler::Rr] {
        stage.load(&persistent(scheduler, 24, &all()))?;
        let mut seen = std::collections::BTreeSet::new();
        for network in 0..30 {
            let server = to(stage, client(network << 8), PORT, SYN)?;
            for last in [1, 100, 255] {
                goes(stage, client(network << 8 | last), PORT, SYN, server)?;
            }
            seen.insert(server);
        }
        ensure!(seen.len() == 3, "30 networks, all to {seen:?}");
        stage.reset()?;
    }
    Ok(())
}

fn by_turns(stage: &mut Stage) -> Result<()> {
    stage.load(&persistent(Scheduler::Rr, 32, &all()))?;
    for (number, server) in (0..).zip([A, B, C, A, B, C]) {
        for port in PORT..PORT + 5 {
            goes(stage, client(number), port, SYN, server)?;
        }
    }
    Ok(())
}

/// A joins B: slots change hands, and the clients in them stay with B.
fn when_the_ring_changes(stage: &mut Stage) -> Result<()> {
    stage.load(&persistent(Scheduler::Maglev, 32, &[(B, Willing)]))?;
    for number in 0..40 {
        goes(stage, client(number), PORT, SYN, B)?;
    }
    stage.load(&persistent(
        Scheduler::Maglev,
        32,
        &[(A, Willing), (B, Willing)],
    ))?;
    // Those that are seen again in time; nothing of them was recorded before.
    for number in 0..40 {
        goes(stage, client(number), PORT + 1, SYN, B)?;
        goes(stage, client(number), PORT, ACK, B)?;
    }
    stage.load(&persistent(Scheduler::Maglev, 32, &all()))?;
    for number in 0..40 {
        goes(stage, client(number), PORT + 2, SYN, B)?;
    }
    Ok(())
}

fn over_a_b_c(stage: &mut Stage) -> Result<()> {
    stage.load(&persistent(Scheduler::Maglev, 32, &only(A)))?;
    goes(stage, client(1), PORT, SYN, A)?;
    stage.load(&persistent(Scheduler::Maglev, 32, &only(B)))?;
    goes(stage, client(2), PORT, SYN, B)?;
    goes(stage, client(1), PORT, ACK, A)?;
    stage.load(&persistent(Scheduler::Maglev, 32, &only(C)))?;
    goes(stage, client(3), PORT, SYN, C)?;
    // Flows are where they were; new flows of clients whose servers drain are C's.
    goes(stage, client(1), PORT, ACK, A)?;
    goes(stage, client(2), PORT, ACK, B)?;
    goes(stage, client(2), PORT + 1, SYN, C)?;
    goes(stage, client(2), PORT + 1, ACK, C)?;
    goes(stage, client(2), PORT, ACK, B)?;
    // And stay there, though B is willing again.
    stage.load(&persistent(
        Scheduler::Maglev,
        32,
        &[(A, Quiet), (B, Willing), (C, Willing)],
    ))?;
    for number in [2, 3] {
        goes(stage, client(number), PORT + 2, SYN, C)?;
    }
    Ok(())
}

fn who_drains(stage: &mut Stage) -> Result<()> {
    stage.load(&persistent(Scheduler::Rr, 32, &all()))?;
    goes(stage, client(1), PORT, SYN, A)?;
    goes(stage, client(1), PORT, ACK, A)?;
    stage.load(&persistent(
        Scheduler::Rr,
        32,
        &[(A, Quiet), (B, Willing), (C, Willing)],
    ))?;
    goes(stage, client(1), PORT, ACK, A)?;
    let server = to(stage, client(1), PORT + 1, SYN)?;
    ensure!(server != A, "a new flow went to who drains");
    goes(stage, client(1), PORT, ACK, A)?;
    for port in PORT + 2..PORT + 6 {
        goes(stage, client(1), port, SYN, server)?;
    }
    Ok(())
}

fn who_is_down(stage: &mut Stage) -> Result<()> {
    stage.load(&persistent(Scheduler::Rr, 32, &all()))?;
    goes(stage, client(1), PORT, SYN, A)?;
    stage.load(&persistent(
        Scheduler::Rr,
        32,
        &[(A, Down), (B, Willing), (C, Down)],
    ))?;
    goes(stage, client(1), PORT + 1, SYN, B)?;
    goes(stage, client(1), PORT, SYN, B)?;
    stage.load(&persistent(Scheduler::Rr, 32, &all()))?;
    goes(stage, client(1), PORT + 2, SYN, B)
}

/// Gives the client's entry so many ticks from now.
fn client_expires_in(stage: &mut Stage, ticks: i32) -> Result<()> {
    let expires = stage.plane().now()?.wrapping_add_signed(ticks);
    let entries = stage.plane().entries();
    let mut of_clients = entries
        .iter()
        .filter(|(_, _, key, _)| key.kind == kind::CLIENT);
    let (at, way, key, flow) = of_clients.next().context("no client is recorded")?;
    ensure!(of_clients.next().is_none(), "more than one client");
    let way = Word::new(way.tag(), way.state(), expires);
    stage.plane().put_entry(*at, way, key, flow);
    Ok(())
}

fn client_left(stage: &mut Stage) -> Result<i32> {
    let now = stage.plane().now()?;
    let entries = stage.plane().entries();
    let mut of_clients = entries
        .iter()
        .filter(|(_, _, key, _)| key.kind == kind::CLIENT);
    let (_, way, ..) = of_clients.next().context("no client is recorded")?;
    Ok(way.expires().wrapping_sub(now).cast_signed())
}

fn away_for_long(stage: &mut Stage) -> Result<()> {
    stage.load(&persistent(Scheduler::Rr, 32, &all()))?;
    goes(stage, client(1), PORT, SYN, A)?;
    client_expires_in(stage, 10_000)?;
    goes(stage, client(1), PORT + 1, SYN, A)?;
    client_expires_in(stage, -1)?;
    goes(stage, client(1), PORT + 2, SYN, B)?;
    // Its flow that is still there is not new.
    goes(stage, client(1), PORT, ACK, A)
}

fn kept_by_packets(stage: &mut Stage) -> Result<()> {
    stage.load(&persistent(Scheduler::Rr, 32, &all()))?;
    goes(stage, client(1), PORT, SYN, A)?;
    client_expires_in(stage, 10_000)?;
    goes(stage, client(1), PORT, ACK, A)?;
    let (left, whole) = (client_left(stage)?, STAYS.cast_signed());
    ensure!((whole - 1000..=whole).contains(&left), "{left} ticks");
    Ok(())
}

fn by_connections(stage: &mut Stage) -> Result<()> {
    stage.load(&persistent(Scheduler::Lc, 32, &all()))?;
    for port in PORT..PORT + 10 {
        goes(stage, client(1), port, SYN, A)?;
    }
    goes(stage, client(2), PORT, SYN, B)?;
    goes(stage, client(3), PORT, SYN, C)
}
