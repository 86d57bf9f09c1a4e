//! What flows go through while the slots they hash to are unsettled.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use lb_ebpf::abi::{Be16, Reason, Way};
use lb_ebpf::select::{flow_hash, slot_of};
use lb_ebpf::wire::{tcp, udp};
use lb_user::tables::settle::Settling;
use tests::packet::eth;

use super::{
    A, ACK, B, C, Down, FIN, Quiet, RST, SYN, Story, TCP, UDP, Willing, arrives, ends, flow_key,
    is_recorded, only, reaches, recorded, segment, site,
};
use crate::datapath::site::{CLIENT, CLIENT_MAC, LAN, LB, PORT, TIMEOUT, VIP};
use crate::datapath::stage::{Stage, xdp};

/// Each with its name.
pub(super) const ALL: &[(&str, Story)] = &[
    (
        "a settled slot keeps nothing of a flow",
        a_settled_slot_keeps_nothing,
    ),
    (
        "a SYN goes to the current owner and is recorded",
        a_syn_goes_to_the_current_owner,
    ),
    (
        "an unknown segment goes to the settled owner and is recorded",
        unknown_to_settled,
    ),
    (
        "a settled owner that is down has no flows",
        settled_owner_down,
    ),
    ("a flow keeps its server over A, B, C", over_a_b_c),
    ("a flow keeps its server over A, B, A", over_a_b_a),
    (
        "a flow leaves a recorded server that is down",
        recorded_server_down,
    ),
    ("a SYN of a recorded flow goes on with it", a_syn_again),
    ("a SYN after a FIN begins a flow anew", a_syn_after_the_end),
    ("an expired entry decides nothing", an_expired_entry),
    ("every packet keeps an entry alive", an_entry_is_refreshed),
    (
        "the same port of another client is another flow",
        flows_are_told_apart,
    ),
    (
        "nobody takes new flows, but old ones go on",
        nobody_takes_new_flows,
    ),
    (
        "a datagram of an unknown flow goes to the settled owner",
        datagrams,
    ),
    (
        "a datagram of an unknown flow does not go to an owner that drains",
        datagrams_while_draining,
    ),
    ("a slot that settled asks no entry", a_slot_that_settled),
];

pub(super) fn a_settled_slot_keeps_nothing(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    reaches(stage, PORT, SYN, A)?;
    reaches(stage, PORT, ACK, A)?;
    ensure!(stage.plane().entries().is_empty(), "a flow was recorded");
    Ok(())
}

pub(super) fn a_syn_goes_to_the_current_owner(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&only(B))?;
    reaches(stage, PORT, SYN, B)?;
    is_recorded(stage, PORT, Some(B))?;
    reaches(stage, PORT, ACK, B)
}

pub(super) fn unknown_to_settled(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&only(B))?;
    for flags in [ACK, ACK | tcp::Tcp::FIN, tcp::Tcp::RST, SYN | ACK, 0] {
        let port = PORT + u16::from(flags);
        reaches(stage, port, flags, A)?;
        is_recorded(stage, port, Some(A))?;
    }
    Ok(())
}

pub(super) fn settled_owner_down(stage: &mut Stage) -> Result<()> {
    stage.load(&site(&[(A, Willing), (B, Willing)]))?;
    stage.load(&site(&[(A, Down), (B, Willing)]))?;
    for port in PORT..PORT + 20 {
        reaches(stage, port, ACK, B)?;
    }
    Ok(())
}

pub(super) fn over_a_b_c(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&only(B))?;
    reaches(stage, PORT, SYN, B)?;
    stage.load(&only(C))?;
    reaches(stage, PORT, ACK, B)?;
    reaches(stage, PORT + 1, ACK, A)?;
    reaches(stage, PORT + 2, SYN, C)?;
    reaches(stage, PORT + 2, ACK, C)
}

pub(super) fn over_a_b_a(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&only(B))?;
    reaches(stage, PORT, SYN, B)?;
    stage.load(&only(A))?;
    reaches(stage, PORT, ACK, B)?;
    reaches(stage, PORT + 1, ACK, A)?;
    reaches(stage, PORT + 2, SYN, A)?;
    is_recorded(stage, PORT, Some(B))
}

