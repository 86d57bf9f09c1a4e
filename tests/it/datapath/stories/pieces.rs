//! Fragments between changes of the site, and where they are all the stack's.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::{Reason, Way as Word, kind, method};
use lb_user::tables::{Scheduler, Wish};
use tests::packet::{Packet, Udp, eth};

use super::{A, B, C, Down, Quiet, Story, Willing, arrives, changed, ends, only, site};
use crate::datapath::site::{CLIENT, CLIENT_MAC, LAN, LB, PORT, VIP, mac};
use crate::datapath::stage::{Seen, Stage, xdp};

/// Each with its name.
pub(super) const ALL: &[(&str, Story)] = &[
    (
        "pieces follow the first when the ring changes",
        over_a_change,
    ),
    (
        "pieces follow the first of the same name that was last seen",
        the_same_name,
    ),
    ("pieces of a packet by turns stay together", by_turns),
    ("pieces to a server that went down end here", server_down),
    ("pieces that come after a long time end here", too_late),
    ("pieces follow their first to the stack", to_the_stack),
    ("pieces are all the stack's, by choice", by_choice),
    (
        "pieces of replies are all the stack's, by choice",
        replies_by_choice,
    ),
];

/// A datagram of the client's, of 100 bytes, whose pieces have this name.
fn whole(port: u16, id: u16) -> Packet<impl tests::packet::Header, Udp> {
    eth(CLIENT_MAC, LB)
        .ipv4(CLIENT, VIP)
        .id(id)
        .udp(port, 80)
        .payload(&[1; 92])
}

fn first(stage: &mut Stage, port: u16, id: u16) -> Result<Seen> {
    stage.send(LAN, &whole(port, id).piece(0..48).build())
}

fn last(stage: &mut Stage, id: u16) -> Result<Seen> {
    stage.send(LAN, &whole(PORT, id).piece(48..100).build())
}

fn over_a_change(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    arrives(&first(stage, PORT, 1)?, A)?;
    stage.load(&only(B))?;
    arrives(&last(stage, 1)?, A)?;
    arrives(&first(stage, PORT, 2)?, B)?;
    stage.load(&only(C))?;
    arrives(&last(stage, 2)?, B)?;
    arrives(&last(stage, 1)?, A)
}

fn to_the_stack(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    let to_port = |port| eth(CLIENT_MAC, LB).ipv4(CLIENT, VIP).id(1).udp(PORT, port);
    let nothing_there = to_port(81).payload(&[1; 92]);
    let first = stage.send(LAN, &nothing_there.piece(0..48).build())?;
    ends(&first, Reason::NoService, xdp::PASS)?;
    ends(&last(stage, 1)?, Reason::NoService, xdp::PASS)?;
    // The same name again, of a packet to the service.
    arrives(&self::first(stage, PORT, 1)?, A)?;
    arrives(&last(stage, 1)?, A)
}

fn by_turns_of(reals: &[(Ipv4Addr, super::Is)]) -> Wish {
    changed(site(reals), |service| service.scheduler = Scheduler::Rr)
}

fn the_same_name(stage: &mut Stage) -> Result<()> {
    stage.load(&by_turns_of(&[(A, Willing), (B, Willing)]))?;
    arrives(&first(stage, PORT, 1)?, A)?;
    arrives(&last(stage, 1)?, A)?;
    arrives(&first(stage, PORT + 1, 1)?, B)?;
    arrives(&last(stage, 1)?, B)?;
    let of_pieces = stage.entries().into_iter();
    let count = of_pieces
        .filter(|(_, _, key, _)| key.kind == kind::FRAGMENT)
        .count();
    ensure!(count == 1, "{count} entries of one name");
    Ok(())
}

fn by_turns(stage: &mut Stage) -> Result<()> {
    stage.load(&by_turns_of(&[(A, Willing), (B, Willing), (C, Willing)]))?;
    for (number, server) in (0..).zip([A, B, C]) {
        arrives(&first(stage, PORT + number, number)?, server)?;
    }
    for (number, server) in (0..).zip([A, B, C]) {
        arrives(&last(stage, number)?, server)?;
    }
    Ok(())
}

fn server_down(stage: &mut Stage) -> Result<()> {
    stage.load(&site(&[(A, Willing), (B, Quiet)]))?;
    arrives(&first(stage, PORT, 1)?, A)?;
    stage.load(&site(&[(A, Down), (B, Willing)]))?;
    // Of half a packet B could make nothing.
    ends(&last(stage, 1)?, Reason::NoRealServer, xdp::DROP)?;
    stage.load(&site(&[(B, Willing)]))?;
    ends(&last(stage, 1)?, Reason::FragmentUnknown, xdp::DROP)
}

fn too_late(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    arrives(&first(stage, PORT, 1)?, A)?;
    let now = stage.plane().now()?;
    let mut entries = stage.entries().into_iter();
    let found = entries.find(|(_, _, key, _)| key.kind == kind::FRAGMENT);
    let (at, way, key, flow) = found.context("it is not remembered")?;
    let left = way.expires().wrapping_sub(now);
    ensure!((7000..=8000).contains(&left), "{left} ticks");
    let way = Word::new(way.tag(), way.state(), now.wrapping_sub(1));
    stage.plane().put_entry(at, way, &key, &flow);
    ends(&last(stage, 1)?, Reason::FragmentUnknown, xdp::DROP)
}

fn by_choice(stage: &mut Stage) -> Result<()> {
    stage.load(&Wish {
        fragments: false,
        ..only(A)
    })?;
    let pass = |seen: &Seen, reason| ends(seen, reason, xdp::PASS);
    pass(&first(stage, PORT, 1)?, Reason::Fragment)?;
    pass(&last(stage, 1)?, Reason::Fragment)?;
    let tiny = whole(PORT, 2).piece(0..8).build();
    pass(&stage.send(LAN, &tiny)?, Reason::Fragment)?;
    ensure!(stage.plane().entries().is_empty(), "one is remembered");
    // Whole packets are forwarded as ever.
    arrives(&stage.send(LAN, &whole(PORT, 3).build())?, A)?;
    stage.load(&only(A))?;
    arrives(&first(stage, PORT, 1)?, A)
}

fn replies_by_choice(stage: &mut Stage) -> Result<()> {
    let nat = changed(only(A), |service| service.method = method::NAT);
    let reply = eth(mac(A.octets()[3]), LB)
        .ipv4(A, CLIENT)
        .udp(80, PORT)
        .payload(&[1; 92]);
    stage.load(&Wish {
        fragments: false,
        ..nat.clone()
    })?;
    for piece in [reply.piece(0..48), reply.piece(48..100)] {
        let seen = stage.send(LAN, &piece.build())?;
        ends(&seen, Reason::Fragment, xdp::PASS)?;
    }
    stage.load(&nat)?;
    for piece in [reply.piece(0..48), reply.piece(48..100)] {
        let seen = stage.send(LAN, &piece.build())?;
        ends(&seen, Reason::RepliedNat, xdp::TX)?;
    }
    Ok(())
}
