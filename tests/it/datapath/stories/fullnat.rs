//! Flows with a port of the director's own: who has which, what replies do, and what becomes of
//! packets that belong to none.
//!
//! Not here: rewritten frames (the table's), a flow table that is full ([`super::crowded`]).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::{FlowKey, Reason, Way as Word, kind, method, state};
use lb_user::tables::Wish;
use tests::packet::eth;

use super::{
    A, ACK, B, C, Down, FIN, Is, Quiet, RST, SYN, Story, TCP, Willing, changed, datagram, ends,
    flow_key, only, segment, server_of, site,
};
use crate::datapath::site::{CLIENT, LAN, LB, OWN, OWN_PORT, PORT, TIMEOUTS, mac, pool};
use crate::datapath::stage::{Seen, Stage, xdp};

/// Each with its name.
pub(super) const ALL: &[(&str, Story)] = &[
    (
        "fullnat: every flow to a server has a port of its own",
        ports_of_their_own,
    ),
    (
        "fullnat: when all ports are taken, no flow begins",
        exhausted,
    ),
    (
        "fullnat: a port that is free again is taken again",
        free_again,
    ),
    ("fullnat: to each server all ports", all_ports_to_each),
    (
        "fullnat: what begins no flow and has none ends here",
        unknown,
    ),
    (
        "fullnat: a packet to a port of no flow is the stack's",
        strays,
    ),
    (
        "fullnat: a flow keeps its server and its port over A, B, C",
        over_a_b_c,
    ),
    (
        "fullnat: of a server that is down no flow goes on",
        server_down,
    ),
    ("fullnat: both directions have one state", one_state),
    (
        "fullnat: an RST of the server ends the flow",
        reset_by_server,
    ),
    ("fullnat: a reply keeps the flow", kept_by_replies),
    ("fullnat: after its end a flow begins anew", anew),
];

/// The story's services by fullnat, with so many ports.
fn by_fullnat(ports: u16, wish: Wish) -> Wish {
    let wish = changed(wish, |service| service.method = method::FULLNAT);
    Wish {
        pool: pool(ports),
        ..wish
    }
}

fn with(ports: u16, reals: &[(Ipv4Addr, Is)]) -> Wish {
    by_fullnat(ports, site(reals))
}

/// The client's segment must go on; to which server, from which of the director's ports.
fn goes_on(stage: &mut Stage, port: u16, flags: u8) -> Result<(Ipv4Addr, u16)> {
    let seen = segment(stage, port, flags)?;
    ends(&seen, Reason::ForwardedFullnat, xdp::TX)
        .with_context(|| format!("flags {flags:#x} from port {port}"))?;
    let from = Ipv4Addr::from(<[u8; 4]>::try_from(&seen.frame[26..30])?);
    ensure!(from == OWN, "it goes on from {from}");
    let own_port = u16::from_be_bytes([seen.frame[34], seen.frame[35]]);
    Ok((server_of(&seen)?, own_port))
}

fn refused(stage: &mut Stage, port: u16, flags: u8, reason: Reason) -> Result<()> {
    let seen = segment(stage, port, flags)?;
    ends(&seen, reason, xdp::DROP)
}

/// A segment of a server to one of the director's ports.
fn reply(stage: &mut Stage, server: Ipv4Addr, own_port: u16, flags: u8) -> Result<Seen> {
    let frame = eth(mac(server.octets()[3]), LB)
        .ipv4(server, OWN)
        .tcp(80, own_port)
        .flags(flags);
    stage.send(LAN, &frame.build())
}

/// A server's reply must reach the client's port.
fn replied(
    stage: &mut Stage,
    (server, own_port): (Ipv4Addr, u16),
    flags: u8,
    port: u16,
) -> Result<()> {
    let seen = reply(stage, server, own_port, flags)?;
    ends(&seen, Reason::RepliedFullnat, xdp::TX)?;
    let to = Ipv4Addr::from(<[u8; 4]>::try_from(&seen.frame[30..34])?);
    let to_port = u16::from_be_bytes([seen.frame[36], seen.frame[37]]);
    ensure!((to, to_port) == (CLIENT, port), "it went to {to}:{to_port}");
    Ok(())
}

fn stray(stage: &mut Stage, server: Ipv4Addr, own_port: u16, reason: Reason) -> Result<()> {
    let seen = reply(stage, server, own_port, ACK)?;
    ends(&seen, reason, xdp::PASS)
}