pub(super) fn recorded_server_down(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&only(B))?;
    reaches(stage, PORT, SYN, B)?;
    stage.load(&site(&[(A, Quiet), (B, Down), (C, Willing)]))?;
    reaches(stage, PORT, ACK, A)?;
    is_recorded(stage, PORT, Some(A))?;
    stage.load(&site(&[(A, Down), (B, Down), (C, Willing)]))?;
    reaches(stage, PORT, ACK, C)?;
    is_recorded(stage, PORT, Some(C))
}

/// The client's first SYN may have been answered though the answer is lost: the same one once more
/// must not go elsewhere.
pub(super) fn a_syn_again(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&only(B))?;
    reaches(stage, PORT, SYN, B)?;
    stage.load(&only(C))?;
    reaches(stage, PORT, SYN, B)?;
    reaches(stage, PORT, ACK, B)?;
    reaches(stage, PORT, SYN, B)?;
    is_recorded(stage, PORT, Some(B))
}

pub(super) fn a_syn_after_the_end(stage: &mut Stage) -> Result<()> {
    for (port, end) in [(PORT, FIN | ACK), (PORT + 1, RST)] {
        stage.load(&only(A))?;
        stage.load(&only(B))?;
        reaches(stage, port, SYN, B)?;
        reaches(stage, port, ACK, B)?;
        stage.load(&only(C))?;
        reaches(stage, port, end, B)?;
        reaches(stage, port, ACK, B)?;
        reaches(stage, port, SYN, C)?;
        is_recorded(stage, port, Some(C))?;
        reaches(stage, port, ACK, C)?;
    }
    Ok(())
}

pub(super) fn an_expired_entry(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&only(B))?;
    reaches(stage, PORT, SYN, B)?;
    reaches(stage, PORT, ACK, B)?;
    expire_in(stage, PORT, -1)?;
    reaches(stage, PORT, ACK, A)?;
    is_recorded(stage, PORT, Some(A))
}

/// Lets the entry of the client's flow expire so many ticks from now.
fn expire_in(stage: &mut Stage, port: u16, ticks: i32) -> Result<()> {
    let expires = stage.plane().now()?.wrapping_add_signed(ticks);
    let entry = stage.entry(&flow_key(&TCP, CLIENT, port));
    let (at, way, key, flow) = entry.context("it is not recorded")?;
    let way = Way::new(way.tag(), way.state(), expires);
    stage.plane().put_entry(at, way, &key, &flow);
    Ok(())
}

/// Ticks until the entry of the client's flow expires.
fn left(stage: &mut Stage, port: u16) -> Result<i32> {
    let now = stage.plane().now()?;
    let entry = stage.entry(&flow_key(&TCP, CLIENT, port));
    let (_, way, ..) = entry.context("it is not recorded")?;
    Ok(way.expires().wrapping_sub(now).cast_signed())
}

pub(super) fn an_entry_is_refreshed(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&only(B))?;
    reaches(stage, PORT, SYN, B)?;
    for _ in 0..3 {
        expire_in(stage, PORT, 10_000)?;
        reaches(stage, PORT, ACK, B)?;
        let (left, whole) = (left(stage, PORT)?, TIMEOUT.cast_signed());
        let longest = whole + whole / 64;
        ensure!((whole..=longest).contains(&left), "{left} ticks");
    }
    // One that lasts as long as it is to is not written.
    expire_in(stage, PORT, TIMEOUT.cast_signed() + 10_000)?;
    reaches(stage, PORT, ACK, B)?;
    let beyond = left(stage, PORT)? - TIMEOUT.cast_signed();
    ensure!((5_000..=10_000).contains(&beyond), "{beyond} ticks beyond");
    Ok(())
}

