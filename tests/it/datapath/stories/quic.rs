//! QUIC: packets go to the real server that their connection id names, whatever the client's address
//! (draft-ietf-quic-load-balancers, section 3).

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use lb_ebpf::abi::method;
use lb_user::tables::{Quic, Wish};
use tests::packet::eth;

use super::{A, B, C, Down, Is, Quiet, Story, Willing, changed, server_of, site};
use crate::datapath::site::{CLIENT, CLIENT_MAC, LAN, LB, PORT, VIP, pool};
use crate::datapath::stage::Stage;

/// Each with its name.
pub(super) const ALL: &[(&str, Story)] = &[
    (
        "quic: a short header's connection id names the server",
        short_headers,
    ),
    (
        "quic: a long header's connection id names the server",
        long_headers,
    ),
    (
        "quic: a connection survives its client's change of address",
        change_of_address,
    ),
    (
        "quic: an id that is nobody's is placed as any flow",
        unknown_id,
    ),
    (
        "quic: an id of another configuration is placed as any flow",
        other_configuration,
    ),
    ("quic: who drains keeps its connections", who_drains),
    ("quic: who is down has none", who_is_down),
    ("quic: server ids of 1 and of 15 bytes", lengths),
    (
        "quic: by fullnat, the flow begins at the server that is named",
        by_fullnat,
    ),
];

const CONFIG: u8 = 2;

/// The server id of A is 1, of B 2, of C 3, in `length` bytes.
fn id_of(server: Ipv4Addr, length: u8) -> [u8; 16] {
    let mut id = [0; 16];
    id[..usize::from(length)].fill(0xd0);
    id[usize::from(length) - 1] = server.octets()[3] - 10;
    id
}

fn quic_of(length: u8, reals: &[(Ipv4Addr, Is)]) -> Wish {
    let mut wish = changed(site(reals), |service| {
        service.quic = Some(Quic {
            config: CONFIG,
            length,
        });
        for (real, (server, _)) in service.reals.iter_mut().zip(reals) {
            real.server_id = Some(id_of(*server, length));
        }
    });
    wish.services.retain(|service| service.key == super::UDP);
    wish
}

fn quic(reals: &[(Ipv4Addr, Is)]) -> Wish {
    quic_of(4, reals)
}

fn all() -> [(Ipv4Addr, Is); 3] {
    [(A, Willing), (B, Willing), (C, Willing)]
}

/// A connection id of this configuration and server id, with a nonce.
fn connection_id(config: u8, id: &[u8]) -> Vec<u8> {
    [&[config << 5 | 0x0f], id, &[0x11, 0x22, 0x33, 0x44]].concat()
}

/// A packet with a short header (RFC 9000 section 17.3.1).
fn short(id: &[u8]) -> Vec<u8> {
    [&[0x4c], id, &[0x99; 30]].concat()
}

/// A packet with a long header (RFC 9000 section 17.2): version 1, this destination's connection id, a
/// source's of four bytes.
fn long(id: &[u8]) -> Vec<u8> {
    let len = u8::try_from(id.len()).unwrap_or(u8::MAX);
    [
        &[0xe3, 0, 0, 0, 1, len][..],
        id,
        &[4, 1, 2, 3, 4],
        &[0x99; 30],
    ]
    .concat()
}

fn send(stage: &mut Stage, client: Ipv4Addr, port: u16, payload: &[u8]) -> Result<Ipv4Addr> {
    let frame = eth(CLIENT_MAC, LB)
        .ipv4(client, VIP)
        .udp(port, 80)
        .payload(payload);
    server_of(&stage.send(LAN, &frame.build())?)
}

fn id(server: Ipv4Addr) -> Vec<u8> {
    connection_id(CONFIG, &id_of(server, 4)[..4])
}

/// Packets with this payload, from many ports, must all go to the server.
fn all_to(stage: &mut Stage, payload: &[u8], server: Ipv4Addr) -> Result<()> {
    for port in PORT..PORT + 10 {
        let found = send(stage, CLIENT, port, payload)?;
        ensure!(found == server, "it went to {found}, not to {server}");
    }
    Ok(())
}

/// Packets with this payload go where their ports say: to all three, and each to one.
fn all_over(stage: &mut Stage, payload: &[u8]) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for port in PORT..PORT + 60 {
        let server = send(stage, CLIENT, port, payload)?;
        ensure!(
            send(stage, CLIENT, port, payload)? == server,
            "a flow has two servers"
        );
        seen.insert(server);
    }
    ensure!(seen.len() == 3, "all to {seen:?}");
    Ok(())
}