fn ports_of_their_own(stage: &mut Stage) -> Result<()> {
    stage.load(&with(100, &[(A, Willing)]))?;
    let mut ports = BTreeSet::new();
    let mut flows = Vec::new();
    for port in PORT..PORT + 60 {
        let (server, own_port) = goes_on(stage, port, SYN)?;
        ensure!((OWN_PORT..OWN_PORT + 100).contains(&own_port), "{own_port}");
        ensure!(ports.insert(own_port), "two flows have port {own_port}");
        flows.push((port, (server, own_port)));
    }
    for (port, own) in flows {
        replied(stage, own, SYN | ACK, port)?;
        ensure!(goes_on(stage, port, ACK)? == own, "it has another port");
    }
    Ok(())
}

fn exhausted(stage: &mut Stage) -> Result<()> {
    stage.load(&with(4, &[(A, Willing)]))?;
    let mut flows = Vec::new();
    for port in PORT..PORT + 4 {
        flows.push((port, goes_on(stage, port, SYN)?));
    }
    let own: BTreeSet<u16> = flows.iter().map(|(_, (_, own))| *own).collect();
    ensure!(own.len() == 4, "{own:?}");
    for port in PORT + 4..PORT + 8 {
        refused(stage, port, SYN, Reason::PortsExhausted)?;
    }
    // Those that have a port go on, and so does the other protocol.
    for (port, own) in flows {
        ensure!(goes_on(stage, port, ACK)? == own, "port {port} moved");
    }
    ends(&datagram(stage, PORT)?, Reason::ForwardedFullnat, xdp::TX)
}

fn free_again(stage: &mut Stage) -> Result<()> {
    stage.load(&with(1, &[(A, Willing)]))?;
    let own = goes_on(stage, PORT, SYN)?;
    refused(stage, PORT + 1, SYN, Reason::PortsExhausted)?;
    goes_on(stage, PORT, ACK)?;
    refused(stage, PORT + 1, SYN, Reason::PortsExhausted)?;
    expire_in(stage, PORT, -1)?;
    ensure!(goes_on(stage, PORT + 1, SYN)? == own, "another port");
    replied(stage, own, SYN | ACK, PORT + 1)?;
    refused(stage, PORT, ACK, Reason::FlowUnknown)
}

fn all_ports_to_each(stage: &mut Stage) -> Result<()> {
    let mut own = Vec::new();
    for (port, server) in (PORT..).zip([A, B, C]) {
        stage.load(&by_fullnat(1, only(server)))?;
        let found = goes_on(stage, port, SYN)?;
        ensure!(found == (server, OWN_PORT), "{found:?}");
        refused(stage, port + 100, SYN, Reason::PortsExhausted)?;
        own.push((port, found));
    }
    for (port, own) in own {
        replied(stage, own, SYN | ACK, port)?;
    }
    Ok(())
}

fn unknown(stage: &mut Stage) -> Result<()> {
    stage.load(&with(4, &[(A, Willing)]))?;
    for flags in [ACK, FIN | ACK, RST, SYN | ACK, SYN | RST, 0] {
        refused(stage, PORT, flags, Reason::FlowUnknown)?;
    }
    ensure!(stage.plane().entries().is_empty(), "it is recorded");
    // Of UDP, anything may be the first.
    ends(&datagram(stage, PORT)?, Reason::ForwardedFullnat, xdp::TX)
}

fn strays(stage: &mut Stage) -> Result<()> {
    stage.load(&with(4, &[(A, Willing), (B, Quiet)]))?;
    stray(stage, A, OWN_PORT, Reason::NoFlow)?;
    let (_, own_port) = goes_on(stage, PORT, SYN)?;
    for port in OWN_PORT..OWN_PORT + 4 {
        if port != own_port {
            stray(stage, A, port, Reason::NoFlow)?;
        }
        // It has none with this server.
        stray(stage, B, port, Reason::NoFlow)?;
    }
    stray(stage, A, OWN_PORT + 4, Reason::NotVip)?;
    stray(stage, A, OWN_PORT - 1, Reason::NotVip)?;
    replied(stage, (A, own_port), SYN | ACK, PORT)
}

fn over_a_b_c(stage: &mut Stage) -> Result<()> {
    let mut flows = Vec::new();
    for (port, server) in (PORT..).zip([A, B, C]) {
        stage.load(&by_fullnat(8, only(server)))?;
        let own = goes_on(stage, port, SYN)?;
        ensure!(own.0 == server, "{own:?}");
        flows.push((port, own));
        for (port, own) in &flows {
            ensure!(goes_on(stage, *port, ACK)? == *own, "port {port} moved");
            replied(stage, *own, ACK, *port)?;
        }
    }
    Ok(())
}