pub(super) fn flows_are_told_apart(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&only(B))?;
    reaches(stage, PORT, SYN, B)?;
    let other = Ipv4Addr::from(CLIENT.to_bits() + 1);
    let frame = eth(CLIENT_MAC, LB).ipv4(other, VIP).tcp(PORT, 80);
    arrives(&stage.send(LAN, &frame.build())?, A)?;
    reaches(stage, PORT, ACK, B)?;
    ensure!(stage.plane().entries().len() == 2, "not two flows");
    Ok(())
}

pub(super) fn nobody_takes_new_flows(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&site(&[(A, Quiet), (B, Quiet)]))?;
    let syn = segment(stage, PORT, SYN)?;
    ends(&syn, Reason::NoRealServer, xdp::DROP)?;
    is_recorded(stage, PORT, None)?;
    reaches(stage, PORT + 1, ACK, A)?;
    expire_in(stage, PORT + 1, -1)?;
    stage.load(&site(&[(A, Down), (B, Quiet)]))?;
    // Twice: being asked for must not bring an expired entry back to life.
    for _ in 0..2 {
        let ack = segment(stage, PORT + 1, ACK)?;
        ends(&ack, Reason::NoRealServer, xdp::DROP)?;
        stage.load(&site(&[(A, Quiet), (B, Quiet)]))?;
        stage.load(&site(&[(A, Down), (B, Quiet)]))?;
    }
    is_recorded(stage, PORT + 1, Some(A))?;
    ensure!(left(stage, PORT + 1)? < 0, "the entry was revived");
    Ok(())
}

/// All slots go from A to B; A keeps what it has.
pub(super) fn datagrams_while_draining(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    let datagram = |port| eth(CLIENT_MAC, LB).ipv4(CLIENT, VIP).udp(port, 80).build();
    stage.load(&only(B))?;
    arrives(&stage.send(LAN, &datagram(PORT))?, B)?;
    ensure!(
        recorded(stage, &UDP, PORT)? == Some(B),
        "it is not recorded for B"
    );
    stage.load(&only(C))?;
    arrives(&stage.send(LAN, &datagram(PORT))?, B)?;
    arrives(&stage.send(LAN, &datagram(PORT + 1))?, C)
}

/// A datagram of a flow whose slot A gave to B, although A still takes new flows elsewhere.
pub(super) fn datagrams(stage: &mut Stage) -> Result<()> {
    stage.load(&site(&[(A, Willing)]))?;
    stage.load(&site(&[(A, Willing), (B, Willing)]))?;
    let service = *stage.service(&UDP)?;
    let ring = stage.tables().ring_of(&service);
    let mut moved = (PORT..).filter(|port| {
        let hash = flow_hash(
            &CLIENT.into(),
            Be16::new(*port),
            Be16::new(80),
            udp::Udp::PROTOCOL,
        );
        ring[slot_of(hash, service.ring_len) as usize].is_unsettled()
    });
    let port = moved.next().context("no slot changed hands")?;
    let frame = eth(CLIENT_MAC, LB)
        .ipv4(CLIENT, VIP)
        .udp(port, 80)
        .payload(b"?")
        .build();
    arrives(&stage.send(LAN, &frame)?, A)?;
    ensure!(
        recorded(stage, &UDP, port)? == Some(A),
        "it is not recorded for A"
    );
    arrives(&stage.send(LAN, &frame)?, A)?;
    stage.load(&site(&[(A, Down), (B, Willing)]))?;
    arrives(&stage.send(LAN, &frame)?, B)?;
    stage.load(&site(&[(A, Willing), (B, Willing)]))?;
    arrives(&stage.send(LAN, &frame)?, B)
}

pub(super) fn a_slot_that_settled(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&only(B))?;
    reaches(stage, PORT, ACK, A)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do to count from"
    )]
    let start = Instant::now();
    let timeout = Duration::from_secs(900);
    let mut settling = Settling::default();
    settling.note(stage.tables(), start);
    let settled = settling
        .due(start + timeout, |_| timeout)
        .settle(stage.tables())?;
    stage.replace(settled)?;
    reaches(stage, PORT, ACK, B)?;
    is_recorded(stage, PORT, Some(A))
}
