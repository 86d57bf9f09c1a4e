//! Services whose every flow has an entry (`track`), over ring changes; and where ICMP errors about
//! flows go that have one.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use lb_ebpf::abi::Reason;
use lb_user::tables::{Scheduler, Wish};
use tests::packet::eth;

use super::{
    A, ACK, B, C, Down, Quiet, SYN, Story, UDP, Willing, arrives, changed, datagram, ends,
    is_recorded, only, reaches, recorded, site,
};
use crate::datapath::site::{CLIENT, CLIENT_MAC, LAN, LB, PORT, ROUTER, ROUTER_MAC, VIP};
use crate::datapath::stage::{Stage, xdp};

/// Each with its name.
pub(super) const ALL: &[(&str, Story)] = &[
    ("track: every flow is recorded", every_flow),
    ("track: datagrams stay with who drains", datagrams_stay),
    ("track: a flow keeps its server over A, B, C", over_a_b_c),
    (
        "track: a hundred flows keep theirs over ten changes",
        many_flows,
    ),
    ("track: nothing of who is down stays", who_is_down),
    (
        "an error goes where the flow is recorded",
        errors_of_recorded,
    ),
    (
        "an error of a flow by turns goes to its server",
        errors_by_turns,
    ),
    (
        "an error without an entry goes where the ring says",
        errors_by_ring,
    ),
];

fn tracked(wish: Wish) -> Wish {
    changed(wish, |service| service.track = true)
}

fn every_flow(stage: &mut Stage) -> Result<()> {
    stage.load(&tracked(only(A)))?;
    reaches(stage, PORT, SYN, A)?;
    is_recorded(stage, PORT, Some(A))?;
    reaches(stage, PORT + 1, ACK, A)?;
    is_recorded(stage, PORT + 1, Some(A))?;
    arrives(&datagram(stage, PORT)?, A)?;
    ensure!(recorded(stage, &UDP, PORT)? == Some(A), "not recorded");
    Ok(())
}

/// Without `track`, a datagram in an unsettled slot could not go to an owner that drains.
fn datagrams_stay(stage: &mut Stage) -> Result<()> {
    stage.load(&tracked(only(A)))?;
    arrives(&datagram(stage, PORT)?, A)?;
    stage.load(&tracked(only(B)))?;
    arrives(&datagram(stage, PORT)?, A)?;
    arrives(&datagram(stage, PORT + 1)?, B)?;
    stage.load(&tracked(only(C)))?;
    arrives(&datagram(stage, PORT)?, A)?;
    arrives(&datagram(stage, PORT + 1)?, B)?;
    arrives(&datagram(stage, PORT + 2)?, C)
}

fn over_a_b_c(stage: &mut Stage) -> Result<()> {
    stage.load(&tracked(only(A)))?;
    reaches(stage, PORT, SYN, A)?;
    stage.load(&tracked(only(B)))?;
    reaches(stage, PORT + 1, SYN, B)?;
    stage.load(&tracked(only(C)))?;
    reaches(stage, PORT + 2, SYN, C)?;
    for (port, server) in (PORT..).zip([A, B, C]) {
        reaches(stage, port, ACK, server)?;
    }
    Ok(())
}

fn many_flows(stage: &mut Stage) -> Result<()> {
    let rings: [&[Ipv4Addr]; 5] = [&[A], &[A, B], &[B, C], &[C], &[A, B, C]];
    let mut homes = Vec::new();
    for (round, willing) in rings.iter().cycle().take(10).enumerate() {
        let all = [A, B, C].map(|server| {
            let is = if willing.contains(&server) {
                Willing
            } else {
                Quiet
            };
            (server, is)
        });
        stage.load(&tracked(site(&all)))?;
        for port in (PORT..).skip(round * 10).take(10) {
            let server = super::server_of(&super::segment(stage, port, SYN)?)?;
            ensure!(willing.contains(&server), "{server} takes no new flows");
            homes.push((port, server));
        }
        for (port, server) in &homes {
            reaches(stage, *port, ACK, *server)?;
        }
    }
    Ok(())
}

fn who_is_down(stage: &mut Stage) -> Result<()> {
    stage.load(&tracked(only(A)))?;
    reaches(stage, PORT, SYN, A)?;
    arrives(&datagram(stage, PORT)?, A)?;
    stage.load(&tracked(site(&[(A, Down), (B, Willing)])))?;
    reaches(stage, PORT, ACK, B)?;
    arrives(&datagram(stage, PORT)?, B)?;
    stage.load(&tracked(site(&[(A, Willing), (B, Willing)])))?;
    reaches(stage, PORT, ACK, B)?;
    arrives(&datagram(stage, PORT)?, B)
}

/// "Fragmentation needed" about what the client got on its flow from `port` must reach `server`.
fn error_reaches(stage: &mut Stage, port: u16, server: Ipv4Addr) -> Result<()> {
    let quoted = eth(CLIENT_MAC, LB).ipv4(VIP, CLIENT).tcp(80, port).packet();
    let error = eth(ROUTER_MAC, LB)
        .ipv4(ROUTER, VIP)
        .too_big(1400, &quoted[..28]);
    let seen = stage.send(LAN, &error.build())?;
    ends(&seen, Reason::ForwardedIcmp, xdp::TX)?;
    arrives(&seen, server)
}

fn errors_of_recorded(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&only(B))?;
    reaches(stage, PORT, SYN, B)?;
    stage.load(&only(C))?;
    error_reaches(stage, PORT, B)?;
    // It was asked for and nothing else: no entry is made for it.
    error_reaches(stage, PORT + 1, A)?;
    is_recorded(stage, PORT + 1, None)
}

fn errors_by_turns(stage: &mut Stage) -> Result<()> {
    let by_turns = |reals: &[_]| changed(site(reals), |service| service.scheduler = Scheduler::Rr);
    stage.load(&by_turns(&[(A, Willing), (B, Willing), (C, Willing)]))?;
    for (port, server) in (PORT..).zip([A, B, C]) {
        reaches(stage, port, SYN, server)?;
    }
    for (port, server) in (PORT..).zip([A, B, C]) {
        error_reaches(stage, port, server)?;
    }
    // An error is no turn.
    reaches(stage, PORT + 3, SYN, A)
}

fn errors_by_ring(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    error_reaches(stage, PORT, A)?;
    stage.load(&tracked(only(A)))?;
    error_reaches(stage, PORT, A)
}