fn short_headers(stage: &mut Stage) -> Result<()> {
    stage.load(&quic(&all()))?;
    for server in [A, B, C] {
        all_to(stage, &short(&id(server)), server)?;
    }
    ensure!(stage.plane().entries().is_empty(), "a flow is recorded");
    Ok(())
}

fn long_headers(stage: &mut Stage) -> Result<()> {
    stage.load(&quic(&all()))?;
    for server in [A, B, C] {
        all_to(stage, &long(&id(server)), server)?;
    }
    // Ids that are too short for a server id.
    all_over(stage, &long(&id(B)[..4]))?;
    all_over(stage, &long(&[]))
}

fn change_of_address(stage: &mut Stage) -> Result<()> {
    stage.load(&quic(&all()))?;
    for server in [A, B, C] {
        for number in 0..20 {
            let client = Ipv4Addr::from(0x0a09_0000 + number * 77);
            let found = send(stage, client, PORT, &short(&id(server)))?;
            ensure!(found == server, "{client} went to {found}");
        }
    }
    Ok(())
}

fn unknown_id(stage: &mut Stage) -> Result<()> {
    stage.load(&quic(&all()))?;
    all_over(
        stage,
        &short(&connection_id(CONFIG, &[0xd0, 0xd0, 0xd0, 9])),
    )?;
    stage.reset()?;
    stage.load(&quic(&all()))?;
    // Too short for any header, or for an id.
    all_over(stage, &[])?;
    stage.reset()?;
    stage.load(&quic(&all()))?;
    all_over(stage, &short(&id(A))[..4])
}

fn other_configuration(stage: &mut Stage) -> Result<()> {
    for config in [0, 1, 3, 7] {
        stage.load(&quic(&all()))?;
        let id = connection_id(config, &id_of(B, 4)[..4]);
        all_over(stage, &short(&id))?;
        all_over(stage, &long(&id))?;
        stage.reset()?;
    }
    Ok(())
}

fn who_drains(stage: &mut Stage) -> Result<()> {
    stage.load(&quic(&all()))?;
    all_to(stage, &short(&id(B)), B)?;
    stage.load(&quic(&[(A, Willing), (B, Quiet), (C, Quiet)]))?;
    all_to(stage, &short(&id(B)), B)?;
    all_to(stage, &long(&connection_id(7, &[1; 8])), A)
}

fn who_is_down(stage: &mut Stage) -> Result<()> {
    stage.load(&quic(&[(A, Willing), (B, Down), (C, Quiet)]))?;
    all_to(stage, &short(&id(B)), A)?;
    stage.load(&quic(&[(A, Willing), (C, Quiet)]))?;
    all_to(stage, &short(&id(B)), A)?;
    all_to(stage, &short(&id(C)), C)
}

fn lengths(stage: &mut Stage) -> Result<()> {
    for length in [1, 15] {
        stage.load(&quic_of(length, &all()))?;
        for server in [A, B, C] {
            let id = &id_of(server, length)[..usize::from(length)];
            let id = connection_id(CONFIG, id);
            all_to(stage, &short(&id), server)?;
            all_to(stage, &long(&id), server)?;
        }
        stage.reset()?;
    }
    Ok(())
}

/// A flow of fullnat needs an entry, so its first packet decides; one whose client has moved begins
/// again at the server that knows it.
fn by_fullnat(stage: &mut Stage) -> Result<()> {
    let mut wish = changed(quic(&all()), |service| service.method = method::FULLNAT);
    wish.pool = pool(100);
    stage.load(&wish)?;
    for (round, server) in (0..).zip([A, B, C, A, B, C]) {
        let port = PORT + 50 * round;
        for port in port..port + 5 {
            let found = send(stage, CLIENT, port, &short(&id(server)))?;
            ensure!(found == server, "it went to {found}, not to {server}");
        }
    }
    // What is there goes on, by both its entries.
    let frame = eth(CLIENT_MAC, LB).ipv4(CLIENT, VIP).udp(PORT, 80);
    let seen = stage.send(LAN, &frame.payload(&short(&id(A))).build())?;
    let own = u16::from_be_bytes([seen.frame[34], seen.frame[35]]);
    ensure!(own >= 20_000, "from port {own}");
    ensure!(stage.plane().entries().len() == 60, "not 30 flows");
    Ok(())
}
