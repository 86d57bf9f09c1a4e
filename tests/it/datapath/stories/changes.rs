//! What real servers, services, interfaces and rings leave behind when they go or change.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};

use lb_ebpf::abi::{Reason, method};
use lb_user::tables::Wish;
use tests::packet::eth;

use super::{
    A, ACK, B, C, Quiet, SYN, Story, TCP, Willing, ends, only, reaches, segment, server_of, site,
};
use crate::datapath::site::{CLIENT, LAN, LB, PORT, mac, of_services};
use crate::datapath::stage::{Stage, xdp};

/// Each with its name.
pub(super) const ALL: &[(&str, Story)] = &[
    (
        "a real server that left the site is not remembered",
        a_server_that_left,
    ),
    ("a ring that doubles keeps every flow", a_ring_that_doubles),
    (
        "a service that is removed passes to the stack",
        a_service_that_is_removed,
    ),
    (
        "an interface that is removed passes to the stack",
        an_interface_that_is_removed,
    ),
    (
        "a reply passes where the host does not forward",
        a_host_that_does_not_forward,
    ),
];

pub(super) fn a_server_that_left(stage: &mut Stage) -> Result<()> {
    stage.load(&site(&[(A, Willing), (B, Quiet)]))?;
    stage.load(&site(&[(B, Willing)]))?;
    reaches(stage, PORT, ACK, B)?;
    stage.load(&site(&[(B, Quiet), (C, Willing)]))?;
    reaches(stage, PORT + 1, ACK, B)?;
    reaches(stage, PORT + 2, SYN, C)
}

/// From 30 real servers to 60, from 4096 slots to 8192.
pub(super) fn a_ring_that_doubles(stage: &mut Stage) -> Result<()> {
    let many = |count: u8| -> Vec<_> {
        (100..100 + count)
            .map(|last| (Ipv4Addr::new(10, 77, 0, last), Willing))
            .collect()
    };
    stage.load(&site(&many(30)))?;
    let mut before = Vec::new();
    for port in PORT..PORT + 300 {
        before.push(server_of(&segment(stage, port, SYN)?)?);
    }
    stage.load(&site(&many(60)))?;
    ensure!(
        stage.service(&TCP)?.ring_len == 8192,
        "the ring did not double"
    );
    for (port, server) in (PORT..).zip(&before) {
        reaches(stage, port, ACK, *server)?;
    }
    stage.plane().forget(&|_, _| true);
    let mut moved = 0;
    for (port, server) in (PORT..).zip(&before) {
        moved += usize::from(server_of(&segment(stage, port, SYN)?)? != *server);
    }
    ensure!(
        moved >= 100,
        "only {moved} of 300 slots changed hands: this showed little"
    );
    Ok(())
}

pub(super) fn a_service_that_is_removed(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    reaches(stage, PORT, SYN, A)?;
    stage.load(&of_services(Vec::new()))?;
    let seen = segment(stage, PORT, ACK)?;
    ends(&seen, Reason::NotVip, xdp::PASS)?;
    stage.load(&only(B))?;
    reaches(stage, PORT, ACK, B)
}

pub(super) fn an_interface_that_is_removed(stage: &mut Stage) -> Result<()> {
    stage.load(&only(A))?;
    stage.load(&Wish {
        interfaces: Vec::new(),
        ..only(A)
    })?;
    let seen = segment(stage, PORT, SYN)?;
    ends(&seen, Reason::UnknownInterface, xdp::PASS)?;
    stage.load(&only(A))?;
    reaches(stage, PORT, SYN, A)
}

pub(super) fn a_host_that_does_not_forward(stage: &mut Stage) -> Result<()> {
    let mut nat = only(A);
    nat.services
        .iter_mut()
        .for_each(|service| service.method = method::NAT);
    stage.load(&nat)?;
    let reply = eth(mac(11), LB).ipv4(A, CLIENT).tcp(80, PORT).build();
    for (on, code, reason) in [
        (false, xdp::PASS, Reason::ReplyNotRouted),
        (true, xdp::TX, Reason::RepliedNat),
    ] {
        stage.plane().set_forwarding(on)?;
        let seen = stage.send(LAN, &reply)?;
        ends(&seen, reason, code).with_context(|| format!("forwarding {on}"))?;
    }
    Ok(())
}