fn server_down(stage: &mut Stage) -> Result<()> {
    stage.load(&by_fullnat(8, only(A)))?;
    let own = goes_on(stage, PORT, SYN)?;
    goes_on(stage, PORT, ACK)?;
    stage.load(&with(8, &[(A, Down), (B, Willing), (C, Quiet)]))?;
    refused(stage, PORT, ACK, Reason::FlowUnknown)?;
    let (server, _) = goes_on(stage, PORT, SYN)?;
    ensure!(server == B, "it went to {server}");
    stray(stage, own.0, own.1, Reason::NoFlow)
}

/// States of the flow and of its way back.
fn states(stage: &Stage, port: u16) -> Result<[u8; 2]> {
    let [forth, back] = both(stage, port)?;
    Ok([forth.1.state(), back.1.state()])
}

type Found = (u32, Word, FlowKey, lb_ebpf::abi::Flow);

/// The entries of a flow: its own, and that of the way back.
fn both(stage: &Stage, port: u16) -> Result<[Found; 2]> {
    let key = flow_key(&TCP, CLIENT, port);
    let forth = stage.entry(&key).context("it is not recorded")?;
    let entries = stage.entries();
    let mut peers = entries
        .into_iter()
        .filter(|(at, ..)| at + 1 == forth.3.peer);
    let back = peers.next().context("there is no way back")?;
    ensure!(back.2.kind == kind::RETURN, "{:?} is no way back", back.2);
    ensure!(back.3.peer == forth.0 + 1, "its way back is another's");
    Ok([forth, back])
}

/// Lets both entries of the client's flow expire so many ticks from now.
fn expire_in(stage: &mut Stage, port: u16, ticks: i32) -> Result<()> {
    let expires = stage.plane().now()?.wrapping_add_signed(ticks);
    for (at, way, key, flow) in both(stage, port)? {
        let way = Word::new(way.tag(), way.state(), expires);
        stage.plane().put_entry(at, way, &key, &flow);
    }
    Ok(())
}

fn one_state(stage: &mut Stage) -> Result<()> {
    stage.load(&with(4, &[(A, Willing)]))?;
    let own = goes_on(stage, PORT, SYN)?;
    let is = |stage: &Stage, wanted: u8| {
        let found = states(stage, PORT)?;
        ensure!(found == [wanted; 2], "{found:?}, not {wanted}");
        Ok(())
    };
    is(stage, state::NEW)?;
    // The client may be forged: an answer to it establishes nothing.
    replied(stage, own, SYN | ACK, PORT)?;
    is(stage, state::NEW)?;
    goes_on(stage, PORT, ACK)?;
    is(stage, state::ESTABLISHED)?;
    replied(stage, own, ACK, PORT)?;
    is(stage, state::ESTABLISHED)?;
    replied(stage, own, FIN | ACK, PORT)?;
    is(stage, state::CLOSING)?;
    goes_on(stage, PORT, ACK)?;
    is(stage, state::CLOSING)?;
    goes_on(stage, PORT, FIN | ACK)?;
    is(stage, state::CLOSED)?;
    // The last one is acknowledged.
    replied(stage, own, ACK, PORT)?;
    is(stage, state::CLOSED)
}

fn reset_by_server(stage: &mut Stage) -> Result<()> {
    stage.load(&with(4, &[(A, Willing)]))?;
    let own = goes_on(stage, PORT, SYN)?;
    goes_on(stage, PORT, ACK)?;
    replied(stage, own, RST, PORT)?;
    let found = states(stage, PORT)?;
    ensure!(found == [state::CLOSED; 2], "{found:?}");
    Ok(())
}

fn kept_by_replies(stage: &mut Stage) -> Result<()> {
    stage.load(&with(4, &[(A, Willing)]))?;
    let own = goes_on(stage, PORT, SYN)?;
    goes_on(stage, PORT, ACK)?;
    expire_in(stage, PORT, 10_000)?;
    replied(stage, own, ACK, PORT)?;
    let now = stage.plane().now()?;
    for (_, way, ..) in both(stage, PORT)? {
        let left = way.expires().wrapping_sub(now);
        let whole = TIMEOUTS.established;
        ensure!((whole - 1000..=whole).contains(&left), "{left} ticks");
    }
    expire_in(stage, PORT, -1)?;
    stray(stage, own.0, own.1, Reason::NoFlow)
}

fn anew(stage: &mut Stage) -> Result<()> {
    stage.load(&with(1, &[(A, Willing)]))?;
    let own = goes_on(stage, PORT, SYN)?;
    goes_on(stage, PORT, FIN | ACK)?;
    // The port is its own: it can be had again at once.
    ensure!(goes_on(stage, PORT, SYN)? == own, "another port");
    let found = states(stage, PORT)?;
    ensure!(found == [state::NEW; 2], "{found:?}");
    replied(stage, own, SYN | ACK, PORT)?;
    ensure!(stage.plane().entries().len() == 2, "old entries are left");
    Ok(())
}
